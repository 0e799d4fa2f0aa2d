"""The search grammar on documents already in memory: the registry's, which are few."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lazulite.core.numbers import whole_number
from lazulite.tracking.documents import Json
from lazulite.tracking.grammar import Comparison, Order, Value

#: Prompts are registered models with this tag; what has no such tag is compared as if it had the value "false".
PROMPT_TAG = "mlflow.prompt.is_prompt"
_ATTRIBUTES = {"timestamp": "last_updated_timestamp", "version_number": "version", "source_path": "source"}


def matches(document: Json, comparisons: Sequence[Comparison]) -> bool:
    return all(_matches(document, one) for one in comparisons)


def is_asked_for(document: Json, comparisons: Sequence[Comparison]) -> bool:
    """Whether it may be shown: prompts are, to those who ask for them."""
    asked = any(one.kind == "tag" and one.key == PROMPT_TAG for one in comparisons)
    return asked or _value(document, "tag", PROMPT_TAG) != "true"


def ordered(documents: list[Json], orders: Sequence[Order]) -> list[Json]:
    """By these keys; by name where none is given."""
    found = sorted(documents, key=lambda document: str(document["name"]))
    for order in reversed(orders):
        found.sort(key=lambda document: _sortable(_value(document, order.kind, order.key)), reverse=not order.ascending)
    return found


def _matches(document: Json, one: Comparison) -> bool:
    left = _value(document, one.kind, one.key)
    if one.operator in ("IS NULL", "IS NOT NULL"):
        return (left is None) == (one.operator == "IS NULL")
    return left is not None and _compare(left, one.operator, one.value)


def _value(document: Json, kind: str, key: str) -> Any:
    if kind == "tag":
        absent = "false" if key == PROMPT_TAG else None
        return next((tag["value"] for tag in document["tags"] if tag["key"] == key), absent)
    value = document.get(_ATTRIBUTES.get(key, key))
    if key == "version_number":
        return whole_number(value)
    return value


def _compare(left: Any, operator: str, right: Value) -> bool:
    if operator in ("IN", "NOT IN"):
        assert isinstance(right, tuple)  # the grammar made it
        return (left in right) == (operator == "IN")
    if operator in ("LIKE", "ILIKE"):
        return is_like(str(left), str(right), ignore_case=operator == "ILIKE")
    return bool(
        {
            "=": left == right,
            "!=": left != right,
            ">": operator == ">" and left > right,
            ">=": operator == ">=" and left >= right,
            "<": operator == "<" and left < right,
            "<=": operator == "<=" and left <= right,
        }[operator]
    )


def is_like(text: str, pattern: str, *, ignore_case: bool = False) -> bool:
    """SQL's LIKE, in time that grows with the product of the lengths at most."""
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    first, *others = (
        re.compile("".join("." if c == "_" else re.escape(c) for c in part), flags) for part in pattern.split("%")
    )
    found = first.match(text) if others else first.fullmatch(text)
    if found is None or not others:
        return found is not None
    at = found.end()
    for part in others[:-1]:  # the earliest place leaves the most room for what follows
        found = part.search(text, at)
        if found is None:
            return False
        at = found.end()
    last = others[-1]
    start = len(text) - len(pattern.rsplit("%", 1)[1])
    return start >= at and last.match(text, start) is not None


def _sortable(value: Any) -> tuple[bool, Any]:
    return value is not None, value if value is not None else 0
