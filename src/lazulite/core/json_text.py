"""From the text of a body to its JSON object, within limits that are counted before anything is made of it."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from lazulite.core.errors import ApiError, bad_request

#: Objects and lists within one another. Code that follows a document downwards relies on it.
MOST_DEPTH = 100
#: A route takes one value for so many bytes of its largest body: numbers and empty texts are what costs.
BYTES_PER_VALUE = 64
#: What a text within a body may hold, and a body of the ordinary size.
DEFAULT_VALUES = 16 * 1024 * 1024 // BYTES_PER_VALUE
#: Objects and lists of the largest bodies: each costs as much as several numbers. Of others, half the values may be such.
MOST_CONTAINERS = 1_000_000
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET = bytes(byte for byte in range(256) if byte not in b"[]{}")


def decode(raw: bytes, most_values: int) -> dict[str, Any]:
    """The object that `raw` spells. Raises ApiError 400 saying where it stops being JSON, and 413 over a limit."""
    check_limits(raw, most_values)
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        document = _lenient(raw, error)
    except RecursionError:
        raise _too_deep() from None
    if b"\\u" in raw:
        _check_encodable(document)
    if not isinstance(document, dict):
        raise _invalid(f"The body must be a JSON object, and is a JSON {type(document).__name__}.")
    return document


def check_limits(raw: bytes, most_values: int = DEFAULT_VALUES) -> None:
    """Count in a few fast passes over the text: a document takes many times the memory. Raises ApiError 400 and 413."""
    most_containers = min(most_values // 2, MOST_CONTAINERS)
    commas, containers = raw.count(b","), _containers(raw)
    if commas < most_values and containers <= MOST_DEPTH:
        return
    structure = _structure(raw, most_values)
    if commas >= most_values and structure.count(b",") >= most_values:
        raise _too_many(most_values, "values")
    if containers > most_containers and _containers(structure) > most_containers:
        raise _too_many(most_containers, "objects and lists")
    if containers > MOST_DEPTH and _is_deeper(structure, MOST_DEPTH):
        raise _too_deep()


def _containers(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _structure(raw: bytes, most_values: int) -> bytes:
    """The text without its strings. Raises ApiError 413 where it has more strings than so many values can have."""
    bare = raw.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in raw else raw
    if bare.count(b'"') > 4 * (most_values + 1):  # a name and a text, two quotes each
        raise _too_many(most_values, "values")
    return b"".join(bare.split(b'"')[::2])


def _is_deeper(structure: bytes, depth: int) -> bool:
    """Whether brackets stand within one another more than `depth` times."""
    left = structure.translate(_ONE_KIND, _NO_BRACKET)
    for _ in range(depth):
        if b"[]" not in left:
            return False  # what is left has no partner: decoding will say where
        left = left.replace(b"[]", b"")
    return b"[]" in left


def _lenient(raw: bytes, error: Exception) -> Any:
    # Scripts that build bodies by hand leave raw newlines inside strings; Azure's own parser takes them.
    try:
        return json.loads(raw, strict=False)
    except (ValueError, RecursionError):
        what = f"The body is not JSON: {error}. Check quotes, commas and the text's encoding (UTF-8)."
        raise _invalid(what) from None


def _check_encodable(document: Any) -> None:
    # JSON can spell half of a character ("\\ud800"), which no file, database or answer can hold.
    try:
        msgspec.json.encode(document)
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        what = f"The body has '{half}', half of a character: write both halves, or the character itself."
        raise _invalid(what) from None


def _invalid(message: str) -> ApiError:
    return bad_request(message, "body", code="InvalidRequestContent")


def _too_deep() -> ApiError:
    return _invalid(f"The body is nested too deeply: more than {MOST_DEPTH} objects and lists within one another.")


def _too_many(most: int, what: str) -> ApiError:
    return ApiError(
        413,
        "RequestEntityTooLarge",
        f"The body holds more than the {most} {what} that this operation takes. Send less at a time, or a file.",
        target="body",
    )
