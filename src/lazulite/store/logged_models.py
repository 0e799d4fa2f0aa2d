"""Logged models: what MLflow 3 clients make with `log_model`, beside the run that made them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core.clock import now_ms
from lazulite.store.artifacts import run_folder
from lazulite.store.bulk import upsert
from lazulite.store.experiments import DEFAULT_ID, Experiment, workspace_number
from lazulite.store.run_data import LoggedPoint
from lazulite.store.run_tables import (
    experiments,
    logged_model_metrics,
    logged_model_params,
    logged_model_tags,
    logged_models,
)


@dataclass(frozen=True, slots=True)
class LoggedModel:
    """`path` is the folder of its files in the workspace's artifact container. Times in milliseconds."""

    number: int
    model_id: str
    experiment_number: int
    experiment_id: str
    run_id: str | None
    name: str
    model_type: str | None
    status: str
    status_message: str | None
    path: str
    lifecycle: str
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True)
class ModelPoint:
    """A metric of a model: the run it was logged to, and the dataset it was measured on."""

    run_id: str
    key: str
    value: float
    timestamp: int
    step: int
    dataset_name: str | None
    dataset_digest: str | None


def create(
    c: Connection,
    workspace_id: str,
    model_id: str,
    experiment: Experiment,
    *,
    name: str,
    run_id: str | None,
    model_type: str | None,
    tags: dict[str, str],
    params: dict[str, str],
) -> LoggedModel:
    """Add a model in status LOGGED_MODEL_PENDING.

    Its files lie in its run's folder under its name, where people and older clients look for a model; where that
    folder is another model's, or there is no run, in a folder of its own.
    """
    workspace, now = workspace_number(workspace_id), now_ms()
    path = f"{run_folder(run_id)}/{name}" if run_id else f"LoggedModels/{model_id}"
    if run_id:
        same = (logged_models.c.workspace == workspace) & (logged_models.c.run_id == run_id)
        if c.scalar(sa.select(logged_models.c.number).where(same, logged_models.c.path == path).limit(1)) is not None:
            path = f"{run_folder(run_id)}/models/{model_id}"
    values = {
        "workspace": workspace,
        "model_id": model_id,
        "experiment": experiment.number,
        "run_id": run_id,
        "name": name,
        "model_type": model_type,
        "status": "LOGGED_MODEL_PENDING",
        "path": path,
        "lifecycle": "active",
        "created_ms": now,
        "updated_ms": now,
    }
    number = c.execute(logged_models.insert().returning(logged_models.c.number), values).scalar_one()
    model = LoggedModel(
        number, model_id, experiment.number, experiment.id, run_id, name, model_type, "LOGGED_MODEL_PENDING", None,
        path, "active", now, now,
    )  # fmt: skip
    set_tags(c, model, tags)
    log_params(c, model, params)
    return model


def get(c: Connection, workspace_id: str, model_id: str) -> LoggedModel | None:
    """The model, unless it was deleted."""
    where = (logged_models.c.workspace == workspace_number(workspace_id)) & (logged_models.c.model_id == model_id)
    row = c.execute(SELECT.where(where, logged_models.c.lifecycle == "active")).first()
    return from_row(row) if row else None


def finish(c: Connection, model: LoggedModel, status: str) -> None:
    _set(c, model, status=status)


def delete(c: Connection, model: LoggedModel) -> None:
    """It is no longer found; its files stay, as a run's do."""
    _set(c, model, lifecycle="deleted")


def set_tags(c: Connection, model: LoggedModel, tags: dict[str, str]) -> None:
    if tags:
        _UPSERT_TAG.run(c, [(model.number, key, value) for key, value in tags.items()])


def delete_tag(c: Connection, model: LoggedModel, key: str) -> bool:
    where = (logged_model_tags.c.model == model.number) & (logged_model_tags.c.key == key)
    return c.execute(logged_model_tags.delete().where(where)).rowcount > 0


