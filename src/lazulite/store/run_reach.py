"""Which runs the token of a job may write to."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.engine import Connection

from lazulite.core.principal import job_refusal
from lazulite.store import resources, runs
from lazulite.store.runs import Run


def may_write(c: Connection, workspace_id: str, run: Run, job: str) -> bool:
    """Whether `run` is the job's own, lies below it, was made from inside these, or is of what it is a step or trial of."""
    return runs.is_within(c, workspace_id, run, job) or run.run_id.lower() in _above(c, workspace_id, job)


def refusal(run: Run, job: str) -> str:
    """What a client is told that may not."""
    return job_refusal(job, f"write to the run '{run.run_id}'")


def _above(c: Connection, workspace_id: str, job: str) -> Iterator[str]:
    """The jobs that a job is a step or trial of. Their rows say so: a run's parent is a tag, which the job may set."""
    row = resources.get(c, f"{workspace_id}/jobs/{job}")
    while row is not None and "/jobs/" in row.parent:
        row = resources.get(c, row.parent)
        if row is not None:
            yield row.name.lower()
