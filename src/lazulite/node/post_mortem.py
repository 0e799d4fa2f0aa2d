"""`python post_mortem.py SCRIPT ...` or `-m MODULE ...`: run it as Python does, and stop in pdb where it fails.

Runs in the job's interpreter, under Python 3.7 and later.
"""

from __future__ import annotations

import os
import pdb
import runpy
import sys
import traceback
from types import TracebackType

_OURS = (__file__, runpy.__file__)


def main() -> int:
    del sys.argv[0]
    try:
        if sys.argv[0] == "-m":
            del sys.argv[0]
            sys.path[0] = os.getcwd()
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
            runpy.run_path(sys.argv[0], run_name="__main__")
    except Exception as error:
        trace = own(error.__traceback__) or error.__traceback__
        traceback.print_exception(type(error), error, trace)
        print("Stopped where it failed: w shows how it came there, u and d go up and down, q leaves.")
        pdb.post_mortem(trace)
        return 1
    return 0


def own(trace: TracebackType | None) -> TracebackType | None:
    """What is the program's own: without the frames that led to it."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(("<frozen runpy>", *_OURS)):
        trace = trace.tb_next
    return trace


if __name__ == "__main__":
    sys.exit(main())
