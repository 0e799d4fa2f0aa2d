"""`python <this folder> [the entry script's arguments]`: the driver, which starts its workers the same way."""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
# Of this folder, only the package by its name may be seen: the user's modules may be called as ours are.
sys.path[0] = os.path.dirname(_HERE)


def _main() -> int:
    import importlib

    package = os.path.basename(_HERE)
    if sys.argv[1:2] == ["--worker-process"]:
        return int(importlib.import_module(package + ".worker").main(sys.argv[2:]))
    return int(importlib.import_module(package + ".driver").main(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(_main())
