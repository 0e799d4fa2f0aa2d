"""What a command job must hold to be accepted: every reference exists, every word is one of Azure's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from lazulite.core.clock import parse_duration
from lazulite.core.errors import nearest, validation
from lazulite.environments.catalogue import CuratedEnvironment
from lazulite.model import asset_reference
from lazulite.resources import environment_rules, identities, places, references
from lazulite.resources.declaration import Write
from lazulite.store.resources import Json, Resource

_DATA = ("uri_file", "uri_folder", "mltable", "custom_model", "mlflow_model", "triton_model")
_INPUTS = (*_DATA, "literal", "safe_literal")
_INPUT_MODES = ("ReadOnlyMount", "ReadWriteMount", "Download", "Direct", "EvalMount", "EvalDownload")
_OUTPUT_MODES = ("ReadWriteMount", "Upload", "Direct")
_DISTRIBUTIONS = ("PyTorch", "Mpi", "TensorFlow", "Ray")
_IDENTITIES = ("AMLToken", "Managed", "UserIdentity")
_TIERS = ("Null", "Spot", "Basic", "Standard", "Premium")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_PLACEHOLDER = re.compile(r"\$\{\{\s*(inputs|outputs)\.([A-Za-z0-9_.]+)\s*\}\}")


def check_command_job(write: Write) -> Json:
    """Validate a command job and pin what it refers to: `{"environment", "code", "compute"}`, ARM ids or null.

    Raises ApiError 400 or 404 naming the field, what was wrong with it and what would be right.
    """
    properties, workspace, connection = write.properties, write.workspace, write.connection
    command = properties.get("command")
    if not isinstance(command, str) or not command.strip():
        raise validation("A command job needs properties.command, the shell command to run.", "properties.command")
    check_inputs(write, properties.get("inputs"))
    check_outputs(write, properties.get("outputs"))
    identities.check_of_job(write, properties.get("identity"), "properties.identity")
    check_component(write)
    _check_placeholders(command, properties)
    _check_resources(properties)
    environment = properties.get("environmentId")
    if not isinstance(environment, str) or not environment:
        raise validation("A command job needs properties.environmentId, an environment to run in.", "environmentId")
    target = "properties.environmentId"
    found = references.environment(connection, workspace, environment, target=target, access=write.require)
    environment_rules.check_here(write, found, target)
    code = properties.get("codeId")
    if code:
        asset = references.code(connection, workspace, code, target="properties.codeId", access=write.require)
    return {
        "environment": pinned(found),
        "code": asset_reference.spelled(asset.id) if code else None,
        "compute": _compute(write),
    }


def check_component(write: Write) -> None:
    """A command or sweep may name the component that it was made of."""
    reference = write.properties.get("componentId")
    if reference:
        target = "properties.componentId"
        references.component(write.connection, write.workspace, str(reference), target=target, access=write.require)


def pinned(environment: Resource | CuratedEnvironment) -> str:
    """What the engine resolves again: the id of an asset, or a curated environment in its registry with its version."""
    if isinstance(environment, Resource):
        return asset_reference.spelled(environment.id)
    return f"azureml://registries/azureml/environments/{environment.name}/versions/{environment.latest}"


def _compute(write: Write) -> str | None:
    reference = write.properties.get("computeId")
    if not reference or str(reference).rsplit("/", 1)[-1].lower() == "serverless":
        return None
    return references.compute(write.connection, write.workspace, reference, target="properties.computeId").id


def check_inputs(write: Write, inputs: Any) -> None:
    for name, value in _named_objects(inputs, "inputs"):
        target = f"properties.inputs.{name}"
        kind = str(value.get("jobInputType"))
        _one_of(kind, _INPUTS, f"{target}.jobInputType")
        if kind.lower() in ("literal", "safe_literal"):
            if value.get("value") is None:
                raise validation(f"Input '{name}' is a literal and needs a value.", f"{target}.value")
            continue
        if not isinstance(value.get("uri"), str) or not value["uri"]:
            raise validation(f"Input '{name}' needs uri, the address of its data.", f"{target}.uri")
        if value.get("mode") is not None:
            _one_of(str(value["mode"]), _INPUT_MODES, f"{target}.mode")
        found = check_data(write, write.workspace, value["uri"], kind, target)
        if not asset_reference.names_version(value["uri"]):
            value["uri"] = found


def check_data(write: Write, home: str, uri: str, kind: str, target: str) -> str:
    """As `places.check_data`, with the caller's rights."""
    storage = write.services.storage
    return places.check_data(write.connection, home, storage, uri, kind, target=target, access=write.require)


