"""`runs/log-*`: what is logged to a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy.engine import Connection

from lazulite.core import json_text
from lazulite.core.errors import ApiError
from lazulite.store import logged_models as model_store
from lazulite.store import run_data
from lazulite.store import runs as run_store
from lazulite.store.run_data import DatasetInput, LoggedPoint, ParamConflict, RunModel
from lazulite.store.runs import Run
from lazulite.tracking.call import Call
from lazulite.tracking.documents import Json
from lazulite.tracking.errors import invalid
from lazulite.tracking.fields import MAX_PARAM_VALUE, Fields, as_integer, as_number, check_name, missing, shortened
from lazulite.tracking.runs import tag

MOST_METRICS, MOST_PARAMS, MOST_TAGS, MOST_IN_ALL = 1000, 100, 250, 1000
_INT64 = 2**63
_LOGGED_MODELS_TAG = "mlflow.log-model.history"

#: A metric with the model and the dataset (name, digest) it is said to be of.
Measured = tuple[LoggedPoint, str | None, str | None, str | None]


async def log_metric(call: Call) -> Json:
    run_id = call.fields.run_id()
    return await _log(call, run_id, [_measured(call.fields, "")], {}, {})


async def log_param(call: Call) -> Json:
    run_id, key = call.fields.run_id(), call.fields.text("key")
    value = shortened(MAX_PARAM_VALUE, call.fields.maybe_text("value"))

    def write(c: Connection) -> None:
        run = call.run_to_write(c, run_id)
        try:
            run_data.log_params(c, run.number, {check_name(key, kind="Param key"): value})
        except ParamConflict as conflict:
            (_, old, new), = conflict.conflicts  # fmt: skip
            raise invalid(
                f"Changing param values is not allowed. Param with key='{key}' was already logged with "
                f"value='{old}' for run ID='{run_id}'. Attempted logging new value '{new}'."
            ) from None

    await call.write(write)
    return {}


async def log_batch(call: Call) -> Json:
    fields = call.fields
    run_id = fields.run_id()
    sent = {name: fields.objects(name) for name in ("metrics", "params", "tags")}
    _check_counts({name: len(items) for name, items in sent.items()})
    points = [_measured(item, f"metrics[{n}].") for n, item in enumerate(sent["metrics"])]
    params = _params(sent["params"])
    tags = dict(
        tag(_key(item, f"tags[{n}].key"), item.maybe_text("value"), f"tags[{n}].key")
        for n, item in enumerate(sent["tags"])
    )
    return await _log(call, run_id, points, params, tags)


async def log_inputs(call: Call) -> Json:
    run_id = call.fields.run_id()
    datasets = [_dataset(item) for item in call.fields.objects("datasets")]
    models = [RunModel("input", item.text("model_id"), 0) for item in call.fields.objects("models")]

    def write(c: Connection) -> None:
        run = call.run_to_write(c, run_id)
        for item in datasets:
            run_data.add_dataset(c, run.number, run.experiment_number, item)
        for model in models:
            run_data.add_model(c, run.number, model)

    await call.write(write)
    return {}


async def log_outputs(call: Call) -> Json:
    run_id = call.fields.run_id()
    models = [
        RunModel("output", item.text("model_id"), item.maybe_integer("step") or 0)
        for item in call.fields.objects("models")
    ]

    def write(c: Connection) -> None:
        run = call.run_to_write(c, run_id)
        for model in models:
            run_data.add_model(c, run.number, model)

    await call.write(write)
    return {}


async def log_model(call: Call) -> Json:
    """What MLflow 1 and 2 clients say after `log_model`: kept, one after another, in a tag of the run."""
    run_id, text = call.fields.run_id(), call.fields.text("model_json")
    json_text.check_limits(text.encode())
    try:
        model = msgspec.json.decode(text, type=dict[str, object])
    except msgspec.MsgspecError:
        raise invalid(f"Malformed model info. \n {text} \n is not a valid JSON.") from None
    if lacking := {"artifact_path", "flavors", "utc_time_created", "run_id"} - model.keys():
        raise invalid(f"Model json is missing mandatory fields: {lacking}")

    def write(c: Connection) -> None:
        run = call.run_to_write(c, run_id)
        known = run_data.tags_of(c, [run.number])[run.number].get(_LOGGED_MODELS_TAG, "[]")
        history = msgspec.json.encode([*msgspec.json.decode(known, type=list[object]), model]).decode()
        run_store.write_tags(c, run.number, {_LOGGED_MODELS_TAG: history})

    await call.write(write)
    return {}


async def _log(
    call: Call, run_id: str, points: Sequence[Measured], params: dict[str, str], tags: dict[str, str]
) -> Json:
    def write(c: Connection) -> None:
        run = call.run_to_write(c, run_id)
        try:
            run_data.log_params(c, run.number, params)
        except ParamConflict as conflict:
            raise _changed(run_id, conflict) from None
        if points:
            run_data.log_points(c, run.number, run.experiment_number, [point for point, *_ in points])
            _log_to_models(c, call, run, points)
        if tags:
            run_store.write_tags(c, run.number, tags)

    await call.write(write)
    return {}


def _log_to_models(c: Connection, call: Call, run: Run, points: Sequence[Measured]) -> None:
    of_models = [(model_id, name, digest, point) for point, model_id, name, digest in points if model_id]
    if of_models:
        model_store.log_points(c, call.workspace, of_models, run.run_id)


def _measured(item: Fields, path: str) -> Measured:
    values = item.values
    key: Any = values.get("key")
    value: Any = values.get("value")
    timestamp: Any = values.get("timestamp")
    step: Any = values.get("step")
    # What clients send, without the care that the words of a refusal need.
    plain = key and type(key) is str and type(value) is float and type(timestamp) is int and type(step) is int
    if plain and len(values) == 4 and 0 <= timestamp < _INT64 and -_INT64 <= step < _INT64:
        return LoggedPoint(check_name(key, "name", kind="Metric name"), value, timestamp, step), None, None, None
    return _measured_carefully(item, path)


def _measured_carefully(item: Fields, path: str) -> Measured:
    key, values = _key(item, f"{path}key"), item.values
    if values.get("value") is None:
        raise missing(f"{path}value")
    value = as_number(f"{path}value", values["value"])
    if values.get("timestamp") is None:
        raise missing(f"{path}timestamp")
    timestamp = as_integer(f"{path}timestamp", values["timestamp"])
    if timestamp < 0:
        raise invalid(
            f"Invalid value {timestamp} for parameter '{path}timestamp' supplied: metric '{key}' (value={value}). "
            "Timestamp must be a nonnegative long (64-bit integer) "
        )
    step = as_integer(f"{path}step", values.get("step") or 0)
    check_name(key, f"{path}name", kind="Metric name")
    point = LoggedPoint(key, value, timestamp, step)
    return point, item.maybe_text("model_id"), item.maybe_text("dataset_name"), item.maybe_text("dataset_digest")


def _params(items: Sequence[Fields]) -> dict[str, str]:
    found: dict[str, str] = {}
    twice = []
    for n, item in enumerate(items):
        key = check_name(_key(item, f"params[{n}].key"), f"params[{n}].key", kind="Param key")
        if key in found:
            twice.append(key)
        found[key] = shortened(MAX_PARAM_VALUE, item.maybe_text("value"))
    if twice:
        raise invalid(
            f"Duplicate parameter keys have been submitted: {twice}. Please ensure "
            "the request contains only one param value per param key."
        )
    return found


def _key(item: Fields, path: str) -> str:
    key = item.maybe_text("key")
    if not key:
        raise missing(path)
    return key


def _check_counts(counts: dict[str, int]) -> None:
    for name, most in (("metrics", MOST_METRICS), ("params", MOST_PARAMS), ("tags", MOST_TAGS)):
        if counts[name] > most:
            raise invalid(
                f"A batch logging request can contain at most {most} {name}. Got {counts[name]} {name}. Please split "
                f"up {name} across multiple requests and try again."
            )
    if sum(counts.values()) > MOST_IN_ALL:
        raise invalid(f"A batch logging request can contain at most {MOST_IN_ALL} metrics, params and tags in all.")


def _changed(run_id: str, conflict: ParamConflict) -> ApiError:
    params = [{"key": key, "old_value": old, "new_value": new} for key, old, new in conflict.conflicts]
    return invalid(
        f"Changing param values is not allowed. Params were already logged='{params}' for run ID='{run_id}'."
    )


def _dataset(item: Fields) -> DatasetInput:
    found = item.values.get("dataset")
    if not isinstance(found, dict):
        raise missing("dataset")
    dataset = Fields(found)
    return DatasetInput(
        dataset.text("name"),
        dataset.text("digest"),
        dataset.text("source_type"),
        dataset.text("source"),
        dataset.maybe_text("schema"),
        dataset.maybe_text("profile"),
        {key or "": value or "" for key, value in item.pairs("tags")},
    )
