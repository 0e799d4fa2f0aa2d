"""The routes of one declaration: list, get, put, patch, delete and its actions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from lazulite.api import documents, filters, lro, paging, write
from lazulite.api.context import ApiContext
from lazulite.api.documents import document
from lazulite.core import arm_id
from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import bad_request
from lazulite.core.web import Handler, JsonResponse, Route, json_body
from lazulite.model import labels, wire
from lazulite.resources import job_rights, versions
from lazulite.resources.declaration import Action, Call, Reading, ResourceType, Shape, Verb
from lazulite.store import resources
from lazulite.store.resources import Json

_GROUP = "/subscriptions/{subscription}/resourceGroups/{group}/providers/" + PROVIDER


def routes(context: ApiContext, type_: ResourceType, lead: str = "") -> list[Route]:
    """Every route a declaration stands for. `lead` comes before the ARM path, where clients use another address."""
    return list(_Endpoint(context, type_, lead).routes())


class _Endpoint:
    def __init__(self, context: ApiContext, type_: ResourceType, lead: str) -> None:
        self._context = context
        self._type = type_
        self._collection = lead + _GROUP + _collection_path(type_)
        self._item = f"{self._collection}/{{{_item_name(type_)}}}"

    def routes(self) -> Iterable[Route]:
        type_, item = self._type, self._item
        if type_.shape is Shape.VERSIONED:
            yield from self._verbs(item, container=True)
            item = f"{item}/versions/{{version}}"
            yield self._route("GET", f"{self._item}/versions", "read", self.list_versions, "list")
            yield from self._verbs(item, container=False, listed=False)
        else:
            yield from self._verbs(item, container=False)
        for action in type_.actions:
            yield Route(
                "POST",
                f"{item}/{action.name}",
                f"{type_.rights}/write" if type_.rights else f"{type_.type}/{action.name}/action",
                self._action(action),
                f"{type_.operations}.{action.operation}",
            )

    def _verbs(self, item: str, *, container: bool, listed: bool = True) -> Iterable[Route]:
        verbs = self._type.verbs
        if listed and Verb.LIST in verbs:
            listing = _LISTINGS.get(self._type.operations, "list")
            yield self._route("GET", self._collection, "read", self.list_items, listing, container)
        if Verb.GET in verbs:
            yield self._route("GET", item, "read", self.get_container if container else self.get, "get", container)
        if Verb.PUT in verbs:
            put = self.put_container if container else self.put
            yield self._route("PUT", item, "write", put, "create_or_update", container)
        if Verb.PATCH in verbs and not container:
            yield self._route("PATCH", item, "write", self.patch, "update", container)
        if Verb.DELETE in verbs:
            yield self._route("DELETE", item, "delete", self.delete, "delete", container)

    def _route(
        self, method: str, path: str, right: str, handler: Handler, operation: str, container: bool = False
    ) -> Route:
        type_ = self._type
        permission = f"{type_.rights or (type_.container_type if container else type_.type)}/{right}"
        group = type_.operations
        if type_.shape is Shape.VERSIONED:
            group = group.removesuffix("Versions") + ("Containers" if container else "Versions")
        limit = type_.max_body if method == "PUT" else None
        return Route(method, path, permission, handler, f"{group}.{operation}", max_body=limit)

    async def list_items(self, request: Request) -> Response:
        versioned = self._type.shape is Shape.VERSIONED
        parent = path_id(request).rsplit("/", 1)[0]
        if self._type.shape is Shape.TRACKED:
            parent = parent.split("/providers/")[0] + f"/providers/{PROVIDER}"
        type_name = self._type.container_type if versioned else self._type.type
        return await self._page(request, parent, type_name, versioned)

    async def list_versions(self, request: Request) -> Response:
        return await self._page(request, path_id(request).rsplit("/", 1)[0], self._type.type, False)

    async def get(self, request: Request) -> Response:
        id_ = path_id(request)

        def transaction(connection: Connection) -> tuple[Json, str]:
            reading = self._context.reading(connection, request)
            if versions.is_hidden(connection, self._type, id_):
                raise versions.missing(reading, self._type, id_)
            found = resources.get(connection, id_)
            if found is None and self._type.shape is Shape.VERSIONED and versions.is_alias(id_):
                found = versions.latest(connection, id_.rsplit("/", 2)[0], self._type.type)
            if found is not None:
                return document(reading, self._type, found), found.etag
            virtual = self._type.virtual.get(reading, id_) if self._type.virtual else None
            if virtual is None:
                if self._type.shape is Shape.CHILD:
                    write.require_parent(connection, id_.rsplit("/", 2)[0])
                raise versions.missing(reading, self._type, id_)
            return virtual, ""

        found, etag = await self._context.database.read(transaction)
        return JsonResponse(found, 200, {"ETag": etag} if etag else None)

    async def get_container(self, request: Request) -> Response:
        id_ = path_id(request)

        def transaction(connection: Connection) -> Json:
            reading = self._context.reading(connection, request)
            found = resources.get(connection, id_)
            if found is not None and not versions.is_hidden(connection, self._type, id_):
                return self._container(reading, found)
            virtual = self._type.virtual.get(reading, id_) if self._type.virtual else None
            if virtual is None:
                raise versions.missing(reading, self._type, id_)
            return virtual

        return JsonResponse(await self._context.database.read(transaction))

    async def put(self, request: Request) -> Response:
        body = await json_body(request)
        if self._type.before is not None:
            existing = await self._context.database.read(lambda c: resources.get(c, path_id(request)))
            await self._type.before(self._context.database, self._context.services, existing, body)
        written = await write.put(self._context, self._type, path_id(request), body, write.Origin.of(request))
        return self._written(written)

    async def patch(self, request: Request) -> Response:
        body = await json_body(request)
        written = await write.patch(self._context, self._type, path_id(request), body, write.Origin.of(request))
        return self._written(written)

    async def put_container(self, request: Request) -> Response:
        body = await json_body(request)
        id_ = path_id(request)
        wire.check(body, wire.Container)
        labels.check_document(body, {})
        archived = bool((body.get("properties") or {}).get("isArchived"))

        def transaction(connection: Connection) -> tuple[Json, bool]:
            reading = self._context.reading(connection, request)
            existing = resources.get(connection, id_)
            if existing is None:
                self._type.name_rule.check(id_.rsplit("/", 1)[1])
                write.require_parent(connection, id_.rsplit("/", 2)[0])
                stored = resources.new(id_, self._type.container_type, body, archived=archived)
                stored = resources.insert(connection, stored, by=reading.principal.name)
            else:
                if versions.is_hidden(connection, self._type, id_):
                    raise versions.missing(reading, self._type, id_)
                write.check_preconditions(write.Origin.of(request), existing)
                after, moved = body.get("properties") or {}, archived != existing.archived
                job_rights.check_described(reading.principal, id_, existing.properties, after, moved)
                changed = existing.with_(spec=body, archived=archived, label=None)
                stored = resources.update(connection, changed, by=reading.principal.name)
            return self._container(reading, stored), existing is None

        found, created = await self._context.database.write(transaction)
        return JsonResponse(found, 201 if created else 200)

    async def delete(self, request: Request) -> Response:
        id_ = path_id(request)
        deleted = await write.delete(self._context, self._type, id_, write.Origin.of(request))
        if deleted.operation is not None:
            return Response(b"", 202, lro.headers(self._context, id_, deleted.operation, location_only=True))
        return Response(b"", 200 if deleted.found else 204)

    def _action(self, action: Action) -> Handler:
        async def handler(request: Request) -> Response:
            body = await json_body(request, required=False)
            id_ = path_id(request).rsplit("/", 1)[0]

            def transaction(connection: Connection) -> tuple[Call, int, object, str | None]:
                reading = self._context.reading(connection, request)
                found = resources.get(connection, id_)
                if found is None and action.absent:
                    write.require_parent(connection, arm_id.asset_home(id_))
                    found = resources.new(id_, self._type.type, {})
                if found is None:
                    raise versions.missing(reading, self._type, id_)
                call = Call(connection, self._context.services, reading.principal, reading.query, found, body)
                answer = action.run(call)
                operation = lro.start(connection, id_, answer.settled) if answer.settled else None
                return call, answer.status, answer.body, operation

            database = self._context.database
            run = database.write if action.writes else database.read
            call, status, content, operation = await run(transaction)
            for task in call.after:
                await task()
            headers = lro.headers(self._context, id_, operation, location_only=True) if operation else None
            if content is None:
                return Response(b"", status, headers)
            return JsonResponse(content, status, headers)

        return handler

    async def _page(self, request: Request, parent: str, type_name: str, containers: bool) -> Response:
        page = paging.page(request)
        newest = page.newest_first
        if newest is None:
            newest = self._type.newest_first or (not containers and self._type.shape is Shape.VERSIONED)
        archived = _archived(request)
        wanted = filters.wanted(request.query_params)
        if containers:
            wanted = _shown(self._type, wanted)
        elif self._type.shape is Shape.VERSIONED:
            wanted = _named(wanted)

        def transaction(connection: Connection) -> tuple[list[Json], int | None]:
            reading = self._context.reading(connection, request)
            if not containers and versions.is_hidden(connection, self._type, f"{parent}/versions/_"):
                raise versions.missing(reading, self._type, parent)
            chosen = self._type.select(reading, parent) if self._type.select and not containers else None
            if chosen is not None:
                return documents.documents(reading, self._type, chosen), None
            rows = _Rows(connection, parent, type_name, archived, newest)
            render = documents.containers if containers else documents.documents
            items, more = list[Json](), None
            if (page.after or 0) < _VIRTUAL:
                items, more = rows.page(page, lambda some: render(reading, self._type, some), wanted)
            virtual = self._type.virtual
            if more is None and virtual:
                room = page.limit - len(items)
                after = (page.after or 0) - _VIRTUAL
                extra, more = _virtual_page(
                    room, after, lambda a, n: virtual.list(reading, parent, type_name, archived, a, n)
                )
                shown = {item["name"] for item in items}
                items += [item for item in extra if item["name"] not in shown and wanted(item)]
            if not items and more is None and self._type.shape is not Shape.TRACKED:
                # Versions of what is not there are none: clients say so themselves.
                write.require_parent(connection, arm_id.asset_home(parent))
            return items[: page.limit] if page.bounded else items, more

        items, last = await self._context.database.read(transaction)
        return JsonResponse(paging.answer(request, self._context.services.base_url, page, items, last))

    def _container(self, reading: Reading, resource: resources.Resource) -> Json:
        return documents.containers(reading, self._type, [resource])[0]

    def _written(self, written: write.Written) -> Response:
        headers = {"ETag": written.resource.etag}
        if written.operation:
            headers |= lro.headers(self._context, written.resource.id, written.operation)
        return JsonResponse(written.document, self._type.created_status if written.created else 200, headers)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The stored rows of a listing, in its order."""

    connection: Connection
    parent: str
    type: str
    archived: bool | None
    newest_first: bool

    def page(
        self, page: paging.Page, render: Callable[[list[resources.Resource]], list[Json]], wanted: filters.Filter
    ) -> tuple[list[Json], int | None]:
        """As many wanted documents as the page holds, and the sequence number to carry on after, if any follow."""
        after, items = page.after, list[Json]()
        while True:
            rows = self._after(after, page.limit + 1)
            shown = rows[: page.limit]
            for position, (row, item) in enumerate(zip(shown, render(shown), strict=True), 1):
                if wanted(item):
                    items.append(item)
                if len(items) == page.limit:
                    return items, row.sequence if position < len(rows) else None
            if len(rows) <= page.limit:
                return items, None
            after = rows[page.limit - 1].sequence

    def _after(self, after: int | None, limit: int) -> list[resources.Resource]:
        return resources.children(
            self.connection,
            self.parent,
            self.type,
            after=after,
            limit=limit,
            archived=self.archived,
            newest_first=self.newest_first,
            listed=True,
        )


