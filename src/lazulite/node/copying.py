"""Copies that a run gets for itself, with what came of them in its system log."""

import os
import time

from . import files
from .run import Run

REPORT_S = 3.0


class Copying:
    """`what` is copied, for the reason `why`: `input d`, `environment e`."""

    def __init__(self, run: Run, what: str, why: str = "") -> None:
        self.run = run
        self.what = what
        self.why = f", as {why}" if why else ""
        self.bytes = 0
        self.began = self.reported = time.monotonic()

    def copy(self, source: str, target: str) -> None:
        """A file to `target`, or all that a folder holds. Raises OSError, Canceled."""
        self.run.activity(f"copying {self.what}{self.why}")
        count = 1
        if os.path.isfile(source):
            files.copy(source, target, self.came)
        else:
            count = files.copy_tree(source, target, self.came)
        self.run.log(f"{self.what}: {count} files, {self.amount()} copied in {time.monotonic() - self.began:.2f} s")

    def came(self, size: int) -> None:
        self.bytes += size
        self.run.tick()
        if time.monotonic() - self.reported >= REPORT_S:
            self.reported = time.monotonic()
            self.run.activity(f"copying {self.what}: {self.amount()} so far")

    def amount(self) -> str:
        return f"{self.bytes / 1e6:.1f} MB"
