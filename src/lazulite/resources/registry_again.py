"""A version of a registry that is sent again: the same files under another address are that version still.

Each upload has a container of its own, so that nobody writes over the files of a version. Clients that send the same
thing twice therefore name other addresses, and components other code assets; where the bytes are the same, what is
stored stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.errors import ApiError
from lazulite.resources import references, registry_storage
from lazulite.resources.declaration import Services
from lazulite.store.database import Database
from lazulite.store.resources import Json, Resource

_NAMES = ("name", "version", "_source")


async def keep(database: Database, services: Services, existing: Resource | None, body: Json) -> None:
    """Put the stored address, or reference to code, back into a body that names another for the same files."""
    if existing is None or not isinstance(body.get("properties"), dict):
        return
    for holder, name, before in _addresses(existing.properties, body["properties"]):
        if await _same_files(services, before, str(holder[name])):
            holder[name] = before
    specs = existing.properties.get("componentSpec"), body["properties"].get("componentSpec")
    await _keep_in_component(database, services, arm_id.asset_home(existing.id), *specs)


async def _keep_in_component(database: Database, services: Services, home: str, before: object, after: object) -> None:
    """`home` is the ARM id of the registry. Of a pipeline's steps, inline components are known again too."""
    for holder, name, stored in _codes(before, after):
        old, new = [await database.read(partial(_uri, home, code)) for code in (stored, str(holder[name]))]
        if old and new and await _same_files(services, old, new):
            holder[name] = stored
    for holder, name, stored in _steps(before, after):
        was, sent = [await database.read(partial(_inline, home, one)) for one in (stored, str(holder[name]))]
        if was is not None and sent is not None:
            await _keep_in_component(database, services, home, was, sent)
            if was == sent:
                holder[name] = stored


async def _same_files(services: Services, before: str, after: str) -> bool:
    old, new = registry_storage.files(services, before), registry_storage.files(services, after)
    # Another account's files are not for the caller to be told about.
    if old is None or new is None or old.account != new.account:
        return False
    return await services.storage.same(old, new)


def _addresses(before: Json, after: Json) -> Iterator[tuple[Json, str, str]]:
    """Where a body names files elsewhere than the version does: the object, its key, and what is stored there."""
    for name in registry_storage.ADDRESS.values():
        yield from _changed(before, after, name)
    yield from _changed(before.get("build"), after.get("build"), "contextUri")


def _codes(before: object, after: object) -> Iterator[tuple[Json, str, str]]:
    yield from _changed(before, after, "code")
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _changed(before.get("task"), after.get("task"), "code")


def _steps(before: object, after: object) -> Iterator[tuple[Json, str, str]]:
    jobs = [spec.get("jobs") if isinstance(spec, dict) else None for spec in (before, after)]
    if isinstance(jobs[0], dict) and isinstance(jobs[1], dict):
        for node in jobs[0].keys() & jobs[1].keys():
            yield from _changed(jobs[0][node], jobs[1][node], "componentId")


def _changed(before: object, after: object, name: str) -> Iterator[tuple[Json, str, str]]:
    if isinstance(before, dict) and isinstance(after, dict):
        old, new = before.get(name), after.get(name)
        if isinstance(old, str) and isinstance(new, str) and old != new:
            yield after, name, old


def _uri(home: str, code: str, connection: Connection) -> str | None:
    """The address of a code asset's files, None where the reference leads to none."""
    try:
        return str(references.code(connection, home, code).properties["codeUri"])
    except ApiError:
        return None


def _inline(home: str, component: str, connection: Connection) -> Json | None:
    """What an inline component runs, without its name: that is made of what it runs. None where it is no such component."""
    try:
        found = references.component(connection, home, component)
    except ApiError:
        return None
    if not found.properties.get("isAnonymous") or arm_id.key(arm_id.asset_home(found.id)) != arm_id.key(home):
        return None
    return {name: value for name, value in found.properties["componentSpec"].items() if name not in _NAMES}