def _virtual_page(
    room: int, after: int, following: Callable[[int | None, int], list[tuple[Json, int]]]
) -> tuple[list[Json], int | None]:
    """At most `room` of what follows the stored rows, and where the next page carries on."""
    found = following(after if after > 0 else None, room + 1)
    if len(found) <= room:
        return [item for item, _ in found], None
    return [item for item, _ in found[:room]], _VIRTUAL + (found[room - 1][1] if room else max(after, 0))


#: Where Microsoft's specification calls a listing otherwise than the rest.
_LISTINGS = {"Workspaces": "list_by_resource_group"}


def _collection_path(type_: ResourceType) -> str:
    parts = type_.collection.split("/")
    path = ""
    for index, part in enumerate(parts):
        path += f"/{part}"
        if index < len(parts) - 1:
            path += f"/{{{_singular(part)}}}"
    return path


def _item_name(type_: ResourceType) -> str:
    return _singular(type_.collection.rsplit("/", 1)[-1])


def _singular(collection: str) -> str:
    return {"workspaces": "workspace", "registries": "registry"}.get(collection, "name")


def path_id(request: Request) -> str:
    """The ARM id the path names, canonical in its literals and in the client's spelling of names.

    The server has refused names with a slash (`%2F`), which would be read as another id.
    """
    return canonical(request.scope["path"])


