"""What a pipeline job must hold to be accepted, and what is pinned of each of its nodes.

Every component, environment, code and compute is found, every reference leads somewhere, every literal fits its
input's type, and no node waits for itself; pipeline components are gone into to any depth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lazulite.core import arm_id
from lazulite.core.errors import ApiError, nearest, not_implemented, validation
from lazulite.model import asset_reference, data_transfer, parallel_task, sweep, sweep_node
from lazulite.model import pipeline_flow as flow
from lazulite.model import pipeline_graph as graph
from lazulite.model.pipeline_flow import Flow, Spread
from lazulite.model.pipeline_graph import InputOf, OutputOf, WrittenTo
from lazulite.resources import flow_rules, job_rules, references, typed_inputs
from lazulite.resources.declaration import Write
from lazulite.resources.flow_rules import Surroundings
from lazulite.store.resources import Json, Resource

_DEPTH = 40
_KNOWN = {
    "command", "pipeline", "sweep", "parallel", "spark", "automl", "import", "data_transfer", "if_else", "do_while",
    "parallel_for",
}  # fmt: skip
#: What a node may be called: brackets are for the steps of loops.
_NAME = re.compile(r"[\w.\- ]+")
_DATA: Json = {"jobInputType": "uri_folder", "uri": "azureml://unknown"}


@dataclass(slots=True)
class _Scope:
    """A pipeline while it is checked: its inputs as far as they are known before it runs.

    `home` is the workspace or registry whose assets the short names in its nodes mean.
    """

    write: Write
    home: str
    inputs: Mapping[str, Json | None]
    outputs: Mapping[str, Any]
    nodes: Json
    where: str = "the pipeline"
    target: str = "properties.jobs"
    depth: int = 0
    components: dict[str, Resource] = field(default_factory=dict)
    pins: dict[tuple[str, str, str], Json] = field(default_factory=dict)  # by home, environment and code
    computes: dict[str, str | None] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    flow: Flow = field(default_factory=Flow)


@dataclass(frozen=True, slots=True)
class Node:
    """A node while it is checked, with the specification of its component."""

    scope: _Scope
    name: str
    sent: Json
    component: Resource

    @property
    def spec(self) -> Json:
        found: Json = self.component.properties["componentSpec"]
        return found

    @property
    def home(self) -> str:
        """Where the short names in its component lead."""
        return arm_id.asset_home(self.component.id)

    @property
    def target(self) -> str:
        return f"{self.scope.target}.{self.name}"


def check_pipeline_job(write: Write) -> Json:
    """Validate a pipeline job and pin what its nodes refer to: `{"compute": null, "nodes": {name: pinned}}`.

    Raises ApiError 400 or 404 naming the node and the field, 501 for a kind of node that is not built.
    """
    properties = write.properties
    home = _from_component(write)
    job_rules.check_inputs(write, properties.get("inputs"))
    job_rules.check_outputs(write, properties.get("outputs"))
    nodes = properties.get("jobs")
    if not isinstance(nodes, dict) or not nodes:
        raise validation("A pipeline job needs properties.jobs, an object with at least one node.", "properties.jobs")
    settings = properties.get("settings") or {}
    compute = graph.field(settings, "default_compute") or properties.get("computeId")
    _compute(write, compute, "properties.settings.default_compute")
    store = graph.field(settings, "default_datastore")
    if store:
        references.datastore(
            write.connection, write.workspace, str(store), target="properties.settings.default_datastore"
        )
    scope = _Scope(write, home, properties.get("inputs") or {}, properties.get("outputs") or {}, nodes)
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
            _check_literal(name, value, declared[name], "the pipeline", target)


def _check_nodes(scope: _Scope) -> Json:
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


def _check_node(scope: _Scope, name: str, sent: Any) -> Json:
    target = f"{scope.target}.{name}"
    if not isinstance(sent, dict):
        raise validation(f"The node '{name}' must be an object.", target)
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
    _check_references(scope, name, sent, target)
    needs = _producers(scope, graph.needs(sent)) | scope.flow.orders(name)
    if check is None:
        flow_rules.check(scope.flow.controls[name], _surroundings(scope))
        return {"type": kind, "needs": sorted(needs - scope.flow.ran_by(name)), "soft": []}
    node = Node(scope, name, sent, _component(scope, name, sent, target))
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


def _may_be_written(scope: _Scope, uri: str) -> bool:
    """Whether an output of this pipeline has its place at, above or below that address, so that a step may write it yet."""
    nodes = [graph.field(node, "outputs") for node in scope.nodes.values() if isinstance(node, dict)]
    groups = [scope.write.properties.get("outputs"), scope.outputs, *nodes]
    outputs = [value for group in groups if isinstance(group, dict) for value in group.values()]
    written = [graph.field(value, "uri") or value.get("path") for value in outputs if isinstance(value, dict)]
    return any(isinstance(place, str) and asset_reference.overlap(uri, place) for place in written)


def _producers(scope: _Scope, nodes: set[str]) -> set[str]:
    return {producer for node in nodes for producer in scope.flow.producers(node)}


def _surroundings(scope: _Scope) -> Surroundings:
    write = scope.write

    def check_data(uri: str, kind: str, target: str) -> None:
        job_rules.check_data(write, scope.home, uri, kind, target)

    def spec(name: str) -> Json:
        sent = scope.nodes[name]
        if not isinstance(sent, dict):
            raise validation(f"The node '{name}' must be an object.", f"{scope.target}.{name}")
        found: Json = _component(scope, name, sent, f"{scope.target}.{name}").properties["componentSpec"]
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


def check_inputs(node: Node) -> dict[str, Json | None]:
    """The node's inputs as far as they are known. Raises ApiError for one that is missing, unknown or does not fit."""
    declared = node.spec.get("inputs") or {}
    given = node.sent.get("inputs") or {}
    where = f"the node '{node.name}'"
    for name in given:
        if name not in declared:
            text = f"The component of {where} has no input '{name}'.{nearest(name, declared)}"
            raise validation(text, f"{node.target}.inputs.{name}")
    found: dict[str, Json | None] = {}
    for name, description in declared.items():
        target = f"{node.target}.inputs.{name}"
        bound = graph.bind(given.get(name), description, node.scope.inputs, lambda _: _DATA)
        found[name] = bound
        if bound is None:
            if typed_inputs.is_required(description):
                wanted = _not_given(node.scope, given.get(name))
                if wanted is not None:
                    raise _no_such_input(node.scope, node.name, wanted, target)
                raise validation(f"{where.capitalize()} needs the input '{name}'.", target)
        elif graph.is_literal(bound):
            _check_literal(name, bound, description, where, target)
    return found


