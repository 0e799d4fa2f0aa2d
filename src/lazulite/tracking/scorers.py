"""`scorers/*`: what `mlflow.genai` judges with, kept in versions. Clients run them; the server never does."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core import json_text
from lazulite.core.errors import ApiError
from lazulite.store import experiments as experiment_store
from lazulite.store import scorers as store
from lazulite.store.experiments import Experiment, workspace_number
from lazulite.store.run_tables import experiments
from lazulite.store.scorers import ScorerVersion
from lazulite.tracking.call import Call, check_experiment_id
from lazulite.tracking.documents import Json
from lazulite.tracking.errors import does_not_exist, invalid


async def register(call: Call) -> Json:
    experiment_id, name = call.fields.text("experiment_id"), call.fields.text("name")
    serialized = call.fields.text("serialized_scorer")
    _check(name, serialized)

    def write(c: Connection) -> Json:
        experiment = _experiment(c, call, experiment_id, write=True)
        version = store.register(c, experiment.number, name, serialized)
        made = store.versions(c, experiment.number, name)[-1]
        return {
            "version": version,
            "scorer_id": made.scorer_id,
            "experiment_id": made.experiment_id,
            "name": made.name,
            "serialized_scorer": made.serialized,
            "creation_time": made.created_ms,
        }

    return await call.write(write)


async def newest(call: Call) -> Json:
    """The newest version of each scorer of an experiment, of several, or of all that are active."""
    one, several = call.fields.maybe_text("experiment_id"), call.fields.texts("experiment_ids")
    if one and several:
        raise invalid(
            "Cannot specify both 'experiment_id' and 'experiment_ids'. Use 'experiment_ids' to scope the query to "
            "multiple experiments, or 'experiment_id' to scope it to a single experiment."
        )
    for each in several:
        check_experiment_id(each)

    def read(c: Connection) -> Json:
        numbers = [_experiment(c, call, one).number] if one else _active(c, call, several)
        return {"scorers": [_document(found) for found in store.newest(c, numbers)]}

    return await call.read(read)


async def versions(call: Call) -> Json:
    return await call.read(lambda c: {"scorers": [_document(one) for one in _versions(c, call)]})


async def get(call: Call) -> Json:
    wanted = call.fields.maybe_integer("version")

    def read(c: Connection) -> Json:
        for found in reversed(_versions(c, call)):
            if wanted is None or found.version == wanted:
                return {"scorer": _document(found)}
        raise _no_such_scorer(call, wanted)

    return await call.read(read)


async def online_configs(call: Call) -> Json:
    """On which traces a server runs which scorers: this one runs none."""
    call.fields.text("scorer_ids")
    return {"configs": []}


async def delete(call: Call) -> Json:
    call.check_not_a_job("delete scorers")
    version = call.fields.maybe_integer("version")

    def write(c: Connection) -> None:
        experiment = _experiment(c, call, call.fields.text("experiment_id"))
        if not store.delete(c, experiment.number, call.fields.text("name"), version):
            raise _no_such_scorer(call, version)

    await call.write(write)
    return {}


def _versions(c: Connection, call: Call) -> list[ScorerVersion]:
    experiment_id, name = call.fields.text("experiment_id"), call.fields.text("name")
    found = store.versions(c, _experiment(c, call, experiment_id).number, name)
    if not found:
        raise _no_such_scorer(call, None)
    return found


def _experiment(c: Connection, call: Call, experiment_id: str, *, write: bool = False) -> Experiment:
    found = call.experiment(c, experiment_id, write=write)
    if found.lifecycle != "active":
        raise invalid(
            f"The experiment {experiment_id} must be in the 'active' state. Current state is {found.lifecycle}."
        )
    return found


def _active(c: Connection, call: Call, wanted: list[str]) -> list[int]:
    if wanted:
        found = [experiment_store.get(c, call.workspace, one) for one in dict.fromkeys(wanted)]
        return [one.number for one in found if one is not None and one.lifecycle == "active"]
    columns = experiments.c
    where = (columns.workspace == workspace_number(call.workspace)) & (columns.lifecycle == "active")
    return list(c.scalars(sa.select(columns.number).where(where)))


def _check(name: str, serialized: str) -> None:
    """Raises ApiError. What a client wrote as code is refused, as MLflow's server does unless told otherwise."""
    if not name.strip():
        raise invalid("Scorer name cannot be empty or contain only whitespace.")
    json_text.check_limits(serialized.encode())
    try:
        document = json.loads(serialized)
    except (ValueError, RecursionError):
        raise invalid("serialized_scorer must be valid JSON") from None
    if _has_code(document):
        raise invalid(
            "Custom scorer registration (using the @scorer decorator) is not supported: its code would have to be "
            "kept and run by whoever loads it. Use a built-in scorer or make_judge."
        )


def _has_code(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get("call_source") is not None or any(map(_has_code, value.values()))
    return isinstance(value, list) and any(map(_has_code, value))


def _document(found: ScorerVersion) -> Json:
    return {
        "experiment_id": int(found.experiment_id),
        "scorer_name": found.name,
        "scorer_version": found.version,
        "serialized_scorer": found.serialized,
        "creation_time": found.created_ms,
        "scorer_id": found.scorer_id,
    }


def _no_such_scorer(call: Call, version: int | None) -> ApiError:
    which = f" and version {version}" if version is not None else ""
    name, experiment_id = call.fields.text("name"), call.fields.text("experiment_id")
    return does_not_exist(f"Scorer with name '{name}'{which} not found for experiment {experiment_id}.")
