"""Reading and writing resources inside a transaction. Every function takes the connection `Database` hands out."""

from __future__ import annotations

import secrets as random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from lazulite.core import arm_id
from lazulite.core.clock import now_iso
from lazulite.store.database import changed
from lazulite.store.tables import events, operations, resources

Json = dict[str, Any]
_CHUNK = 1000  # keys in one IN list
#: The label of containers that hold anonymous versions alone: they are there by name, and in no list.
ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Resource:
    """One ARM resource as stored. `spec` is the document as its writer sent it, `status` what controllers saw."""

    id: str
    type: str
    name: str
    parent: str
    spec: Json
    status: Json = field(default_factory=dict)
    state: str | None = None
    label: str | None = None
    archived: bool = False
    generation: int = 1
    etag: str = ""
    created_at: str = ""
    created_by: str = ""
    modified_at: str = ""
    modified_by: str = ""
    sequence: int = 0

    @property
    def key(self) -> str:
        return arm_id.key(self.id)

    @property
    def properties(self) -> Json:
        """The `properties` of the document as sent; empty where it has none."""
        found = self.spec.get("properties")
        return found if isinstance(found, dict) else {}

    @property
    def birth(self) -> str:
        """Tells a stored resource from one that is made later under its id."""
        return f"{self.sequence}.{self.created_at}"

    def with_(self, **changes: Any) -> Resource:
        return replace(self, **changes)


# Made once: building and keying a statement costs more than running it.
_GET = sa.select(resources).where(resources.c.key == sa.bindparam("wanted"))
_EXISTS = sa.select(resources.c.sequence).where(resources.c.key == sa.bindparam("wanted"))
_GET_MANY = sa.select(resources).where(resources.c.key.in_(sa.bindparam("wanted", expanding=True)))
_KEY = resources.c.key
_INSERT = resources.insert().returning(resources.c.sequence)
_UPDATE = resources.update().where(resources.c.key == sa.bindparam("wanted"))
_UPDATE_MATCHING = _UPDATE.where(resources.c.etag == sa.bindparam("etag_read"))
_RECORD = events.insert()


class VersionConflict(Exception):
    """The stored resource is not the one the writer read: its etag moved on."""


class AlreadyExists(Exception):
    """A resource with that id is there."""


def new(id_: str, type_: str, spec: Json, **more: Any) -> Resource:
    """A resource to insert; parent and name follow from the id."""
    parent = id_.rstrip("/").rsplit("/", 2)[0]
    name = id_.rstrip("/").rsplit("/", 1)[1]
    return Resource(id=id_, type=type_.lower(), name=name, parent=arm_id.key(parent), spec=spec, **more)


def get(connection: Connection, id_: str) -> Resource | None:
    row = connection.execute(_GET, {"wanted": arm_id.key(id_)}).first()
    return _resource(row) if row else None


def exists(connection: Connection, id_: str) -> bool:
    return connection.execute(_EXISTS, {"wanted": arm_id.key(id_)}).first() is not None


def lives(connection: Connection, resource: Resource) -> bool:
    """Whether that very resource is still there, and not one made later under its name."""
    return connection.scalar(_EXISTS, {"wanted": resource.key}) == resource.sequence


def get_many(connection: Connection, ids: Iterable[str]) -> list[Resource]:
    rows = connection.execute(_GET_MANY, {"wanted": [arm_id.key(i) for i in ids]})
    return [_resource(row) for row in rows]


def insert(connection: Connection, resource: Resource, *, by: str) -> Resource:
    """Add a resource and announce it. Raises AlreadyExists (which undoes the transaction: let it through)."""
    now = now_iso()
    stored = resource.with_(etag=_etag(), created_at=now, created_by=by, modified_at=now, modified_by=by)
    try:
        sequence = connection.execute(_INSERT, _columns(stored)).scalar_one()
    except sa.exc.IntegrityError as error:
        if "key" not in str(error.orig):
            raise
        raise AlreadyExists(resource.id) from None
    changed(connection, [stored.key])
    return stored.with_(sequence=int(sequence))