def _check_literal(name: str, bound: Json, declared: Json, where: str, target: str) -> None:
    kind = str(declared.get("type") or "string").lower()
    if kind not in graph.PRIMITIVES:
        text = f"Input '{name}' of {where} is data ({kind}) and got the literal '{bound.get('value')}'."
        raise validation(text, target)
    if "${{" not in str(bound.get("value")):
        typed_inputs.check(name, bound.get("value"), declared, where=where, target=target)


def _check_command(node: Node) -> Json:
    found = check_inputs(node)
    declared = {name.lower(): name for name in node.spec.get("inputs") or {}}
    for kind, wanted in job_rules.placeholders(str(node.spec.get("command") or "")):
        name = declared.get(wanted.lower())
        if kind == "inputs" and name is not None and found[name] is None:
            text = f"The command of the node '{node.name}' uses ${{{{inputs.{wanted}}}}}, an optional input without a "
            text += f"value: give it one, or write that part of the command as $[[... ${{{{inputs.{wanted}}}}}]]."
            raise validation(text, f"{node.target}.inputs.{name}")
    _check_instances(node)
    return _pin_run(node, node.spec)


def _check_instances(node: Node) -> None:
    resources = node.sent.get("resources")
    count = graph.field(resources, "instance_count") if isinstance(resources, dict) else None
    if count is None or "${{" in str(count):
        return
    if not str(count).isdigit() or int(count) < 1:
        text = f"instance_count of the node '{node.name}' is {count} and must be a whole number from 1."
        raise validation(text, f"{node.target}.resources.instance_count")


def _check_parallel(node: Node) -> Json:
    check_inputs(node)
    parallel_task.check(node.name, node.sent, node.spec, node.target)
    return _pin_run(node, parallel_task.task(node.spec))


def _check_transfer(node: Node) -> Json:
    check_inputs(node)
    data_transfer.check_task(node.name, node.sent, node.spec)
    data_transfer.check(node.name, node.sent, node.spec, node.target)
    return {"compute": _node_compute(node)}


