"""Where the references of a pipeline's nodes lead: its inputs and outputs, and the outputs of other nodes."""

from __future__ import annotations

from typing import Any

from lazulite.core.errors import ApiError, nearest, validation
from lazulite.model import pipeline_graph as graph
from lazulite.model.pipeline_flow import Spread
from lazulite.model.pipeline_graph import InputOf, OutputOf, WrittenTo
from lazulite.resources import job_rules
from lazulite.resources.pipeline_scope import Scope, component_of
from lazulite.store.resources import Json

#: The kinds of nodes that run a component, which says what outputs they have.
WITH_COMPONENT = ("command", "data_transfer", "pipeline", "sweep", "parallel")


def check(scope: Scope, name: str, sent: Json, target: str) -> None:
    inputs = sent.get("inputs")
    if isinstance(inputs, dict):
        inputs = {k: v for k, v in inputs.items() if not_given(scope, v) is None}
    for part, value in {**sent, "inputs": inputs, "outputs": None}.items():
        for reference in graph.references(value):
            match reference:
                case InputOf(wanted) if wanted not in scope.inputs:
                    raise no_such_input(scope, name, wanted, f"{target}.{part}")
                case OutputOf(other, output):
                    _check_output_of(scope, name, other, output, f"{target}.{part}")
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


def _check_written(scope: Scope, given: Any, target: str) -> None:
    """An address to write to that the node itself says, as far as it is known."""
    uri = (graph.field(given, "uri") or given.get("path")) if isinstance(given, dict) else None
    if isinstance(uri, str) and "${{parent." not in uri.replace(" ", ""):
        job_rules.check_output(scope.write, uri, target)


def not_given(scope: Scope, given: Any) -> str | None:
    """The pipeline's input that a node's input is bound to, where the pipeline got none of that name.

    Clients leave an optional input out of the pipeline and keep what is bound to it.
    """
    bound = graph.whole(graph.field(given, "uri") or given.get("value")) if isinstance(given, dict) else None
    return bound.name if isinstance(bound, InputOf) and bound.name not in scope.inputs else None


def no_such_input(scope: Scope, name: str, wanted: str, target: str) -> ApiError:
    text = f"The node '{name}' uses ${{{{parent.inputs.{wanted}}}}}, and {scope.where} has no such input."
    text += " Clients leave out an input whose value is empty."
    return validation(text + nearest(wanted, scope.inputs), target)


def _check_output_of(scope: Scope, name: str, other: str, output: str, target: str) -> None:
    if other not in scope.nodes:
        text = f"The node '{name}' takes an output of '{other}', and {scope.where} has no such node."
        raise validation(text + nearest(other, scope.nodes), target)
    other = _source(scope, name, other, target)
    sent = scope.nodes[other]
    if output in graph.IMPLICIT_OUTPUTS or not isinstance(sent, dict):
        return
    if graph.node_type(sent) not in WITH_COMPONENT:
        return
    declared = (
        component_of(scope, other, sent, f"{scope.target}.{other}").properties["componentSpec"].get("outputs") or {}
    )
    if output not in declared:
        text = f"The node '{name}' takes the output '{output}' of '{other}', which has no such output."
        raise validation(text + nearest(output, declared), target)


def _source(scope: Scope, name: str, other: str, target: str) -> str:
    """The node whose component says which outputs `other` has."""
    control, loop = scope.flow.controls.get(other), scope.flow.bodies.get(other)
    if isinstance(control, Spread):
        return control.body if control.body in scope.nodes else other
    if control is not None:
        text = f"The node '{name}' takes an output of '{other}', which has none: take that of a node that it runs."
        raise validation(text, target)
    if isinstance(loop, Spread):
        text = f"The node '{name}' takes an output of '{other}', which runs many times: take that of '{loop.name}'."
        raise validation(text, target)
    return other
