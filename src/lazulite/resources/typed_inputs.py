"""The values of a component's typed inputs: what a number, a choice or a flag may be."""

from __future__ import annotations

import math
from typing import Any

from lazulite.core.errors import ApiError, validation
from lazulite.store.resources import Json

_BOOLEANS = ("true", "false")


def check(name: str, value: Any, declared: Json, *, where: str, target: str) -> None:
    """Raises ApiError 400 naming the input, its value and what it may be."""
    kind = str(declared.get("type") or "string").lower()
    text = str(value)
    if kind in ("number", "integer"):
        _check_number(name, text, kind, declared, where, target)
    elif kind == "boolean" and text.lower() not in _BOOLEANS:
        raise _refusal(name, text, where, "must be true or false", target)
    allowed = declared.get("enum")
    if isinstance(allowed, list) and allowed and text not in [str(choice) for choice in allowed]:
        choices = ", ".join(str(choice) for choice in allowed)
        raise _refusal(name, text, where, f"must be one of {choices}", target)


def is_required(declared: Json) -> bool:
    return str(declared.get("optional", False)).lower() != "true" and declared.get("default") is None


def _check_number(name: str, text: str, kind: str, declared: Json, where: str, target: str) -> None:
    number = _number(text, kind)
    if number is None:
        noun = "a whole number" if kind == "integer" else "a number"
        raise _refusal(name, text, where, f"must be {noun}", target)
    least, most = _number(declared.get("min"), "number"), _number(declared.get("max"), "number")
    if least is not None and number < least:
        raise _refusal(name, text, where, f"must not be below {least:g}", target)
    if most is not None and number > most:
        raise _refusal(name, text, where, f"must not be above {most:g}", target)


def _number(text: Any, kind: str) -> float | None:
    if text is None:
        return None
    try:
        found = float(str(text))
    except ValueError:
        return None
    if math.isnan(found) or (kind == "integer" and not found.is_integer()):
        return None
    return found


def _refusal(name: str, text: str, where: str, rule: str, target: str) -> ApiError:
    return validation(f"Input '{name}' of {where} is '{text}' and {rule}.", target)
