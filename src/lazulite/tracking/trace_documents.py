"""Traces as MLflow's protobuf JSON, of its version 3 and of its version 2."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy.engine import Connection

from lazulite.core.clock import parse_iso
from lazulite.store import traces as store
from lazulite.store.traces import Span, Trace
from lazulite.tracking.documents import Json, pairs
from lazulite.tracking.errors import invalid
from lazulite.tracking.otlp import plain

LOCATION_TAG, SPANS_TAG = "mlflow.artifactLocation", "mlflow.trace.spansLocation"
FINALIZED = "mlflow.trace.infoFinalized"
_OLD_STATES = {"STATE_UNSPECIFIED": "TRACE_STATUS_UNSPECIFIED"}


def trace_infos(c: Connection, found: Sequence[Trace]) -> list[Json]:
    """`TraceInfoV3` of each."""
    numbers = [trace.number for trace in found]
    tags, metadata = store.tags_of(c, numbers), store.metadata_of(c, numbers)
    judged = store.assessments_of(c, numbers)
    documents = []
    for trace in found:
        document: Json = {
            "trace_id": trace.trace_id,
            "trace_location": {
                "type": "MLFLOW_EXPERIMENT",
                "mlflow_experiment": {"experiment_id": trace.experiment_id},
            },
            "request_time": rfc3339(trace.request_ms),
            "state": trace.state,
            "trace_metadata": _metadata(trace, metadata[trace.number]),
            "tags": _tags(trace, tags[trace.number]),
            "assessments": [one.document for one in judged[trace.number]],
        }
        if trace.duration_ms is not None:
            document["execution_duration"] = f"{trace.duration_ms / 1000:.3f}s"
        for name in ("client_request_id", "request_preview", "response_preview"):
            if (value := getattr(trace, name)) is not None:
                document[name] = value
        documents.append(document)
    return documents


def old_infos(c: Connection, found: Sequence[Trace]) -> list[Json]:
    """`TraceInfo` of version 2 of each."""
    numbers = [trace.number for trace in found]
    tags, metadata = store.tags_of(c, numbers), store.metadata_of(c, numbers)
    return [
        {
            "request_id": trace.trace_id,
            "experiment_id": trace.experiment_id,
            "timestamp_ms": trace.request_ms,
            "execution_time_ms": trace.duration_ms or 0,
            "status": _OLD_STATES.get(trace.state, trace.state),
            "request_metadata": pairs(_metadata(trace, metadata[trace.number])),
            "tags": pairs(_tags(trace, tags[trace.number])),
        }
        for trace in found
    ]


def with_spans(c: Connection, found: Sequence[Trace]) -> list[Json]:
    """`Trace` of each: its info and its spans."""
    spans = store.spans_of(c, [trace.number for trace in found])
    return [
        {"trace_info": info, "spans": [span.document for span in spans[trace.number]]}
        for trace, info in zip(found, trace_infos(c, found), strict=True)
    ]


def span_file(spans: Sequence[Span]) -> bytes:
    """What clients keep as `traces.json`: attributes by key, each value as JSON text."""
    return msgspec.json.encode({"spans": [_file_span(span) for span in spans]})


def artifact_location(trace: Trace) -> str:
    return f"mlflow-artifacts:/{trace.experiment_id}/traces/{trace.trace_id}/artifacts"


def rfc3339(milliseconds: int) -> str:
    moment = dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"


def milliseconds(name: str, value: Any) -> int:
    """Of a protobuf timestamp in JSON. Raises ApiError."""
    try:
        moment = parse_iso(value)
        return round(moment.timestamp() * 1000)
    except (TypeError, ValueError, AttributeError, OverflowError):
        raise invalid(f"Invalid value for parameter '{name}' supplied: a timestamp is expected.") from None


def duration_ms(name: str, value: Any) -> int | None:
    """Of a protobuf duration in JSON (`"1.5s"`). Raises ApiError."""
    if value is None:
        return None
    try:
        if not value.endswith("s"):
            raise ValueError(value)
        return round(float(value[:-1]) * 1000)
    except (AttributeError, ValueError, OverflowError):
        raise invalid(f"Invalid value for parameter '{name}' supplied: a duration such as 1.5s is expected.") from None


def _tags(trace: Trace, stored: dict[str, str]) -> dict[str, str]:
    return {LOCATION_TAG: artifact_location(trace), **stored}


def _metadata(trace: Trace, stored: dict[str, str]) -> dict[str, str]:
    return {**stored, FINALIZED: "true"} if trace.finalized else stored


def _file_span(span: Span) -> Json:
    document = span.document
    status = document.get("status") or {}
    return {
        "trace_id": document["trace_id"],
        "span_id": document["span_id"],
        "parent_span_id": document.get("parent_span_id"),
        "name": span.name,
        "start_time_unix_nano": span.start_ns,
        "end_time_unix_nano": int(end) if (end := document.get("end_time_unix_nano")) else None,
        "events": [{**one, "attributes": _plain(one)} for one in document.get("events", [])],
        "status": {"code": status.get("code", "STATUS_CODE_UNSET"), "message": status.get("message", "")},
        "attributes": {key: msgspec.json.encode(value).decode() for key, value in span.attributes.items()},
        "links": [{**one, "attributes": _plain(one)} for one in document.get("links", [])],
    }


def _plain(item: Json) -> Json:
    return {pair["key"]: plain(pair["value"]) for pair in item.get("attributes", [])}