def _pin_run(node: Node, spec: Json) -> Json:
    """The environment and code that `spec` names, and the compute."""
    write = node.scope.write
    variables = graph.field(node.sent, "environment_variables")
    job_rules.check_variables(variables, f"{node.target}.environment_variables")
    text = spec.get("environment")
    if not isinstance(text, str) or not text:
        raise validation(f"The component of the node '{node.name}' has no environment.", f"{node.target}.environment")
    pins, named = node.scope.pins, (node.home, text, str(spec.get("code") or ""))
    if named not in pins:
        pins[named] = _pinned(write, *named, node.target)
    return {**pins[named], "compute": _node_compute(node)}


def _pinned(write: Write, home: str, environment: str, code: str, target: str) -> Json:
    c, access = write.connection, write.require
    found = references.environment(c, home, environment, target=f"{target}.environment", access=access)
    asset = references.code(c, home, code, target=f"{target}.code", access=access) if code else None
    return {
        "environment": job_rules.pinned(found),
        "code": asset_reference.spelled(asset.id) if asset else None,
        "codeHash": (asset.properties.get("properties") or {}).get("hash_sha256") if asset else None,
    }


def _check_sweep(node: Node) -> Json:
    """A sweep over the node's component: what is searched are inputs that the node need not give."""
    settings = sweep_node.settings(node.sent, node.target)
    try:
        read = sweep.read(node.name, settings)
    except ApiError as error:
        error.target = f"{node.target}.{(error.target or '').removeprefix('properties.')}"
        raise
    declared = node.spec.get("inputs") or {}
    for name, value in read.space.extremes():
        if name in declared:
            target = f"{node.target}.search_space.{name}"
            typed_inputs.check(name, value, declared[name], where=f"the node '{node.name}'", target=target)
    _, values = read.space.draw(lambda dimension: 0.5 if dimension.size is None else 0)
    literals = {n: {"job_input_type": "literal", "value": text} for n, text in sweep.texts(values).items()}
    return _check_command(replace(node, sent={**node.sent, "inputs": {**(node.sent.get("inputs") or {}), **literals}}))


