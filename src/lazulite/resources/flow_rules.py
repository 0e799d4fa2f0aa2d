"""What choices and loops of a pipeline must hold to be accepted: their nodes, conditions, items and outputs exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lazulite.core.errors import nearest, validation
from lazulite.model import pipeline_flow as flow
from lazulite.model import pipeline_graph as graph
from lazulite.model.pipeline_flow import Choice, Control, Flow, Loop, Spread
from lazulite.model.pipeline_graph import InputOf, OutputOf, WrittenTo
from lazulite.resources import typed_inputs
from lazulite.store.resources import Json


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The pipeline around a control node: its nodes, its inputs as far as they are known, its place in the document.

    `spec` gives the specification of a node's component; `check_data` refuses the address of data that is not there.
    """

    flow: Flow
    nodes: Mapping[str, Any]
    inputs: Mapping[str, Json | None]
    spec: Callable[[str], Json]
    check_data: Callable[[str, str, str], None]
    target: str


def check(control: Control, around: Surroundings) -> None:
    """Raises ApiError 400 naming the node and the field."""
    target = f"{around.target}.{control.name}"
    if isinstance(control, Choice):
        _check_choice(control, around, target)
    elif isinstance(control, Loop):
        _check_loop(control, around, target)
    else:
        _check_spread(control, around, target)


def free_inputs(loop: Spread, around: Surroundings, given: Mapping[str, Any]) -> set[str]:
    """The inputs of a loop's body that its items give: those they name, else all that are required and not given."""
    known = _known_items(loop, around)
    if known:
        return set(known[0])
    declared = around.spec(loop.body).get("inputs") or {}
    return {name for name, described in declared.items() if typed_inputs.is_required(described) and name not in given}


def _check_choice(choice: Choice, around: Surroundings, target: str) -> None:
    for which, names in (("true_block", choice.yes), ("false_block", choice.no)):
        for name in names:
            _check_named(choice.name, name, which, around, target)
    match choice.condition:
        case OutputOf(node, output):
            _check_is_boolean(choice.name, node, output, around, f"{target}.condition")
        case InputOf(name):
            text = _literal(around, name)
            if text is not None and text.lower() not in ("true", "false"):
                raise validation(
                    f"The condition of the node '{choice.name}' is the input '{name}', which is '{text}' and must be "
                    "true or false.",
                    f"{target}.condition",
                )


def _check_loop(loop: Loop, around: Surroundings, target: str) -> None:
    spec = _body_spec(loop, around, target)
    if loop.condition is not None:
        _check_is_boolean(loop.name, loop.body, loop.condition, around, f"{target}.condition")
    inputs, outputs = spec.get("inputs") or {}, spec.get("outputs") or {}
    for into, source in loop.mapping.items():
        for name, declared, what in ((source, outputs, "output"), (into, inputs, "input")):
            if name not in declared:
                text = f"The body '{loop.body}' of the loop '{loop.name}' has no {what} '{name}', which mapping names."
                raise validation(text + nearest(name, declared), f"{target}.mapping")
        if _is_primitive(inputs[into]) and not _is_primitive(outputs[source]):
            text = f"The loop '{loop.name}' leads the output '{source}', which is data, to the input '{into}', a value."
            raise validation(text, f"{target}.mapping")


def _check_spread(loop: Spread, around: Surroundings, target: str) -> None:
    spec = _body_spec(loop, around, target)
    declared = spec.get("outputs") or {}
    for name in around.nodes[loop.name].get("outputs") or {}:
        if name not in declared:
            text = f"The body '{loop.body}' of the loop '{loop.name}' has no output '{name}'.{nearest(name, declared)}"
            raise validation(text, f"{target}.outputs.{name}")
    for name, value in (around.nodes[loop.body].get("outputs") or {}).items():
        bound = graph.whole(value.get("value") or graph.field(value, "uri")) if isinstance(value, dict) else None
        if isinstance(bound, WrittenTo):
            text = f"'{loop.body}' runs many times: bind the output '{name}' of its loop '{loop.name}' instead."
            raise validation(text, f"{around.target}.{loop.body}.outputs.{name}")
    if isinstance(loop.items, OutputOf) and loop.items.node in around.flow.controls:
        text = f"items of the loop '{loop.name}' cannot be the gathered outputs of '{loop.items.node}'."
        raise validation(text, f"{target}.items")
    inputs = spec.get("inputs") or {}
    for number, item in enumerate(_known_items(loop, around)):
        _check_item(loop, number, item, inputs, around, f"{target}.items")


def _check_item(loop: Spread, number: int, item: Json, inputs: Json, around: Surroundings, target: str) -> None:
    where = f"item {number} of the loop '{loop.name}'"
    for name, value in flow.item_inputs(item).items():
        if name not in inputs:
            text = f"The body '{loop.body}' has no input '{name}', which {where} names.{nearest(name, inputs)}"
            raise validation(text, target)
        uri = graph.field(value, "uri") or value.get("path")
        if uri is None and value.get("value") is None:
            raise validation(f"Input '{name}' of {where} needs a value.", target)
        if "${{" in str(uri or value.get("value")):
            continue
        if uri is None and _is_primitive(inputs[name]):
            typed_inputs.check(name, value["value"], inputs[name], where=where, target=target)
        elif uri is None or _is_primitive(inputs[name]):
            kind = inputs[name].get("type")
            raise validation(f"Input '{name}' of {where} is '{uri or value['value']}' and must be {kind}.", target)
        else:
            around.check_data(str(uri), str(inputs[name].get("type") or "uri_folder"), target)


def _known_items(loop: Spread, around: Surroundings) -> tuple[Json, ...]:
    """The items where they are known before the pipeline runs."""
    if isinstance(loop.items, tuple):
        return loop.items
    text = _literal(around, loop.items.name) if isinstance(loop.items, InputOf) else None
    if text is None:
        return ()
    try:
        return flow.items(text)
    except ValueError as error:
        raise validation(f"items of the loop '{loop.name}' {error}.", f"{around.target}.{loop.name}.items") from None


def _body_spec(loop: Loop | Spread, around: Surroundings, target: str) -> Json:
    _check_named(loop.name, loop.body, "body", around, target)
    if loop.body in around.flow.controls:
        text = f"The body of the loop '{loop.name}' is '{loop.body}' and must be a node that runs a component."
        raise validation(text, f"{target}.body")
    return around.spec(loop.body)


def _check_named(control: str, name: str, field: str, around: Surroundings, target: str) -> None:
    if name not in around.nodes or name == control:
        text = f"{field} of the node '{control}' names '{name}', and there is no other node of that name."
        raise validation(text + nearest(name, around.nodes), f"{target}.{field}")


def _check_is_boolean(control: str, node: str, output: str, around: Surroundings, target: str) -> None:
    declared = {} if node in around.flow.controls else around.spec(node).get("outputs") or {}
    text = f"The condition of the node '{control}' is the output '{output}' of '{node}', "
    if output not in declared:
        raise validation(f"{text}which has no such output.{nearest(output, declared)}", target)
    kind = str(declared[output].get("type") or "uri_folder").lower()
    if kind != "boolean":
        raise validation(f"{text}which is of the type {kind} and must be boolean.", target)


def _literal(around: Surroundings, name: str) -> str | None:
    """The text of an input of the pipeline; None where it is not known, or data."""
    value = around.inputs.get(name)
    if value is None or not graph.is_literal(value) or "${{" in str(value.get("value")):
        return None
    return str(value.get("value"))


def _is_primitive(declared: Json) -> bool:
    return str(declared.get("type") or "").lower() in graph.PRIMITIVES
