"""Running a job again: a new job of the same content, for a pipeline with the steps before a node taken over."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.errors import conflict, nearest, validation
from lazulite.model import job_status
from lazulite.model import pipeline_flow as flow
from lazulite.model.pipeline_flow import Loop
from lazulite.store import resources
from lazulite.store.resources import Json, Resource

_SHOWN = 30
_OF_STATUS = ("status", "services", "isArchived")


def document(connection: Connection, job: Resource, start: str | None) -> Json:
    """The document of the new job; `start` is the node to begin with, None begins with the steps that did not complete.

    A node of a nested pipeline is named by its path: `prepare/clean`; a step of a loop by its number: `body[2]`.

    Raises ApiError 409 for a job that is not over, 400 for a node that the pipeline does not have, and for a step that
    is no job without its pipeline.
    """
    if job.state not in job_status.TERMINAL:
        raise conflict(f"Job '{job.name}' is {job.state}: it can run again once it is over.", "status")
    kind = job.properties.get("jobType")
    if start is not None and kind != "Pipeline":
        raise validation(f"Job '{job.name}' is a {kind} job and has no nodes; leave 'from' out.", "from")
    if not {"parallel", "transfer"}.isdisjoint(job.spec.get("resolved") or {}):
        text = f"Job '{job.name}' runs only as the step '{job.spec.get('node')}' of '{job.spec.get('parent')}'"
        raise validation(f"{text}: run that again from this step.", "job")
    properties = {k: v for k, v in job.properties.items() if k not in _OF_STATUS}
    own = {k: v for k, v in (properties.get("properties") or {}).items() if not str(k).startswith("azureml.")}
    properties["properties"] = {**own, "lazulite.rerunof": job.name}
    body: Json = {"properties": properties}
    if kind == "Pipeline":
        if start is not None:
            _check(job.name, _nodes(job), start)
            _check_iterations(connection, job, start)
        body["rerun"] = again(connection, job, start)
    return body


def new_name(job: Resource) -> str:
    return f"{job.name[:200]}-rerun-{uuid.uuid4().hex[:8]}"


def children(connection: Connection, pipeline: Resource) -> dict[str, str]:
    """The latest job of each of a pipeline's nodes."""
    rows = resources.children(connection, pipeline.key, pipeline.type)
    return {str(row.spec["node"]): row.name for row in sorted(rows, key=lambda row: int(row.spec.get("attempt", 1)))}


def again(connection: Connection, job: Resource, start: str | None) -> Json:
    """What a pipeline's new job is to know of the earlier one.

    `fresh` are the nodes and steps that run whatever there is, `within` the nested pipeline of which only a part runs again.
    """
    found: Json = {"children": children(connection, job), "fresh": []}
    if start is not None:
        node, _, inner = start.partition("/")
        found["fresh"] = _fresh(job, node, found["children"])
        if inner:
            found["within"] = {"node": node, "from": inner}
    return found


def is_fresh(rerun: Json, step: str) -> bool:
    """Whether a step is to run whatever there is, by itself or with its node."""
    return step in rerun.get("fresh", ()) or flow.node_of(step)[0] in rerun.get("fresh", ())


def _fresh(job: Resource, start: str, steps: Mapping[str, str]) -> list[str]:
    """What runs again from a node or a step of a loop; with `do_while`, the later steps follow from the earlier."""
    node, iteration = flow.node_of(start)
    if iteration is None:
        return _from(_nodes(job), node)
    loop = flow.read(job.properties["jobs"]).bodies.get(node)
    of_loop = {step for step in steps if flow.node_of(step)[0] == node and (flow.node_of(step)[1] or 0) > iteration}
    return sorted({*_from(_nodes(job), node), start, *(of_loop if isinstance(loop, Loop) else ())} - {node})


def _nodes(job: Resource) -> Mapping[str, Json]:
    found: Mapping[str, Json] = (job.spec.get("resolved") or {}).get("nodes") or {}
    return found


def _check(where: str, nodes: Mapping[str, Json], start: str) -> None:
    """Raises ApiError 400 that lists the nodes there are."""
    step, _, inner = start.partition("/")
    node = flow.node_of(step)[0]
    if node not in nodes:
        names = sorted(nodes)
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        text = f"The pipeline '{where}' has no node '{node}'; it has {', '.join(names[:_SHOWN])}{more}."
        hint = nearest(node, nodes)
        text += hint if "Did you mean" in hint else ""  # otherwise it lists them, too
        raise validation(text, "from")
    if inner:
        below = nodes[node].get("nodes")
        if not below:
            raise validation(
                f"'{node}' of '{where}' is no pipeline and runs again whole: leave out '/{inner}'.", "from"
            )
        _check(f"{where}/{node}", below, inner)


def _check_iterations(connection: Connection, job: Resource, start: str) -> None:
    """Raises ApiError 400 that lists the steps of a loop, where the earlier job had none of that number."""
    step, _, inner = start.partition("/")
    steps = children(connection, job)
    node, iteration = flow.node_of(step)
    if iteration is not None and steps and step not in steps:
        numbers = sorted(found[1] for found in map(flow.node_of, steps) if found[0] == node and found[1] is not None)
        had = (
            f"it had {flow.step(node, numbers[0])} to {flow.step(node, numbers[-1])}"
            if numbers
            else "it was in no loop"
        )
        raise validation(f"'{node}' of '{job.name}' had no step '{step}'; {had}.", "from")
    below = resources.get(connection, f"{arm_id.workspace_of(job.id)}/jobs/{steps[step]}") if step in steps else None
    if inner and below is not None:
        _check_iterations(connection, below, inner)


def _from(nodes: Mapping[str, Json], start: str) -> list[str]:
    """The node to begin with and all that depends on it."""
    users: dict[str, list[str]] = {}
    for name, node in nodes.items():
        for other in node["needs"]:
            users.setdefault(other, []).append(name)
    fresh, waiting = {start}, [start]
    while waiting:
        more = [name for name in users.get(waiting.pop(), ()) if name not in fresh]
        fresh.update(more)
        waiting += more
    return sorted(fresh)
