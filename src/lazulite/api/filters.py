"""What a listing's query asks to see: by tags, properties, job type, kind or name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lazulite.store.resources import Json

Filter = Callable[[Json], bool]


def wanted(query: Mapping[str, str]) -> Filter:
    """Whether an ARM document is one of those the query's filters leave. Parameters are matched without case."""
    given = [(_FILTERS[name.lower()], value) for name, value in query.items() if name.lower() in _FILTERS and value]
    return lambda document: all(matches(document, value) for matches, value in given)


def _job_type(document: Json, value: str) -> bool:
    return str(document["properties"].get("jobType", "")).lower() == value.lower()


def _kind(document: Json, value: str) -> bool:
    return str(document.get("kind", "")).lower() in _names(value)


def _name(document: Json, value: str) -> bool:
    return str(document["name"]).lower() in _names(value)


def _is_default(document: Json, value: str) -> bool:
    return value.lower() != "true" or document["properties"].get("isDefault") is True


def _search_text(document: Json, value: str) -> bool:
    return value.lower() in str(document["name"]).lower()


def _version(document: Json, value: str) -> bool:
    return bool(document["name"] == value)


def _description(document: Json, value: str) -> bool:
    return value.lower() in str(document["properties"].get("description") or "").lower()


def _tags(document: Json, value: str) -> bool:
    return _has({**(document.get("tags") or {}), **(document["properties"].get("tags") or {})}, value)


def _properties(document: Json, value: str) -> bool:
    return _has(document["properties"].get("properties") or {}, value)


def _has(found: Mapping[str, object], value: str) -> bool:
    """`value` is a list of names with or without values: `a,b=1`."""
    for part in filter(None, (part.strip() for part in value.split(","))):
        name, equals, text = part.partition("=")
        if name not in found or (equals and str(found[name]) != text):
            return False
    return True


def _names(value: str) -> list[str]:
    return [name.strip().lower() for name in value.split(",")]


_FILTERS: dict[str, Callable[[Json, str], bool]] = {
    "jobtype": _job_type,
    "kind": _kind,
    "names": _name,
    "isdefault": _is_default,
    "searchtext": _search_text,
    "version": _version,
    "description": _description,
    "tag": _tags,
    "tags": _tags,
    "$tags": _tags,
    "properties": _properties,
}
