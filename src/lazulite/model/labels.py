"""Azure's limits of tags and properties: how many there are, and how long their names and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lazulite.core.errors import validation


@dataclass(frozen=True, slots=True)
class Limits:
    """Lengths are in characters."""

    most: int
    name: int
    value: int


#: Of every resource of Azure's (workspaces, computes, registries).
RESOURCE = Limits(50, 512, 256)
#: Of jobs, runs and assets.
ASSET = Limits(50, 100, 1000)


def check_document(document: dict[str, Any], stored: dict[str, Any]) -> None:
    """The tags of a resource, and the tags and properties in its properties. `stored` is what stands already.

    Raises ApiError 400 naming the field.
    """
    check(document.get("tags"), stored.get("tags"), RESOURCE, "tags")
    inner, before = _object(document.get("properties")), _object(stored.get("properties"))
    if "computeType" in inner:  # whose properties are no labels
        return
    for name in ("tags", "properties"):
        check(inner.get(name), before.get(name), ASSET, f"properties.{name}")


def check(labels: Any, stored: Any, limits: Limits, target: str) -> None:
    """What is stored already may stay. Raises ApiError 400 naming the field; what is no object is left to others."""
    known = _object(stored)
    fresh = {name: value for name, value in _object(labels).items() if known.get(name) != value}
    if len(fresh) > limits.most:
        raise validation(f"{target} holds {len(fresh)} entries; at most {limits.most} are allowed.", target)
    for name, value in fresh.items():
        if len(name) > limits.name:
            at = f"{name[:40]}..."
            raise validation(f"{target}: the name '{at}' has more than {limits.name} characters.", target)
        if isinstance(value, str) and len(value) > limits.value:
            where = f"{target}.{name}"
            raise validation(f"{where} has {len(value)} characters; at most {limits.value} are allowed.", where)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
