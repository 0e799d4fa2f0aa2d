"""Conditional headers, decided without I/O."""

from __future__ import annotations

import email.utils
from collections.abc import Mapping

from lazulite.storage.errors import StorageError, invalid_header


def check_read(headers: Mapping[str, str], etag: str, modified: float, prefix: str = "") -> None:
    """Raise StorageError 412, or 304, unless the conditions hold for a resource that exists."""
    _check(headers, etag, modified, 304, prefix)


def check_write(headers: Mapping[str, str], etag: str | None, modified: float, prefix: str = "") -> None:
    """Raise StorageError 412, or 409 for `If-None-Match: *` on what exists. `etag` is None for what does not exist."""
    if etag is not None:
        if headers.get(prefix + "if-none-match", "").strip() == "*":
            raise StorageError("BlobAlreadyExists", "The blob exists already, and If-None-Match: * was asked for.")
        _check(headers, etag, modified, 412, prefix)
    elif headers.get(prefix + "if-match"):
        raise StorageError(
            "ConditionNotMet", f"If-Match asks for {headers[prefix + 'if-match']}, but the blob does not exist."
        )


def _check(headers: Mapping[str, str], etag: str, modified: float, none_match_status: int, prefix: str) -> None:
    match = headers.get(prefix + "if-match")
    if match and not _matches(match, etag):
        raise StorageError("ConditionNotMet", f'If-Match asks for {match}; the ETag is "{etag}".')
    none_match = headers.get(prefix + "if-none-match")
    if none_match and _matches(none_match, etag):
        message = f'If-None-Match excludes the present ETag "{etag}".'
        raise StorageError("ConditionNotMet", message, status=none_match_status, headers={"ETag": f'"{etag}"'})
    unmodified = headers.get(prefix + "if-unmodified-since")
    if unmodified and int(modified) > _date("If-Unmodified-Since", unmodified):
        raise StorageError("ConditionNotMet", f"Modified after {unmodified}.")
    since = headers.get(prefix + "if-modified-since")
    if since and not none_match and int(modified) <= _date("If-Modified-Since", since):
        raise StorageError(
            "ConditionNotMet",
            f"Not modified since {since}.",
            status=none_match_status,
            headers={"ETag": f'"{etag}"'},
        )


def _matches(text: str, etag: str) -> bool:
    if text.strip() == "*":
        return True
    return any(part.strip().removeprefix("W/").strip('"') == etag for part in text.split(","))


def _date(name: str, text: str) -> float:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        raise invalid_header(name, text, "it is not an HTTP date such as Mon, 02 Jan 2023 10:00:00 GMT") from None
