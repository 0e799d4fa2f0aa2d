"""The life of every write, in one place.

    name -> parent -> preconditions -> prepare and validate (the type's own) -> store -> event -> hint

All of it happens in one transaction: a refusal leaves nothing behind, and the answer is sent once it is durable.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection
from starlette.requests import Request

from lazulite.api.context import ApiContext
from lazulite.api.documents import document
from lazulite.api.lro import start, start_deletion
from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import ApiError, nearest, not_found
from lazulite.core.principal import Principal
from lazulite.core.web import principal
from lazulite.model import labels, wire
from lazulite.resources import identities, job_rights, storage_accounts, versions
from lazulite.resources.declaration import Call, ResourceType, Shape, Write
from lazulite.store import erasures, resources
from lazulite.store.resources import Json, Resource

After = list[Callable[[], Awaitable[None]]]


@dataclass(frozen=True, slots=True)
class Origin:
    """Who writes, and under which conditions: a request, or the server itself at its first start."""

    principal: Principal
    query: Mapping[str, str] = field(default_factory=dict)
    if_match: str | None = None
    if_none_match: str | None = None

    @staticmethod
    def of(request: Request) -> Origin:
        headers = request.headers
        return Origin(
            principal(request), dict(request.query_params), headers.get("if-match"), headers.get("if-none-match")
        )


class Written:
    """What a write came to: the stored resource, its document, and what is left to do after it."""

    __slots__ = ("after", "created", "document", "operation", "resource")

    def __init__(self, resource: Resource, document: Json, created: bool, after: After, operation: str | None) -> None:
        self.resource = resource
        self.document = document
        self.created = created
        self.after = after
        self.operation = operation


async def put(
    context: ApiContext,
    type_: ResourceType,
    id_: str,
    body: Json,
    origin: Origin,
    along: Callable[[Connection], None] | None = None,
    *,
    first: Callable[[Connection], None] | None = None,
) -> Written:
    """Create or replace; `first` and `along` are done before and after it in the same transaction. Raises ApiError."""

    def transaction(connection: Connection) -> Written:
        if first is not None:
            first(connection)
        existing = resources.get(connection, id_)
        check_preconditions(origin, existing)
        written = _store(context, connection, type_, id_, body, existing, origin)
        if along is not None:
            along(connection)
        return written

    return await _run(context, transaction)


async def patch(context: ApiContext, type_: ResourceType, id_: str, body: Json, origin: Origin) -> Written:
    """Merge into what is there (JSON merge patch). Raises ApiError 404 where nothing is."""

    def transaction(connection: Connection) -> Written:
        existing = resources.get(connection, id_)
        if existing is None:
            raise missing(type_, id_)
        check_preconditions(origin, existing)
        return _store(context, connection, type_, existing.id, merged(existing.spec, body), existing, origin)

    return await _run(context, transaction)


@dataclass(frozen=True, slots=True)
class Deleted:
    """`found` says whether there was anything; `operation` ends when its files are erased, None where it had none."""

    found: bool
    after: After = field(default_factory=list)
    operation: str | None = None


async def delete(context: ApiContext, type_: ResourceType, id_: str, origin: Origin) -> Deleted:
    """Remove a resource and what lies below it."""

    def transaction(connection: Connection) -> Deleted:
        existing = resources.get(connection, id_)
        if existing is None or versions.is_hidden(connection, type_, id_):
            return Deleted(False)
        check_preconditions(origin, existing)
        call = Call(connection, context.services, origin.principal, origin.query, existing)
        if type_.remove:
            type_.remove(call)
        erase(context, connection, id_, call.after)
        operation = start_deletion(connection, id_, origin.principal) if erasures.pending(connection, id_) else None
        return Deleted(True, call.after, operation)

    deleted = await context.database.write(transaction)
    for task in deleted.after:
        await task()
    return deleted


def erase(context: ApiContext, connection: Connection, id_: str, after: After) -> int:
    """Remove the rows at an id and below it, their secrets, files of accounts and the roles held there.

    Returns how many rows there were.

    What is to be done once the transaction is durable is added to `after`.
    """
    storage_accounts.erase(connection, id_)
    context.services.secrets.delete(connection, id_)
    if context.directory.forget(connection, id_):
        after.insert(0, context.directory.refresh)  # first: nothing that fails keeps a role that is gone in memory
    return resources.delete(connection, id_)


def check_preconditions(origin: Origin, existing: Resource | None) -> None:
    """If-Match and If-None-Match. Raises ApiError 412."""
    wanted, unwanted = origin.if_match, origin.if_none_match
    if wanted and (existing is None or wanted not in ("*", existing.etag)):
        raise _precondition("If-Match", wanted, existing)
    if unwanted and existing is not None and unwanted in ("*", existing.etag):
        raise _precondition("If-None-Match", unwanted, existing)


def merged(document: Json, patch_: Json) -> Json:
    """JSON merge patch (RFC 7396): objects merge, null removes, everything else replaces. The result shares no object with
    `document`, which what prepares a write goes on to compare it with.
    """
    return _merge(copy.deepcopy(document), patch_)


def _merge(into: Json, patch_: Json) -> Json:
    for name, value in patch_.items():
        if value is None:
            into.pop(name, None)
        elif isinstance(value, dict) and name != "tags":
            inner = into.get(name)
            into[name] = _merge(inner if isinstance(inner, dict) else {}, value)
        else:
            into[name] = value
    return into


def missing(type_: ResourceType, id_: str) -> ApiError:
    return not_found(f"The Resource '{type_.type}' with id '{id_}' was not found.", id_.rsplit("/", 1)[1])


def require_parent(connection: Connection, parent: str) -> None:
    """Raises ApiError 404 naming the parent that is not there, and the nearest that is."""
    if resources.exists(connection, parent):
        return
    siblings, _, name = parent.rpartition("/")
    group, _, collection = siblings.rpartition("/")
    known: list[str] = []
    if collection.lower() in _PARENTS:
        type_ = f"{PROVIDER}/{collection}"
        known = [r.name for r in resources.under(connection, group.split("/resource")[0], type_)]
    raise not_found(f"The Resource '{collection}/{name}' was not found under '{group}'.{nearest(name, known)}", name)


_PARENTS = ("workspaces", "registries")


def _store(
    context: ApiContext,
    connection: Connection,
    type_: ResourceType,
    id_: str,
    body: Json,
    existing: Resource | None,
    origin: Origin,
) -> Written:
    wire.check(body, type_.wire)
    labels.check_document(body, existing.spec if existing else {})
    body["properties"] = body.get("properties") or {}
    caller = origin.principal
    write = Write(connection, context.services, caller, origin.query, existing.id if existing else id_, body, existing)
    if existing is None:
        type_.name_rule.check(write.name)
        _ensure_parent(write, type_, caller.name)
    else:
        write.label, write.state, write.archived = existing.label, existing.state, existing.archived
        if type_.shape is Shape.VERSIONED:
            _ensure_container(write, type_, id_.rsplit("/", 2)[0], caller.name)
    write.archived = bool(write.properties.get("isArchived", write.archived))
    identities.check(write)
    type_.prepare(write)
    job_rights.check_change(write)
    stored = _save(write, type_, caller.name)
    resources.record(connection, stored.id, "written", {"by": caller.id, "generation": stored.generation})
    operation = start(connection, stored.id, type_.settled) if type_.settled else None
    return Written(stored, document(write, type_, stored), existing is None, write.after, operation)


def _save(write: Write, type_: ResourceType, by: str) -> Resource:
    promoted = {"label": write.label, "state": write.state, "archived": write.archived}
    if write.existing is None:
        fresh = resources.new(write.id, type_.type, write.body, status=write.status or {}, **promoted)
        return resources.insert(write.connection, fresh, by=by)
    status = write.existing.status if write.status is None else write.status
    changed = write.existing.with_(spec=write.body, status=status, **promoted)
    return resources.update(write.connection, changed, by=by)


def _ensure_parent(write: Write, type_: ResourceType, by: str) -> None:
    if type_.shape is Shape.TRACKED:
        return
    parent = write.id.rsplit("/", 2)[0]
    if type_.shape is Shape.VERSIONED:
        _ensure_container(write, type_, parent, by)
        return
    require_parent(write.connection, parent)


def _ensure_container(write: Write, type_: ResourceType, container: str, by: str) -> None:
    """The container of a version; one of anonymous versions is in no list until it gets one with a name."""
    anonymous = bool(write.properties.get("isAnonymous"))
    found = resources.get(write.connection, container)
    if found is not None:
        if found.label == resources.ANONYMOUS and not anonymous:
            resources.update(write.connection, found.with_(label=None))
        return
    require_parent(write.connection, container.rsplit("/", 2)[0])
    type_.name_rule.check(container.rsplit("/", 1)[1])
    spec: Json = {"properties": {"isArchived": False, "tags": {}, "properties": {}}}
    label = resources.ANONYMOUS if anonymous else None
    resources.insert(write.connection, resources.new(container, type_.container_type, spec, label=label), by=by)


def _precondition(header: str, value: str, existing: Resource | None) -> ApiError:
    there = f"its etag is {existing.etag}" if existing else "it does not exist"
    return ApiError(412, "PreconditionFailed", f"{header}: {value} does not hold: {there}.", target=header)


async def _run(context: ApiContext, transaction: Callable[[Connection], Written]) -> Written:
    written = await context.database.write(transaction)
    for task in written.after:
        await task()
    context.services.storage.registered(written.resource)
    return written
