"""What every handler of the control plane works with."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection
from starlette.requests import Request

from lazulite.core.clock import now_iso
from lazulite.core.web import principal
from lazulite.identity.directory import Directory
from lazulite.resources.declaration import Reading, ResourceType, Services
from lazulite.store.database import Database
from lazulite.store.resources import Json, Resource


@dataclass(frozen=True, slots=True)
class ApiContext:
    database: Database
    services: Services
    directory: Directory

    def reading(self, connection: Connection, request: Request) -> Reading:
        return Reading(connection, self.services, principal(request), dict(request.query_params))


def document(reading: Reading, type_: ResourceType, resource: Resource, properties: Json | None = None) -> Json:
    """The ARM document of a stored resource: `id`, `name`, `type`, `properties`, `systemData` and what was sent."""
    shown = type_.view(reading, resource) if properties is None else properties
    result: Json = {
        "id": type_.shown_id(resource.id) if type_.shown_id else resource.id,
        "name": resource.name,
        "type": type_.type if properties is None else type_.container_type,
        "properties": shown,
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
