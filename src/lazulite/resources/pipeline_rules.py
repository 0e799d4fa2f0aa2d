"""What a pipeline job must hold to be accepted, and what is pinned of each of its nodes.

Every component, environment, code and compute is found, every reference leads somewhere, every literal fits its
input's type, and no node waits for itself; pipeline components are gone into to any depth.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lazulite.core import arm_id
from lazulite.core.errors import ApiError, nearest, not_implemented, validation
from lazulite.model import asset_reference, data_transfer, wire
from lazulite.model import pipeline_flow as flow
from lazulite.model import pipeline_graph as graph
from lazulite.model.pipeline_flow import Spread
from lazulite.resources import (
    flow_rules,
    identities,
    job_rules,
    pipeline_nodes,
    pipeline_references,
    references,
    typed_inputs,
)
from lazulite.resources.declaration import Write
from lazulite.resources.flow_rules import Surroundings
from lazulite.resources.pipeline_scope import Node, Scope, component_of, find_compute
from lazulite.store.resources import Json

_DEPTH = 40
_KNOWN = {
    "command", "pipeline", "sweep", "parallel", "spark", "automl", "import", "data_transfer", "if_else", "do_while",
    "parallel_for",
}  # fmt: skip
#: What a node may be called: brackets are for the steps of loops.
_NAME = re.compile(r"[\w.\- ]+")


def check_pipeline_job(write: Write) -> Json:
    """Validate a pipeline job and pin what its nodes refer to: `{"compute": null, "nodes": {name: pinned}}`.

    Raises ApiError 400 or 404 naming the node and the field, 501 for a kind of node that is not built.
    """
    properties = write.properties
    home = _from_component(write)
    job_rules.check_inputs(write, properties.get("inputs"))
    job_rules.check_outputs(write, properties.get("outputs"))
    identities.check_of_job(write, properties.get("identity"), "properties.identity")
    nodes = properties.get("jobs")
    if not isinstance(nodes, dict) or not nodes:
        raise validation("A pipeline job needs properties.jobs, an object with at least one node.", "properties.jobs")
    settings = properties.get("settings") or {}
    for name in ("on_init", "on_finalize"):
        if graph.field(settings, name):
            raise not_implemented(f"settings.{name} of a pipeline, a node that runs before or after all others,")
    compute = graph.field(settings, "default_compute") or properties.get("computeId")
    find_compute(write, compute, "properties.settings.default_compute")
    store = graph.field(settings, "default_datastore")
    if store:
        target = "properties.settings.default_datastore"
        references.datastore(write.connection, write.workspace, str(store), target=target)
    scope = Scope(write, home, properties.get("inputs") or {}, properties.get("outputs") or {}, nodes)
    pinned = _check_nodes(scope)
    if home != write.workspace:
        properties["jobs"] = graph.with_pins(nodes, pinned)
    return {"compute": None, "nodes": pinned}


def _from_component(write: Write) -> str:
    """A job that runs a pipeline component has the component's nodes and outputs, and its inputs' defaults.

    Clients that have the component at hand send its nodes along. Returns where the short names in the nodes lead.
    """
    properties = write.properties
    reference = properties.get("componentId")
    if not reference:
        return write.workspace
    sends_nodes = bool(properties.get("jobs"))
    component = references.component(write.connection, write.workspace, str(reference), access=write.require)
    properties["componentId"] = asset_reference.spelled(component.id)
    spec = component.properties["componentSpec"]
    properties["jobs"] = properties.get("jobs") or spec.get("jobs") or {}
    given = properties.get("inputs") or {}
    _check_given(given, spec.get("inputs") or {})
    properties["inputs"] = {**given}
    for name, declared in (spec.get("inputs") or {}).items():
        if given.get(name) is None and declared.get("default") is not None:
            properties["inputs"][name] = {"jobInputType": "literal", "value": str(declared["default"])}
        elif given.get(name) is None and typed_inputs.is_required(declared):
            raise validation(f"The pipeline needs the input '{name}'.", f"properties.inputs.{name}")
    outputs = properties.get("outputs") or {}
    for name, declared in (spec.get("outputs") or {}).items():
        kind = str(declared.get("type") or "uri_folder")
        outputs.setdefault(name, {"jobOutputType": "uri_file" if kind in graph.PRIMITIVES else kind})
    properties["outputs"] = outputs
    return write.workspace if sends_nodes else arm_id.asset_home(component.id)


def _check_given(given: Json, declared: Json) -> None:
    for name, value in given.items():
        target = f"properties.inputs.{name}"
        if name not in declared:
            raise validation(f"The component has no input '{name}'.{nearest(name, declared)}", target)
        if isinstance(value, dict) and graph.is_literal(value):
            pipeline_nodes.check_literal(name, value, declared[name], "the pipeline", target)


def _check_nodes(scope: Scope) -> Json:
    if scope.depth > _DEPTH:
        raise validation(f"Pipeline components are nested more than {_DEPTH} deep.", scope.target)
    scope.flow = flow.read(scope.nodes, scope.target)
    pinned = {name: _check_node(scope, name, sent) for name, sent in scope.nodes.items()}
    circle = graph.cycle({name: node["needs"] for name, node in pinned.items()})
    if circle:
        others = f"nodes {', '.join(circle)}" if len(circle) > 1 else f"node '{circle[0]}'"
        wait = "wait for each other" if len(circle) > 1 else "waits for itself"
        raise validation(f"The {others} of {scope.where} {wait}.", scope.target)
    for name in scope.outputs:
        if name not in scope.written and graph.whole((scope.outputs[name] or {}).get("value")) is None:
            raise validation(f"No node writes the output '{name}' of {scope.where}.", f"{scope.target}.outputs.{name}")
    return pinned


def _check_node(scope: Scope, name: str, sent: Any) -> Json:
    target = f"{scope.target}.{name}"
    if not isinstance(sent, dict):
        raise validation(f"The node '{name}' must be an object.", target)
    wire.check_node(sent, target)
    kind = graph.node_type(sent)
    if kind not in _KNOWN:
        raise validation(f"The node '{name}' has the type '{kind}'.{nearest(kind, _KNOWN)}", f"{target}.type")
    if not _NAME.fullmatch(name):
        raise validation(f"The name of the node '{name}' may have letters, digits, '_', '-', '.' and spaces.", target)
    if kind == "data_transfer":
        data_transfer.check_task(name, sent)  # the components of other tasks lie in a registry
    check = NODE_CHECKS.get(kind)
    if check is None and kind not in flow.READERS:
        raise not_implemented(f"The {kind} node '{name}' of a pipeline")
    pipeline_references.check(scope, name, sent, target)
    identities.check_of_job(scope.write, sent.get("identity"), f"{target}.identity")
    needs = _producers(scope, graph.needs(sent)) | scope.flow.orders(name)
    if check is None:
        flow_rules.check(scope.flow.controls[name], _surroundings(scope))
        return {"type": kind, "needs": sorted(needs - scope.flow.ran_by(name)), "soft": []}
    node = Node(scope, name, sent, component_of(scope, name, sent, target))
    pipeline_nodes.check_outputs(node)
    component = asset_reference.spelled(node.component.id)
    pinned = {"type": kind, "component": component, "needs": sorted(needs), "soft": _soft(node), "data": _data(node)}
    return pinned | check(_with_items(node))


def _data(node: Node) -> dict[str, str]:
    """The addresses in full of those of the node's own data that are named otherwise: by `latest`, or within a registry."""
    scope, declared, found = node.scope, node.spec.get("inputs") or {}, {}
    for name, given in (node.sent.get("inputs") or {}).items():
        uri = (graph.field(given, "uri") or given.get("path")) if isinstance(given, dict) else None
        if not isinstance(uri, str) or "${{" in uri or name not in declared:
            continue
        kind = str((declared[name] or {}).get("type") or "uri_folder")
        try:
            full = job_rules.check_data(scope.write, scope.home, uri, kind, f"{node.target}.inputs.{name}")
        except ApiError as error:
            if error.status == 403 or not _may_be_written(scope, uri):
                raise
            continue
        if full != uri and (scope.home != scope.write.workspace or not asset_reference.names_version(uri)):
            found[name] = full
    return found


