"""Long-running operations, in the two forms Azure's clients poll: a status document and a result.

An operation watches its resource: it is over when the resource's state is one of those it waits for, or the resource
is gone; one of a deletion when no file of what was deleted is left. Nothing else moves it, so a restarted server answers
the next poll as if nothing had happened. The first poll that sees it over writes down when and how it ended.
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
from lazulite.core.principal import Principal
from lazulite.core.web import AUTHENTICATED, JsonResponse, Route, principal
from lazulite.store import erasures, resources
from lazulite.store.resources import Json
from lazulite.store.tables import operations

#: Clients ask again after this; whole seconds are Azure's unit, so the milliseconds header comes too.
_POLL = {"Retry-After": "1", "retry-after-ms": "200", "x-ms-retry-after-ms": "200"}
_RUNNING = "InProgress"
_PATH = "/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices/locations/{location}"


def start(connection: Connection, resource_id: str, settled: tuple[str, ...]) -> str:
    """Begin an operation on a resource, inside the transaction that changes it; returns its id."""
    return _start(connection, resource_id, {"settled": settled})


def start_deletion(connection: Connection, resource_id: str, by: Principal) -> str:
    """Begin the operation of a deletion, after its rows are gone: it is over when the files are.

    Whoever deleted may look at it, though the role that allowed that may have gone too.
    """
    return _start(connection, resource_id, {"erases": True, "by": by.id})


def _start(connection: Connection, resource_id: str, document: Json) -> str:
    operation = str(uuid.uuid4())
    connection.execute(
        operations.insert().values(
            id=operation,
            resource=arm_id.key(resource_id),
            state=_RUNNING,
            document=msgspec.json.encode({"id": resource_id, **document}),
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
        caller = principal(request)

        def may_read(resource_id: str, by: str | None) -> bool:
            return by == caller.id or context.directory.allows(caller, *_right(resource_id))

        operation = request.path_params["operation"]
        document, ended = await context.database.read(lambda c: _look(c, operation, may_read))
        if ended:
            document, _ = await context.database.write(lambda c: _end(c, operation))
        return document

    async def status(request: Request) -> Response:
        document = await look(request)
        return JsonResponse(document, 200, _POLL if document["status"] == _RUNNING else None)

    async def result(request: Request) -> Response:
        document = await look(request)
        if document["status"] == _RUNNING:
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
    if "/providers/" not in resource_id:
        return "Microsoft.Resources/subscriptions/resourceGroups/read", resource_id
    return f"{PROVIDER}/workspaces/read", arm_id.workspace_of(resource_id)


def _look(
    connection: Connection, operation: str, may_read: Callable[[str, str | None], bool] | None = None
) -> tuple[Json, bool]:
    """The status document, and whether it is over without that being written down. Raises ApiError 404."""
    row = connection.execute(sa.select(operations).where(operations.c.id == operation)).first()
    about = msgspec.json.decode(row.document) if row is not None else {}
    if row is None or (may_read is not None and not may_read(about["id"], about.get("by"))):
        raise not_found(f"There is no operation '{operation}'.", "operation")
    state, error = row.state, about.get("error")
    if state == _RUNNING:
        state, error = _state(connection, row.resource, about)
    document: Json = {"id": about["id"], "name": operation, "status": state, "startTime": row.started_at}
    if state != _RUNNING:
        document["endTime"] = row.ended_at or now_iso()
    if error:
        document["error"] = error
    return document, row.state != state


def _state(connection: Connection, key: str, about: Json) -> tuple[str, Json | None]:
    if about.get("erases"):
        return _RUNNING if erasures.pending(connection, key) else "Succeeded", None
    resource, settled = resources.get(connection, key), about["settled"]
    if resource is None:
        return "Succeeded", None
    if resource.state == "Failed" and "Failed" in settled and "Succeeded" in settled:
        return "Failed", resource.status.get("error") or {"code": "Failed", "message": "The operation failed."}
    return "Succeeded" if resource.state in settled else _RUNNING, None


def _end(connection: Connection, operation: str) -> tuple[Json, bool]:
    """Write down how an operation ended."""
    document, ended = _look(connection, operation)
    if ended:
        where = operations.c.id == operation
        about = msgspec.json.decode(connection.scalar(sa.select(operations.c.document).where(where)) or b"{}")
        about["error"] = document.get("error")
        values = {"state": document["status"], "ended_at": document["endTime"], "document": msgspec.json.encode(about)}
        connection.execute(operations.update().where(where).values(**values))
    return document, ended
