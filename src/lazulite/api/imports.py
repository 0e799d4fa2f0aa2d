"""Sharing: a workspace's asset becomes an asset of a registry, its files copied into the registry's storage.

What is asked for is a row; a task does it and writes down how it went. A server that was stopped goes on where the rows
say, and copies again what is not there whole.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection
from starlette.requests import Request

from lazulite.api import lro, write
from lazulite.api.context import ApiContext
from lazulite.core import arm_id
from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import ApiError, bad_request, conflict, not_found, validation
from lazulite.core.principal import Principal
from lazulite.core.web import principal
from lazulite.resources import places, registries, registry_assets, registry_storage, workspaces
from lazulite.resources.declaration import Files, Reading
from lazulite.store import resources
from lazulite.store.resources import Json, Resource

TYPE = f"{PROVIDER}/registries/imports"
_SOURCE = re.compile(
    r"^azureml://locations/[^/]+/workspaces/(?P<guid>[^/]+)/(?P<collection>[^/]+)/(?P<name>[^/]+)"
    r"/versions/(?P<version>[^/]+)$"
)
_SHARED = ("models", "data", "environments")
_RUNNING, _DONE = "InProgress", ("Succeeded", "Failed")
log = logging.getLogger("lazulite.imports")


@dataclass(frozen=True, slots=True)
class _Plan:
    """`files` are to be copied; `address` is where the asset's properties name them, as a path of keys."""

    registry: str
    collection: str
    destination: str
    properties: Json
    files: Files | None
    address: tuple[str, ...]


