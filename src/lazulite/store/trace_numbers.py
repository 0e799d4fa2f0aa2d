"""The numbers that metrics of traces are made of, taken out of JSON once, as it is written."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from sqlalchemy.engine import Connection

from lazulite.store.bulk import upsert
from lazulite.store.trace_tables import trace_numbers

TOKENS = ("input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
COSTS = ("input_cost", "output_cost", "total_cost")
_OF_TRACE = ""


def put_tokens(c: Connection, trace: int, usage: str, *, keep: bool = False) -> None:
    """The tokens that a trace used, from JSON; with `keep`, only where none are known."""
    rows = [(trace, _OF_TRACE, key, value) for key, value in _numbers(usage, TOKENS).items()]
    columns = trace_numbers.c
    if not keep:
        c.execute(trace_numbers.delete().where(columns.trace == trace, columns.span_id == _OF_TRACE))
    if rows:
        _INSERT.run(c, rows)


def put_costs(c: Connection, trace: int, costs: dict[str, Any]) -> None:
    """What spans cost, by span id: an object, or JSON of one."""
    rows = [(trace, span, key, value) for span, cost in costs.items() for key, value in _numbers(cost, COSTS).items()]
    if rows:
        _UPSERT.run(c, rows)


def _numbers(found: Any, keys: tuple[str, ...]) -> dict[str, float]:
    if isinstance(found, str):
        try:
            found = msgspec.json.decode(found)
        except msgspec.DecodeError:
            return {}
    if not isinstance(found, dict):
        return {}
    return {key: float(found[key]) for key in keys if _is_number(found.get(key))}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_INSERT = upsert(trace_numbers)
_UPSERT = upsert(trace_numbers, ["value"])
