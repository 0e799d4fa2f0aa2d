"""`runs/search`: the grammar compiled to one SQL query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.store import experiments as experiment_store
from lazulite.store import runs as run_store
from lazulite.store.run_tables import datasets, latest_metrics, run_datasets, run_params, run_tags, runs
from lazulite.store.runs import NAME_TAG, PARENT_TAG, Run
from lazulite.tracking.call import Call, check_experiment_id
from lazulite.tracking.conditions import Column, compare, keyed, next_token, page_limits
from lazulite.tracking.documents import Json, run_documents
from lazulite.tracking.errors import invalid
from lazulite.tracking.grammar import Comparison, Grammar, Order

MOST = 50_000
RUNS = Grammar(
    strings=frozenset({"run_id", "run_name", "user_id", "status", "artifact_uri"}),
    numbers=frozenset({"start_time", "end_time"}),
    kinds=frozenset({"metric", "parameter", "tag", "dataset"}),
    aliases={
        **dict.fromkeys(("created", "Created"), "start_time"),
        **dict.fromkeys(("run name", "Run name", "Run Name"), "run_name"),
    },
    orderable=frozenset({"run_id", "run_name", "user_id", "status", "artifact_uri", "start_time", "end_time"}),
    ordered_kinds=True,
)
_COLUMNS: dict[str, Column] = {
    "run_id": runs.c.run_id,
    "run_name": runs.c.name,
    "user_id": runs.c.user,
    "status": runs.c.status,
    "artifact_uri": runs.c.artifact_uri,
    "start_time": sa.func.coalesce(runs.c.start_ms, runs.c.created_ms),
    "end_time": runs.c.end_ms,
}
_NULLABLE = frozenset({"artifact_uri", "end_time"})
_TAG_COLUMNS: dict[str, Column] = {NAME_TAG: runs.c.name, PARENT_TAG: runs.c.parent}
VIEWS = {"ACTIVE_ONLY": ["active"], "DELETED_ONLY": ["deleted"], "ALL": ["active", "deleted"]}


async def search(call: Call) -> Json:
    fields = call.fields
    comparisons = RUNS.parse(fields.maybe_text("filter"))
    orders = RUNS.parse_order(fields.texts("order_by"))
    stages = view(fields.maybe_text("run_view_type"))
    limit, offset = page_limits(
        fields.maybe_integer("max_results"), fields.maybe_text("page_token"), default=1000, most=MOST
    )
    experiment_ids = fields.texts("experiment_ids")
    for experiment_id in experiment_ids:
        check_experiment_id(experiment_id)

    def read(c: Connection) -> Json:
        found = find(c, call.workspace, experiment_ids, comparisons, orders, stages, limit + 1, offset)
        document: Json = {"runs": run_documents(c, call, found[:limit])}
        if len(found) > limit:
            document["next_page_token"] = next_token(offset + limit)
        return document

    return await call.read(read)


def view(name: str | None) -> list[str]:
    """The lifecycle stages of a ViewType. Raises ApiError INVALID_PARAMETER_VALUE."""
    stages = VIEWS.get((name or "ACTIVE_ONLY").upper())
    if stages is None:
        raise invalid(f"Invalid value '{name}' for a view type; there is {', '.join(VIEWS)}.")
    return stages


def find(
    c: Connection,
    workspace_id: str,
    experiment_ids: Sequence[str],
    comparisons: Sequence[Comparison],
    orders: Sequence[Order],
    stages: Sequence[str],
    limit: int,
    offset: int,
) -> list[Run]:
    """The runs of these experiments that meet all comparisons, in that order, newest first among equals."""
    numbers = experiment_store.numbers(c, workspace_id, experiment_ids)
    if not numbers:
        return []
    if len(numbers) == 1 and orders and orders[0].kind == "metric":
        by_metric = _by_metric(c, numbers[0], comparisons, orders, stages).limit(limit).offset(offset)
        found = [run_store.from_row(row) for row in c.execute(by_metric)]
        if len(found) == limit or any(_of_metric(comparison, orders[0].key) for comparison in comparisons):
            return found
    query: sa.Select[Any] = run_store.SELECT.where(runs.c.experiment.in_(numbers), runs.c.lifecycle.in_(stages))
    query = query.where(*(_condition(c, comparison, numbers) for comparison in comparisons))
    for order in orders:
        query = _ordered(query, order)
    query = _newest_first(query, orders)
    return [run_store.from_row(row) for row in c.execute(query.limit(limit).offset(offset))]


def _by_metric(
    c: Connection, experiment: int, comparisons: Sequence[Comparison], orders: Sequence[Order], stages: Sequence[str]
) -> sa.Select[Any]:
    """The runs of an experiment that have the metric they are first ordered by, read in the order of its index.

    They come before those that have none, so that most pages need no others.
    """
    first, latest = orders[0], latest_metrics.alias()
    query: sa.Select[Any] = run_store.SELECT.join(latest, latest.c.run == runs.c.number).where(
        latest.c.experiment == experiment, latest.c.key == first.key, ~latest.c.is_nan, runs.c.lifecycle.in_(stages)
    )
    for comparison in comparisons:
        if _of_metric(comparison, first.key):
            query = query.where(compare(c, latest.c.value, comparison.operator, comparison.value))
        else:
            query = query.where(_condition(c, comparison, [experiment]))
    query = query.order_by(latest.c.value.asc() if first.ascending else latest.c.value.desc())
    for order in orders[1:]:
        query = _ordered(query, order)
    return _newest_first(query, orders)


def _of_metric(comparison: Comparison, key: str) -> bool:
    return comparison.kind == "metric" and comparison.key == key


def _newest_first(query: sa.Select[Any], orders: Sequence[Order]) -> sa.Select[Any]:
    if not any(order.key == "start_time" and order.kind == "attribute" for order in orders):
        query = query.order_by(_COLUMNS["start_time"].desc())
    return query.order_by(runs.c.number.desc())


def _condition(c: Connection, comparison: Comparison, experiments: list[int]) -> sa.ColumnElement[bool]:
    kind, key, operator, value = comparison.kind, comparison.key, comparison.operator, comparison.value
    if kind == "attribute":
        return compare(c, _COLUMNS[key], operator, value)
    if kind == "metric":
        columns = latest_metrics.c
        of_metric = sa.select(columns.run).where(columns.experiment.in_(experiments), columns.key == key)
        return runs.c.number.in_(of_metric.where(compare(c, columns.value, operator, value), ~columns.is_nan))
    if kind == "parameter":
        return keyed(c, run_params, run_params.c.run, runs.c.number, key, operator, value)
    if kind == "tag":
        return _tag(c, key, operator, value)
    return _dataset(c, key, operator, value)


def _tag(c: Connection, key: str, operator: str, value: Any) -> sa.ColumnElement[bool]:
    column = _TAG_COLUMNS.get(key)
    if column is None:
        return keyed(c, run_tags, run_tags.c.run, runs.c.number, key, operator, value)
    if operator == "IS NULL":
        return column.is_(None)
    return column.is_not(None) if operator == "IS NOT NULL" else compare(c, column, operator, value)


def _dataset(c: Connection, key: str, operator: str, value: Any) -> sa.ColumnElement[bool]:
    read = sa.select(run_datasets.c.run).join(datasets, run_datasets.c.dataset == datasets.c.number)
    if key != "context":
        return runs.c.number.in_(read.where(compare(c, datasets.c[key], operator, value)))
    tags = run_datasets.c.tags
    if c.dialect.name == "sqlite":
        context: Column = sa.func.json_extract(sa.cast(tags, sa.Text), '$."mlflow.data.context"')
    else:
        context = sa.cast(sa.func.convert_from(tags, "UTF8"), sa.JSON)["mlflow.data.context"].as_string()
    return runs.c.number.in_(read.where(compare(c, context, operator, value)))


def _ordered(query: sa.Select[Any], order: Order) -> sa.Select[Any]:
    if order.kind == "metric":
        latest = latest_metrics.alias()
        query = query.outerjoin(latest, (latest.c.run == runs.c.number) & (latest.c.key == order.key))
        last = sa.case((latest.c.value.is_(None), 2), (latest.c.is_nan, 1), else_=0)
        return query.order_by(last, latest.c.value.asc() if order.ascending else latest.c.value.desc())
    if order.kind == "attribute":
        column = _COLUMNS[order.key]
    elif order.kind == "tag" and order.key in _TAG_COLUMNS:
        column = _TAG_COLUMNS[order.key]
    else:
        texts = (run_params if order.kind == "parameter" else run_tags).alias()
        query = query.outerjoin(texts, (texts.c.run == runs.c.number) & (texts.c.key == order.key))
        column = texts.c.value
    if order.kind != "attribute" or order.key in _NULLABLE:
        query = query.order_by(column.is_(None))  # what has no value comes last, whichever way
    return query.order_by(column.asc() if order.ascending else column.desc())
