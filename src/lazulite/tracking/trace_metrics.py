"""`traces/metrics`: counts, sums and percentiles over traces, spans and assessments, in one SQL query each."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.store import experiments as experiment_store
from lazulite.store.trace_numbers import COSTS, TOKENS
from lazulite.store.trace_tables import (
    assessments,
    spans,
    trace_metadata,
    trace_numbers,
    trace_runs,
    trace_tags,
    traces,
)
from lazulite.tracking.call import Call, check_experiment_id
from lazulite.tracking.conditions import Column, page_limits
from lazulite.tracking.documents import Json
from lazulite.tracking.errors import invalid
from lazulite.tracking.fields import Fields, as_number, missing
from lazulite.tracking.trace_search import NAME_TAG, RUN_METADATA, span_attribute

DEFAULT, MOST = 1000, 50_000
SESSION = "mlflow.trace.session"
_VIEWS = {1: "TRACES", 2: "SPANS", 3: "ASSESSMENTS"}
_AGGREGATIONS = {1: "COUNT", 2: "SUM", 3: "AVG", 4: "PERCENTILE", 5: "MIN", 6: "MAX"}
_COUNT, _SPREAD = frozenset({"COUNT"}), frozenset({"AVG", "MIN", "MAX", "PERCENTILE"})
_NAMES, _MODELS = frozenset({"trace_name"}), frozenset({"span_model_name", "span_model_provider"})
_SPANS = _MODELS | {"span_name", "span_type", "span_status"}
#: By view and metric: the aggregations and the dimensions there are of it.
_METRICS: dict[str, dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    "TRACES": {
        "trace_count": (_COUNT, _NAMES | {"trace_status"}),
        "session_count": (_COUNT, frozenset()),
        "latency": (_SPREAD, _NAMES),
        **dict.fromkeys(TOKENS, (_SPREAD | {"SUM"}, _NAMES)),
    },
    "SPANS": {
        "span_count": (_COUNT, _SPANS),
        "latency": (_SPREAD, frozenset({"span_name", "span_status"})),
        **dict.fromkeys(COSTS, (_SPREAD | {"SUM"}, _MODELS)),
    },
    "ASSESSMENTS": {
        "assessment_count": (_COUNT, frozenset({"assessment_name", "assessment_value"})),
        "assessment_value": (_SPREAD, frozenset({"assessment_name"})),
    },
}
_FILTERS: dict[str, dict[str, Column | None]] = {
    "trace": {"status": traces.c.state, "tag": None, "metadata": None},
    "span": {"name": spans.c.name, "status": spans.c.status, "type": spans.c.type},
    "assessment": {"name": assessments.c.name, "type": assessments.c.kind},
}
_FILTER = re.compile(
    r"\s*`?(?P<view>\w+)`?\.(?P<entity>\w+)(?:\.(?P<key>`[^`]+`|\"[^\"]+\"|[^\s=<>!]+))?\s*"
    r"(?P<operator>[=<>!]+|\w+)\s*(?P<value>'[^']*'|\"[^\"]*\")\s*"
)
_YES, _NO = ("yes", "true"), ("no", "false")


@dataclass(frozen=True, slots=True)
class _Question:
    """What was asked. `aggregations` are their names with the percentile, if they are one."""

    view: str
    metric: str
    aggregations: list[tuple[str, float | None]]
    dimensions: list[str]
    interval_ms: int | None
    start_ms: int | None
    end_ms: int | None
    conditions: list[sa.ColumnElement[bool]]


async def query(call: Call) -> Json:
    fields = call.fields
    ids = fields.texts("experiment_ids")
    if "experiment_ids" not in fields:
        raise missing("experiment_ids")
    for one in ids:
        check_experiment_id(one)
    question = _question(fields)
    limit, _ = page_limits(fields.maybe_integer("max_results") or None, None, default=DEFAULT, most=MOST)

    def read(c: Connection) -> Json:
        numbers = experiment_store.numbers(c, call.workspace, ids)
        rows = c.execute(_aggregated(question, _rows(c, question, numbers)).limit(limit))
        return {"data_points": [point for row in rows if (point := _point(question, row))["values"]]}

    return await call.read(read)


def _question(fields: Fields) -> _Question:
    view = _named(fields, "view_type", _VIEWS)
    metric, dimensions = fields.text("metric_name"), fields.texts("dimensions")
    aggregations = [_aggregation(one) for one in fields.objects("aggregations")]
    if not aggregations:
        raise missing("aggregations")
    _check(view, metric, [name if at is None else "PERCENTILE" for name, at in aggregations], dimensions)
    interval, start = fields.maybe_integer("time_interval_seconds"), fields.maybe_integer("start_time_ms")
    end = fields.maybe_integer("end_time_ms")
    if interval and (start is None or end is None):
        raise invalid("start_time_ms and end_time_ms are required if time_interval_seconds is set")
    if interval is not None and not 0 <= interval < 2**40:
        raise invalid("time_interval_seconds must be a positive number of seconds.")
    conditions = [_filter(view, text) for text in fields.texts("filters")]
    interval_ms = interval * 1000 if interval else None
    return _Question(view, metric, aggregations, list(dict.fromkeys(dimensions)), interval_ms, start, end, conditions)


def _check(view: str, metric: str, aggregations: Sequence[str], dimensions: Sequence[str]) -> None:
    metrics = _METRICS[view]
    if metric not in metrics:
        raise invalid(f"metric_name must be one of {list(metrics)}, got '{metric}'")
    supported, grouped = metrics[metric]
    if wrong := set(aggregations) - supported:
        raise invalid(
            f"Found invalid aggregation_type(s): {sorted(wrong)}. Supported aggregation types: {sorted(supported)}"
        )
    if wrong := set(dimensions) - grouped:
        raise invalid(f"Found invalid dimension(s): {sorted(wrong)}. Supported dimensions: {sorted(grouped)}")


def _aggregation(sent: Fields) -> tuple[str, float | None]:
    name, percentile = _named(sent, "aggregation_type", _AGGREGATIONS), sent.values.get("percentile_value")
    if (percentile is None) == (name == "PERCENTILE"):
        raise invalid("A percentile_value is given for the aggregation PERCENTILE, and for no other.")
    if percentile is None:
        return name, None
    value = as_number("percentile_value", percentile)
    if not 0 <= value <= 100:
        raise invalid(f"Percentile value must be between 0 and 100, got {value}")
    return f"P{value}", value


def _named(fields: Fields, field: str, names: dict[int, str]) -> str:
    """A name of an enumeration, which protobuf's JSON may also write as its number."""
    value = fields.values.get(field)
    if value is None:
        raise missing(field)
    found = names.get(value) if isinstance(value, int) else value
    if found not in names.values():
        raise invalid(f"{field} must be one of {list(names.values())}, got '{value}'")
    return str(found)