def _may_be_written(scope: Scope, uri: str) -> bool:
    """Whether an output of this pipeline has its place at, above or below that address, so that a step may write it yet."""
    nodes = [graph.field(node, "outputs") for node in scope.nodes.values() if isinstance(node, dict)]
    groups = [scope.write.properties.get("outputs"), scope.outputs, *nodes]
    outputs = [value for group in groups if isinstance(group, dict) for value in group.values()]
    written = [graph.field(value, "uri") or value.get("path") for value in outputs if isinstance(value, dict)]
    return any(isinstance(place, str) and asset_reference.overlap(uri, place) for place in written)


def _producers(scope: Scope, nodes: set[str]) -> set[str]:
    return {producer for node in nodes for producer in scope.flow.producers(node)}


def _surroundings(scope: Scope) -> Surroundings:
    write = scope.write

    def check_data(uri: str, kind: str, target: str) -> None:
        job_rules.check_data(write, scope.home, uri, kind, target)

    def spec(name: str) -> Json:
        sent = scope.nodes[name]
        if not isinstance(sent, dict):
            raise validation(f"The node '{name}' must be an object.", f"{scope.target}.{name}")
        found: Json = component_of(scope, name, sent, f"{scope.target}.{name}").properties["componentSpec"]
        return found

    return Surroundings(scope.flow, scope.nodes, scope.inputs, spec, check_data, scope.target)


