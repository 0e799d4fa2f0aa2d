"""The log of a server that `lazulite up` started: it goes on in a new file when one is full."""

from __future__ import annotations

import logging
import os
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

KEPT_BYTES = 8 * 1024 * 1024


def rotate(home: Path) -> None:
    """Write `<home>/server.log` with a limit of size, if that is where this process's error output goes already.

    The file before it is kept as `server.log.1`. In a terminal, or under a program that keeps logs itself, nothing changes.
    """
    path = home / "server.log"
    root = logging.getLogger()
    if not _is_our_output(path) or not root.handlers:
        return
    handler = _Rotating(path, maxBytes=KEPT_BYTES, backupCount=1)
    handler.setFormatter(root.handlers[0].formatter)
    root.handlers[:] = [handler]


class _Rotating(RotatingFileHandler):
    def doRollover(self) -> None:
        super().doRollover()
        # What does not come through logging (a crash of the interpreter, a library's own words) follows to the new file.
        if self.stream is not None:
            for number in (1, 2):
                os.dup2(self.stream.fileno(), number)


def _is_our_output(path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(sys.stderr.fileno()), path.stat())
    except (OSError, ValueError, AttributeError):
        return False
