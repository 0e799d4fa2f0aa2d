"""`python -m tests.torture`: 60 rounds of kills under load at every level of isolation that this machine has."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.torture.run import NotHere, torture

LEVELS = ("bubblewrap", "landlock", "process")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--levels", nargs="*", default=LEVELS, choices=LEVELS)
    given = parser.parse_args()
    faults = 0
    for level in given.levels:
        with tempfile.TemporaryDirectory(prefix="lazulite-torture-", ignore_cleanup_errors=True) as folder:
            try:
                verdict = torture(Path(folder), level, given.rounds, given.seed, lambda text: print(text, flush=True))
            except NotHere as reason:
                print(f"{level}: not on this machine: {reason}", flush=True)
                continue
        print(verdict, flush=True)
        faults += len(verdict.faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
