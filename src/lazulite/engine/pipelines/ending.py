"""How a pipeline ends: with the outputs of the nodes that wrote them, or with the errors of those that failed."""

from __future__ import annotations

import msgspec
from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.errors import ApiError
from lazulite.core.paths import UnsafePath
from lazulite.engine.jobs.finish import register_outputs
from lazulite.engine.pipelines import births, children
from lazulite.engine.pipelines.memory import Memory
from lazulite.engine.pipelines.unfold import Unfolded
from lazulite.engine.states import advance
from lazulite.model import job_status
from lazulite.model import pipeline_graph as graph
from lazulite.model.job_status import JobError, JobOutput, JobState, JobStatus
from lazulite.model.pipeline_flow import Flow, Spread
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Resource

#: The property of a pipeline that names the nodes that its choices left out.
_SKIPPED = "lazulite.skipped"
#: Steps whose errors a failed pipeline has.
_TOLD = 20


def status(
    c: Connection,
    storage: StorageLocator,
    location: str,
    memory: Memory,
    unfolded: Unfolded,
    before: JobStatus,
    state: JobState,
    now: str,
) -> JobStatus:
    """The status of the pipeline that ends in that state; its outputs are registered."""
    if unfolded.skipped:
        properties = {**before.properties, _SKIPPED: ",".join(sorted(unfolded.skipped))}
        before = msgspec.structs.replace(before, properties=properties)
    if state is JobState.COMPLETED:
        try:
            found = _outputs(c, storage, memory, unfolded)
        except (ApiError, UnsafePath) as error:
            failure = JobError(error.code if isinstance(error, ApiError) else "UserError/InvalidPath", str(error))
            return msgspec.structs.replace(advance(before, JobState.FAILED, now), error=failure)
        ended = msgspec.structs.replace(advance(before, state, now), outputs=found)
        return register_outputs(c, _unnamed(memory.job, memory.flow), ended, location)
    ended = advance(before, state, now)
    return msgspec.structs.replace(ended, error=_error(c, memory, unfolded)) if state is JobState.FAILED else ended


def _error(c: Connection, memory: Memory, unfolded: Unfolded) -> JobError:
    latest = memory.latest
    bad = {name: node for node, (name, state) in latest.items() if state in (JobState.FAILED, JobState.CANCELED)}
    rows = children.read(c, arm_id.workspace_of(memory.job.id), list(bad)[:_TOLD])
    details = [{"code": "ControlNodeFailed", "message": text, "target": node} for node, text in unfolded.errors.items()]
    for name, row in sorted(rows.items(), key=lambda pair: pair[1].state != JobState.FAILED):
        error = job_status.read(row.status).error
        message = error.message if error else f"The step is {row.state}."
        details.append({"code": error.code if error else str(row.state), "message": message, "target": bad[name]})
    first = details[0] if details else {"target": "?", "message": ""}
    count = len(bad) + len(unfolded.errors)
    of = len(unfolded.needs) + len(unfolded.errors)
    message = f"{count} of {of} steps did not complete. '{first['target']}': {first['message']}"
    return JobError("PipelineStepFailed", message, details)


def _outputs(c: Connection, storage: StorageLocator, memory: Memory, unfolded: Unfolded) -> dict[str, JobOutput]:
    """The pipeline's outputs are those of the nodes that write them."""
    found = {}
    loops = memory.loops_over(unfolded)
    for node, sent in memory.job.properties["jobs"].items():
        for own, value in (sent.get("outputs") or {}).items():
            bound = graph.whole(value.get("value") or value.get("uri")) if isinstance(value, dict) else None
            if not isinstance(bound, graph.WrittenTo):
                continue
            if node in loops:
                output = births.gathered(c, storage, memory.job, node, own, loops[node])
            else:
                output = _output(c, memory, memory.latest.get(unfolded.last.get(node, node)), own)
            if output is not None:
                found[bound.name] = JobOutput(output.uri, output.type, value=output.value)
    return found


def _output(c: Connection, memory: Memory, job: tuple[str, JobState] | None, name: str) -> JobOutput | None:
    if job is None:
        return None
    row = children.read(c, arm_id.workspace_of(memory.job.id), [job[0]]).get(job[0])
    return job_status.read(row.status).outputs.get(name) if row is not None else None


def _unnamed(job: Resource, what: Flow) -> Resource:
    """The job without names for its outputs' assets: the node that wrote them has registered them.

    No node wrote what a loop over items has gathered.
    """
    kept = set()
    for node, sent in job.properties["jobs"].items():
        if isinstance(what.controls.get(node), Spread):
            kept |= {r.name for r in graph.references(sent.get("outputs")) if isinstance(r, graph.WrittenTo)}
    outputs = job.properties.get("outputs") or {}
    named = ("assetName", "assetVersion")
    bare = {n: {k: v for k, v in o.items() if n in kept or k not in named} for n, o in outputs.items() if o}
    return job.with_(spec={**job.spec, "properties": {**job.properties, "outputs": bare}})
