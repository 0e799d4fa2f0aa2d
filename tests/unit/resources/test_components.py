"""What a component must hold, and what of a version may still change."""

from __future__ import annotations

from typing import Any

import pytest

from lazulite.core.errors import ApiError
from lazulite.core.principal import Principal
from lazulite.resources import components
from lazulite.resources.declaration import Write
from lazulite.store import resources
from lazulite.testing.engine_world import WORKSPACE

ID = f"{WORKSPACE}/components/step/versions/1"
SPEC: dict[str, Any] = {"type": "command", "command": "echo", "environment": "azureml:e:1"}


def write(spec: Any, before: dict[str, Any] | None = None) -> Write:
    existing = None if before is None else resources.new(ID, "t", {"properties": {"componentSpec": before}})
    nothing: Any = None
    principal = Principal("me", "me", "user")
    return Write(nothing, nothing, principal, {}, ID, {"properties": {"componentSpec": spec}}, existing=existing)


def prepared(spec: Any, before: dict[str, Any] | None = None) -> dict[str, Any]:
    made = write(spec, before)
    components.prepare(made)
    found: dict[str, Any] = made.properties["componentSpec"]
    return found


def test_name_and_version_are_those_of_the_address() -> None:
    assert prepared({**SPEC, "code": None}) == {**SPEC, "name": "step", "version": "1"}


@pytest.mark.parametrize("change", [{"description": "new"}, {"display_name": "New"}, {"name": "other"}, {"id": "x"}])
def test_what_is_told_of_a_version_may_change(change: dict[str, str]) -> None:
    assert prepared({**SPEC, **change}, before=SPEC)["command"] == "echo"


@pytest.mark.parametrize("change", [{"command": "other"}, {"inputs": {"a": {"type": "string"}}}, {"type": "spark"}])
def test_what_a_version_runs_does_not_change(change: dict[str, Any]) -> None:
    with pytest.raises(ApiError, match=f"with another {next(iter(change))};") as refusal:
        prepared({**SPEC, **change}, before=SPEC)
    assert refusal.value.status == 409


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (None, "needs properties.componentSpec"),
        ({**SPEC, "type": "comand"}, "Did you mean 'command'"),
        ({**SPEC, "inputs": ["a"]}, "an object of named inputs"),
        ({**SPEC, "inputs": {"a": "string"}}, "input 'a' must be an object"),
        ({**SPEC, "inputs": {"a": {"type": "number", "default": 3, "max": 2}}}, "must not be above 2"),
        ({**SPEC, "inputs": {"a": {"type": "string", "default": "c", "enum": ["a", "b"]}}}, "must be one of a, b"),
    ],
)
def test_refusals_name_the_field(spec: Any, message: str) -> None:
    with pytest.raises(ApiError, match=message) as refusal:
        prepared(spec)
    assert refusal.value.status == 400


def test_prompt_flows_are_said_not_to_be_built() -> None:
    with pytest.raises(ApiError, match="A prompt flow as a component is not built") as raised:
        prepared({"type": "promptflow_parallel"})
    assert raised.value.status == 501


def test_the_old_type_path_is_a_folder() -> None:
    old = {**SPEC, "inputs": {"a": {"type": "path", "optional": True}, "n": {"type": "integer"}}}
    new = {**old, "inputs": {"a": {"type": "uri_folder", "optional": True}, "n": {"type": "integer"}}}
    assert prepared({**old, "outputs": {"o": {"type": "path"}}})["outputs"] == {"o": {"type": "uri_folder"}}
    assert prepared(old)["inputs"] == new["inputs"]
    assert prepared(old, before=old)["inputs"] == prepared(new, before=old)["inputs"] == new["inputs"]
