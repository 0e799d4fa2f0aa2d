"""Whether a job that is sent again under its name is the one that was submitted: it cannot become another."""

from __future__ import annotations

from typing import Any

from lazulite.core.errors import conflict
from lazulite.model import asset_reference
from lazulite.model import pipeline_graph as graph
from lazulite.resources import references
from lazulite.resources.declaration import Write
from lazulite.store.resources import Json, Resource

_FIXED = ("jobType", "command", "codeId", "experimentName")


def check(write: Write) -> None:
    """Raises ApiError 409 naming the first field that would make it another job."""
    assert write.existing is not None
    changed = _changed(write, write.existing)
    if changed is not None:
        raise conflict(
            f"There is a job '{write.existing.name}' already, and a submitted job's {changed} cannot change. "
            "Leave the name out to submit a new job.",
            f"properties.{changed}",
            code="JobAlreadyExists",
        )


def _changed(write: Write, existing: Resource) -> str | None:
    sent, earlier = write.properties, existing.properties
    for name in _FIXED:
        if sent.get(name) is not None and sent[name] != earlier.get(name):
            return name
    nodes = sent.get("jobs")
    if isinstance(nodes, dict) and nodes:
        changed = _changed_node(write, existing, nodes)
        if changed is not None:
            return changed
    return _changed_input(_object(sent.get("inputs")), _object(earlier.get("inputs")))


def _changed_node(write: Write, existing: Resource, nodes: Json) -> str | None:
    pinned = (existing.spec.get("resolved") or {}).get("nodes") or {}
    if set(nodes) != set(pinned):
        return "jobs"
    earlier = existing.properties["jobs"]
    components: dict[str, str] = {}
    for name, node in nodes.items():
        reference, ran = graph.component_of(_object(node)), pinned[name].get("component")
        if reference is None or ran is None or reference == graph.component_of(earlier[name]):
            continue
        if reference not in components:
            found = references.component(write.connection, write.workspace, reference, access=write.require)
            components[reference] = asset_reference.spelled(found.id)
        if components[reference].lower() != str(ran).lower():
            return f"jobs.{name}.componentId"
    return None


def _changed_input(sent: Json, earlier: Json) -> str | None:
    """Literals alone: clients write the same data in several ways."""
    for name, value in sent.items():
        before = earlier.get(name)
        if not (isinstance(value, dict) and isinstance(before, dict)):
            continue
        if graph.is_literal(value) and graph.is_literal(before) and str(value.get("value")) != str(before.get("value")):
            return f"inputs.{name}"
    return None


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
