"""OpenTelemetry's trace export: its protobuf and JSON bodies read into spans, without a protobuf library.

Only the messages of `ExportTraceServiceRequest` are known here; unknown fields are skipped, as protobuf asks.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec

from lazulite.core import json_text
from lazulite.core.errors import ApiError
from lazulite.store.traces import Span
from lazulite.tracking.documents import Json

MOST_BYTES = 64 * 1024 * 1024
MOST_DEPTH = 40
MOST_SPANS = 20_000
MOST_VALUES = MOST_BYTES // json_text.BYTES_PER_VALUE
_STATUS = {0: "UNSET", 1: "OK", 2: "ERROR"}
_STATUS_NAMES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
_Field = tuple[int, int, Any]  # number, wire type, value


class Malformed(ValueError):
    """The body is no export request; the argument says why."""


def read(body: bytes, encoding: str, *, protobuf: bool) -> list[Span]:
    """The spans of a request's body. Raises Malformed."""
    content = decompressed(body, encoding)
    return read_protobuf(content) if protobuf else read_json(content)


def decompressed(body: bytes, encoding: str) -> bytes:
    """Raises Malformed, also where it would be more than `MOST_BYTES`."""
    if encoding not in ("gzip", "deflate"):
        if encoding in ("", "identity"):
            return body
        raise Malformed(f"content encoding '{encoding}' is not known; there is gzip and deflate")
    inflate = zlib.decompressobj(31 if encoding == "gzip" else 15)
    try:
        content = inflate.decompress(body, MOST_BYTES)
    except (zlib.error, gzip.BadGzipFile) as error:
        raise Malformed(f"the body is not {encoding}: {error}") from None
    if inflate.unconsumed_tail:
        raise Malformed(f"the body is more than {MOST_BYTES} bytes")
    return content


def read_protobuf(body: bytes) -> list[Span]:
    """Raises Malformed."""
    try:
        return _spans(
            to_span(_span(item))
            for resource in _messages(body, 1)
            for scope in _messages(resource, 2)
            for item in _messages(scope, 2)
        )
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise Malformed(f"the body is not protobuf: {error}") from None