def _filter(view: str, text: str) -> sa.ColumnElement[bool]:
    match = _FILTER.fullmatch(text)
    if match is None or match["view"] not in _FILTERS:
        raise invalid(
            f"Invalid filter: '{text}'. Expected one clause such as trace.status = 'OK', span.name = 'x' or "
            "assessment.name = 'x'."
        )
    entity, key, value = match["entity"], match["key"], match["value"][1:-1]
    entities = _FILTERS[match["view"]]
    if entity not in entities:
        raise invalid(f"Invalid entity '{entity}' specified. Valid entities are {list(entities)}")
    if match["operator"] != "=":
        raise invalid(f"Invalid comparator: '{match['operator']}', only '=' operator is supported")
    if match["view"] != "trace" and not view.startswith(match["view"].upper()):
        raise invalid(f"Filtering by {match['view']} is only supported for that view type, got {view}")
    column = entities[entity]
    if (column is None) == (key is None):
        raise invalid(f"Filtering by {entity} {'requires a' if key is None else 'takes no'} key: '{text}'")
    if column is not None:
        return column == value
    return _keyed(trace_tags if entity == "tag" else trace_metadata, key.strip('`"'), value)


def _keyed(table: sa.Table, key: str, value: str) -> sa.ColumnElement[bool]:
    own = sa.exists().where(table.c.trace == traces.c.number, table.c.key == key, table.c.value == value)
    if table is trace_metadata and key == RUN_METADATA:
        return own | sa.exists().where(trace_runs.c.trace == traces.c.number, trace_runs.c.run_id == value)
    return own


def _rows(c: Connection, question: _Question, experiments: Sequence[int]) -> sa.Select[*tuple[Any, ...]]:
    """One row for each thing counted: its dimensions in order, and its `value`."""
    value, source = _value(question)
    columns = [_dimension(c, name).label(name) for name in question.dimensions]
    began: Column = traces.c.request_ms
    if question.view == "SPANS":
        began = spans.c.start_ns // 1_000_000
    if question.interval_ms:
        columns.insert(0, sa.cast(_whole(began, question.interval_ms), sa.BigInteger).label("time_bucket"))
    query = sa.select(*columns, value.label("value")).select_from(source)
    query = query.where(traces.c.experiment.in_(list(experiments)), value.is_not(None), *question.conditions)
    if question.view == "ASSESSMENTS":
        query = query.where(assessments.c.valid)
    within = began if question.metric in COSTS else traces.c.request_ms
    if question.start_ms is not None:
        query = query.where(within >= question.start_ms)
    if question.end_ms is not None:
        query = query.where(within <= question.end_ms)
    return query


