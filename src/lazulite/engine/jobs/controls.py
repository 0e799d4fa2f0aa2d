"""Control outputs: the texts, numbers and flags that a step gives to the pipeline around it."""

from __future__ import annotations

import json
import os
from typing import Any

import msgspec
from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.errors import ApiError
from lazulite.core.paths import UnsafePath, open_file
from lazulite.engine.jobs.decide import failed
from lazulite.model.job_status import JobState, JobStatus
from lazulite.resources import places, typed_inputs
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Json, Resource

#: The property of a run under which steps of `mldesigner` leave the values of their control outputs.
PROPERTY = "azureml.pipeline.control"
MAX_BYTES = 64 * 1024


def declared(spec: Json, primitives: tuple[str, ...]) -> dict[str, str]:
    """The control outputs of a component's specification, with their types."""
    kinds = {
        name: str((output or {}).get("type") or "").lower() for name, output in (spec.get("outputs") or {}).items()
    }
    return {name: kind for name, kind in kinds.items() if kind in primitives}


def settle(c: Connection, storage: StorageLocator, job: Resource, ending: JobStatus, now: str) -> JobStatus:
    """The ending of a job with the values of its control outputs; a failure where one is missing or ill-typed."""
    wanted: dict[str, str] = job.spec.get("controls") or {}
    if ending.state is not JobState.COMPLETED or not wanted:
        return ending
    outputs = dict(ending.outputs)
    try:
        for name, kind in wanted.items():
            if name not in outputs:
                raise _missing(job, name)
            value = read(c, storage, job, name, outputs[name].uri)
            _check(job, name, value, kind)
            outputs[name] = msgspec.structs.replace(outputs[name], value=value)
    except (ApiError, UnsafePath) as error:
        code = error.code if isinstance(error, ApiError) else "UserError/InvalidPath"
        message = error.message if isinstance(error, ApiError) else str(error)
        before = msgspec.structs.replace(ending, state=ending.states[-2].state, states=ending.states[:-1])
        return failed(before, code, message, now)
    return msgspec.structs.replace(ending, outputs=outputs)


def read(c: Connection, storage: StorageLocator, job: Resource, name: str, uri: str) -> str:
    """The value of a control output: what the run's properties say, else what the step wrote into the output's file.

    Raises ApiError where there is none.
    """
    said = _said(job)
    if name in said:
        return str(said[name])
    where = places.locate(c, arm_id.workspace_of(job.id), storage, uri)
    path = storage.local_path(where.account, where.container, where.path) if where.account and where.container else None
    step = _step(job)
    if path is None:
        text = (
            f"The control output '{name}' of the step '{step}' lies at '{where.uri}'; only plain folders can be read."
        )
        raise ApiError(501, "NotImplemented", text)
    try:
        with os.fdopen(open_file(path), "rb") as file:
            found = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError, UnsafePath):
        raise _missing(job, name) from None
    if len(found) > MAX_BYTES:
        text = f"The control output '{name}' of the step '{step}' is longer than {MAX_BYTES} bytes."
        raise ApiError(400, "ControlOutputTooLong", text)
    return found.decode(errors="replace").strip()


def _step(job: Resource) -> str:
    return str(job.spec.get("node") or job.name)


def _missing(job: Resource, name: str) -> ApiError:
    text = (
        f"The step '{_step(job)}' gave no value for its control output '{name}': write it to ${{{{outputs.{name}}}}}."
    )
    return ApiError(400, "ControlOutputMissing", text)


def _said(job: Resource) -> Json:
    """What the properties say: all values in one, or each in its own for those that were ready before the end."""
    properties: Json = job.properties.get("properties") or {}
    early = {k.removeprefix(f"{PROPERTY}."): v for k, v in properties.items() if k.startswith(f"{PROPERTY}.")}
    said: Any = properties.get(PROPERTY)
    try:
        found = json.loads(said) if isinstance(said, str) else None
    except ValueError:
        return early
    return {**early, **found} if isinstance(found, dict) else early


def _check(job: Resource, name: str, value: str, kind: str) -> None:
    where = f"the step '{_step(job)}'"
    try:
        typed_inputs.check(name, value, {"type": kind}, where=where, target=f"outputs.{name}")
    except ApiError as error:
        rule = error.message.partition(" and must be ")[2]
        shown = value if len(value) <= 80 else f"{value[:80]}..."
        text = f"The control output '{name}' of {where} is '{shown}' and must be {rule}"
        raise ApiError(400, "ControlOutputInvalid", text) from None
