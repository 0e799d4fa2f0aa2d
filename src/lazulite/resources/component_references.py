"""The assets that the specification of a component names."""

from __future__ import annotations

from collections.abc import Iterator

from lazulite.resources import references
from lazulite.resources.declaration import Write
from lazulite.store.resources import Json

_COLLECTIONS = {
    "environment": "environments",
    "environmentId": "environments",
    "code": "codes",
    "codeId": "codes",
    "component": "components",
    "componentId": "components",
}
#: Where a specification holds further things that run.
_INNER = ("task", "trial")


def check_rights(write: Write, spec: Json) -> None:
    """Ask for the right to what lies in other workspaces; whether it is there shows when the component runs.

    Raises ApiError 403 naming the field.
    """
    for collection, reference, target in named(spec, "properties.componentSpec"):
        references.require_read(write.workspace, reference, collection, target, write.require)


def named(spec: Json, at: str) -> Iterator[tuple[str, str, str]]:
    """Collection, reference and field of every asset that a specification names, at any depth."""
    for field, collection in _COLLECTIONS.items():
        value = spec.get(field)
        if isinstance(value, str) and value:
            yield collection, value, f"{at}.{field}"
        elif isinstance(value, dict) and collection == "components":
            yield from named(value, f"{at}.{field}")
    for field in _INNER:
        if isinstance(spec.get(field), dict):
            yield from named(spec[field], f"{at}.{field}")
    jobs = spec.get("jobs")
    for name, node in jobs.items() if isinstance(jobs, dict) else ():
        if isinstance(node, dict):
            yield from named(node, f"{at}.jobs.{name}")
