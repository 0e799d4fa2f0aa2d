"""Long-running operations, in the two forms Azure's clients poll: a status document and a result.

An operation watches its resource: it is over when the resource's state is one of those it waits for, or the resource
is gone. Nothing else moves it, so a restarted server answers the next poll as if nothing had happened.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from lazulite.api.context import ApiContext
from lazulite.core import arm_id
from lazulite.core.arm_id import PROVIDER
from lazulite.core.clock import now_iso
from lazulite.core.errors import not_found
from lazulite.core.web import AUTHENTICATED, JsonResponse, Route, principal
from lazulite.store import resources
from lazulite.store.resources import Json
from lazulite.store.tables import operations

#: Clients ask again after this; whole seconds are Azure's unit, so the milliseconds header comes too.
_POLL = {"Retry-After": "1", "retry-after-ms": "200", "x-ms-retry-after-ms": "200"}
_PATH = "/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices/locations/{location}"


def start(connection: Connection, resource_id: str, settled: tuple[str, ...]) -> str:
    """Begin an operation on a resource, inside the transaction that changes it; returns its id."""
    operation = str(uuid.uuid4())
    connection.execute(
        operations.insert().values(
            id=operation,
            resource=resource_id,
            state="InProgress",
            document=msgspec.json.encode({"settled": settled}),
            started_at=now_iso(),
        )
    )
    return operation


def headers(context: ApiContext, resource_id: str, operation: str, *, location_only: bool = False) -> dict[str, str]:
    """What sends a client polling: `Azure-AsyncOperation` for a PUT, `Location` for the rest."""
    subscription = resource_id.split("/")[2]
    base = (
        f"{context.services.base_url}/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices"
        f"/locations/{context.services.location}"
    )
    result = {"Location": f"{base}/operationResults/{operation}?api-version=2024-10-01", **_POLL}
    if not location_only:
        result["Azure-AsyncOperation"] = f"{base}/operationStatuses/{operation}?api-version=2024-10-01"
        del result["Location"]
    return result


def routes(context: ApiContext) -> list[Route]:
    async def look(request: Request) -> Json:
        def may_read(resource_id: str) -> bool:
            return context.directory.allows(principal(request), *_right(resource_id))

        operation = request.path_params["operation"]
        return await context.database.read(lambda c: _look(c, operation, may_read))

    async def status(request: Request) -> Response:
        document = await look(request)
        running = document["status"] == "InProgress"
        return JsonResponse(document, 200, _POLL if running else None)

    async def result(request: Request) -> Response:
        document = await look(request)
        if document["status"] == "InProgress":
            return Response(b"", 202, {"Location": str(request.url), **_POLL})
        if document["status"] == "Failed":
            return JsonResponse({"error": document["error"]}, 400)
        return Response(b"", 204)

    return [
        Route("GET", _PATH + "/operationStatuses/{operation}", AUTHENTICATED, status, "Operations.status"),
        Route("GET", _PATH + "/operationResults/{operation}", AUTHENTICATED, result, "Operations.result"),
    ]


def _right(resource_id: str) -> tuple[str, str]:
    """The action and scope that reading an operation on a resource needs: to see the workspace or registry it is in."""
    registry = arm_id.registry_of(resource_id)
    if registry is not None:
        return f"{PROVIDER}/registries/read", registry
    return f"{PROVIDER}/workspaces/read", arm_id.workspace_of(resource_id)


def _look(connection: Connection, operation: str, may_read: Callable[[str], bool]) -> Json:
    row = connection.execute(sa.select(operations).where(operations.c.id == operation)).first()
    if row is None or not may_read(row.resource):
        raise not_found(f"There is no operation '{operation}'.", "operation")
    settled = msgspec.json.decode(row.document)["settled"]
    resource = resources.get(connection, row.resource)
    state = "Succeeded"
    error = None
    if resource is not None and resource.state not in settled:
        state = "InProgress"
    if resource is not None and resource.state == "Failed" and "Failed" in settled and "Succeeded" in settled:
        state, error = "Failed", resource.status.get("error") or {"code": "Failed", "message": "The operation failed."}
    document: Json = {"id": row.resource, "name": operation, "status": state, "startTime": row.started_at}
    if state != "InProgress":
        document["endTime"] = now_iso()
    if error:
        document["error"] = error
    return document
