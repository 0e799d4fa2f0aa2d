"""`python -I -S .../lazulite/node/__main__.py RUN_DIR`: by its path, so that nothing of the server is imported.

Returns once the agent is detached and owns the run (or another agent already does). `--foreground` stays;
`--probe HOME [LEVEL]` prints which isolation works on this machine, `--probe-limits` what keeps limits on it,
`--probe-containers` what runs containers on it.
"""

import sys

if __package__:
    from .agent import main
else:
    import importlib
    import os

    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    main = importlib.import_module("node.agent").main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