def _with_items(node: Node) -> Node:
    """The body of a loop over items with the inputs that its items will give, of which nothing is known."""
    loop = node.scope.flow.bodies.get(node.name)
    if not isinstance(loop, Spread):
        return node
    free = flow_rules.free_inputs(loop, _surroundings(node.scope), node.sent.get("inputs") or {})
    unknown = {"value": f"${{{{parent.jobs.{loop.name}.outputs.item}}}}"}
    return replace(node, sent=flow.given(node.sent, dict.fromkeys(free, unknown)))


def _check_pipeline(node: Node) -> Json:
    inner = Scope(
        node.scope.write,
        node.home,
        pipeline_nodes.check_inputs(node),
        node.spec.get("outputs") or {},
        node.spec.get("jobs") or {},
        where=f"the node '{node.name}'",
        target=f"{node.target}.jobs",
        depth=node.scope.depth + 1,
        components=node.scope.components if node.home == node.scope.home else {},
        pins=node.scope.pins,
        computes=node.scope.computes,
    )
    return {"nodes": _check_nodes(inner)}


def _soft(node: Node) -> list[str]:
    """Nodes whose failure leaves only optional inputs without a value."""
    declared, given = node.spec.get("inputs") or {}, node.sent.get("inputs") or {}
    optional = {k: v for k, v in given.items() if not typed_inputs.is_required(declared.get(k) or {})}
    hard = graph.needs({**node.sent, "inputs": {k: v for k, v in given.items() if k not in optional}})
    return sorted(_producers(node.scope, graph.needs({"inputs": optional}) - hard))


#: What checks a node of each kind and pins what it refers to; the kinds without an entry are refused with 501.
NODE_CHECKS: dict[str, Callable[[Node], Json]] = {
    "command": pipeline_nodes.check_command,
    "data_transfer": pipeline_nodes.check_transfer,
    "pipeline": _check_pipeline,
    "sweep": pipeline_nodes.check_sweep,
    "parallel": pipeline_nodes.check_parallel,
}
