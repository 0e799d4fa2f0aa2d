"""Stored resources as ARM documents: `id`, `name`, `type`, `properties`, `systemData` and what was sent."""

from __future__ import annotations

from collections.abc import Sequence

from lazulite.core.clock import now_iso
from lazulite.resources import versions
from lazulite.resources.declaration import Reading, ResourceType
from lazulite.store.resources import Json, Resource


def document(reading: Reading, type_: ResourceType, resource: Resource) -> Json:
    """The document of one."""
    return documents(reading, type_, [resource])[0]


def documents(reading: Reading, type_: ResourceType, rows: Sequence[Resource]) -> list[Json]:
    """The documents of a page, in as many queries as one takes."""
    shown = type_.views(reading, rows) if type_.views else [type_.view(reading, row) for row in rows]
    return [_document(type_, type_.type, row, properties) for row, properties in zip(rows, shown, strict=True)]


def containers(reading: Reading, type_: ResourceType, rows: Sequence[Resource]) -> list[Json]:
    """The same for the containers of versioned assets."""
    shown = versions.container_properties(reading, type_, rows)
    return [
        _document(type_, type_.container_type, row, properties) for row, properties in zip(rows, shown, strict=True)
    ]


def _document(type_: ResourceType, name: str, resource: Resource, properties: Json) -> Json:
    result: Json = {
        "id": type_.shown_id(resource.id) if type_.shown_id else resource.id,
        "name": resource.name,
        "type": name,
        "properties": properties,
        "systemData": system_data(resource),
    }
    for name in ("location", "tags", "identity", "sku", "kind"):
        if name in resource.spec:
            result[name] = resource.spec[name]
    return result


def system_data(resource: Resource) -> Json:
    created = resource.created_at or now_iso()
    return {
        "createdAt": created,
        "createdBy": resource.created_by,
        "createdByType": "User",
        "lastModifiedAt": resource.modified_at or created,
        "lastModifiedBy": resource.modified_by,
        "lastModifiedByType": "User",
    }
