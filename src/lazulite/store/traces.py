"""Traces, their spans and assessments. Rows of a trace hang on its number; times are milliseconds, of spans ns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.store import reviews
from lazulite.store import trace_numbers as numbers_store
from lazulite.store.bulk import upsert
from lazulite.store.experiments import DEFAULT_ID, workspace_number
from lazulite.store.run_tables import experiments
from lazulite.store.trace_tables import (
    assessments,
    spans,
    trace_metadata,
    trace_numbers,
    trace_runs,
    trace_tags,
    traces,
)

Json = dict[str, Any]
TOKEN_USAGE, SPAN_COST = "mlflow.trace.tokenUsage", "mlflow.llm.cost"
_CHUNK = 5000


@dataclass(frozen=True, slots=True)
class Trace:
    """One trace. `state` is OK, ERROR, IN_PROGRESS or STATE_UNSPECIFIED."""

    number: int
    trace_id: str
    experiment_number: int
    experiment_id: str
    request_ms: int
    duration_ms: int | None
    state: str
    client_request_id: str | None
    request_preview: str | None
    response_preview: str | None
    finalized: bool
    created_in: str | None


@dataclass(frozen=True, slots=True)
class Span:
    """`document` is the span in OpenTelemetry's JSON; `attributes` its attributes as plain values."""

    span_id: str
    parent_id: str | None
    name: str
    type: str
    status: str
    start_ns: int
    document: Json
    attributes: Json


@dataclass(frozen=True, slots=True)
class Assessment:
    """`document` is what clients read; the rest is what searches compare."""

    assessment_id: str
    kind: str
    name: str
    text: str | None
    number_value: float | None
    valid: bool
    created_ms: int
    document: Json


def get(c: Connection, workspace_id: str, trace_id: str) -> Trace | None:
    row = c.execute(_BY_ID, {"workspace": workspace_number(workspace_id), "trace_id": trace_id}).first()
    return from_row(row) if row else None


def get_many(c: Connection, workspace_id: str, trace_ids: Iterable[str]) -> list[Trace]:
    """Those of the traces that there are, in the order asked for."""
    wanted = list(dict.fromkeys(trace_ids))
    query = SELECT.where(traces.c.workspace == workspace_number(workspace_id), traces.c.trace_id.in_(wanted))
    found = {trace.trace_id: trace for trace in map(from_row, c.execute(query))}
    return [found[trace_id] for trace_id in wanted if trace_id in found]


def create(c: Connection, workspace_id: str, trace_id: str, experiment: int, **values: Any) -> None:
    """Add a trace; `values` are columns. Raises IntegrityError where there is one of that id."""
    c.execute(
        traces.insert().values(
            workspace=workspace_number(workspace_id), trace_id=trace_id, experiment=experiment, **values
        )
    )


def update(c: Connection, trace: int, **values: Any) -> None:
    if values:
        c.execute(traces.update().where(traces.c.number == trace).values(**values))


def delete(c: Connection, numbers: Sequence[int]) -> None:
    """Remove traces and all that is of them."""
    for chunk in _chunks(numbers):
        reviews.delete_items_of_traces(c, chunk)
        for table in (trace_tags, trace_metadata, spans, assessments, trace_runs, trace_numbers):
            c.execute(table.delete().where(table.c.trace.in_(chunk)))
        c.execute(traces.delete().where(traces.c.number.in_(chunk)))


def set_tags(c: Connection, trace: int, tags: dict[str, str]) -> None:
    if tags:
        _UPSERT_TAG.run(c, [(trace, key, value) for key, value in tags.items()])


def delete_tag(c: Connection, trace: int, key: str) -> bool:
    """Remove a tag; say whether it was there."""
    return c.execute(trace_tags.delete().where(trace_tags.c.trace == trace, trace_tags.c.key == key)).rowcount > 0


def set_metadata(c: Connection, trace: int, values: dict[str, str], *, keep: bool = False) -> None:
    """Add or replace metadata; with `keep`, leave what is there."""
    if values:
        (_INSERT_METADATA if keep else _UPSERT_METADATA).run(c, [(trace, key, value) for key, value in values.items()])
        if usage := values.get(TOKEN_USAGE):
            numbers_store.put_tokens(c, trace, usage, keep=keep)


def put_spans(c: Connection, trace: int, found: Sequence[Span]) -> None:
    """Add spans; one that is there is replaced."""
    if found:
        _UPSERT_SPAN.run(
            c,
            [
                (
                    trace,
                    span.span_id,
                    span.parent_id,
                    span.name,
                    span.type,
                    span.status,
                    span.start_ns,
                    int(end) if (end := span.document.get("end_time_unix_nano")) else None,
                    msgspec.json.encode(span.document).decode(),
                    msgspec.json.encode(span.attributes).decode(),
                )
                for span in found
            ],
        )
        costs = {span.span_id: cost for span in found if (cost := span.attributes.get(SPAN_COST))}
        numbers_store.put_costs(c, trace, costs)


