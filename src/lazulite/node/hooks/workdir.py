"""The job's folders."""

import os

from ..run import Run


def prepare(run: Run) -> None:
    for folder in (run.workdir, run.capability, run.path("home"), run.path("tmp")):
        os.makedirs(folder, exist_ok=True)
    for name in ("outputs", "logs"):
        os.makedirs(os.path.join(run.workdir, name), exist_ok=True)
    for note in run.plan["environment"]["notes"]:
        run.log(f"approximated: {note}")
    run.log(f"isolation: {run.plan['isolation']['kind']}")
