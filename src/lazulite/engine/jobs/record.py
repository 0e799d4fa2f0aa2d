"""The one place that writes a job's status: the transition is checked, the run follows, the row is guarded."""

from __future__ import annotations

from contextlib import suppress

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.clock import parse_iso
from lazulite.engine.states import check
from lazulite.model import job_status
from lazulite.model.job_status import ACTIVE, JobState, JobStatus
from lazulite.store import resources, runs
from lazulite.store.resources import Resource
from lazulite.store.tables import resources as table

JOBS = "microsoft.machinelearningservices/workspaces/jobs"

_RUN_STATUS = {
    JobState.NOT_STARTED: "SCHEDULED",
    JobState.QUEUED: "SCHEDULED",
    JobState.PROVISIONING: "SCHEDULED",
    JobState.PREPARING: "SCHEDULED",
    JobState.STARTING: "SCHEDULED",
    JobState.RUNNING: "RUNNING",
    JobState.FINALIZING: "RUNNING",
    JobState.CANCEL_REQUESTED: "RUNNING",
    JobState.COMPLETED: "FINISHED",
    JobState.FAILED: "FAILED",
    JobState.CANCELED: "KILLED",
}


def is_command(job: Resource) -> bool:
    """Whether the job is one process to run; the others are parents of jobs, and have controllers of their own."""
    return str(job.properties.get("jobType", "Command")) == "Command"


def active_keys(connection: Connection, kind: str) -> list[str]:
    """Keys of the jobs of a `jobType` that have not ended, without decoding any of them."""
    active = table.c.state.in_([state.value for state in ACTIVE])
    query = sa.select(table.c.key, table.c.spec).where(table.c.type == JOBS, active)
    marker = f'"{kind}"'.encode()
    return [row.key for row in connection.execute(query) if marker in row.spec]


def save(connection: Connection, job: Resource, status: JobStatus) -> Resource:
    """Store a job's new status over the one that `job` was read with.

    Raises IllegalTransition, and VersionConflict where the row moved on since.
    """
    before = job_status.read(job.status)
    # Several states may have been passed since the last write; each step of the way must be allowed.
    at = before.state
    for passage in status.states[len(before.states) :]:
        check(at, passage.state)
        at = passage.state
    check(at, status.state)
    stored = resources.update(
        connection, job.with_(status=job_status.document(status), state=status.state.value), etag=job.etag
    )
    if status.state is not before.state:
        _follow(connection, job, status)
    return stored


def _follow(connection: Connection, job: Resource, status: JobStatus) -> None:
    workspace = arm_id.workspace_of(job.id)
    with suppress(runs.NoSuchRun):  # a job whose run was deleted by an MLflow client still ends properly
        runs.set_status(
            connection,
            workspace,
            job.name,
            _RUN_STATUS[status.state],
            start_ms=_ms(status.start_time),
            end_ms=_ms(status.end_time) if status.terminal else None,
        )


def _ms(text: str | None) -> int | None:
    return None if text is None else int(parse_iso(text).timestamp() * 1000)