def update(connection: Connection, resource: Resource, *, by: str | None = None, etag: str | None = None) -> Resource:
    """Replace what is stored and announce it.

    `by` is the user who changed the spec (the generation rises); without it a controller changed the status.
    With `etag` the write applies only while the stored etag is that one. Raises VersionConflict.
    """
    stored = resource.with_(etag=_etag())
    if by is not None:
        stored = stored.with_(modified_at=now_iso(), modified_by=by, generation=resource.generation + 1)
    columns = _columns(stored)
    del columns["key"], columns["id"]
    columns["wanted"] = resource.key
    if etag is not None:
        columns["etag_read"] = etag
    result = connection.execute(_UPDATE if etag is None else _UPDATE_MATCHING, columns)
    if result.rowcount != 1:
        raise VersionConflict(resource.id)
    changed(connection, [stored.key])
    return stored


def set_archived(connection: Connection, ids: Iterable[str], archived: bool) -> None:
    """Archive or restore those of the resources that there are."""
    keys = [arm_id.key(id_) for id_ in ids]
    for start in range(0, len(keys), _CHUNK):
        where = resources.c.key.in_(keys[start : start + _CHUNK]) & (resources.c.archived != archived)
        connection.execute(resources.update().where(where).values(archived=archived, etag=_etag()))


def delete(connection: Connection, id_: str) -> int:
    """Remove a resource and everything below it, with their history; return how many there were.

    Operations on them are over: whoever comes under their names later has no part in them.
    """
    gone = list(connection.scalars(resources.delete().where(at_or_below(resources.c.key, id_)).returning(_KEY)))
    connection.execute(events.delete().where(at_or_below(events.c.resource, id_)))
    running = at_or_below(operations.c.resource, id_) & (operations.c.state == "InProgress")
    connection.execute(operations.update().where(running).values(state="Succeeded", ended_at=now_iso()))
    changed(connection, gone)
    return len(gone)


def mentioning(connection: Connection, types: Iterable[str], *texts: str) -> Iterator[tuple[str, str]]:
    """(key, document as text) of the resources, of types that begin so, in whose document one of the texts stands.

    Letters of ASCII are alike in either case.
    """
    stored = sa.cast(resources.c.spec, sa.Text)
    if connection.dialect.name == "postgresql":
        stored = sa.func.convert_from(resources.c.spec, "UTF8")  # type: ignore[assignment]
    of_type = sa.or_(*(resources.c.type.startswith(type_.lower(), autoescape=True) for type_ in types))
    has = sa.or_(*(sa.func.lower(stored).contains(text.lower(), autoescape=True) for text in texts))
    for key, spec in connection.execute(sa.select(resources.c.key, resources.c.spec).where(of_type, has)):
        yield key, spec.decode()


def at_or_below(column: sa.ColumnElement[str], scope: str) -> sa.ColumnElement[bool]:
    """Whether a column of keys names `scope` or what lies below it, as an index can answer."""
    return (column == arm_id.key(scope)) | below(column, scope)


def below(column: sa.ColumnElement[str], scope: str) -> sa.ColumnElement[bool]:
    """Whether a column of keys names what lies below `scope`, as an index can answer."""
    key = arm_id.key(scope)
    return (column > f"{key}/") & (column < f"{key}0")  # in the order of code points `0` follows `/`


