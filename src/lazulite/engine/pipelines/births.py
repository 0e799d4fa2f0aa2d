"""From a node that is ready to the job it becomes: results of earlier nodes gathered, inputs bound, reuse looked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from lazulite.core import arm_id
from lazulite.core.errors import ApiError
from lazulite.core.paths import UnsafePath
from lazulite.engine.jobs import controls
from lazulite.engine.pipelines import bind, children, gather, reuse
from lazulite.engine.pipelines.bind import Child, Context
from lazulite.engine.pipelines.children import Birth
from lazulite.model import job_status
from lazulite.model import pipeline_flow as flow
from lazulite.model import pipeline_graph as graph
from lazulite.model.job_status import JobError, JobOutput, JobState
from lazulite.resources import job_reruns, places, references, typed_inputs
from lazulite.store import resources
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Json, Resource

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gathered:
    """A loop over items that is over: the node that was its body, and the jobs of its steps."""

    body: str
    jobs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """A step that may begin, and the jobs it takes from: by node, and by loop those that are gathered.

    `step` is a node's name, or that of an iteration, whose `inputs` come on top of what the node says.
    """

    step: str
    attempt: int
    upstream: Mapping[str, str]
    gathered: Mapping[str, Gathered] = field(default_factory=dict)
    inputs: Mapping[str, Json] = field(default_factory=dict)


def prepare(
    c: Connection, storage: StorageLocator, mirror: Mapping[str, str], pipeline: Resource, ready: Ready
) -> Birth:
    """The job of a step. One that cannot be made is a job that failed, which says why.

    `mirror` are the folders that stand for public addresses.
    """
    context = _context(pipeline, ready)
    child = Child({**bind.base(context, "Command"), "inputs": {}, "outputs": {}}, {"compute": None})
    try:
        context = replace(context, spec=spec_of(c, pipeline, context.node))
        context = replace(context, results=_results(c, storage, pipeline, context.sent, ready))
        _check_values(context)
        child = _placed(c, pipeline, bind.child(context))
        birth = Birth(ready.step, ready.attempt, child, more=_more(c, pipeline, context, ready.step))
        return _with_reuse(c, storage, mirror, pipeline, context, birth)
    except ApiError as error:
        return Birth(ready.step, ready.attempt, child, error=JobError(error.code, error.message))
    except (UnsafePath, ValueError) as error:
        return Birth(ready.step, ready.attempt, child, error=JobError("UserError/InvalidNode", str(error)))
    except SQLAlchemyError:
        raise  # passes: the loop tries again
    except Exception as error:
        log.exception("no job could be made for the step %s of %s", ready.step, pipeline.name)
        text = f"The step could not be prepared: {type(error).__name__}: {error}"
        return Birth(ready.step, ready.attempt, child, error=JobError("InternalError", text))


def gathered(
    c: Connection, storage: StorageLocator, pipeline: Resource, loop: str, name: str, steps: Gathered
) -> JobOutput | None:
    """An output of a loop over items; None unless all of its steps completed. Raises ApiError."""
    rows = children.read(c, arm_id.workspace_of(pipeline.id), steps.jobs)
    found = [rows[job] for job in steps.jobs if job in rows and rows[job].state == JobState.COMPLETED]
    if len(found) < len(steps.jobs):
        return None
    spec = spec_of(c, pipeline, steps.body)
    return gather.output(c, storage, pipeline, loop, name, found, spec)


def spec_of(c: Connection, pipeline: Resource, node: str) -> Json:
    """The specification of the component that a node runs. Raises ApiError where it was deleted."""
    pinned = str(pipeline.spec["resolved"]["nodes"][node]["component"])
    try:
        component = references.component(c, arm_id.workspace_of(pipeline.id), pinned)
    except ApiError as error:
        text = f"The component '{pinned}' does not exist any more. {error.message}"
        raise ApiError(404, "ComponentNotFound", text) from None
    found: Json = component.properties["componentSpec"]
    return found


def result(c: Connection, storage: StorageLocator, child: Resource, name: str, spec: Json) -> Json | None:
    """An output of a finished job, in the form of a job's input; `spec` is the component's."""
    declared = spec.get("outputs") or {}
    if name in graph.IMPLICIT_OUTPUTS and f"outputs.{name}" not in str(spec.get("command")):
        run = str(child.spec.get("reusedFrom") or child.name)
        return {"jobInputType": "uri_folder", "uri": f"azureml://jobs/{run}/outputs/artifacts/paths/"}
    output = job_status.read(child.status).outputs.get(name)
    if output is None:
        return None
    kind = str((declared.get(name) or {}).get("type") or output.type)
    if kind.lower() not in graph.PRIMITIVES:
        return {"jobInputType": kind, "uri": output.uri}
    value = output.value if output.value is not None else controls.read(c, storage, child, name, output.uri)
    return {"jobInputType": "literal", "value": value}


def _context(pipeline: Resource, ready: Ready) -> Context:
    """The step without what has to be read: its component, and what earlier steps gave."""
    node, iteration = flow.node_of(ready.step)
    sent, pinned = pipeline.properties["jobs"][node], pipeline.spec["resolved"]["nodes"][node]
    if pinned.get("data"):  # of the node's own inputs: what an iteration gives comes on top
        sent = {**sent, "inputs": graph.with_data(sent.get("inputs") or {}, pinned)}
    if iteration is not None:
        shown = graph.field(sent, "display_name") or node
        sent = {**flow.given(sent, ready.inputs), "display_name": flow.step(str(shown), iteration)}
    return Context(
        node=node,
        sent=sent,
        pinned=pinned,
        spec={},
        pipeline=pipeline.properties,
    )


def _results(
    c: Connection, storage: StorageLocator, pipeline: Resource, sent: Json, ready: Ready
) -> dict[tuple[str, str], Json]:
    wanted = {r for r in graph.references({**sent, "outputs": None}) if isinstance(r, graph.OutputOf)}
    rows = children.read(c, arm_id.workspace_of(pipeline.id), ready.upstream.values()) if wanted else {}
    found: dict[tuple[str, str], Json] = {}
    for reference in wanted:
        value = None
        if reference.node in ready.gathered:
            steps = ready.gathered[reference.node]
            output = gathered(c, storage, pipeline, reference.node, reference.name, steps)
            value = None if output is None else _as_input(c, pipeline, reference.name, steps, output)
        else:
            child = rows.get(ready.upstream.get(reference.node, ""))
            if child is not None and child.state == JobState.COMPLETED:
                value = result(c, storage, child, reference.name, spec_of(c, pipeline, reference.node))
                if value is None and child.properties.get("jobType") == "Sweep":
                    raise _without_best(reference.node, child)
                _check_written(c, storage, pipeline, reference, value)
        if value is not None:
            found[reference.node, reference.name] = value
    return found


def _without_best(step: str, sweep: Resource) -> ApiError:
    """A sweep gives the outputs of its best trial, and may have completed without one."""
    status = job_status.read(sweep.status)
    best = status.properties.get("best_child_run_id")
    why = f"Its best, '{best}', did not complete." if best else " ".join(status.notes)
    text = f"The step '{step}' gives the outputs of its best trial, and none is such: {why}"
    return ApiError(400, "UserError/NoBestTrial", text)


def _check_written(
    c: Connection, storage: StorageLocator, pipeline: Resource, taken: graph.OutputOf, value: Json | None
) -> None:
    """A step may complete without its file: what takes it is told whose file is missing."""
    if value is None or str(value.get("jobInputType")).lower() != "uri_file":
        return
    where = places.locate(c, arm_id.workspace_of(pipeline.id), storage, value["uri"], "uri_file")
    if where.account is None or where.container is None:
        return
    path = storage.local_path(where.account, where.container, where.path)
    if path is not None and not path.exists():
        text = f"The step '{taken.node}' completed and did not write the file of its output '{taken.name}'."
        raise ApiError(400, "UserError/OutputNotWritten", text)


def _as_input(c: Connection, pipeline: Resource, name: str, steps: Gathered, output: JobOutput) -> Json:
    if output.value is not None:
        return {"jobInputType": "literal", "value": output.value}
    rows = children.read(c, arm_id.workspace_of(pipeline.id), steps.jobs)
    origin = ",".join(job_status.read(rows[job].status).outputs[name].uri for job in steps.jobs)
    return {"jobInputType": output.type, "uri": output.uri, "origin": origin}


def _check_values(context: Context) -> None:
    """The values that were not known when the pipeline was submitted fit the inputs that they are for."""
    where = f"the node '{context.node}'"
    for name, value in bind.inputs(context).items():
        declared = context.spec["inputs"][name]
        if graph.is_literal(value) and str(declared.get("type") or "").lower() in graph.PRIMITIVES:
            typed_inputs.check(name, value.get("value"), declared, where=where, target=f"inputs.{name}")


def _placed(c: Connection, pipeline: Resource, child: Child) -> Child:
    """The compute as an id: a name may have come from an input of the pipeline."""
    named = child.resolved.get("compute")
    if named is None:
        return child
    compute = references.compute(c, arm_id.workspace_of(pipeline.id), str(named)).id
    return replace(
        child, properties={**child.properties, "computeId": compute}, resolved={**child.resolved, "compute": compute}
    )


def _more(c: Connection, pipeline: Resource, context: Context, step: str) -> Json:
    store = graph.field(context.settings, "default_datastore")
    found: Json = {"defaultDatastore": str(store).rsplit("/", 1)[-1].removeprefix("azureml:")} if store else {}
    wanted = controls.declared(context.spec, graph.PRIMITIVES)
    if wanted and context.pinned["type"] != "pipeline":
        found["controls"] = wanted
    again = pipeline.spec.get("rerun") or {}
    earlier, within = (again.get("children") or {}).get(step), again.get("within") or {}
    inner = within["from"] if within.get("node") == step else None
    if earlier and context.pinned["type"] == "pipeline" and (inner or not job_reruns.is_fresh(again, step)):
        row = resources.get(c, f"{arm_id.workspace_of(pipeline.id)}/jobs/{earlier}")
        if row is not None:
            found["rerun"] = job_reruns.again(c, row, inner)
    return found


def _with_reuse(
    c: Connection,
    storage: StorageLocator,
    mirror: Mapping[str, str],
    pipeline: Resource,
    context: Context,
    birth: Birth,
) -> Birth:
    workspace = arm_id.workspace_of(pipeline.id)
    again = pipeline.spec.get("rerun") or {}
    earlier = (again.get("children") or {}).get(birth.node)
    if earlier and not job_reruns.is_fresh(again, birth.node):
        row = resources.get(c, f"{workspace}/jobs/{earlier}")
        if row is not None and row.state == JobState.COMPLETED and reuse.is_whole(c, workspace, storage, row):
            return replace(birth, original=_that_ran(c, workspace, row))
    if not reuse.is_allowed(context):
        return birth
    key = reuse.key(c, workspace, storage, mirror, context, birth.child, _origins(c, workspace, context))
    if key is None or birth.attempt > 1 or job_reruns.is_fresh(again, birth.node):
        return replace(birth, key=key)
    return replace(birth, key=key, original=reuse.find(c, workspace, storage, key))


def _that_ran(c: Connection, workspace: str, job: Resource) -> Resource:
    """The job whose outputs a reused one has, which has its logs and artifacts too; itself where that one was deleted."""
    ran = job.spec.get("reusedFrom")
    return (resources.get(c, f"{workspace}/jobs/{ran}") if ran else None) or job


def _origins(c: Connection, workspace: str, context: Context) -> dict[str, str]:
    """What the addresses of earlier nodes' outputs are, by the runs that wrote them; `origin` where it was gathered."""
    return {
        value["uri"]: str(value.get("origin", value["uri"])) for value in context.results.values() if "uri" in value
    }