def read_json(body: bytes) -> list[Span]:
    """Ids are hexadecimal here, as OpenTelemetry has it. Raises Malformed."""
    try:
        json_text.check_limits(body, MOST_VALUES)
        document = msgspec.json.decode(body)
        return _spans(
            to_span(_from_json(item))
            for resource in document["resourceSpans"]
            for scope in resource.get("scopeSpans", [])
            for item in scope.get("spans", [])
        )
    except (ApiError, msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise Malformed(f"the body is not an export request in JSON: {error}") from None


def _spans(found: Iterator[Span]) -> list[Span]:
    spans = list(itertools.islice(found, MOST_SPANS + 1))
    if len(spans) > MOST_SPANS:
        raise Malformed(f"a request holds at most {MOST_SPANS} spans; send them in several")
    return spans


def to_span(document: Json) -> Span:
    """A span of a document in protobuf's JSON (ids in base64, names with underscores). Raises Malformed."""
    trace_id, span_id = document.get("trace_id"), document.get("span_id")
    if not trace_id or not span_id:
        raise Malformed("a span has no trace_id or no span_id")
    attributes = {item["key"]: plain(item.get("value") or {}) for item in document.get("attributes", [])}
    type_ = attributes.get("mlflow.spanType")
    code = _STATUS_NAMES.get(str((document.get("status") or {}).get("code")), 0)
    parent = document.get("parent_span_id")
    return Span(
        span_id=_hex(span_id),
        parent_id=_hex(parent) if parent else None,
        name=str(document.get("name", "")),
        type=str(type_).strip('"') if type_ else "UNKNOWN",
        status=_STATUS[code],
        start_ns=int(document.get("start_time_unix_nano") or 0),
        document=document,
        attributes=attributes,
    )


def trace_id(span: Span) -> str:
    """The id MLflow gives the trace of a span."""
    return f"tr-{_hex(span.document['trace_id'])}"


def end_ns(span: Span) -> int | None:
    value = span.document.get("end_time_unix_nano")
    return int(value) if value else None


def plain(value: Json, depth: int = 0) -> Any:
    """What an `AnyValue` says. Raises Malformed where it is nested too deeply."""
    if depth > MOST_DEPTH:
        raise Malformed("an attribute is nested too deeply")
    for kind, found in value.items():
        if kind == "int_value":
            return int(found)
        if kind == "array_value":
            return [plain(item, depth + 1) for item in found.get("values", [])]
        if kind == "kvlist_value":
            return {item["key"]: plain(item.get("value") or {}, depth + 1) for item in found.get("values", [])}
        return found
    return None


def _hex(text: str) -> str:
    return base64.b64decode(text).hex()


def _from_json(item: Any, depth: int = 0) -> Any:
    """OpenTelemetry's JSON as protobuf's: names with underscores, ids in base64, codes by name."""
    if depth > MOST_DEPTH * 3:
        raise Malformed("a span is nested too deeply")
    if isinstance(item, list):
        return [_from_json(one, depth + 1) for one in item]
    if not isinstance(item, dict):
        return item
    found: Json = {}
    for name, value in item.items():
        key = "".join(f"_{ch.lower()}" if ch.isupper() else ch for ch in name)
        if key in ("trace_id", "span_id", "parent_span_id") and isinstance(value, str):
            found[key] = base64.b64encode(bytes.fromhex(value)).decode()
        elif key == "code" and isinstance(value, int):
            found[key] = f"STATUS_CODE_{_STATUS.get(value, 'UNSET')}"
        elif key == "kind":
            found[key] = value if isinstance(value, str) else _KINDS.get(value, _KINDS[0])
        else:
            found[key] = _from_json(value, depth + 1)
    return found


def _span(data: bytes) -> Json:
    span: Json = {"attributes": [], "events": [], "links": []}
    for number, _, value in _fields(data):
        if name := _SPAN_IDS.get(number):
            span[name] = base64.b64encode(value).decode()
        elif name := _SPAN_TEXTS.get(number):
            span[name] = value.decode()
        elif name := _SPAN_TIMES.get(number):
            span[name] = value
        elif number == 6:
            span["kind"] = _KINDS.get(value, _KINDS[0])
        elif number == 9:
            span["attributes"].append(_pair(value))
        elif number == 11:
            span["events"].append(_event(value))
        elif number == 13:
            span["links"].append(_link(value))
        elif number == 15:
            span["status"] = _status(value)
    return {name: value for name, value in span.items() if value != []}


def _event(data: bytes) -> Json:
    event: Json = {}
    for number, _, value in _fields(data):
        if number == 1:
            event["time_unix_nano"] = value
        elif number == 2:
            event["name"] = value.decode()
        elif number == 3:
            event.setdefault("attributes", []).append(_pair(value))
    return event


def _link(data: bytes) -> Json:
    link: Json = {}
    for number, _, value in _fields(data):
        if number in (1, 2):
            link["trace_id" if number == 1 else "span_id"] = base64.b64encode(value).decode()
        elif number == 4:
            link.setdefault("attributes", []).append(_pair(value))
    return link


def _status(data: bytes) -> Json:
    status: Json = {}
    for number, _, value in _fields(data):
        if number == 2:
            status["message"] = value.decode()
        elif number == 3:
            status["code"] = f"STATUS_CODE_{_STATUS.get(value, 'UNSET')}"
    return status


def _pair(data: bytes, depth: int = 0) -> Json:
    pair: Json = {"key": "", "value": {}}
    for number, _, value in _fields(data):
        if number == 1:
            pair["key"] = value.decode()
        elif number == 2:
            pair["value"] = _value(value, depth + 1)
    return pair


def _value(data: bytes, depth: int) -> Json:
    if depth > MOST_DEPTH:
        raise Malformed("an attribute is nested too deeply")
    found: Json = {}
    for number, _, value in _fields(data):
        if number == 1:
            found = {"string_value": value.decode()}
        elif number == 2:
            found = {"bool_value": bool(value)}
        elif number == 3:
            found = {"int_value": value - (1 << 64) if value >> 63 else value}
        elif number == 4:
            found = {"double_value": struct.unpack("<d", struct.pack("<Q", value))[0]}
        elif number == 5:
            found = {"array_value": {"values": [_value(item, depth + 1) for item in _messages(value, 1)]}}
        elif number == 6:
            found = {"kvlist_value": {"values": [_pair(item, depth + 1) for item in _messages(value, 1)]}}
        elif number == 7:
            found = {"bytes_value": base64.b64encode(value).decode()}
    return found


def _messages(data: bytes, wanted: int) -> Iterator[bytes]:
    return (value for number, wire, value in _fields(data) if number == wanted and wire == 2)


def _fields(data: bytes) -> Iterator[_Field]:
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        value: Any
        if wire == 0:
            value, at = _varint(data, at)
        elif wire == 1:
            value, at = struct.unpack_from("<Q", data, at)[0], at + 8
        elif wire == 2:
            length, at = _varint(data, at)
            if at + length > end:
                raise Malformed("the body ends inside a message")
            value, at = data[at : at + length], at + length
        elif wire == 5:
            value, at = struct.unpack_from("<I", data, at)[0], at + 4
        else:
            raise Malformed(f"wire type {wire} is not known")
        _check_wire(number, wire)
        yield number, wire, value


def _check_wire(number: int, wire: int) -> None:
    if number == 0:
        raise Malformed(f"field 0 of wire type {wire}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise Malformed("a number is longer than ten bytes")


_SPAN_IDS = {1: "trace_id", 2: "span_id", 4: "parent_span_id"}
_SPAN_TEXTS = {3: "trace_state", 5: "name"}
_SPAN_TIMES = {7: "start_time_unix_nano", 8: "end_time_unix_nano"}
_KINDS = {
    0: "SPAN_KIND_UNSPECIFIED",
    1: "SPAN_KIND_INTERNAL",
    2: "SPAN_KIND_SERVER",
    3: "SPAN_KIND_CLIENT",
    4: "SPAN_KIND_PRODUCER",
    5: "SPAN_KIND_CONSUMER",
}
