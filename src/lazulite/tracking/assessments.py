"""`traces/{id}/assessments`: feedback on a trace, and what was expected of it."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy.engine import Connection

from lazulite.core.clock import now_ms
from lazulite.store import traces as store
from lazulite.store.traces import Assessment, Trace
from lazulite.tracking.call import Call
from lazulite.tracking.documents import Json
from lazulite.tracking.errors import does_not_exist, error, invalid
from lazulite.tracking.fields import Fields, check_length, missing
from lazulite.tracking.trace_documents import milliseconds, rfc3339

KINDS = ("feedback", "expectation", "issue")
_KEPT = (
    "assessment_name",
    "source",
    "span_id",
    "feedback",
    "expectation",
    "issue",
    "rationale",
    "metadata",
    "overrides",
)
_UPDATED = frozenset({"assessment_name", "expectation", "feedback", "rationale", "metadata", "valid"})


async def create(call: Call) -> Json:
    """One that `overrides` another makes that other invalid."""
    trace_id = _trace_id(call)
    sent = _sent(call)

    def write(c: Connection) -> Json:
        trace = _trace(c, call, trace_id, write=True)
        made = from_sent(Fields({**sent.values, "assessment_id": None, "valid": True}), trace_id)
        if overridden := sent.maybe_text("overrides"):
            _set_valid(c, trace, _get(c, trace, overridden), False)
        store.put_assessment(c, trace.number, made)
        return {"assessment": made.document}

    return await call.write(write)


async def get(call: Call) -> Json:
    def read(c: Connection) -> Json:
        return {"assessment": _get(c, _trace(c, call, _trace_id(call)), _id(call)).document}

    return await call.read(read)


async def update(call: Call) -> Json:
    """Change what `update_mask` names. Metadata is merged; what kind it is of stays."""
    sent, paths = _sent(call), _mask(call.fields.values.get("update_mask"))

    def write(c: Connection) -> Json:
        trace = _trace(c, call, _trace_id(call), write=True)
        known = _get(c, trace, _id(call))
        for kind in KINDS:
            if kind in paths and kind != known.kind:
                raise invalid(f"Cannot update {kind} value on a {known.kind.capitalize()} assessment.")
        changed = {path: sent.values.get(path) for path in paths if path in _UPDATED}
        if "metadata" in changed:
            changed["metadata"] = {**(known.document.get("metadata") or {}), **(changed["metadata"] or {})}
        document = {**known.document, **changed, "last_update_time": rfc3339(now_ms())}
        made = from_sent(Fields(document), trace.trace_id)
        store.put_assessment(c, trace.number, made)
        return {"assessment": made.document}

    return await call.write(write)


async def delete(call: Call) -> Json:
    """Nothing where there is none. What it overrode is valid again."""

    def write(c: Connection) -> None:
        trace = _trace(c, call, _trace_id(call), write=True)
        known = store.assessment(c, trace.number, _id(call))
        if known is None:
            return
        overridden = store.assessment(c, trace.number, str(known.document.get("overrides") or ""))
        if overridden is not None:
            _set_valid(c, trace, overridden, True)
        store.delete_assessment(c, trace.number, known.assessment_id)

    await call.write(write)
    return {}


def from_sent(fields: Fields, trace_id: str) -> Assessment:
    """An assessment as it is stored. Raises ApiError."""
    kinds = [kind for kind in KINDS if isinstance(fields.values.get(kind), dict)]
    if len(kinds) != 1:
        raise invalid("An assessment has exactly one of feedback, expectation and issue.")
    now = rfc3339(now_ms())
    name = check_length("assessment_name", 250, fields.text("assessment_name"))
    document: Json = {
        "assessment_id": fields.maybe_text("assessment_id") or f"a-{uuid.uuid4().hex}",
        **{key: value for key in _KEPT if (value := fields.values.get(key)) is not None},
        "trace_id": trace_id,
        "create_time": fields.maybe_text("create_time") or now,
        "last_update_time": fields.maybe_text("last_update_time") or now,
        "valid": fields.values.get("valid") is not False,
    }
    if kinds[0] == "expectation":
        document["expectation"] = _expectation(document["expectation"])
    text, number = _value(kinds[0], document[kinds[0]])
    return Assessment(
        assessment_id=document["assessment_id"],
        kind=kinds[0],
        name=name,
        text=text,
        number_value=number,
        valid=document["valid"],
        created_ms=milliseconds("create_time", document["create_time"]),
        document=document,
    )


def _expectation(sent: Json) -> Json:
    """Lists and objects are kept as JSON in a text, which is how clients read them."""
    value = sent.get("value")
    if not isinstance(value, list | dict):
        return sent
    return {"serialized_value": {"serialization_format": "JSON_FORMAT", "value": json.dumps(value)}}


def _value(kind: str, found: Json) -> tuple[str | None, float | None]:
    """The value as searches compare it: text, and the number it is, if it is one."""
    value: Any = found.get("value")
    if kind == "expectation" and isinstance(found.get("serialized_value"), dict):
        value = found["serialized_value"].get("value")
    if isinstance(value, str):
        return value, None
    if value is None:
        return None, None
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    return msgspec.json.encode(value).decode(), number


def _set_valid(c: Connection, trace: Trace, known: Assessment, valid: bool) -> None:
    document = {**known.document, "valid": valid}
    store.put_assessment(c, trace.number, replace(known, valid=valid, document=document))


def _sent(call: Call) -> Fields:
    value = call.fields.values.get("assessment")
    if not isinstance(value, dict):
        raise missing("assessment")
    return Fields(value)


def _mask(value: Any) -> list[str]:
    """A field mask: protobuf's JSON has it as text, joined by commas and in camel case."""
    if isinstance(value, dict):
        value = ",".join(value.get("paths") or [])
    if not isinstance(value, str) or not value:
        raise missing("update_mask")
    names = ["".join(f"_{ch.lower()}" if ch.isupper() else ch for ch in path) for path in value.split(",")]
    return [name.strip() for name in names]


def _get(c: Connection, trace: Trace, assessment_id: str) -> Assessment:
    found = store.assessment(c, trace.number, assessment_id)
    if found is None:
        raise does_not_exist(f"Assessment with ID '{assessment_id}' not found for trace '{trace.trace_id}'")
    return found


def _trace(c: Connection, call: Call, trace_id: str, *, write: bool = False) -> Trace:
    found = store.get(c, call.workspace, trace_id)
    if found is None:
        raise does_not_exist(f"Trace with request_id '{trace_id}' not found")
    own = call.principal.run
    if write and own is not None and (found.created_in or "").lower() != own.lower():
        raise error("PERMISSION_DENIED", f"The token of job '{own}' may write to its own traces only.")
    return found


def _trace_id(call: Call) -> str:
    return str(call.request.path_params["trace_id"])


def _id(call: Call) -> str:
    return str(call.request.path_params["assessment_id"])
