"""References, binding and order of a pipeline's nodes."""

from __future__ import annotations

from typing import Any

import pytest

from lazulite.model import pipeline_graph as graph
from lazulite.model.pipeline_graph import InputOf, OutputOf, WrittenTo

DATA = {"jobInputType": "uri_folder", "uri": "azureml://a"}
INPUTS = {"x": {"jobInputType": "literal", "value": "1"}, "d": {**DATA, "mode": "Download"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${{parent.inputs.x}}", InputOf("x")),
        ("${{ parent.inputs.group.x }}", InputOf("group.x")),
        ("${{parent.jobs.a_b.outputs.o}}", OutputOf("a_b", "o")),
        ("${{parent.outputs.o}}", WrittenTo("o")),
        ("${{parent.inputs.x}}/more", None),
        ("${{name}}", None),
        (7, None),
    ],
)
def test_whole(text: Any, expected: Any) -> None:
    assert graph.whole(text) == expected


def test_needs_are_found_anywhere_but_in_outputs() -> None:
    node = {
        "inputs": {"a": {"value": "${{parent.jobs.one.outputs.o}}"}},
        "environment_variables": {"B": "x-${{parent.jobs.two.outputs.o}}"},
        "outputs": {"c": {"value": "${{parent.jobs.three.outputs.o}}"}},
    }
    assert graph.needs(node) == {"one", "two"}


@pytest.mark.parametrize(
    ("given", "declared", "expected"),
    [
        ({"value": "${{parent.inputs.x}}"}, {"type": "integer"}, {"jobInputType": "literal", "value": "1"}),
        ({"value": "a${{parent.inputs.x}}b"}, {"type": "string"}, {"jobInputType": "literal", "value": "a1b"}),
        (None, {"type": "integer", "default": 3}, {"jobInputType": "literal", "value": "3"}),
        (None, {"type": "integer", "optional": True}, None),
        ({"value": "${{parent.inputs.d}}"}, {"type": "mltable"}, {**INPUTS["d"], "jobInputType": "mltable"}),
        (
            {"value": "${{parent.inputs.d}}", "mode": "ro_mount"},
            {"type": "uri_folder"},
            {**DATA, "mode": "ReadOnlyMount"},
        ),
        ({"value": "${{parent.jobs.n.outputs.o}}"}, {"type": "uri_folder"}, DATA),
        (
            {"uri": "azureml://b", "job_input_type": "uri_file"},
            {"type": "uri_file"},
            {"jobInputType": "uri_file", "uri": "azureml://b"},
        ),
    ],
)
def test_bind(given: Any, declared: dict[str, Any], expected: Any) -> None:
    assert graph.bind(given, declared, INPUTS, lambda _: DATA) == expected


def test_cycle() -> None:
    assert graph.cycle({"a": [], "b": ["a"], "c": ["b"]}) == []
    assert graph.cycle({"a": [], "b": ["c"], "c": ["b"], "d": ["c"]}) == ["b", "c", "d"]


def test_pins_name_components_and_data_in_full() -> None:
    full = "azureml://registries/r/components/c/versions/2"
    given = {"uri": "azureml:d@latest", "mode": "download"}
    nodes = {
        "plain": {"componentId": "azureml:c:2", "inputs": {"a": given, "b": "${{parent.inputs.b}}"}},
        "snake": {"component_id": "azureml:c:2"},
        "sweep": {"type": "sweep", "trial": {"component_id": "azureml:c:2", "x": 1}},
        "choice": {"type": "if_else", "condition": "${{parent.inputs.b}}"},
    }
    pins = {name: {"component": full} for name in ("plain", "snake", "sweep")}
    pins["plain"] |= {"data": {"a": "azureml://registries/r/data/d/versions/3"}}
    assert graph.with_pins(nodes, pins) == {
        "plain": {
            "componentId": full,
            "inputs": {
                "a": {"uri": "azureml://registries/r/data/d/versions/3", "mode": "download"},
                "b": "${{parent.inputs.b}}",
            },
        },
        "snake": {"componentId": full},
        "sweep": {"type": "sweep", "trial": {"componentId": full, "x": 1}},
        "choice": nodes["choice"],
    }
    assert nodes["plain"]["inputs"]["a"] == given
