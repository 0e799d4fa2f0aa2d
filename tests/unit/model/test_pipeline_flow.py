"""Control nodes taken apart: what clients may send for them, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from lazulite.core.errors import ApiError
from lazulite.model import pipeline_flow as flow
from lazulite.model.pipeline_flow import Choice, Loop, Spread
from lazulite.model.pipeline_graph import InputOf, OutputOf

LOOP: dict[str, Any] = {
    "type": "do_while",
    "body": "${{parent.jobs.b}}",
    "mapping": {"x": ["i"]},
    "limits": {"max_iteration_count": 2},
}
SPREAD: dict[str, Any] = {"type": "parallel_for", "body": "${{parent.jobs.b}}", "items": '[{"i": 1}]'}
CHOICE: dict[str, Any] = {"type": "if_else", "condition": True, "true_block": "${{parent.jobs.a}}"}


def only(sent: dict[str, Any]) -> flow.Control:
    return flow.read({"c": sent, "a": {}, "b": {}}).controls["c"]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (True, True),
        ("False", False),
        ("${{ parent.inputs.flag }}", InputOf("flag")),
        ("${{parent.jobs.a.outputs.ok}}", OutputOf("a", "ok")),
    ],
)
def test_conditions(condition: Any, found: Any) -> None:
    sent = {**CHOICE, "condition": condition, "false_block": ["${{parent.jobs.b}}"]}
    assert only(sent) == Choice("c", found, ("a",), ("b",))


@pytest.mark.parametrize(
    "sent",
    [
        LOOP,
        {**LOOP, "mapping": {"${{parent.jobs.b.outputs.x}}": "${{parent.jobs.b.inputs.i}}"}},
        {**LOOP, "limits": {"maxIterationCount": "2"}},
    ],
)
def test_loops(sent: dict[str, Any]) -> None:
    assert only(sent) == Loop("c", "b", None, {"i": "x"}, 2)


def test_the_condition_of_a_loop_by_name_or_reference() -> None:
    for condition in ("ok", "${{parent.jobs.b.outputs.ok}}"):
        found = only({**LOOP, "condition": condition})
        assert isinstance(found, Loop)
        assert found.condition == "ok"


@pytest.mark.parametrize(
    ("items", "found"),
    [
        ('[{"i": 1}, {"i": 2}]', ({"i": 1}, {"i": 2})),
        ('{"one": {"i": 1}}', ({"i": 1},)),
        ([{"i": 1}], ({"i": 1},)),
        ({"one": {}}, ({},)),
        ("${{parent.inputs.list}}", InputOf("list")),
        ("${{parent.jobs.a.outputs.list}}", OutputOf("a", "list")),
    ],
)
def test_items(items: Any, found: Any) -> None:
    assert only({**SPREAD, "items": items, "max_concurrency": 4}) == Spread("c", "b", found, 4)


def test_inputs_of_an_item() -> None:
    data = {"uri": "azureml:a:1", "job_input_type": "uri_file"}
    assert flow.item_inputs({"a": 1, "b": True, "c": "x", "d": data, "e": 0.5, "f": None}) == {
        "a": {"value": "1"},
        "b": {"value": "true"},
        "c": {"value": "x"},
        "d": data,
        "e": {"value": "0.5"},
    }


def test_what_waits_for_what() -> None:
    found = flow.read({"if": {**CHOICE, "true_block": "${{parent.jobs.b}}"}, "for": SPREAD, "a": {}, "b": {}})
    assert found.orders("b") == {"if", "for"}
    assert (found.orders("a"), found.ran_by("for"), found.ran_by("if")) == (set(), {"b"}, set())
    assert (found.producers("for"), found.producers("a")) == ({"for", "b"}, {"a"})


def test_names_of_steps() -> None:
    assert flow.node_of(flow.step("body", 12)) == ("body", 12)
    assert flow.node_of("body") == ("body", None)


@pytest.mark.parametrize(
    ("sent", "field", "message"),
    [
        ({**CHOICE, "condition": "1 > 0"}, "condition", "one reference such as"),
        ({**CHOICE, "condition": None}, "condition", "is 'None'"),
        ({**CHOICE, "true_block": None}, "true_block", "needs nodes"),
        ({**CHOICE, "true_block": "a"}, "true_block", "must name nodes"),
        ({**CHOICE, "false_block": "${{parent.jobs.a}}"}, "false_block", "'a' in both"),
        ({**LOOP, "body": "b"}, "body", "needs body"),
        ({**LOOP, "limits": {"max_iteration_count": 0}}, "limits.max_iteration_count", "from 1 to 1000"),
        ({**LOOP, "limits": {"max_iteration_count": "${{parent.inputs.n}}"}}, "limits.max_iteration_count", "1000"),
        ({**LOOP, "limits": 5}, "limits.max_iteration_count", "is None"),
        ({**LOOP, "mapping": {"x": ["i"], "y": "i"}}, "mapping", "both 'x' and 'y' to the input 'i'"),
        ({**LOOP, "mapping": ["x"]}, "mapping", "must be an object"),
        ({**LOOP, "condition": "${{parent.jobs.a.outputs.ok}}"}, "condition", "no input or output of its body 'b'"),
        ({**SPREAD, "items": "[]"}, "items", "has no items"),
        ({**SPREAD, "items": "nothing"}, "items", "is no JSON"),
        ({**SPREAD, "items": "[" * 100_000}, "items", "is no JSON"),
        ({**SPREAD, "items": [1]}, "items", "a list or an object of objects"),
        ({**SPREAD, "items": [{}] * 10_001}, "items", "may have 10000"),
        ({**SPREAD, "max_concurrency": True}, "max_concurrency", "whole number from 1"),
    ],
)
def test_refusals(sent: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        only(sent)
    assert (caught.value.status, caught.value.target) == (400, f"properties.jobs.c.{field}")
    assert message in caught.value.message


def test_a_body_belongs_to_one_loop() -> None:
    with pytest.raises(ApiError, match="both have the body 'b'"):
        flow.read({"one": LOOP, "two": SPREAD, "b": {}})
