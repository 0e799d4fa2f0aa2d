"""What is logged to runs: metrics, parameters, datasets and models. Runs are named by their number here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.store.bulk import list_parameter, list_value, rows_of, upsert
from lazulite.store.run_tables import (
    datasets,
    latest_metrics,
    metric_points,
    run_datasets,
    run_models,
    run_params,
    run_tags,
)


class LoggedPoint(msgspec.Struct, frozen=True):
    """One value of a metric, as it is written and read. `value` may be NaN or infinite."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True, slots=True)
class DatasetInput:
    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None
    profile: str | None
    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class RunModel:
    """A logged model that a run read (`input`) or made (`output`)."""

    direction: str
    model_id: str
    step: int


class ParamConflict(Exception):
    """Parameters are written once; `conflicts` has (key, old value, new value) of those sent with another value."""

    def __init__(self, conflicts: list[tuple[str, str, str]]) -> None:
        super().__init__(conflicts)
        self.conflicts = conflicts


def log_points(c: Connection, run: int, experiment: int, points: Iterable[LoggedPoint]) -> None:
    """Append points; one that is there already stays as it is. The newest by (step, timestamp, value) is the latest."""
    rows: list[tuple[Any, ...]] = []
    latest: dict[str, tuple[Any, ...]] = {}
    for point in points:
        is_nan = point.value != point.value
        row = (run, point.key, point.step, point.timestamp, 0.0 if is_nan else point.value, is_nan)
        rows.append(row)
        known = latest.get(point.key)
        if known is None or row[2:5] >= known[2:5]:
            latest[point.key] = row
    if rows:
        _INSERT_POINT.run(c, rows)
        _UPSERT_LATEST.run(c, [(*row, experiment) for row in latest.values()])


def log_params(c: Connection, run: int, params: dict[str, str]) -> None:
    """Add parameters. Raises ParamConflict where one has another value already."""
    if not params:
        return
    query = sa.select(run_params.c.key, run_params.c.value).where(
        run_params.c.run == run, run_params.c.key.in_(list(params))
    )
    known: dict[str, str] = {row.key: row.value for row in c.execute(query)}
    conflicts = [(key, old, params[key]) for key, old in known.items() if params[key] != old]
    if conflicts:
        raise ParamConflict(conflicts)
    new = [(run, key, value) for key, value in params.items() if key not in known]
    if new:
        _INSERT_PARAM.run(c, new)


def history(
    c: Connection, run: int, key: str, *, after: tuple[int, int, float, bool] | None = None, limit: int | None = None
) -> list[LoggedPoint]:
    """Every value of a metric, by step and time. `after` is (step, timestamp, value, is NaN) of the last one seen."""
    columns = metric_points.c
    query = sa.select(metric_points).where(columns.run == run, columns.key == key)
    order = (columns.step, columns.timestamp, columns.value, columns.is_nan)
    if after is not None:
        query = query.where(sa.tuple_(*order) > sa.tuple_(*(sa.literal(value) for value in after)))
    query = query.order_by(*order)
    return [_point(row) for row in c.execute(query.limit(limit) if limit is not None else query)]


def steps_of(c: Connection, run: int, key: str, start: int | None, end: int | None) -> tuple[int, int] | None:
    """The first and last step of a metric within [start, end], or None where it has no value there."""
    step = metric_points.c.step
    query = _within(sa.select(sa.func.min(step)), run, key, start, end)
    first = c.scalar(query)
    if first is None:
        return None
    return int(first), int(c.scalar(_within(sa.select(sa.func.max(step)), run, key, start, end)) or 0)


def at_steps(c: Connection, run: int, key: str, steps: Sequence[int], last: int) -> list[LoggedPoint]:
    """The values at each of these steps, or at the next step after it that has one and is not beyond `last`.

    Each is one seek in the clustered index, so that a chart of a million points costs as many seeks as it has pixels.
    """
    points = "metric_points p" if c.dialect.name == "sqlite" else _POINTS_POSTGRES
    query = sa.text(_AT_STEPS.format(numbers=list_parameter(c, "steps"), points=points))
    found = c.execute(query, {"run": run, "key": key, "last": last, "steps": list_value(c, steps)})
    return [_point(row) for row in found]


def add_dataset(c: Connection, run: int, experiment: int, item: DatasetInput) -> None:
    """Say that a run read a dataset. The same name and digest is one dataset of the experiment."""
    where = (datasets.c.experiment == experiment) & (datasets.c.name == item.name) & (datasets.c.digest == item.digest)
    number = c.scalar(sa.select(datasets.c.number).where(where))
    if number is None:
        values = {
            "experiment": experiment,
            "name": item.name,
            "digest": item.digest,
            "source_type": item.source_type,
            "source": item.source,
            "schema": item.schema,
            "profile": item.profile,
        }
        number = c.execute(datasets.insert().returning(datasets.c.number), values).scalar_one()
    _INSERT_RUN_DATASET.run(c, [(run, number, msgspec.json.encode(item.tags))])


