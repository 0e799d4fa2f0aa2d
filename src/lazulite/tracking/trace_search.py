"""`traces/search`: the grammar of traces compiled to one SQL query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.store import experiments as experiment_store
from lazulite.store import traces as store
from lazulite.store.trace_tables import assessments, spans, trace_metadata, trace_runs, trace_tags, traces
from lazulite.store.traces import Trace
from lazulite.tracking.conditions import Column, compare, keyed
from lazulite.tracking.errors import invalid
from lazulite.tracking.grammar import LISTED, TEXT, Comparison, Grammar, Order

DEFAULT, MOST = 100, 500
NAME_TAG, PROMPTS_TAG, RUN_METADATA = "mlflow.traceName", "mlflow.linkedPrompts", "mlflow.sourceRun"
_NUMBERS = frozenset({"timestamp_ms", "execution_time_ms", "end_time_ms"})
_TEXTS = frozenset({"request_id", "status", "client_request_id", "name", "run_id", "prompt", "text"})
_ALIASES = {"timestamp": "timestamp_ms", "execution_time": "execution_time_ms", "end_time": "end_time_ms"}
_JUDGED = TEXT | {"RLIKE", ">", ">=", "<", "<="}
TRACES = Grammar(
    strings=_TEXTS,
    numbers=_NUMBERS,
    kinds=frozenset({"tag", "metadata", "span", "feedback", "expectation"}),
    aliases=_ALIASES,
    orderable=frozenset({"experiment_id", "status", "request_id", "name", "run_id"}) | _NUMBERS,
    entities={
        **dict.fromkeys(("tag", "tags"), "tag"),
        **dict.fromkeys(("metadata", "request_metadata"), "metadata"),
        **dict.fromkeys(("attribute", "attributes", "trace"), "attribute"),
        **{kind: kind for kind in ("span", "feedback", "expectation")},
    },
    operators={
        "attribute": LISTED | {"RLIKE"},
        "tag": TEXT | {"RLIKE"},
        "metadata": TEXT | {"RLIKE"},
        "span": LISTED | {"RLIKE"},
        "feedback": _JUDGED,
        "expectation": _JUDGED,
    },
)
_COLUMNS: dict[str, Column] = {
    "request_id": traces.c.trace_id,
    "client_request_id": traces.c.client_request_id,
    "status": traces.c.state,
    "experiment_id": traces.c.experiment,
    "timestamp_ms": traces.c.request_ms,
    "execution_time_ms": traces.c.duration_ms,
    "end_time_ms": traces.c.request_ms + sa.func.coalesce(traces.c.duration_ms, 0),
}
_SPAN_COLUMNS: dict[str, Column] = {"name": spans.c.name, "type": spans.c.type, "status": spans.c.status}


def find(
    c: Connection,
    workspace_id: str,
    experiment_ids: Sequence[str],
    comparisons: Sequence[Comparison],
    orders: Sequence[Order],
    limit: int,
    offset: int,
) -> list[Trace]:
    """The traces of these experiments that meet all comparisons, in that order, newest first among equals."""
    query = store.SELECT.where(*conditions(c, workspace_id, experiment_ids, comparisons))
    for order in orders:
        column = _order_column(order)
        query = query.order_by(column.is_(None), column.asc() if order.ascending else column.desc())
    query = query.order_by(traces.c.request_ms.desc(), traces.c.trace_id)
    return [store.from_row(row) for row in c.execute(query.limit(limit).offset(offset))]


def count(c: Connection, workspace_id: str, experiment_ids: Sequence[str], comparisons: Sequence[Comparison]) -> int:
    query = sa.select(sa.func.count()).select_from(traces)
    return int(c.scalar(query.where(*conditions(c, workspace_id, experiment_ids, comparisons))) or 0)


def conditions(
    c: Connection, workspace_id: str, experiment_ids: Sequence[str], comparisons: Sequence[Comparison]
) -> list[sa.ColumnElement[bool]]:
    """What a trace must be to be found. All that is said of spans is said of one span."""
    numbers = experiment_store.numbers(c, workspace_id, experiment_ids)
    found: list[sa.ColumnElement[bool]] = [traces.c.experiment.in_(numbers)]
    of_span: list[sa.ColumnElement[bool]] = []
    for one in comparisons:
        if one.kind == "span" or (one.kind, one.key) == ("attribute", "text"):
            of_span.append(_of_span(c, one))
        else:
            found.append(_condition(c, one))
    if of_span:
        found.append(sa.exists().where(spans.c.trace == traces.c.number, *of_span))
    return found


def _condition(c: Connection, one: Comparison) -> sa.ColumnElement[bool]:
    number, key, operator, value = traces.c.number, one.key, one.operator, one.value
    if one.kind in ("feedback", "expectation"):
        return _judged(c, one)
    if one.kind == "metadata":
        return _metadata(c, key, operator, value)
    if one.kind == "attribute" and key == "run_id":
        return _metadata(c, RUN_METADATA, operator, value)
    if one.kind == "attribute" and key not in _COLUMNS:
        key = NAME_TAG if key == "name" else PROMPTS_TAG
        if key == PROMPTS_TAG:
            operator, value = "LIKE", _prompt_pattern(operator, str(value))
    elif one.kind == "attribute":
        return compare(c, _COLUMNS[key], operator, value)
    return keyed(c, trace_tags, trace_tags.c.trace, number, key, operator, value)


def _metadata(c: Connection, key: str, operator: str, value: Any) -> sa.ColumnElement[bool]:
    own = keyed(c, trace_metadata, trace_metadata.c.trace, traces.c.number, key, operator, value)
    if key != RUN_METADATA or operator not in ("=", "IN"):
        return own
    linked = sa.exists().where(trace_runs.c.trace == traces.c.number, compare(c, trace_runs.c.run_id, operator, value))
    return own | linked


def _judged(c: Connection, one: Comparison) -> sa.ColumnElement[bool]:
    columns = assessments.c
    exists = sa.exists().where(columns.trace == traces.c.number, columns.kind == one.kind, columns.name == one.key)
    if one.operator == "IS NULL":
        return ~exists
    if one.operator == "IS NOT NULL":
        return exists
    column: Column = columns.number_value if isinstance(one.value, float | int) else columns.text
    return exists.where(compare(c, column, one.operator, one.value))


def _of_span(c: Connection, one: Comparison) -> sa.ColumnElement[bool]:
    key = "content" if one.kind == "attribute" else one.key
    if key == "content":
        if one.operator not in ("LIKE", "ILIKE"):
            raise invalid(f"span.content comparator '{one.operator}' not one of '['ILIKE', 'LIKE']'")
        return compare(c, _text(c), one.operator, one.value)
    if key.startswith("attributes.") and len(key) > len("attributes."):
        return compare(c, span_attribute(c, key.removeprefix("attributes.")), one.operator, one.value)
    if key not in _SPAN_COLUMNS:
        raise invalid(
            f"Invalid span attribute '{key}'. Supported attributes: name, status, type, attributes.<attribute_name>."
        )
    return compare(c, _SPAN_COLUMNS[key], one.operator, one.value)


def _text(c: Connection) -> Column:
    """What a span says: its name, its attributes and its events, without the words of the format it is stored in."""
    if c.dialect.name == "sqlite":
        events: Column = sa.func.json_extract(spans.c.document, "$.events")
    else:
        events = sa.cast(spans.c.document, sa.JSON)["events"].as_string()
    parts = (spans.c.name, sa.cast(spans.c.attributes, sa.Text), sa.func.coalesce(events, ""))
    return sa.func.concat_ws(" ", *parts) if c.dialect.name != "sqlite" else parts[0] + " " + parts[1] + " " + parts[2]


def span_attribute(c: Connection, name: str) -> Column:
    """The text of an attribute of a span. Raises ApiError INVALID_PARAMETER_VALUE."""
    if '"' in name:
        raise invalid(f"Invalid span attribute '{name}': a name has no double quotes.")
    if c.dialect.name == "sqlite":
        return sa.cast(sa.func.json_extract(spans.c.attributes, f'$."{name}"'), sa.Text)
    column: Column = sa.cast(spans.c.attributes, sa.JSON)[name].as_string()
    return column


def _prompt_pattern(operator: str, value: str) -> str:
    name, _, version = value.partition("/")
    if operator != "=" or not name or not version:
        raise invalid("The prompt filter must be prompt = '<name>/<version>'.")
    return f'%{{"name":"{name}","version":"{version}"}}%'


def _order_column(order: Order) -> Column:
    if order.kind != "attribute":
        raise invalid(f"Invalid order_by entity '{order.kind}'.")
    if order.key in _COLUMNS:
        return _COLUMNS[order.key]
    table, key = (trace_tags, NAME_TAG) if order.key == "name" else (trace_metadata, RUN_METADATA)
    named = sa.select(table.c.value).where(table.c.trace == traces.c.number, table.c.key == key)
    return named.scalar_subquery()