def canonical(path: str) -> str:
    """`/subscriptions/s/resourcegroups/...` with the literals as Azure writes them, whatever comes before."""
    parts = path[max(path.lower().find("/subscriptions/"), 0) :].rstrip("/").split("/")
    for index, part in enumerate(parts):
        known = _LITERALS.get(part.lower())
        if known and index % 2:
            parts[index] = known
        if part.lower() == PROVIDER.lower():
            parts[index] = PROVIDER
        # `azureml:name@latest` in Python reaches us with its prefix, which no name can hold.
        parts[index] = parts[index].removeprefix("azureml:")
    return "/".join(parts)


_LITERALS = {
    name.lower(): name
    for name in (
        "subscriptions", "resourceGroups", "providers", "workspaces", "jobs", "computes", "datastores", "environments",
        "data", "models", "components", "codes", "versions", "registries",
    )
}  # fmt: skip


#: Page tokens from here on count what has no row of its own, and comes after what has.
_VIRTUAL = 1 << 61


def _shown(type_: ResourceType, wanted: filters.Filter) -> filters.Filter:
    """Those of the wanted containers that are not another API's alone."""
    hidden = type_.hidden
    return (lambda item: wanted(item) and not hidden(item["properties"])) if hidden else wanted


def _named(wanted: filters.Filter) -> filters.Filter:
    """Those of the wanted versions that are not anonymous."""
    return lambda item: wanted(item) and not item["properties"].get("isAnonymous")


def _archived(request: Request) -> bool | None:
    view = request.query_params.get("listViewType", "ActiveOnly")
    found = {"activeonly": False, "archivedonly": True, "all": None, "enabledonly": False, "disabledonly": True}
    # The SDK sends the data of registries with the name of its own enumeration: ListViewType.ACTIVE_ONLY.
    name = view.rsplit(".", 1)[-1].replace("_", "").lower()
    if name not in found:
        raise bad_request(f"listViewType is '{view}' and must be ActiveOnly, ArchivedOnly or All.", "listViewType")
    return found[name]
