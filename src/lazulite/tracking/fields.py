"""Reading the parameters of a request, and refusing them in MLflow's words."""

from __future__ import annotations

import math
import posixpath
import re
from functools import lru_cache
from typing import Any

import msgspec

from lazulite.core.errors import ApiError
from lazulite.tracking.errors import invalid

MOST_TEXTS = 10_000  # in one list, such as the experiments of a search
MAX_KEY = 250
MAX_PARAM_VALUE = 6000
MAX_TAG_VALUE = 8000
MAX_EXPERIMENT_NAME = 500
MAX_EXPERIMENT_TAG_VALUE = 20_000
MAX_MODEL_TAG_VALUE = 100_000
_SEE = " See the API docs for more information about request parameters."
_INT64 = 2**63
_MISSING = object()


class Fields:
    """The parameters of one request, by their protobuf names."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str) -> str:
        """A string that must be there and not be empty."""
        value = self.maybe_text(name)
        if not value:
            raise missing(name)
        return value

    def maybe_text(self, name: str) -> str | None:
        """A string, or None where the field is absent."""
        value = self.values.get(name)
        if value is None or isinstance(value, str):
            return value
        raise _wrong_type(name, value)

    def integer(self, name: str) -> int:
        value = self.maybe_integer(name)
        if value is None:
            raise missing(name)
        return value

    def maybe_integer(self, name: str) -> int | None:
        value = self.values.get(name)
        return None if value is None else as_integer(name, value)

    def array(self, name: str) -> list[Any]:
        """A list; empty where the field is absent."""
        value = self.values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise _wrong_type(name, value)
        return value

    def texts(self, name: str) -> list[str]:
        found = self.array(name)
        if len(found) > MOST_TEXTS:
            raise invalid(f"Parameter '{name}' takes at most {MOST_TEXTS} values. Ask for less at a time.")
        for value in found:
            if not isinstance(value, str):
                raise _wrong_type(name, value)
        return found

    def objects(self, name: str) -> list[Fields]:
        found = self.array(name)
        for value in found:
            if not isinstance(value, dict):
                raise _wrong_type(name, found)
        return [Fields(value) for value in found]

    def pairs(self, name: str) -> list[tuple[str | None, str | None]]:
        """A list of `{"key", "value"}`."""
        return [(item.maybe_text("key"), item.maybe_text("value")) for item in self.objects(name)]

    def run_id(self) -> str:
        """`run_id`, or `run_uuid` as clients before 1.0 sent it."""
        return self.maybe_text("run_id") or self.maybe_text("run_uuid") or self.text("run_id")


def missing(name: str) -> ApiError:
    return invalid(f"Missing value for required parameter '{name}'.{_SEE}")


def as_integer(name: str, value: Any) -> int:
    """A 64-bit integer; protobuf's JSON also writes it as text. Raises ApiError."""
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,20}", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
        raise _wrong_type(name, value)
    return value


def as_number(name: str, value: Any) -> float:
    """A double; protobuf's JSON writes what JSON cannot say as "NaN", "Infinity" and "-Infinity". Raises ApiError."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise _wrong_type(name, value) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(name, value)
    return float(value)


def metric_value(value: float) -> float | str:
    """A double as protobuf's JSON writes it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


@lru_cache(4096)
def check_name(name: str | None, path: str = "key", *, kind: str = "key", limit: int = MAX_KEY) -> str:
    """The name of a metric, parameter or tag; refused where it could not be a file's. Raises ApiError."""
    if name is None:
        raise invalid(_invalid(path, "", "A key name must be provided."))
    if not _NAME(name):
        raise invalid(
            _invalid(
                path,
                name,
                "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.),"
                " spaces ( ), colon(:) and slashes (/).",
            )
        )
    if _resolves_elsewhere(name):
        raise invalid(
            _invalid(
                path,
                name,
                "Names may be treated as files in certain cases, and must not resolve to other names"
                f" when treated as such. This name would resolve to {posixpath.normpath(name)!r}",
            )
        )
    return check_length(kind, limit, name)


def check_length(kind: str, limit: int, value: str) -> str:
    if len(value) > limit:
        raise invalid(f"'{kind}' exceeds the maximum length of {limit} characters")
    return value


def shortened(limit: int, value: str | None) -> str:
    """Values too long are cut, as MLflow's server does unless told otherwise."""
    return (value or "")[:limit]


def _resolves_elsewhere(name: str) -> bool:
    if name.isalnum():
        return False
    norm = posixpath.normpath(name)
    return norm != name or norm == "." or norm.startswith(("..", "/"))


def _invalid(path: str, value: Any, message: str) -> str:
    return f"Invalid value {_json(value)} for parameter '{path}' supplied: {message}"


def _wrong_type(name: str, value: Any) -> ApiError:
    return invalid(_invalid(name, value, f" Hint: Value was of type '{type(value).__name__}'.") + _SEE)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


_NAME = re.compile(r"[/\w.\- :]*").fullmatch