class Imports:
    """Begins imports and carries them on; `start` takes up those that a stopped server left."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        for row in await self._context.database.read(lambda c: resources.in_states(c, TYPE, [_RUNNING])):
            self._go_on(row.id)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def begin(self, registry: str, body: Json, request: Request) -> tuple[str, str]:
        """Returns the row's id and its operation's. Raises ApiError 400, 403, 404 or 409."""

        def transaction(connection: Connection) -> tuple[str, str]:
            reading = self._context.reading(connection, request)
            _plan(reading, registry, body)  # refuses now what cannot be done later
            row = f"{registry}/imports/{uuid.uuid4().hex}"
            spec = {"body": body, "by": _by(principal(request))}
            resources.insert(connection, resources.new(row, TYPE, spec, state=_RUNNING), by=reading.principal.name)
            return row, lro.start(connection, row, _DONE)

        row, operation = await self._context.database.write(transaction)
        self._go_on(row)
        return row, operation

    def _go_on(self, row: str) -> None:
        task = asyncio.create_task(self._run(row))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, row: str) -> None:
        try:
            await self._import(row)
            return
        except ApiError as refused:
            error = {"code": refused.code, "message": refused.message}
        except Exception:
            log.exception("import %s failed", row)
            error = {"code": "ImportFailed", "message": "The asset could not be copied; the server's log says why."}
        await self._context.database.write(lambda c: _end(c, row, error))

    async def _import(self, row: str) -> None:
        context = self._context

        def look(connection: Connection) -> tuple[_Plan, Principal] | None:
            stored = resources.get(connection, row)
            if stored is None:
                return None
            by = Principal(**stored.spec["by"])
            registry = row.rsplit("/imports/", 1)[0]
            return _plan(Reading(connection, context.services, by), registry, stored.spec["body"]), by

        found = await context.database.read(look)
        if found is None:
            return
        plan, by = found
        if plan.files is not None:
            await self._copy(plan, row)
        type_ = registry_assets.of_collection(plan.collection)
        body = {"properties": plan.properties}
        # Its end in the same transaction: taken up again after it, the version would be there, and in the way.
        end = partial(_end, row=row, error=None)
        await write.put(context, type_, plan.destination, body, write.Origin(by), end)

    async def _copy(self, plan: _Plan, row: str) -> None:
        assert plan.files is not None
        context = self._context
        # Named after the row: taken up again, the copy goes on in the same container.
        container = f"{plan.collection}-{row.rsplit('/', 1)[1]}"

        def place(connection: Connection) -> tuple[str, str]:
            reading = Reading(connection, context.services, Principal("", "", ""))
            account = registry_storage.account(reading, plan.registry)
            return account, registry_storage.address(reading, account, container, plan.files.path if plan.files else "")

        account, address = await context.database.read(place)
        if not await context.services.storage.copy(plan.files, account, container):
            raise not_found(
                f"There are no files at '{plan.files.path}' in the container '{plan.files.container}' to share.",
                "properties.sourceAssetId",
            )
        holder = plan.properties
        for key in plan.address[:-1]:
            holder = holder[key]
        holder[plan.address[-1]] = address


def _plan(reading: Reading, registry: str, body: Json) -> _Plan:
    """What an import comes to. Raises ApiError naming the field at fault."""
    registries.require_id(reading.connection, registry)
    properties = body.get("properties")
    if not isinstance(properties, dict):
        raise bad_request("properties must name sourceAssetId, destinationName and destinationVersion.", "properties")
    match = _SOURCE.match(str(properties.get("sourceAssetId") or ""))
    if match is None or match["collection"].lower() not in _SHARED:
        raise validation(
            "sourceAssetId must be azureml://locations/{location}/workspaces/{workspace id}/{collection}/{name}/versions/"
            f"{{version}}, of one of {', '.join(_SHARED)}.",
            "properties.sourceAssetId",
        )
    collection = match["collection"].lower()
    source = _source(reading, match["guid"], f"{collection}/{match['name']}/versions/{match['version']}")
    name = str(properties.get("destinationName") or match["name"])
    version = str(properties.get("destinationVersion") or match["version"])
    destination = f"{registry}/{collection}/{name}/versions/{version}"
    if resources.exists(reading.connection, destination):
        raise conflict(
            f"The registry has a version '{version}' of '{name}' already.",
            "properties.destinationVersion",
            code="VersionAlreadyExists",
        )
    return _planned(reading, registry, collection, destination, source)


def _planned(reading: Reading, registry: str, collection: str, destination: str, source: Resource) -> _Plan:
    kept = {k: v for k, v in source.properties.items() if k not in ("jobName", "isArchived", "stage")}
    address: tuple[str, ...] = ()
    if collection == "environments":
        address = ("build", "contextUri") if isinstance(kept.get("build"), dict) else ()
    else:
        address = (registry_storage.ADDRESS[collection],)
    uri: Any = kept
    for key in address:
        uri = uri[key]
    files = _files(reading, source, str(uri)) if address else None
    return _Plan(registry, collection, destination, kept, files, address)


def _files(reading: Reading, source: Resource, uri: str) -> Files | None:
    """Where the asset's files lie; None where they stay behind their own address on the web."""
    workspace, target = arm_id.workspace_of(source.id), "properties.sourceAssetId"
    storage = reading.services.storage
    found = places.locate(reading.connection, workspace, storage, uri, target=target, access=reading.require)
    if found.account is None or found.container is None:
        return None
    if found.datastore is None and found.account != workspaces.storage_account(reading, workspace):
        raise validation(f"The files lie at '{uri}', which is not the workspace's to share.", target)
    return Files(found.account, found.container, found.path)


def _source(reading: Reading, guid: str, below: str) -> Resource:
    """The version in the workspace of that GUID. Raises ApiError 403 or 404."""
    target = "properties.sourceAssetId"
    for workspace in resources.under(reading.connection, "/subscriptions", workspaces.TYPE.type):
        if workspace.properties.get("workspaceId") == guid:
            collection = below.split("/", 1)[0]
            reading.require(f"{PROVIDER}/workspaces/{collection}/versions/read", workspace.id, target)
            found = resources.get(reading.connection, f"{workspace.id}/{below}")
            if found is None:
                raise not_found(f"The workspace '{workspace.name}' has no '{below}'.", target)
            return found
    raise not_found(f"There is no workspace '{guid}' on this server.", target)


def _end(connection: Connection, row: str, error: Json | None) -> None:
    stored = resources.get(connection, row)
    if stored is not None:
        status = {"error": error} if error else {}
        resources.update(connection, stored.with_(state="Failed" if error else "Succeeded", status=status))


def _by(caller: Principal) -> Json:
    return {"id": caller.id, "name": caller.name, "kind": caller.kind, "run": caller.run, "workspace": caller.workspace}