def check_output(write: Write, uri: str, target: str) -> None:
    """As `places.check_output`, with the caller's rights."""
    storage = write.services.storage
    places.check_output(write.connection, write.workspace, storage, uri, target=target, access=write.require)


def check_outputs(write: Write, outputs: Any) -> None:
    for name, value in _named_objects(outputs, "outputs"):
        target = f"properties.outputs.{name}"
        if value.get("jobOutputType") is None:
            value["jobOutputType"] = "uri_folder"
        _one_of(str(value["jobOutputType"]), _DATA, f"{target}.jobOutputType")
        if value.get("mode") is not None:
            _one_of(str(value["mode"]), _OUTPUT_MODES, f"{target}.mode")
        if value.get("uri"):
            check_output(write, value["uri"], f"{target}.uri")


def _check_placeholders(command: str, properties: Json) -> None:
    for kind, name in placeholders(command):
        declared = properties.get(kind) or {}
        if name not in declared:
            raise validation(
                f"The command uses ${{{{{kind}.{name}}}}}, and the job has no such {kind[:-1]}."
                f"{nearest(name, declared)}",
                "properties.command",
            )


def placeholders(command: str) -> list[tuple[str, str]]:
    """What a command needs, as (`inputs` or `outputs`, name): what stands in `$[[...]]` it does not."""
    return _PLACEHOLDER.findall(re.sub(r"\$\[\[.*?\]\]", "", command, flags=re.DOTALL))


def _check_resources(properties: Json) -> None:
    count = (properties.get("resources") or {}).get("instanceCount", 1)
    if count is not None and (not isinstance(count, int) or count < 1):
        raise validation(f"instanceCount is {count!r} and must be a whole number from 1.", "resources.instanceCount")
    limit = (properties.get("limits") or {}).get("timeout")
    if limit is not None:
        try:
            parse_duration(str(limit))
        except ValueError as error:
            raise validation(f"limits.timeout: {error}.", "properties.limits.timeout") from None
    distribution = properties.get("distribution")
    if distribution:
        kind = str(distribution.get("distributionType"))
        _one_of(kind, _DISTRIBUTIONS, "properties.distribution.distributionType")
        for name in ("processCountPerInstance", "workerCount", "parameterServerCount"):
            value = distribution.get(name)
            if value is not None and (not isinstance(value, int) or value < 0):
                raise validation(f"{name} is {value!r} and must be a whole number.", f"properties.distribution.{name}")
    identity = properties.get("identity")
    if identity:
        _one_of(str(identity.get("identityType")), _IDENTITIES, "properties.identity.identityType")
    tier = (properties.get("queueSettings") or {}).get("jobTier")
    if tier:
        _one_of(str(tier), _TIERS, "properties.queueSettings.jobTier")
    check_variables(properties.get("environmentVariables"), "properties.environmentVariables")


def check_variables(variables: Any, target: str) -> None:
    """Raises ApiError 400 for what no process can get as its environment."""
    if not isinstance(variables or {}, dict):
        raise validation(f"{target.rsplit('.', 1)[-1]} must be an object of texts.", target)
    for name, value in (variables or {}).items():
        if not name or "=" in name or "\0" in f"{name}{value}":
            rule = "such a name is not empty and has no '=', and neither it nor its value has a null character"
            raise validation(f"{name!r} cannot be the name of an environment variable: {rule}.", target)


def _named_objects(value: Any, what: str) -> Iterable[tuple[str, Json]]:
    if value is None:
        return
    if not isinstance(value, dict):
        raise validation(f"{what} must be an object of named {what}.", f"properties.{what}")
    for name, item in value.items():
        if not _NAME.fullmatch(name):
            rule = "letters, digits, '_' and '.', not beginning with a digit"
            raise validation(f"'{name}' is not a valid name of one of the {what}: {rule}.", f"properties.{what}")
        if item is None:
            continue
        if not isinstance(item, dict):
            raise validation(f"{what}.{name} must be an object.", f"properties.{what}.{name}")
        yield name, item


def _one_of(value: str, allowed: tuple[str, ...], target: str) -> None:
    if value.lower() in {word.lower() for word in allowed}:
        return
    name = target.rsplit(".", 1)[-1]
    raise validation(f"{name} is '{value}' and must be one of {', '.join(allowed)}.{nearest(value, allowed)}", target)
