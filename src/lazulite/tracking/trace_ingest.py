"""`/v1/traces`: spans as any OpenTelemetry exporter sends them. Their traces are made as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy.engine import Connection
from starlette.responses import Response

from lazulite.core.web import JsonResponse
from lazulite.store import traces as store
from lazulite.store.traces import Span, Trace
from lazulite.tracking import otlp
from lazulite.tracking.call import Call
from lazulite.tracking.errors import error, invalid
from lazulite.tracking.trace_documents import SPANS_TAG
from lazulite.tracking.trace_search import NAME_TAG
from lazulite.tracking.traces import MAX_PREVIEW, make

EXPERIMENT_HEADER, RUN_HEADER = "x-mlflow-experiment-id", "x-mlflow-run-id"
_PROTOBUF = "application/x-protobuf"
_TAG_PREFIX = "mlflow.traceTag."
_SUMMED = {"mlflow.chat.tokenUsage": "mlflow.trace.tokenUsage", "mlflow.llm.cost": "mlflow.trace.cost"}
_NAMED = {
    "session.id": "mlflow.trace.session",
    "gen_ai.conversation.id": "mlflow.trace.session",
    "user.id": "mlflow.trace.user",
}


async def export(call: Call) -> Response:
    """All spans of a request are kept, or none."""
    headers = call.request.headers
    experiment_id, run_id = headers.get(EXPERIMENT_HEADER), headers.get(RUN_HEADER)
    if not experiment_id:
        raise error("BAD_REQUEST", f"The header {EXPERIMENT_HEADER} must name the experiment.")
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in (_PROTOBUF, "application/json"):
        raise error("BAD_REQUEST", f"Invalid Content-Type: {kind}. Expected: {_PROTOBUF} or application/json")
    try:
        body, encoding = await call.request.body(), headers.get("content-encoding", "").lower()
        # Read by Python code, which takes its time: others are answered meanwhile.
        spans = await asyncio.to_thread(otlp.read, body, encoding, protobuf=kind == _PROTOBUF)
    except otlp.Malformed as malformed:
        raise error("BAD_REQUEST", f"Invalid OpenTelemetry format: {malformed}") from None
    if not spans:
        raise error("BAD_REQUEST", "Invalid OpenTelemetry format - no spans found")
    by_trace: dict[str, list[Span]] = {}
    for span in spans:
        by_trace.setdefault(otlp.trace_id(span), []).append(span)

    def write(c: Connection) -> None:
        experiment = call.experiment(c, experiment_id, write=True)
        if experiment.lifecycle != "active":
            raise invalid(f"The experiment {experiment.id} must be in the 'active' state.")
        run = call.run_to_write(c, run_id, lifecycle=None) if run_id else None
        for trace_id, found in by_trace.items():
            trace = _log(c, call, trace_id, experiment.number, found)
            if run is not None:
                store.link_run(c, [trace.number], run.run_id)

    await call.write(write)
    return Response(b"", media_type=_PROTOBUF) if kind == _PROTOBUF else JsonResponse({})


def _log(c: Connection, call: Call, trace_id: str, experiment: int, found: Sequence[Span]) -> Trace:
    known = store.get(c, call.workspace, trace_id)
    began = min(span.start_ns for span in found) // 1_000_000
    ended = max((end for span in found if (end := otlp.end_ns(span)) is not None), default=None)
    root = next((span for span in found if span.parent_id is None), None)
    values: dict[str, Any] = {}
    if known is None or not known.finalized:
        last = ended // 1_000_000 if ended is not None else None
        values = _spread(known, began, last)
        values["state"] = _state(root, known)
        values |= _previews(root, known)
    if known is None:
        values["finalized"] = False
    trace = make(c, call, trace_id, known.experiment_number if known and known.finalized else experiment, **values)
    store.put_spans(c, trace.number, found)
    tags = {SPANS_TAG: "TRACKING_STORE"}
    if root is not None and not trace.finalized:
        tags[NAME_TAG] = root.name
        tags |= {
            key.removeprefix(_TAG_PREFIX)[:250]: str(value)
            for key, value in root.attributes.items()
            if key.startswith(_TAG_PREFIX)
        }
    store.set_tags(c, trace.number, tags)
    store.set_metadata(c, trace.number, _metadata(c, trace, found), keep=trace.finalized)
    return trace


def _spread(known: Trace | None, began: int, ended: int | None) -> dict[str, Any]:
    """When the trace began and how long it took, now that these spans are known too."""
    if known is not None:
        if known.duration_ms is not None:
            ended = max(ended or 0, known.request_ms + known.duration_ms)
        began = min(began, known.request_ms)
    return {"request_ms": began, "duration_ms": None if ended is None else max(0, ended - began)}


def _state(root: Span | None, known: Trace | None) -> str:
    if root is None:
        return known.state if known is not None else "IN_PROGRESS"
    if otlp.end_ns(root) is None:
        return "IN_PROGRESS"
    return "ERROR" if root.status == "ERROR" else "OK"


def _previews(root: Span | None, known: Trace | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for column, attribute in (("request_preview", "mlflow.spanInputs"), ("response_preview", "mlflow.spanOutputs")):
        if root is not None and attribute in root.attributes and (known is None or getattr(known, column) is None):
            value = root.attributes[attribute]
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            found[column] = text[:MAX_PREVIEW]
    return found


def _metadata(c: Connection, trace: Trace, found: Sequence[Span]) -> dict[str, str]:
    metadata = {"mlflow.trace_schema.version": "3"}
    for span in found:
        for attribute, name in _NAMED.items():
            if value := span.attributes.get(attribute):
                metadata.setdefault(name, str(value)[:250])
    for attribute, name in _SUMMED.items():
        if any(attribute in span.attributes for span in found):
            total = _total(store.spans_of(c, [trace.number])[trace.number], attribute)
            metadata[name] = msgspec.json.encode(total).decode()
    return metadata


def _total(spans: Sequence[Span], attribute: str) -> dict[str, float]:
    """Summed over the spans that have it and no ancestor that has: an ancestor's counts its descendants' in."""
    by_id = {span.span_id: span for span in spans}
    total: dict[str, float] = {}
    for span in spans:
        value = _counts(span, attribute)
        if value and not _has_above(span, by_id, attribute):
            for key, count in value.items():
                if isinstance(count, int | float):
                    total[key] = total.get(key, 0) + count
    return total


def _has_above(span: Span, by_id: dict[str, Span], attribute: str) -> bool:
    seen = {span.span_id}
    parent = by_id.get(span.parent_id or "")
    while parent is not None and parent.span_id not in seen:
        if _counts(parent, attribute):
            return True
        seen.add(parent.span_id)
        parent = by_id.get(parent.parent_id or "")
    return False


def _counts(span: Span, attribute: str) -> dict[str, Any]:
    value = span.attributes.get(attribute)
    if isinstance(value, str):  # some exporters write it as JSON text
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError:
            return {}
    return value if isinstance(value, dict) else {}
