"""`./outputs` and `./logs` of the working directory: copied to the run's artifacts while it runs, and at its end."""

import contextlib
import os

from .. import files
from ..run import WORKDIR, Run

COLLECTED = ("outputs", "logs")


def collect(run: Run) -> None:
    """Copy what changed since the last time. Links are left behind: they could lead out of the job's folder."""
    for folder in COLLECTED:
        with contextlib.ExitStack() as stack:
            try:
                source = stack.enter_context(files.directory(run.folder, *WORKDIR, folder))
            except OSError:
                continue
            for name, file in files.opened(source):
                copy_changed(run, file, f"{folder}/{name}")


def copy_changed(run: Run, file: int, name: str) -> None:
    found = os.fstat(file)
    stamp = (found.st_mtime_ns, found.st_size)
    if run.collected.get(name) != stamp:
        files.store(file, run.artifact(name))
        run.collected[name] = stamp