def children(
    connection: Connection,
    parent: str,
    type_: str,
    *,
    after: int | None = None,
    limit: int | None = None,
    archived: bool | None = None,
    newest_first: bool = False,
    listed: bool = False,
) -> list[Resource]:
    """The resources of one type below a parent, in the order of their creation.

    `after` is the sequence number the page before ended with; `archived` None means all. `listed` leaves out what is
    in no list.
    """
    query = sa.select(resources).where(resources.c.parent == arm_id.key(parent), resources.c.type == type_.lower())
    if archived is not None:
        query = query.where(resources.c.archived == archived)
    if listed:
        query = query.where(resources.c.label.is_distinct_from(ANONYMOUS))
    if after is not None:
        query = query.where(resources.c.sequence < after if newest_first else resources.c.sequence > after)
    query = query.order_by(resources.c.sequence.desc() if newest_first else resources.c.sequence)
    if limit is not None:
        query = query.limit(limit)
    return [_resource(row) for row in connection.execute(query)]


def children_of(connection: Connection, parents: Iterable[str], type_: str) -> list[Resource]:
    """The resources of one type below these parents (keys), in the order of their creation."""
    where = resources.c.parent.in_(list(parents)) & (resources.c.type == type_.lower())
    query = sa.select(resources).where(where).order_by(resources.c.sequence)
    return [_resource(row) for row in connection.execute(query)]


def under(connection: Connection, scope: str, type_: str) -> list[Resource]:
    """All resources of a type anywhere below a scope (a subscription, a group, a workspace)."""
    where = (resources.c.type == type_.lower()) & below(resources.c.key, scope)
    query = sa.select(resources).where(where).order_by(resources.c.sequence)
    return [_resource(row) for row in connection.execute(query)]


def in_states(connection: Connection, type_: str, states: Sequence[str]) -> list[Resource]:
    """All resources of a type whose promoted state is one of `states`, oldest first."""
    query = sa.select(resources).where(resources.c.type == type_.lower(), resources.c.state.in_(states))
    return [_resource(row) for row in connection.execute(query.order_by(resources.c.sequence))]


def labelled(connection: Connection, scope: str, type_: str, label: str) -> list[Resource]:
    """The resources of a type below a scope that carry a promoted label, oldest first."""
    labelled = (resources.c.type == type_.lower()) & (resources.c.label == label)
    query = sa.select(resources).where(labelled & below(resources.c.key, scope)).order_by(resources.c.sequence)
    return [_resource(row) for row in connection.execute(query)]


def record(connection: Connection, id_: str, kind: str, data: Json | None = None) -> None:
    """Append to the history of a resource."""
    row = {"resource": arm_id.key(id_), "kind": kind, "at": now_iso(), "data": msgspec.json.encode(data or {})}
    connection.execute(_RECORD, row)


def history(connection: Connection, id_: str) -> list[Json]:
    """What `record` appended, oldest first: `{"kind", "at", "data"}`."""
    query = sa.select(events).where(events.c.resource == arm_id.key(id_)).order_by(events.c.sequence)
    return [{"kind": r.kind, "at": r.at, "data": msgspec.json.decode(r.data)} for r in connection.execute(query)]


def _etag() -> str:
    return f'"0x{random.token_hex(8).upper()}"'


def _columns(resource: Resource) -> Json:
    return {
        "key": resource.key,
        "id": resource.id,
        "type": resource.type,
        "parent": resource.parent,
        "name": resource.name,
        "spec": msgspec.json.encode(resource.spec),
        "status": msgspec.json.encode(resource.status),
        "state": resource.state,
        "label": resource.label,
        "archived": resource.archived,
        "generation": resource.generation,
        "etag": resource.etag,
        "created_at": resource.created_at,
        "created_by": resource.created_by,
        "modified_at": resource.modified_at,
        "modified_by": resource.modified_by,
    }


def _resource(row: Row[Any]) -> Resource:
    return Resource(
        id=row.id,
        type=row.type,
        name=row.name,
        parent=row.parent,
        spec=msgspec.json.decode(row.spec),
        status=msgspec.json.decode(row.status),
        state=row.state,
        label=row.label,
        archived=row.archived,
        generation=row.generation,
        etag=row.etag,
        created_at=row.created_at,
        created_by=row.created_by,
        modified_at=row.modified_at,
        modified_by=row.modified_by,
        sequence=row.sequence,
    )
