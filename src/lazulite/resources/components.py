"""Components: the specification as sent, under a name and version written back into it."""

from __future__ import annotations

from typing import Any

from lazulite.core import arm_id
from lazulite.core.errors import conflict, nearest, not_implemented, validation
from lazulite.model import wire
from lazulite.resources import assets, component_references, typed_inputs
from lazulite.resources.declaration import ResourceType, Shape, Write
from lazulite.store.resources import Json

#: What of a version's specification may still be told otherwise; all else is what it runs.
_TOLD = ("id", "name", "version", "display_name", "description", "tags", "properties", "_source", "$schema")
KINDS = ("command", "parallel", "pipeline", "spark", "sweep", "automl", "import", "datatransfer", "data_transfer")
_PROMPT_FLOW = "promptflow_parallel"


def prepare(write: Write) -> None:
    properties = write.properties
    spec = properties.get("componentSpec")
    if write.existing is not None and spec is None:
        spec = write.existing.properties["componentSpec"]
    if not isinstance(spec, dict):
        raise validation("A component needs properties.componentSpec, an object.", "properties.componentSpec")
    kind = str(spec.get("type", "command"))
    if kind.lower() == _PROMPT_FLOW:
        raise not_implemented("A prompt flow as a component")
    if kind.lower() not in KINDS:
        raise validation(f"The component's type is '{kind}'.{nearest(kind, KINDS)}", "properties.componentSpec.type")
    name = write.id.rsplit("/", 3)[1]
    properties["componentSpec"] = {**_in_words_of_today(spec), "name": spec.get("name") or name, "version": write.name}
    if write.existing is not None:
        _check_unchanged(write, name)
    else:
        _check_inputs(properties["componentSpec"])
        if arm_id.parse(write.id).registry is None:
            component_references.check_rights(write, properties["componentSpec"])
    assets.prepare(write, (), "Component")


def _check_inputs(spec: Json) -> None:
    """A default must be a value that the input takes. Raises ApiError 400 naming the input."""
    inputs = spec.get("inputs") or {}
    if not isinstance(inputs, dict):
        raise validation("componentSpec.inputs must be an object of named inputs.", "properties.componentSpec.inputs")
    for name, declared in inputs.items():
        target = f"properties.componentSpec.inputs.{name}"
        if not isinstance(declared, dict):
            raise validation(f"The input '{name}' must be an object.", target)
        if declared.get("default") is not None:
            typed_inputs.check(name, declared["default"], declared, where="the component", target=target)


def _check_unchanged(write: Write, name: str) -> None:
    """Raises ApiError 409 naming what differs from the version that is there."""
    assert write.existing is not None
    before, after = _in_words_of_today(write.existing.properties["componentSpec"]), write.properties["componentSpec"]
    fields = sorted({*before, *after} - {*_TOLD})
    changed = [field for field in fields if before.get(field) != after.get(field)]
    if changed:
        raise conflict(
            f"Component '{name}' has a version '{write.name}' already, with another {' and '.join(changed)}; what a "
            "version runs never changes. Leave the version out to get the next one, or name a new one.",
            f"properties.componentSpec.{changed[0]}",
            code="VersionAlreadyExists",
        )


def _in_words_of_today(spec: Json) -> Json:
    """The specification with `uri_folder` for the type `path`, as old files say: the SDK cannot change such an output."""
    found = _without_nulls(spec)
    for part in ("inputs", "outputs"):
        if isinstance(found.get(part), dict):
            found[part] = {name: _folder(declared) for name, declared in found[part].items()}
    return found


def _folder(declared: Any) -> Any:
    is_path = isinstance(declared, dict) and str(declared.get("type")).lower() == "path"
    return {**declared, "type": "uri_folder"} if is_path else declared


def _without_nulls(spec: Json) -> Json:
    # The SDK reads a null where it expects an object as a crash, and an absent field as absent.
    return {
        name: _without_nulls(value) if isinstance(value, dict) else value
        for name, value in spec.items()
        if value is not None
    }


TYPE = ResourceType(
    collection="workspaces/components",
    operations="ComponentVersions",
    wire=wire.Component,
    shape=Shape.VERSIONED,
    prepare=prepare,
    view=assets.view,
)