def _value(question: _Question) -> tuple[Column, sa.FromClause]:
    """What a metric is made of, and where it stands."""
    metric, of_trace = question.metric, trace_numbers.c.trace == traces.c.number
    if question.view == "SPANS":
        source = traces.join(spans, spans.c.trace == traces.c.number)
        if metric == "latency":
            took = spans.c.end_ns - spans.c.start_ns
            return took // 1_000_000, source
        if metric == "span_count":
            return spans.c.span_id, source
        of_span = of_trace & (trace_numbers.c.span_id == spans.c.span_id) & (trace_numbers.c.key == metric)
        return trace_numbers.c.value, source.join(trace_numbers, of_span)
    if question.view == "ASSESSMENTS":
        judged = traces.join(assessments, assessments.c.trace == traces.c.number)
        return (_judgement() if metric == "assessment_value" else assessments.c.assessment_id), judged
    if metric == "trace_count":
        return traces.c.trace_id, traces
    if metric == "latency":
        return traces.c.duration_ms, traces
    if metric == "session_count":
        return _text_of(trace_metadata, SESSION), traces
    of_all = of_trace & (trace_numbers.c.span_id == "") & (trace_numbers.c.key == metric)
    return trace_numbers.c.value, traces.join(trace_numbers, of_all)


def _judgement() -> Column:
    """An assessment as a number: yes and true are 1, no and false 0."""
    text = sa.func.lower(sa.func.trim(assessments.c.text))
    number = assessments.c.number_value
    return sa.case((number.is_not(None), number), (text.in_(_YES), 1.0), (text.in_(_NO), 0.0))


def _dimension(c: Connection, name: str) -> Column:
    if name in ("span_model_name", "span_model_provider"):
        return span_attribute(c, "mlflow.llm.model" if name == "span_model_name" else "mlflow.llm.provider")
    return {
        "trace_name": _text_of(trace_tags, NAME_TAG),
        "trace_status": traces.c.state,
        "span_name": spans.c.name,
        "span_type": spans.c.type,
        "span_status": spans.c.status,
        "assessment_name": assessments.c.name,
        "assessment_value": assessments.c.text,
    }[name]


def _text_of(table: sa.Table, key: str) -> Column:
    return sa.select(table.c.value).where(table.c.trace == traces.c.number, table.c.key == key).scalar_subquery()


def _whole(column: Column, unit: int) -> Column:
    """Rounded down to a multiple of `unit`."""
    return column - column % unit


def _aggregated(question: _Question, rows: sa.Select[*tuple[Any, ...]]) -> sa.Select[*tuple[Any, ...]]:
    """One row for each group: its dimensions, then its aggregations."""
    found = rows.subquery()
    names = [column.name for column in found.c if column.name != "value"]
    groups = [found.c[name] for name in names]
    if any(percentile is not None for _, percentile in question.aggregations):
        place = sa.func.row_number().over(partition_by=groups or None, order_by=found.c.value)
        size = sa.func.count().over(partition_by=groups or None)
        found = sa.select(found, (place - 1).label("place"), size.label("size")).subquery()
        groups = [found.c[name] for name in names]
    aggregations = [_aggregate(question, found, name, at) for name, at in question.aggregations]
    query = sa.select(*groups, *aggregations).where(*(group.is_not(None) for group in groups))
    return query.group_by(*groups).order_by(*groups)


def _aggregate(question: _Question, found: sa.Subquery, name: str, percentile: float | None) -> Column:
    value = found.c.value
    if percentile is not None:
        # Between the two values nearest, each weighs by how near it is.
        away = sa.func.abs(found.c.place - percentile / 100 * (found.c.size - 1))
        return sa.func.sum(value * sa.case((away < 1, 1 - away), else_=0))
    if name == "COUNT":
        return sa.func.count(sa.distinct(value) if question.metric == "session_count" else value)
    aggregate: Column = getattr(sa.func, name.lower())(value)
    return aggregate


def _point(question: _Question, row: Any) -> Json:
    names = (["time_bucket"] if question.interval_ms else []) + question.dimensions
    values = zip(question.aggregations, row[len(names) :], strict=True)
    return {
        "metric_name": question.metric,
        "dimensions": {name: _said(name, value) for name, value in zip(names, row, strict=False)},
        "values": {name: float(value) for (name, _), value in values if value is not None},
    }


def _said(name: str, value: Any) -> str:
    """A dimension in clients' words."""
    if name == "time_bucket":
        return dt.datetime.fromtimestamp(value / 1000, dt.UTC).isoformat()
    text = str(value)
    if name == "assessment_value":
        return text if _is_json(text) else msgspec.json.encode(text).decode()
    if name.startswith("span_model") and text.startswith('"') and _is_json(text):
        return str(msgspec.json.decode(text))
    return text


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True