def add_model(c: Connection, run: int, model: RunModel) -> None:
    _INSERT_RUN_MODEL.run(c, [(run, model.direction, model.model_id, model.step)])


def tags_of(c: Connection, runs: Sequence[int]) -> dict[int, dict[str, str]]:
    """The stored tags of each of these runs."""
    return _texts(c, run_tags, runs)


def params_of(c: Connection, runs: Sequence[int]) -> dict[int, dict[str, str]]:
    return _texts(c, run_params, runs)


def latest_of(c: Connection, runs: Sequence[int]) -> dict[int, list[LoggedPoint]]:
    """The newest value of each metric of each of these runs."""
    found: dict[int, list[LoggedPoint]] = {number: [] for number in runs}
    for run, key, value, timestamp, step, is_nan in rows_of(
        c, "run, key, value, timestamp, step, is_nan", "latest_metrics", "run", runs
    ):
        found[run].append(LoggedPoint(key, math.nan if is_nan else value, timestamp, step))
    return found


def datasets_of(c: Connection, runs: Sequence[int]) -> dict[int, list[DatasetInput]]:
    found: dict[int, list[DatasetInput]] = {number: [] for number in runs}
    columns = "run, number, tags, name, digest, source_type, source, schema, profile"
    joined = "run_datasets join datasets on run_datasets.dataset = datasets.number"
    for row in sorted(rows_of(c, columns, joined, "run", runs)):
        run, _, tags, name, digest, source_type, source, schema, profile = row
        found[run].append(DatasetInput(name, digest, source_type, source, schema, profile, msgspec.json.decode(tags)))
    return found


def models_of(c: Connection, runs: Sequence[int]) -> dict[int, list[RunModel]]:
    found: dict[int, list[RunModel]] = {number: [] for number in runs}
    for run, direction, model_id, step in rows_of(c, "run, direction, model_id, step", "run_models", "run", runs):
        found[run].append(RunModel(direction, model_id, step))
    return found


def datasets_in(c: Connection, experiments: Sequence[int], limit: int) -> list[tuple[int, str, str, str | None]]:
    """(experiment, name, digest, context) of the datasets that runs of these experiments read."""
    query = (
        sa.select(datasets.c.experiment, datasets.c.name, datasets.c.digest, run_datasets.c.tags)
        .join_from(datasets, run_datasets, run_datasets.c.dataset == datasets.c.number)
        .where(datasets.c.experiment.in_(list(experiments)))
        .distinct()
        .limit(limit)
    )
    rows = c.execute(query)
    return [(r.experiment, r.name, r.digest, msgspec.json.decode(r.tags).get("mlflow.data.context")) for r in rows]


def _point(row: Any) -> LoggedPoint:
    return LoggedPoint(row.key, float("nan") if row.is_nan else row.value, row.timestamp, row.step)


def _within(query: Any, run: int, key: str, start: int | None, end: int | None) -> Any:
    query = query.where(metric_points.c.run == run, metric_points.c.key == key)
    if start is not None:
        query = query.where(metric_points.c.step >= start)
    return query.where(metric_points.c.step <= end) if end is not None else query


def _texts(c: Connection, table: sa.Table, runs: Sequence[int]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {number: {} for number in runs}
    for run, key, value in rows_of(c, "run, key, value", table.name, "run", runs):
        found[run][key] = value
    return found


#: `offset 0` has PostgreSQL look each step up, where without statistics it would read every point and merge.
_POINTS_POSTGRES = """lateral (
  select * from metric_points where run = :run and key = :key and step = wanted.step offset 0
) p"""
# A cross join, so that SQLite goes from the steps to their points and not the other way.
_AT_STEPS = """
select p.* from (
  select distinct (
    select min(step) from metric_points where run = :run and key = :key and step >= number
  ) as step from {numbers}
) wanted
cross join {points}
where p.run = :run and p.key = :key and p.step = wanted.step and wanted.step <= :last
order by p.step, p.timestamp, p.value, p.is_nan"""
_INSERT_PARAM = upsert(run_params)
_INSERT_POINT = upsert(metric_points)
_UPSERT_LATEST = upsert(
    latest_metrics,
    ["step", "timestamp", "value", "is_nan"],
    "(excluded.step, excluded.timestamp, excluded.value) >= "
    "(latest_metrics.step, latest_metrics.timestamp, latest_metrics.value)",
)
_INSERT_RUN_DATASET = upsert(run_datasets)
_INSERT_RUN_MODEL = upsert(run_models)
