"""`./outputs` and `./logs` of the working directory: copied to the run's artifacts while it runs, and at its end."""

import contextlib
import os

from .. import files
from ..run import Run

COLLECTED = ("outputs", "logs")


def collect(run: Run) -> None:
    """Copy what changed since the last time. Links are left behind: they could lead out of the job's folder."""
    for folder in COLLECTED:
        source = os.path.join(run.workdir, folder)
        if os.path.islink(source):
            continue
        for path, name in files.walk(source):
            with contextlib.suppress(FileNotFoundError):
                copy_changed(run, path, f"{folder}/{name}")


def copy_changed(run: Run, path: str, name: str) -> None:
    found = os.stat(path)
    stamp = (found.st_mtime_ns, found.st_size)
    if run.collected.get(name) != stamp:
        files.copy(path, run.artifact(name))
        run.collected[name] = stamp