def put_assessment(c: Connection, trace: int, found: Assessment) -> None:
    _UPSERT_ASSESSMENT.run(
        c,
        [
            (
                trace,
                found.assessment_id,
                found.kind,
                found.name,
                found.text,
                found.number_value,
                found.valid,
                found.created_ms,
                msgspec.json.encode(found.document),
            )
        ],
    )


def delete_assessment(c: Connection, trace: int, assessment_id: str) -> None:
    c.execute(assessments.delete().where(assessments.c.trace == trace, assessments.c.assessment_id == assessment_id))


def link_run(c: Connection, numbers: Sequence[int], run_id: str) -> None:
    if numbers:
        _INSERT_RUN.run(c, [(number, run_id) for number in numbers])


def tags_of(c: Connection, numbers: Sequence[int]) -> dict[int, dict[str, str]]:
    return _texts(c, trace_tags, numbers)


def metadata_of(c: Connection, numbers: Sequence[int]) -> dict[int, dict[str, str]]:
    return _texts(c, trace_metadata, numbers)


def spans_of(c: Connection, numbers: Sequence[int]) -> dict[int, list[Span]]:
    """The spans of each of these traces, by when they began."""
    found: dict[int, list[Span]] = {number: [] for number in numbers}
    for chunk in _chunks(numbers):
        for row in c.execute(sa.select(spans).where(spans.c.trace.in_(chunk)).order_by(spans.c.start_ns)):
            document, attributes = msgspec.json.decode(row.document), msgspec.json.decode(row.attributes)
            found[row.trace].append(
                Span(row.span_id, row.parent_id, row.name, row.type, row.status, row.start_ns, document, attributes)
            )
    return found


def assessments_of(c: Connection, numbers: Sequence[int]) -> dict[int, list[Assessment]]:
    """The assessments of each of these traces, oldest first."""
    found: dict[int, list[Assessment]] = {number: [] for number in numbers}
    for chunk in _chunks(numbers):
        query = sa.select(assessments).where(assessments.c.trace.in_(chunk))
        for row in c.execute(query.order_by(assessments.c.created_ms, assessments.c.assessment_id)):
            found[row.trace].append(_assessment(row))
    return found


def assessment(c: Connection, trace: int, assessment_id: str) -> Assessment | None:
    query = sa.select(assessments).where(assessments.c.trace == trace, assessments.c.assessment_id == assessment_id)
    row = c.execute(query).first()
    return _assessment(row) if row else None


def from_row(row: Any) -> Trace:
    """The trace of a row of `SELECT`."""
    number, trace_id, experiment, is_default, *rest = tuple(row)
    return Trace(number, trace_id, experiment, DEFAULT_ID if is_default else str(experiment), *rest)


def _assessment(row: Any) -> Assessment:
    return Assessment(
        row.assessment_id,
        row.kind,
        row.name,
        row.text,
        row.number_value,
        row.valid,
        row.created_ms,
        msgspec.json.decode(row.document),
    )


def _texts(c: Connection, table: sa.Table, numbers: Sequence[int]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {number: {} for number in numbers}
    for chunk in _chunks(numbers):
        for trace, key, value in c.execute(sa.select(table).where(table.c.trace.in_(chunk))):
            found[trace][key] = value
    return found


def _chunks(numbers: Sequence[int]) -> list[Sequence[int]]:
    return [numbers[start : start + _CHUNK] for start in range(0, len(numbers), _CHUNK)]


#: Traces with their experiments, in the order `from_row` reads.
SELECT = sa.select(
    traces.c.number,
    traces.c.trace_id,
    traces.c.experiment,
    experiments.c.is_default,
    traces.c.request_ms,
    traces.c.duration_ms,
    traces.c.state,
    traces.c.client_request_id,
    traces.c.request_preview,
    traces.c.response_preview,
    traces.c.finalized,
    traces.c.created_in,
).join_from(traces, experiments, traces.c.experiment == experiments.c.number)
_BY_ID = SELECT.where(traces.c.workspace == sa.bindparam("workspace"), traces.c.trace_id == sa.bindparam("trace_id"))
_UPSERT_TAG = upsert(trace_tags, ["value"])
_UPSERT_METADATA = upsert(trace_metadata, ["value"])
_INSERT_METADATA = upsert(trace_metadata)
_UPSERT_SPAN = upsert(spans, ["parent_id", "name", "type", "status", "start_ns", "end_ns", "document", "attributes"])
_UPSERT_ASSESSMENT = upsert(assessments, ["name", "text", "number_value", "valid", "document"])
_INSERT_RUN = upsert(trace_runs)
