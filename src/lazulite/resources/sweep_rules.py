"""What a sweep job must hold to be accepted: settings that can be met, and a trial that is a proper command job."""

from __future__ import annotations

import dataclasses
from importlib.util import find_spec

from lazulite.core.errors import ApiError, nearest, validation
from lazulite.core.extras import install_command
from lazulite.model import sweep
from lazulite.model.search_space import Dimension
from lazulite.resources import job_rules
from lazulite.resources.declaration import Write
from lazulite.store.resources import Json

#: Fields of the trial's command job that lie elsewhere in the document the client sent.
_OF_TRIAL = ("command", "codeId", "environmentId", "distribution", "environmentVariables")


def check_sweep_job(write: Write) -> Json:
    """Validate a sweep and pin what its trials refer to, as `check_command_job` does.

    Raises ApiError 400 or 404 naming the field, what was wrong with it and what would be right.
    """
    if not _can_sample():
        what = "Sweep jobs need the extra 'sweeps' in the server's environment. Install it, and start the server again"
        raise ApiError(501, "NotImplemented", f"{what}: {install_command('sweeps')}", target="properties.jobType")
    properties = write.properties
    settings = sweep.read(write.name, properties)
    job_rules.check_component(write)
    trial = properties.get("trial")
    if not isinstance(trial, dict):
        raise validation(
            "A sweep needs properties.trial, the command that each of its trials runs.", "properties.trial"
        )
    if properties.get("resources") is not None and not isinstance(properties["resources"], dict):
        raise validation("resources must be an object.", "properties.resources")
    for name in ("inputs", "outputs"):
        if not isinstance(properties.get(name) or {}, dict):
            raise validation(f"{name} must be an object of named {name}.", f"properties.{name}")
    _check_searched(str(trial.get("command") or ""), [name for name, _ in settings.space.entries])
    _, values = settings.space.draw(_first)
    # Outputs are the same objects, so that a type filled in for the trial stands in the sweep too.
    body = {"properties": {**sweep.trial_properties(properties, values), "outputs": properties.get("outputs")}}
    try:
        return job_rules.check_command_job(dataclasses.replace(write, body=body))
    except ApiError as error:
        raise _of_trial(error) from None


def _first(dimension: Dimension) -> int | float:
    return 0.5 if dimension.size is None else 0


def _check_searched(command: str, names: list[str]) -> None:
    for name in sweep.searched_names(command):
        if name not in names:
            raise validation(
                f"The trial's command uses ${{{{search_space.{name}}}}}, and searchSpace has no '{name}'."
                f"{nearest(name, names)}",
                "properties.trial.command",
            )


def _of_trial(error: ApiError) -> ApiError:
    """The same refusal with the field's place in a sweep's document."""
    field = (error.target or "").removeprefix("properties.")
    if field.split(".")[0] in _OF_TRIAL:
        error.target = f"properties.trial.{field}"
    return error


def _can_sample() -> bool:
    """Whether what draws points is installed: it is an extra, for its size."""
    return all(find_spec(name) is not None for name in ("optuna", "scipy"))
