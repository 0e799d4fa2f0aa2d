"""What every handler of the control plane works with."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection
from starlette.requests import Request

from lazulite.core.web import principal
from lazulite.identity.directory import Directory
from lazulite.resources.declaration import Reading, Services
from lazulite.store.database import Database


@dataclass(frozen=True, slots=True)
class ApiContext:
    database: Database
    services: Services
    directory: Directory

    def reading(self, connection: Connection, request: Request) -> Reading:
        return Reading(connection, self.services, principal(request), dict(request.query_params))
