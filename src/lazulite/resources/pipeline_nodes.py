"""What a node of each kind must hold, and what is pinned of it: environment, code and compute."""

from __future__ import annotations

from dataclasses import replace

from lazulite.core.errors import ApiError, nearest, validation
from lazulite.core.numbers import whole_number
from lazulite.model import asset_reference, data_transfer, parallel_task, sweep, sweep_node
from lazulite.model import pipeline_graph as graph
from lazulite.resources import environment_rules, job_rules, references, typed_inputs
from lazulite.resources.declaration import Write
from lazulite.resources.pipeline_references import no_such_input, not_given
from lazulite.resources.pipeline_scope import Node, find_compute, known_text
from lazulite.store.resources import Json

_COUNTS = ("instance_count", "process_count_per_instance", "worker_count", "parameter_server_count")
_DATA: Json = {"jobInputType": "uri_folder", "uri": "azureml://unknown"}


def check_command(node: Node) -> Json:
    found = check_inputs(node)
    declared = {name.lower(): name for name in node.spec.get("inputs") or {}}
    for kind, wanted in job_rules.placeholders(str(node.spec.get("command") or "")):
        name = declared.get(wanted.lower())
        if kind == "inputs" and name is not None and found[name] is None:
            text = f"The command of the node '{node.name}' uses ${{{{inputs.{wanted}}}}}, an optional input without a "
            text += f"value: give it one, or write that part of the command as $[[... ${{{{inputs.{wanted}}}}}]]."
            raise validation(text, f"{node.target}.inputs.{name}")
    _check_counts(node)
    return _pin_run(node, node.spec)


def check_parallel(node: Node) -> Json:
    check_inputs(node)
    parallel_task.check(node.name, node.sent, node.spec, node.target)
    return _pin_run(node, parallel_task.task(node.spec))


def check_transfer(node: Node) -> Json:
    check_inputs(node)
    data_transfer.check_task(node.name, node.sent, node.spec)
    data_transfer.check(node.name, node.sent, node.spec, node.target)
    return {"compute": _node_compute(node)}


def check_sweep(node: Node) -> Json:
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
    return check_command(replace(node, sent={**node.sent, "inputs": {**(node.sent.get("inputs") or {}), **literals}}))


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
                wanted = not_given(node.scope, given.get(name))
                if wanted is not None:
                    raise no_such_input(node.scope, node.name, wanted, target)
                raise validation(f"{where.capitalize()} needs the input '{name}'.", target)
        elif graph.is_literal(bound):
            check_literal(name, bound, description, where, target)
    return found


def check_outputs(node: Node) -> None:
    """What a node says of its outputs is of outputs that its component has. Raises ApiError."""
    declared = node.spec.get("outputs") or {}
    for name in node.sent.get("outputs") or {}:
        if name not in declared and name not in graph.IMPLICIT_OUTPUTS:
            text = f"The component of the node '{node.name}' has no output '{name}'.{nearest(name, declared)}"
            raise validation(text, f"{node.target}.outputs.{name}")


def check_literal(name: str, bound: Json, declared: Json, where: str, target: str) -> None:
    kind = str(declared.get("type") or "string").lower()
    if kind not in graph.PRIMITIVES:
        text = f"Input '{name}' of {where} is data ({kind}) and got the literal '{bound.get('value')}'."
        raise validation(text, target)
    if "${{" not in str(bound.get("value")):
        typed_inputs.check(name, bound.get("value"), declared, where=where, target=target)


def _check_counts(node: Node) -> None:
    """The numbers that say how many nodes and processes there are, as the node or its component gives them."""
    for part, least in (("resources", 1), ("distribution", 0)):
        for said in (node.sent.get(part) or {}, node.spec.get(part) or {}):
            for name in _COUNTS:
                count = graph.field(said, name)
                if count is None or "${{" in str(count) or whole_number(count, least) is not None:
                    continue
                text = f"{name} of the node '{node.name}' is {count} and must be a whole number from {least}."
                raise validation(text, f"{node.target}.{part}.{name}")


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
    environment_rules.check_here(write, found, f"{target}.environment")
    asset = references.code(c, home, code, target=f"{target}.code", access=access) if code else None
    return {
        "environment": job_rules.pinned(found),
        "code": asset_reference.spelled(asset.id) if asset else None,
        "codeHash": (asset.properties.get("properties") or {}).get("hash_sha256") if asset else None,
    }


def _node_compute(node: Node) -> str | None:
    reference = graph.field(node.sent, "compute_id") or node.sent.get("compute") or node.spec.get("compute")
    reference = graph.fill(reference, lambda of: known_text(node.scope, of))
    computes, named = node.scope.computes, str(reference or "")
    if named not in computes:
        computes[named] = find_compute(node.scope.write, reference, f"{node.target}.computeId")
    return computes[named]