def _check_pipeline(node: Node) -> Json:
    inner = _Scope(
        node.scope.write,
        node.home,
        check_inputs(node),
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


def _node_compute(node: Node) -> str | None:
    reference = graph.field(node.sent, "compute_id") or node.sent.get("compute") or node.spec.get("compute")
    reference = graph.fill(reference, lambda of: _literal(node.scope, of))
    computes, named = node.scope.computes, str(reference or "")
    if named not in computes:
        computes[named] = _compute(node.scope.write, reference, f"{node.target}.computeId")
    return computes[named]


def _literal(scope: _Scope, of: graph.Reference) -> str | None:
    """The text that an input of the pipeline is known to be."""
    found = scope.inputs.get(of.name) if isinstance(of, InputOf) else None
    return str(found["value"]) if found and found.get("value") is not None else None


def _compute(write: Write, reference: Any, target: str) -> str | None:
    """The id of a compute that exists, `serverless`, or None where none is named (yet)."""
    if not reference or "${{" in str(reference):
        return None
    if str(reference).rsplit("/", 1)[-1].removeprefix("azureml:").lower() == "serverless":
        return "serverless"
    return references.compute(write.connection, write.workspace, str(reference), target=target).id


def _check_references(scope: _Scope, name: str, sent: Json, target: str) -> None:
    inputs = sent.get("inputs")
    if isinstance(inputs, dict):
        inputs = {k: v for k, v in inputs.items() if _not_given(scope, v) is None}
    for part, value in {**sent, "inputs": inputs, "outputs": None}.items():
        for reference in graph.references(value):
            match reference:
                case InputOf(wanted) if wanted not in scope.inputs:
                    raise _no_such_input(scope, name, wanted, f"{target}.{part}")
                case OutputOf(other, output):
                    _check_output_of(scope, name, other, output, target)
    for output, value in (sent.get("outputs") or {}).items():
        bound = graph.whole(value.get("value") or graph.field(value, "uri")) if isinstance(value, dict) else None
        if not isinstance(bound, WrittenTo):
            _check_written(scope, value, f"{target}.outputs.{output}.uri")
            continue
        if bound.name not in scope.outputs:
            text = f"The node '{name}' writes to ${{{{parent.outputs.{bound.name}}}}}, which {scope.where} lacks."
            raise validation(text + nearest(bound.name, scope.outputs), f"{target}.outputs.{output}")
        if bound.name in scope.written:
            text = f"The nodes '{scope.written[bound.name]}' and '{name}' both write the output '{bound.name}'."
            raise validation(text, f"{target}.outputs.{output}")
        scope.written[bound.name] = name


def _check_written(scope: _Scope, given: Any, target: str) -> None:
    """An address to write to that the node itself says, as far as it is known."""
    uri = (graph.field(given, "uri") or given.get("path")) if isinstance(given, dict) else None
    if isinstance(uri, str) and "${{parent." not in uri.replace(" ", ""):
        job_rules.check_output(scope.write, uri, target)


def _not_given(scope: _Scope, given: Any) -> str | None:
    """The pipeline's input that a node's input is bound to, where the pipeline got none of that name.

    Clients leave an optional input out of the pipeline and keep what is bound to it.
    """
    bound = graph.whole(graph.field(given, "uri") or given.get("value")) if isinstance(given, dict) else None
    return bound.name if isinstance(bound, InputOf) and bound.name not in scope.inputs else None


def _no_such_input(scope: _Scope, name: str, wanted: str, target: str) -> ApiError:
    text = f"The node '{name}' uses ${{{{parent.inputs.{wanted}}}}}, and {scope.where} has no such input."
    return validation(text + nearest(wanted, scope.inputs), target)


def _check_output_of(scope: _Scope, name: str, other: str, output: str, target: str) -> None:
    if other not in scope.nodes:
        text = f"The node '{name}' takes an output of '{other}', and {scope.where} has no such node."
        raise validation(text + nearest(other, scope.nodes), f"{target}.inputs")
    other = _source(scope, name, other, target)
    sent = scope.nodes[other]
    if output in graph.IMPLICIT_OUTPUTS or not isinstance(sent, dict) or output in (sent.get("outputs") or {}):
        return
    if graph.node_type(sent) not in NODE_CHECKS:
        return
    declared = (
        _component(scope, other, sent, f"{scope.target}.{other}").properties["componentSpec"].get("outputs") or {}
    )
    if output not in declared:
        text = f"The node '{name}' takes the output '{output}' of '{other}', which has no such output."
        raise validation(text + nearest(output, declared), f"{target}.inputs")


def _source(scope: _Scope, name: str, other: str, target: str) -> str:
    """The node whose component says which outputs `other` has."""
    control, loop = scope.flow.controls.get(other), scope.flow.bodies.get(other)
    if isinstance(control, Spread):
        return control.body if control.body in scope.nodes else other
    if control is not None:
        text = f"The node '{name}' takes an output of '{other}', which has none: take that of a node that it runs."
        raise validation(text, f"{target}.inputs")
    if isinstance(loop, Spread):
        text = f"The node '{name}' takes an output of '{other}', which runs many times: take that of '{loop.name}'."
        raise validation(text, f"{target}.inputs")
    return other


def _component(scope: _Scope, name: str, sent: Json, target: str) -> Resource:
    reference = graph.component_of(sent)
    if reference is None:
        raise validation(f"The node '{name}' needs componentId, the component that it runs.", f"{target}.componentId")
    if reference not in scope.components:
        write, named = scope.write, f"{target}.componentId"
        found = references.component(write.connection, scope.home, reference, target=named, access=write.require)
        if not isinstance(found.properties.get("componentSpec"), dict):
            raise ApiError(400, "ValidationError", f"The component of the node '{name}' has no specification.")
        scope.components[reference] = found
    return scope.components[reference]


def _soft(node: Node) -> list[str]:
    """Nodes whose failure leaves only optional inputs without a value."""
    declared, given = node.spec.get("inputs") or {}, node.sent.get("inputs") or {}
    optional = {k: v for k, v in given.items() if not typed_inputs.is_required(declared.get(k) or {})}
    hard = graph.needs({**node.sent, "inputs": {k: v for k, v in given.items() if k not in optional}})
    return sorted(_producers(node.scope, graph.needs({"inputs": optional}) - hard))


#: What checks a node of each kind and pins what it refers to; the kinds without an entry are refused with 501.
NODE_CHECKS: dict[str, Callable[[Node], Json]] = {
    "command": _check_command,
    "data_transfer": _check_transfer,
    "pipeline": _check_pipeline,
    "sweep": _check_sweep,
    "parallel": _check_parallel,
}
