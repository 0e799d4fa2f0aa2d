"""From a node that is ready to the job it becomes: results of earlier nodes gathered, inputs bound, reuse looked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.errors import ApiError
from lazulite.core.paths import UnsafePath
from lazulite.engine.jobs import controls
from lazulite.engine.pipelines import bind, children, reuse
from lazulite.engine.pipelines.bind import Child, Context
from lazulite.engine.pipelines.children import Birth
from lazulite.model import job_status
from lazulite.model import pipeline_graph as graph
from lazulite.model.job_status import JobError, JobState
from lazulite.resources import job_reruns, references
from lazulite.store import resources
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Json, Resource


@dataclass(frozen=True, slots=True)
class Ready:
    """A node that may begin, and the names of the jobs of the nodes it takes from."""

    node: str
    attempt: int
    upstream: Mapping[str, str]


def prepare(c: Connection, storage: StorageLocator, pipeline: Resource, ready: Ready) -> Birth:
    """The job of a node. One that cannot be made is a job that failed, which says why."""
    context = _context(c, storage, pipeline, ready)
    child = Child({**bind.base(context, "Command"), "inputs": {}, "outputs": {}}, {"compute": None})
    try:
        child = _placed(c, pipeline, bind.child(context))
        birth = Birth(ready.node, ready.attempt, child, more=_more(c, pipeline, context))
        return _with_reuse(c, storage, pipeline, context, birth)
    except ApiError as error:
        return Birth(ready.node, ready.attempt, child, error=JobError(error.code, error.message))
    except (UnsafePath, ValueError) as error:
        return Birth(ready.node, ready.attempt, child, error=JobError("UserError/InvalidNode", str(error)))


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


def _context(c: Connection, storage: StorageLocator, pipeline: Resource, ready: Ready) -> Context:
    sent = pipeline.properties["jobs"][ready.node]
    pinned = pipeline.spec["resolved"]["nodes"][ready.node]
    return Context(
        node=ready.node,
        sent=sent,
        pinned=pinned,
        spec=_spec(c, pinned),
        pipeline=pipeline.properties,
        results=_results(c, storage, pipeline, sent, ready.upstream),
    )


def _results(
    c: Connection, storage: StorageLocator, pipeline: Resource, sent: Json, upstream: Mapping[str, str]
) -> dict[tuple[str, str], Json]:
    wanted = [r for r in graph.references({**sent, "outputs": None}) if isinstance(r, graph.OutputOf)]
    rows = children.read(c, arm_id.workspace_of(pipeline.id), upstream.values()) if wanted else {}
    found: dict[tuple[str, str], Json] = {}
    for reference in wanted:
        child = rows.get(upstream.get(reference.node, ""))
        if child is None or child.state != JobState.COMPLETED:
            continue
        spec = _spec(c, pipeline.spec["resolved"]["nodes"][reference.node])
        value = result(c, storage, child, reference.name, spec)
        if value is not None:
            found[reference.node, reference.name] = value
    return found


def _spec(c: Connection, pinned: Json) -> Json:
    component = resources.get(c, pinned["component"])
    if component is None:
        raise ApiError(404, "ComponentNotFound", f"The component '{pinned['component']}' does not exist any more.")
    found: Json = component.properties["componentSpec"]
    return found


def _placed(c: Connection, pipeline: Resource, child: Child) -> Child:
    """The compute as an id: a name may have come from an input of the pipeline."""
    named = child.resolved.get("compute")
    if named is None:
        return child
    compute = references.compute(c, arm_id.workspace_of(pipeline.id), str(named)).id
    return replace(
        child, properties={**child.properties, "computeId": compute}, resolved={**child.resolved, "compute": compute}
    )


def _more(c: Connection, pipeline: Resource, context: Context) -> Json:
    store = graph.field(context.settings, "default_datastore")
    found: Json = {"defaultDatastore": str(store).rsplit("/", 1)[-1].removeprefix("azureml:")} if store else {}
    wanted = controls.declared(context.spec, graph.PRIMITIVES)
    if wanted and context.pinned["type"] != "pipeline":
        found["controls"] = wanted
    again = pipeline.spec.get("rerun") or {}
    earlier = (again.get("children") or {}).get(context.node)
    if earlier and context.pinned["type"] == "pipeline" and context.node not in again["fresh"]:
        row = resources.get(c, f"{arm_id.workspace_of(pipeline.id)}/jobs/{earlier}")
        if row is not None:
            found["rerun"] = {"children": job_reruns.children(c, row), "fresh": []}
    return found


def _with_reuse(c: Connection, storage: StorageLocator, pipeline: Resource, context: Context, birth: Birth) -> Birth:
    workspace = arm_id.workspace_of(pipeline.id)
    again = pipeline.spec.get("rerun") or {}
    earlier = (again.get("children") or {}).get(birth.node)
    if earlier and birth.node not in again["fresh"]:
        row = resources.get(c, f"{workspace}/jobs/{earlier}")
        if row is not None and row.state == JobState.COMPLETED and reuse.is_whole(c, workspace, storage, row):
            return replace(birth, original=row)
    if not reuse.is_allowed(context) or birth.attempt > 1:
        return birth
    key = reuse.key(c, workspace, storage, context, birth.child, _origins(c, workspace, context))
    if key is None or birth.node in again.get("fresh", ()):
        return replace(birth, key=key)
    return replace(birth, key=key, original=reuse.find(c, workspace, storage, key))


def _origins(c: Connection, workspace: str, context: Context) -> dict[str, str]:
    """What the addresses of earlier nodes' outputs are, by the runs that wrote them."""
    return {value["uri"]: value["uri"] for value in context.results.values() if "uri" in value}
