"""The job's folders."""

import os
from collections.abc import Iterator
from typing import Any

from ..run import Run


def prepare(run: Run) -> None:
    for folder in (run.workdir, run.capability, run.path("home"), run.path("tmp")):
        os.makedirs(folder, exist_ok=True)
    for name in ("outputs", "logs"):
        os.makedirs(os.path.join(run.workdir, name), exist_ok=True)
    for note in run.plan["environment"]["notes"]:
        run.log(f"approximated: {note}")
    for note in about_distribution(run.plan["distribution"]):
        run.log(f"approximated: {note}")
    run.log(f"isolation: {run.plan['isolation']['kind']}")


def about_distribution(asked: dict[str, Any]) -> Iterator[str]:
    if asked["nodes"] > 1:
        yield f"the job's {asked['nodes']} nodes are groups of processes on this one machine."
    if (asked["type"] or "").lower() == "mpi":
        yield "MPI ranks get Open MPI's variables but are not started by mpirun: mpi4py sees a world of one."
