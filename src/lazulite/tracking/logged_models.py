"""`logged-models/*`: the models that MLflow 3 clients log."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.store import experiments as experiment_store
from lazulite.store import logged_models as store
from lazulite.store.logged_models import LoggedModel
from lazulite.store.run_tables import (
    experiments,
    logged_model_metrics,
    logged_model_params,
    logged_model_tags,
    logged_models,
)
from lazulite.tracking.artifacts import check_model
from lazulite.tracking.call import Call
from lazulite.tracking.conditions import Column, compare, keyed, next_token, page_limits
from lazulite.tracking.documents import Json, model_documents
from lazulite.tracking.errors import does_not_exist, invalid
from lazulite.tracking.fields import MAX_PARAM_VALUE, MAX_TAG_VALUE, Fields, check_name, missing, shortened
from lazulite.tracking.grammar import Comparison, Grammar

DEFAULT, MOST = 100, 1000
MODELS = Grammar(
    strings=frozenset({"name", "model_id", "model_type", "status", "source_run_id", "experiment_id"}),
    numbers=frozenset({"creation_timestamp_ms", "last_updated_timestamp_ms"}),
    kinds=frozenset({"metric", "parameter", "tag"}),
    aliases={
        "creation_time": "creation_timestamp_ms",
        "creation_timestamp": "creation_timestamp_ms",
        "last_updated_timestamp": "last_updated_timestamp_ms",
    },
    ordered_kinds=True,
)
_COLUMNS: dict[str, Column] = {
    "name": logged_models.c.name,
    "model_id": logged_models.c.model_id,
    "model_type": logged_models.c.model_type,
    "status": sa.func.replace(logged_models.c.status, "LOGGED_MODEL_", ""),
    "source_run_id": logged_models.c.run_id,
    "experiment_id": sa.case((experiments.c.is_default, "0"), else_=sa.cast(experiments.c.number, sa.String)),
    "creation_timestamp_ms": logged_models.c.created_ms,
    "last_updated_timestamp_ms": logged_models.c.updated_ms,
}
_STATUSES = {
    1: "LOGGED_MODEL_PENDING",
    2: "LOGGED_MODEL_READY",
    3: "LOGGED_MODEL_UPLOAD_FAILED",
}
_BAD = ("/", ":", ".", "%", '"', "'")


async def create(call: Call) -> Json:
    fields = call.fields
    experiment_id, run_id = fields.text("experiment_id"), fields.maybe_text("source_run_id") or None
    run_id = run_id or call.principal.run  # a model that a job logs outside a run is the job's own
    model_id = f"m-{uuid.uuid4().hex}"
    name = fields.maybe_text("name") or f"model-{model_id[2:10]}"
    if any(bad in name for bad in _BAD):
        raise invalid(
            f"Invalid model name ({name!r}) provided. Model name must be a non-empty string and cannot contain the "
            f"following characters: {_BAD}"
        )
    tags, params = _tags(fields), _params(fields)

    def write(c: Connection) -> Json:
        experiment = call.experiment(c, experiment_id, write=True)
        if experiment.lifecycle != "active":
            raise invalid(f"The experiment {experiment_id} must be in the 'active' state.")
        run = call.run_to_write(c, run_id) if run_id else None
        model = store.create(
            c,
            call.workspace,
            model_id,
            experiment,
            name=name,
            run_id=run.run_id if run else None,
            model_type=fields.maybe_text("model_type"),
            tags=tags,
            params=params,
        )
        return _answer(c, call, model)

    return await call.write(write)


async def get(call: Call) -> Json:
    return await call.read(lambda c: _answer(c, call, _model(c, call)))


async def finish(call: Call) -> Json:
    status = call.fields.values.get("status")
    if isinstance(status, int):
        status = _STATUSES.get(status)
    if status not in _STATUSES.values():
        raise missing("status")

    def write(c: Connection) -> Json:
        store.finish(c, _model_to_write(c, call), str(status))
        return _answer(c, call, _model(c, call))

    return await call.write(write)


async def delete(call: Call) -> Json:
    await call.write(lambda c: store.delete(c, _model_to_write(c, call)))
    return {}


async def set_tags(call: Call) -> Json:
    tags = _tags(call.fields)

    def write(c: Connection) -> Json:
        model = _model_to_write(c, call)
        store.set_tags(c, model, tags)
        return _answer(c, call, model)

    return await call.write(write)


async def delete_tag(call: Call) -> Json:
    key = call.request.path_params["tag_key"]

    def write(c: Connection) -> None:
        if not store.delete_tag(c, _model_to_write(c, call), key):
            raise does_not_exist(f"No tag with key {key!r} found for model with ID {_model_id(call)!r}.")

    await call.write(write)
    return {}


async def log_params(call: Call) -> Json:
    params = _params(call.fields)
    await call.write(lambda c: store.log_params(c, _model_to_write(c, call), params))
    return {}


async def search(call: Call) -> Json:
    fields = call.fields
    comparisons = MODELS.parse(fields.maybe_text("filter"))
    datasets = [(item.text("dataset_name"), item.maybe_text("dataset_digest")) for item in fields.objects("datasets")]
    orders = fields.objects("order_by")
    limit, offset = page_limits(
        fields.maybe_integer("max_results"), fields.maybe_text("page_token"), default=DEFAULT, most=MOST
    )
    ids = fields.texts("experiment_ids")
    if not ids:
        raise missing("experiment_ids")

    def read(c: Connection) -> Json:
        numbers = experiment_store.numbers(c, call.workspace, ids)
        query = store.SELECT.where(logged_models.c.experiment.in_(numbers), logged_models.c.lifecycle == "active")
        for one in comparisons:
            query = query.where(_condition(c, one, datasets))
        if datasets and not any(one.kind == "metric" for one in comparisons):
            query = query.where(sa.or_(*(_measured_on(name, digest) for name, digest in datasets)))
        for order in orders:
            query = _ordered(query, order)
        query = query.order_by(logged_models.c.created_ms.desc(), logged_models.c.number.desc())
        found = [store.from_row(row) for row in c.execute(query.limit(limit + 1).offset(offset))]
        document: Json = {"models": model_documents(c, call, found[:limit])}
        if len(found) > limit:
            document["next_page_token"] = next_token(offset + limit)
        return document

    return await call.read(read)


def _condition(c: Connection, one: Comparison, datasets: list[tuple[str, str | None]]) -> sa.ColumnElement[bool]:
    number = logged_models.c.number
    if one.kind == "attribute":
        return compare(c, _COLUMNS[one.key], one.operator, one.value)
    if one.kind == "tag":
        return keyed(c, logged_model_tags, logged_model_tags.c.model, number, one.key, one.operator, one.value)
    if one.kind == "parameter":
        return keyed(c, logged_model_params, logged_model_params.c.model, number, one.key, one.operator, one.value)
    columns = logged_model_metrics.c
    exists = sa.exists().where(columns.model == number, columns.key == one.key, ~columns.is_nan)
    exists = exists.where(compare(c, columns.value, one.operator, one.value))
    return exists.where(sa.or_(*(_dataset(name, digest) for name, digest in datasets))) if datasets else exists


def _measured_on(name: str, digest: str | None) -> sa.ColumnElement[bool]:
    return sa.exists().where(logged_model_metrics.c.model == logged_models.c.number, _dataset(name, digest))


def _dataset(name: str, digest: str | None) -> sa.ColumnElement[bool]:
    same = logged_model_metrics.c.dataset_name == name
    return same & (logged_model_metrics.c.dataset_digest == digest) if digest else same


def _ordered(query: sa.Select[*tuple[Any, ...]], order: Fields) -> sa.Select[*tuple[Any, ...]]:
    (parsed,) = MODELS.parse_order([order.text("field_name")])
    ascending = order.values.get("ascending", True) is not False
    if parsed.kind == "attribute":
        column: Column = _COLUMNS[parsed.key]
    elif parsed.kind == "metric":
        points = logged_model_metrics.alias()
        value = sa.select(points.c.value).where(points.c.model == logged_models.c.number, points.c.key == parsed.key)
        if name := order.maybe_text("dataset_name"):
            value = value.where(points.c.dataset_name == name)
        column = value.order_by(points.c.step.desc(), points.c.timestamp.desc()).limit(1).scalar_subquery()
    else:
        table = (logged_model_params if parsed.kind == "parameter" else logged_model_tags).alias()
        text = sa.select(table.c.value).where(table.c.model == logged_models.c.number, table.c.key == parsed.key)
        column = text.scalar_subquery()
    return query.order_by(column.is_(None), column.asc() if ascending else column.desc())


def _model(c: Connection, call: Call) -> LoggedModel:
    model = store.get(c, call.workspace, _model_id(call))
    if model is None:
        raise does_not_exist(f"Logged model with ID '{_model_id(call)}' not found.")
    return model


def _model_to_write(c: Connection, call: Call) -> LoggedModel:
    model = _model(c, call)
    check_model(c, call, model)
    return model


def _model_id(call: Call) -> str:
    return str(call.request.path_params["model_id"])


def _answer(c: Connection, call: Call, model: LoggedModel) -> Json:
    return {"model": model_documents(c, call, [model])[0]}


def _tags(fields: Fields) -> dict[str, str]:
    return {check_name(key): shortened(MAX_TAG_VALUE, value) for key, value in fields.pairs("tags")}


def _params(fields: Fields) -> dict[str, str]:
    return {check_name(key): shortened(MAX_PARAM_VALUE, value) for key, value in fields.pairs("params")}
