"""Versioned assets: what a container shows of its versions, and which one is the latest."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.errors import ApiError, nearest, not_found
from lazulite.resources import registries
from lazulite.resources.declaration import Reading, ResourceType, Shape
from lazulite.store import resources
from lazulite.store.resources import Json, Resource
from lazulite.store.tables import resources as table

#: What the SDK asks for when it means the latest version.
_ALIASES = ("azureml_default",)


def is_alias(version_id: str) -> bool:
    return version_id.rsplit("/", 1)[1].lower() in _ALIASES


def is_hidden(connection: Connection, type_: ResourceType, id_: str) -> bool:
    """Whether a container, or that of a version, is another API's alone."""
    if type_.hidden is None:
        return False
    above, literal, _ = id_.rsplit("/", 2)
    container = resources.get(connection, above if literal.lower() == "versions" else id_)
    return container is not None and type_.hidden(container.properties)


def latest(connection: Connection, container: str, version_type: str) -> Resource | None:
    """The version made last that is not archived."""
    found = resources.children(connection, container, version_type, archived=False, newest_first=True, limit=1)
    return found[0] if found else None


def container_properties(reading: Reading, type_: ResourceType, containers: Sequence[Resource]) -> list[Json]:
    """The properties of each container with `latestVersion` and `nextVersion`, which follow from its versions."""
    newest, highest = _versions_of(reading.connection, type_.type, containers)
    return [_shown(one, newest.get(one.key), highest.get(one.key, 0)) for one in containers]


def _shown(container: Resource, newest: Resource | None, highest: int) -> Json:
    properties: Json = {
        "description": None,
        "tags": {},
        "properties": {},
        "provisioningState": "Succeeded",
        **container.properties,
        "isArchived": container.archived,
        "latestVersion": newest.name if newest else None,
        "nextVersion": str(highest + 1),
    }
    if newest and "dataType" in newest.properties:
        properties["dataType"] = newest.properties["dataType"]
    return properties


def missing(reading: Reading, type_: ResourceType, id_: str) -> ApiError:
    """404 naming what is not there, and the nearest names or versions that are."""
    name = id_.rsplit("/", 1)[1]
    parent = id_.rsplit("/", 2)[0]
    is_version = type_.shape is Shape.VERSIONED and "/versions/" in id_
    if is_version and is_hidden(reading.connection, type_, id_):
        return missing(reading, type_, parent)
    known = resources.children(
        reading.connection, parent, type_.type if is_version else type_.container_type, limit=200, listed=True
    )
    if type_.hidden and not is_version:
        known = [r for r in known if not type_.hidden(r.properties)]
    names = [r.name for r in known]
    if type_.virtual:
        kind = type_.type if is_version else type_.container_type
        names += [document["name"] for document, _ in type_.virtual.list(reading, parent, kind, False, None, 200)]
    if is_version and not names and not resources.exists(reading.connection, parent):
        return missing(reading, type_, parent)
    if is_version:
        asset = parent.rsplit("/", 1)[1]
        versions = ", ".join(f"'{known}'" for known in names[-8:])
        there = f" It has {versions}." if names else " It has no version."
        return not_found(f"{_noun(type_)} '{asset}' has no version '{name}'.{there}", "version")
    if arm_id.registry_of(parent) and not resources.exists(reading.connection, parent):
        return registries.missing(arm_id.parse(parent).name, registries.readable(reading))
    return not_found(f"There is no {_noun(type_).lower()} '{name}'.{nearest(name, names)}{_public(parent)}", "name")


def _public(home: str) -> str:
    """How an asset of Microsoft's public registry gets here."""
    if arm_id.key(home) != arm_id.key(registries.AZUREML_ID):
        return ""
    return " `lazulite registry load` fills this registry from a checkout of the public assets."


def _noun(type_: ResourceType) -> str:
    last = type_.collection.rsplit("/", 1)[-1]
    return {"data": "Data asset", "codes": "Code asset"}.get(last, last.removesuffix("s").capitalize())


def _versions_of(
    connection: Connection, version_type: str, containers: Sequence[Resource]
) -> tuple[dict[str, Resource], dict[str, int]]:
    """By the keys of containers: the version made last that is not archived, and the highest number of any."""
    above, version = table.alias("above"), table.alias("version")
    of_it = (version.c.parent == above.c.key) & (version.c.type == version_type.lower())
    number = sa.func.ltrim(version.c.name, "0")
    newest = sa.select(version.c.key).where(of_it, ~version.c.archived).order_by(version.c.sequence.desc()).limit(1)
    longest = (sa.func.length(number).desc(), number.desc())
    highest = sa.select(version.c.name).where(of_it, _is_number(connection, version.c.name)).order_by(*longest).limit(1)
    wanted = above.c.key.in_([container.key for container in containers])
    query = sa.select(above.c.key, newest.scalar_subquery(), highest.scalar_subquery()).where(wanted)
    rows = connection.execute(query).all()
    versions = {row.key: row for row in resources.get_many(connection, [row[1] for row in rows if row[1]])}
    return (
        {row[0]: versions[row[1]] for row in rows if row[1] in versions},
        {row[0]: int(row[2]) for row in rows if row[2]},
    )


def _is_number(connection: Connection, name: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Whether a version's name is a whole number of at most 18 digits."""
    digits = name.op("GLOB")("[0-9]*") & ~name.op("GLOB")("*[^0-9]*")
    return (digits if connection.dialect.name == "sqlite" else name.regexp_match("^[0-9]+$")) & (
        sa.func.length(name) <= 18
    )
