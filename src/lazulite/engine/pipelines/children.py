"""The jobs of a pipeline's nodes in the store: named after their pipeline, node and attempt, below their pipeline."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.clock import now_ms
from lazulite.engine.jobs.record import JOBS
from lazulite.engine.pipelines import reuse
from lazulite.engine.pipelines.bind import Child
from lazulite.engine.states import advance
from lazulite.model import job_status
from lazulite.model.job_status import TERMINAL, JobError, JobOutput, JobState, JobStatus, Passage
from lazulite.store import resources, runs
from lazulite.store.resources import Json, Resource
from lazulite.store.tables import resources as table

_STATES = sa.select(table.c.name, table.c.state).where(table.c.parent == sa.bindparam("parent"), table.c.type == JOBS)
_STATES_OF = sa.select(table.c.name, table.c.state).where(table.c.key.in_(sa.bindparam("wanted", expanding=True)))
_CHUNK = 5_000
_RUN_STATUS = {JobState.COMPLETED: "FINISHED", JobState.FAILED: "FAILED"}


@dataclass(frozen=True, slots=True)
class Birth:
    """A job to be made for a node: to run, to stand for the `original` it reuses, or failed from the start."""

    node: str
    attempt: int
    child: Child
    key: str | None = None
    original: Resource | None = None
    error: JobError | None = None
    more: Json = field(default_factory=dict)

    @property
    def state(self) -> JobState:
        """What the job begins with: one that could not be made, or reuses another, is over at once."""
        if self.error is not None:
            return JobState.FAILED
        return JobState.NOT_STARTED if self.original is None else JobState.COMPLETED


def name_of(pipeline: Resource, node: str, attempt: int) -> str:
    """The same at every try, so that a node gets one job, and another one for a pipeline made anew."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{pipeline.key}#{pipeline.created_at}#{node}#{attempt}"))


def states(c: Connection, pipeline_key: str) -> dict[str, JobState]:
    """The states of a pipeline's jobs, by name."""
    rows = c.execute(_STATES, {"parent": pipeline_key})
    return {row.name: JobState(row.state) for row in rows}


def states_of(c: Connection, workspace: str, names: Iterable[str]) -> dict[str, JobState]:
    """The states of these jobs, by name; those that are not there are left out."""
    found: dict[str, JobState] = {}
    for some in _chunks([arm_id.key(f"{workspace}/jobs/{name}") for name in names]):
        found |= {row.name: JobState(row.state) for row in c.execute(_STATES_OF, {"wanted": some})}
    return found


def read(c: Connection, workspace: str, names: Iterable[str]) -> dict[str, Resource]:
    found: dict[str, Resource] = {}
    for some in _chunks([f"{workspace}/jobs/{name}" for name in names]):
        found |= {row.name: row for row in resources.get_many(c, some)}
    return found


def create(c: Connection, pipeline: Resource, birth: Birth, at: str) -> None:
    """Make a node's job and its run. Does nothing where it is there."""
    workspace = arm_id.workspace_of(pipeline.id)
    name = name_of(pipeline, birth.node, birth.attempt)
    if resources.exists(c, f"{workspace}/jobs/{name}"):
        return
    status = _status(birth, at)
    root = str(pipeline.spec.get("rootRun") or pipeline.name)
    properties = {**birth.child.properties, "properties": _properties(pipeline, birth, root)}
    spec: Json = {
        "properties": properties,
        "resolved": birth.child.resolved,
        "submittedBy": pipeline.spec.get("submittedBy", ""),
        "parent": pipeline.name,
        "rootRun": root,
        "node": birth.node,
        "attempt": birth.attempt,
        **birth.more,
    }
    if birth.original is not None:
        spec["reusedFrom"] = birth.original.name
    new = resources.new(
        f"{workspace}/jobs/{name}",
        JOBS,
        spec,
        status=job_status.document(status),
        state=status.state.value,
        label=birth.key if birth.original is None else None,  # what looks for a job to reuse finds the one that ran
    )
    resources.insert(c, new.with_(parent=pipeline.key), by=pipeline.created_by)
    runs.create(
        c,
        workspace,
        name,
        experiment_name=str(properties["experimentName"]),
        name=str(properties["displayName"]),
        user=pipeline.created_by,
        tags={str(k): str(v) for k, v in (properties.get("tags") or {}).items()},
        status=_RUN_STATUS.get(status.state, "SCHEDULED"),
        end_ms=now_ms() if status.terminal else None,
        parent=pipeline.name,
        root=root,
        job=True,
    )


def stop(c: Connection, pipeline: Resource, names: Iterable[str]) -> None:
    """Ask for the end of those of a pipeline's jobs that are not over."""
    for child in read(c, arm_id.workspace_of(pipeline.id), names).values():
        if child.state not in TERMINAL and child.spec.get("desired") != "Canceled":
            resources.update(c, child.with_(spec={**child.spec, "desired": "Canceled"}), by=pipeline.created_by)


def _chunks(values: list[str]) -> Iterable[list[str]]:
    """A database takes so many values in a statement."""
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))


def _status(birth: Birth, at: str) -> JobStatus:
    fresh = JobStatus(state=JobState.NOT_STARTED, states=[Passage(JobState.NOT_STARTED, at)])
    if birth.error is not None:
        return msgspec.structs.replace(advance(fresh, JobState.FAILED, at), error=birth.error)
    if birth.original is None:
        return fresh
    return _reused(fresh, birth.original, at)


def _reused(fresh: JobStatus, original: Resource, at: str) -> JobStatus:
    """Completed at once, with the outputs of the job that did it."""
    for state in (JobState.QUEUED, JobState.PREPARING, JobState.RUNNING, JobState.COMPLETED):
        fresh = advance(fresh, state, at)
    outputs: Mapping[str, JobOutput] = job_status.read(original.status).outputs
    return msgspec.structs.replace(fresh, outputs=dict(outputs), notes=[f"Reuses the outputs of run {original.name}."])


def _properties(pipeline: Resource, birth: Birth, root: str) -> dict[str, str]:
    component = str(birth.child.properties.get("componentId") or "")
    found = {
        **(birth.child.properties.get("properties") or {}),
        "azureml.pipelinerunid": pipeline.name,
        "azureml.rootpipelinerunid": root,
        "azureml.nodeid": birth.node,
        "azureml.moduleid": component.rsplit("/", 1)[-1],
        "azureml.modulename": component.rsplit("/", 3)[1] if component.count("/") > 3 else component,
        "azureml.pipeline": pipeline.name,
    }
    return {**found, **(reuse.properties_of(birth.original) if birth.original is not None else {})}
