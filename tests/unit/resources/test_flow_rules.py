"""Choices and loops are held to the nodes, inputs and outputs that there are."""

from __future__ import annotations

from typing import Any

import pytest

from lazulite.core.errors import ApiError
from lazulite.model import pipeline_flow as flow
from lazulite.model.pipeline_flow import Spread
from lazulite.resources import flow_rules
from lazulite.resources.flow_rules import Surroundings

SPEC = {
    "inputs": {"n": {"type": "integer", "max": 9}, "data": {"type": "uri_folder", "optional": True}},
    "outputs": {"ok": {"type": "boolean"}, "next": {"type": "integer"}, "made": {"type": "uri_folder"}},
}


def ref(name: str) -> str:
    return f"${{{{parent.{name}}}}}"


def around(control: dict[str, Any], inputs: dict[str, Any] | None = None, **nodes: Any) -> Surroundings:
    everything = {"a": {"type": "command"}, "b": {"type": "command"}, "c": control, **nodes}

    def check_data(uri: str, kind: str, target: str) -> None:
        if uri == "azureml:nothing:1":
            raise ApiError(404, "ResourceNotFound", f"There is no {kind} '{uri}'.", target=target)

    literals = {k: {"jobInputType": "literal", "value": v} for k, v in (inputs or {}).items()}
    return Surroundings(flow.read(everything), everything, literals, lambda name: SPEC, check_data, "properties.jobs")


def check(control: dict[str, Any], inputs: dict[str, Any] | None = None, **nodes: Any) -> None:
    surroundings = around(control, inputs, **nodes)
    flow_rules.check(surroundings.flow.controls["c"], surroundings)


def choice(**changes: Any) -> dict[str, Any]:
    sent = {"type": "if_else", "condition": ref("jobs.a.outputs.ok"), "true_block": ref("jobs.b")}
    return {**sent, **changes}


def loop(**changes: Any) -> dict[str, Any]:
    sent = {"type": "do_while", "body": ref("jobs.b"), "condition": "ok", "mapping": {"next": ["n"]}}
    return {**sent, "limits": {"max_iteration_count": 3}, **changes}


def spread(**changes: Any) -> dict[str, Any]:
    return {"type": "parallel_for", "body": ref("jobs.b"), "items": '[{"n": 1}, {"n": 2}]', **changes}


@pytest.mark.parametrize(
    "control",
    [
        choice(),
        choice(condition=True),
        choice(condition=ref("inputs.flag")),
        loop(),
        loop(mapping={"made": ["data"], "next": "n"}, condition=None),
        spread(),
        spread(items='[{"data": {"uri": "azureml:there:1"}, "n": "${{parent.inputs.flag}}"}]'),
        spread(items=ref("inputs.list"), outputs={"made": {"value": ref("outputs.all")}}),
        spread(items=ref("jobs.a.outputs.made")),
    ],
)
def test_accepted(control: dict[str, Any]) -> None:
    check(control, {"flag": "True", "list": '{"one": {"n": 9}}'})


@pytest.mark.parametrize(
    ("control", "field", "message"),
    [
        (choice(condition=ref("jobs.a.outputs.next")), "condition", "of the type integer and must be boolean"),
        (choice(condition=ref("jobs.a.outputs.made")), "condition", "of the type uri_folder"),
        (choice(condition=ref("jobs.a.outputs.okay")), "condition", "Did you mean 'ok'"),
        (choice(condition=ref("inputs.flag")), "condition", "'perhaps' and must be true or false"),
        (choice(true_block=ref("jobs.c")), "true_block", "no other node of that name"),
        (choice(false_block=[ref("jobs.nobody")]), "false_block", "names 'nobody'"),
        (loop(condition="next"), "condition", "must be boolean"),
        (loop(mapping={"nxt": "n"}), "mapping", "no output 'nxt', which mapping names. Did you mean 'next'"),
        (loop(mapping={"next": "m"}), "mapping", "no input 'm'"),
        (loop(mapping={"made": "n"}), "mapping", "which is data, to the input 'n', a value"),
        (loop(body=ref("jobs.nobody")), "body", "names 'nobody'"),
        (spread(items='[{"m": 1}]'), "items", "no input 'm', which item 0 of the loop 'c' names"),
        (spread(items='[{"n": 1}, {"n": 10}]'), "items", "item 1 of the loop 'c' is '10' and must not be above 9"),
        (spread(items='[{"n": {"uri": "azureml:there:1"}}]'), "items", "must be integer"),
        (spread(items='[{"data": "text"}]'), "items", "is 'text' and must be uri_folder"),
        (spread(items='[{"data": {"uri": "azureml:nothing:1"}}]'), "items", "There is no uri_folder"),
        (spread(items='[{"data": {}}]'), "items", "needs a value"),
        (spread(items=ref("inputs.flag")), "items", "is no JSON"),
        (spread(outputs={"mad": {}}), "outputs.mad", "Did you mean 'made'"),
        (spread(items=ref("jobs.d.outputs.next")), "items", "cannot be the gathered outputs of 'd'"),
    ],
)
def test_refused(control: dict[str, Any], field: str, message: str) -> None:
    other = spread(body=ref("jobs.a"))
    with pytest.raises(ApiError) as caught:
        check(control, {"flag": "perhaps"}, d=other)
    assert message in caught.value.message
    assert caught.value.target == f"properties.jobs.c.{field}"


def test_a_body_that_is_a_control_node() -> None:
    with pytest.raises(ApiError, match="must be a node that runs a component"):
        check(spread(body=ref("jobs.d")), d=choice())


def test_the_outputs_of_a_body_that_runs_many_times() -> None:
    body = {"type": "command", "outputs": {"made": {"value": ref("outputs.all")}}}
    with pytest.raises(ApiError, match="bind the output 'made' of its loop 'c' instead"):
        check(spread(), b=body)


@pytest.mark.parametrize(
    ("items", "given", "free"),
    [
        ('[{"data": {"uri": "azureml:there:1"}}]', {"n": 1}, {"data"}),
        (ref("inputs.unknown"), {}, {"n"}),
        (ref("inputs.unknown"), {"n": 1}, set()),
    ],
)
def test_inputs_that_items_give(items: str, given: dict[str, Any], free: set[str]) -> None:
    surroundings = around(spread(items=items))
    control = surroundings.flow.controls["c"]
    assert isinstance(control, Spread)
    assert flow_rules.free_inputs(control, surroundings, given) == free