def log_params(c: Connection, model: LoggedModel, params: dict[str, str]) -> None:
    if params:
        _UPSERT_PARAM.run(c, [(model.number, key, value) for key, value in params.items()])


def log_points(
    c: Connection, workspace_id: str, points: Iterable[tuple[str, str | None, str | None, LoggedPoint]], run_id: str
) -> None:
    """Metrics logged to `run_id` that are of models: (model id, dataset name, dataset digest, point)."""
    wanted = list(points)
    where = logged_models.c.model_id.in_(list({model_id for model_id, *_ in wanted}))
    query = sa.select(logged_models.c.model_id, logged_models.c.number).where(
        logged_models.c.workspace == workspace_number(workspace_id), where
    )
    numbers: dict[str, int] = {row.model_id: row.number for row in c.execute(query)}
    rows: list[tuple[Any, ...]] = []
    for model_id, name, digest, point in wanted:
        if model_id in numbers:
            is_nan = point.value != point.value
            value = 0.0 if is_nan else point.value
            rows.append(
                (numbers[model_id], run_id, point.key, point.step, point.timestamp, value, is_nan, name, digest)
            )
    if rows:
        _UPSERT_POINT.run(c, rows)


def tags_of(c: Connection, models: Sequence[int]) -> dict[int, dict[str, str]]:
    return _texts(c, logged_model_tags, models)


def params_of(c: Connection, models: Sequence[int]) -> dict[int, dict[str, str]]:
    return _texts(c, logged_model_params, models)


def metrics_of(c: Connection, models: Sequence[int]) -> dict[int, list[ModelPoint]]:
    """The newest value of each metric, run and dataset of each of these models."""
    newest: dict[int, dict[tuple[str, str, str | None], ModelPoint]] = {number: {} for number in models}
    columns = logged_model_metrics.c
    query = sa.select(logged_model_metrics).where(columns.model.in_(list(models)))
    for row in c.execute(query.order_by(columns.step, columns.timestamp)):
        value = float("nan") if row.is_nan else row.value
        newest[row.model][row.key, row.run_id, row.dataset_name] = ModelPoint(
            row.run_id, row.key, value, row.timestamp, row.step, row.dataset_name, row.dataset_digest
        )
    return {number: list(found.values()) for number, found in newest.items()}


def from_row(row: Any) -> LoggedModel:
    """The model of a row of `SELECT`."""
    values: dict[str, Any] = dict(row._mapping)
    is_default = values.pop("is_default")
    values["experiment_id"] = DEFAULT_ID if is_default else str(values["experiment_number"])
    return LoggedModel(**values)


def _set(c: Connection, model: LoggedModel, **values: Any) -> None:
    c.execute(
        logged_models.update().where(logged_models.c.number == model.number).values(updated_ms=now_ms(), **values)
    )


def _texts(c: Connection, table: sa.Table, models: Sequence[int]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {number: {} for number in models}
    for row in c.execute(sa.select(table).where(table.c.model.in_(list(models)))):
        found[row.model][row.key] = row.value
    return found


#: Models with what their experiments are known by, in the words of `LoggedModel`.
SELECT = sa.select(
    logged_models.c.number,
    logged_models.c.model_id,
    logged_models.c.experiment.label("experiment_number"),
    logged_models.c.run_id,
    logged_models.c.name,
    logged_models.c.model_type,
    logged_models.c.status,
    logged_models.c.status_message,
    logged_models.c.path,
    logged_models.c.lifecycle,
    logged_models.c.created_ms,
    logged_models.c.updated_ms,
    experiments.c.is_default,
).join_from(logged_models, experiments, logged_models.c.experiment == experiments.c.number)
_UPSERT_TAG = upsert(logged_model_tags, ["value"])
_UPSERT_PARAM = upsert(logged_model_params, ["value"])
_UPSERT_POINT = upsert(logged_model_metrics, ["value", "is_nan", "dataset_name", "dataset_digest"])
