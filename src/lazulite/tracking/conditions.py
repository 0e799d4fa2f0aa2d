"""Comparisons of the search grammar as SQL conditions, and pages of what they find."""

from __future__ import annotations

import base64
import re
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.tracking.errors import error, invalid
from lazulite.tracking.grammar import Value

Column = sa.ColumnElement[Any]


def compare(c: Connection, column: Column, operator: str, value: Value) -> sa.ColumnElement[bool]:
    """`column operator value`; LIKE minds case on every database, ILIKE does not."""
    if operator in ("IN", "NOT IN"):
        assert isinstance(value, tuple)  # the grammar made it
        return column.in_(value) if operator == "IN" else column.not_in(value)
    if operator == "LIKE":
        # SQLite's LIKE does not mind case; its GLOB does.
        return column.op("GLOB")(_glob(str(value))) if c.dialect.name == "sqlite" else column.like(_like(c, str(value)))
    if operator == "ILIKE":
        return column.ilike(_like(c, str(value)))
    if operator == "RLIKE":
        return column.regexp_match(_pattern(str(value)))
    return column.op(operator, is_comparison=True)(sa.literal(value))


def keyed(
    c: Connection, table: sa.Table, owner: Column, on: Column, key: str, operator: str, value: Value
) -> sa.ColumnElement[bool]:
    """Whether the row that `on` refers to has a `key` in a table of texts, with a value that compares so."""
    exists = sa.exists().where(owner == on, table.c.key == key)
    if operator == "IS NULL":
        return ~exists
    return exists if operator == "IS NOT NULL" else exists.where(compare(c, table.c.value, operator, value))


def page_limits(max_results: int | None, token: str | None, *, default: int, most: int) -> tuple[int, int]:
    """(limit, offset). Raises ApiError INVALID_PARAMETER_VALUE."""
    limit = default if max_results is None else max_results
    if limit < 1 or limit > most:
        raise invalid(
            f"Invalid value {limit} for parameter 'max_results' supplied: It must be a positive integer of at most "
            f"{most}, but got value {limit}"
        )
    return limit, _offset(token)


def next_token(offset: int) -> str:
    return base64.b64encode(msgspec.json.encode({"offset": offset})).decode()


def _offset(token: str | None) -> int:
    if not token:
        return 0
    try:
        offset = msgspec.json.decode(base64.b64decode(token), type=dict[str, int])["offset"]
    except (ValueError, KeyError, msgspec.MsgspecError):
        raise invalid("Invalid page token, could not base64-decode") from None
    if offset < 0:
        raise invalid("Invalid page token, its offset is negative")
    return offset


def _pattern(text: str) -> str:
    """A regular expression that is safe to run. Raises ApiError.

    One that repeats a repeated group may run for hours, and nothing else would run meanwhile.
    """
    try:
        re.compile(text)
    except re.error as problem:
        raise invalid(f"Invalid regular expression '{text}': {problem}") from None
    if len(text) > 250 or re.search(r"\)[*+?{]", text):
        raise error("NOT_IMPLEMENTED", "RLIKE takes expressions of at most 250 characters that repeat no group.")
    return text


def _like(c: Connection, pattern: str) -> str:
    """A backslash stands for itself, as in SQLite."""
    return pattern if c.dialect.name == "sqlite" else pattern.replace("\\", "\\\\")


def _glob(pattern: str) -> str:
    escaped = "".join(f"[{ch}]" if ch in "*?[" else ch for ch in pattern)
    return escaped.replace("%", "*").replace("_", "?")
