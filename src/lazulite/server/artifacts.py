"""The files of runs and models, over whatever keeps the blobs of their workspace."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from lazulite.core import arm_id
from lazulite.core.errors import not_found
from lazulite.core.principal import Principal
from lazulite.resources import job_rights
from lazulite.server.accounts import StorageAccounts
from lazulite.storage.naming import check_blob
from lazulite.storage.store import Blob, BlobReader, BlobStore, BlockChoice, ContainerMissing, ListQuery, Record
from lazulite.store import resources
from lazulite.store.artifacts import ARTIFACT_DATASTORE, Content, Entry, NoSuchArtifact
from lazulite.store.database import Database

_CONTAINER = ("containerName", "filesystem", "fileShareName")
_CHUNK = 1024 * 1024
_PAGE = 5000
_SAS_HOURS = 12


class Artifacts:
    """Implements `store.artifacts.ArtifactStore`."""

    def __init__(self, database: Database, accounts: StorageAccounts, store: BlobStore, tenant: str) -> None:
        self._database = database
        self._accounts = accounts
        self._store = store
        self._tenant = tenant
        self._places: dict[str, tuple[str, str]] = {}
        database.subscribe(self._changed)

    async def list(
        self, workspace_id: str, prefix: str, *, datastore: str = ARTIFACT_DATASTORE, recursive: bool = False
    ) -> list[Entry]:
        account, container = await self._place(workspace_id, datastore)
        folder = prefix.strip("/")
        found: list[Entry] = []
        query = ListQuery(f"{folder}/" if folder else "", "", _PAGE, shallow=not recursive)
        while True:
            try:
                page = await self._store.list(account, container, query)
            except ContainerMissing:
                return found
            found += [_entry(entry) for entry in page.entries]
            if not page.more:
                return found
            query = ListQuery(query.prefix, _name(page.entries[-1]), _PAGE, query.shallow)

    async def read(
        self,
        workspace_id: str,
        name: str,
        *,
        datastore: str = ARTIFACT_DATASTORE,
        offset: int = 0,
        length: int | None = None,
    ) -> Content:
        account, container = await self._place(workspace_id, datastore)
        check_blob(name)
        reader = await self._store.open(account, container, name)
        if reader is None:
            raise NoSuchArtifact(name)
        end = reader.blob.size if length is None else min(reader.blob.size, offset + length)
        return Content(reader.blob.size, _chunks(reader, offset, end))

    async def size(self, workspace_id: str, name: str, *, datastore: str = ARTIFACT_DATASTORE) -> int | None:
        account, container = await self._place(workspace_id, datastore)
        found = await self._store.stat(account, container, name)
        return found.size if found else None

    async def write(self, workspace_id: str, name: str, chunks: AsyncIterator[bytes]) -> None:
        account, container = await self._place(workspace_id, ARTIFACT_DATASTORE)
        check_blob(name)
        content = self._store.spool(account)
        try:
            async for chunk in chunks:
                await content.write(chunk)
            await content.finish()
            await self._store.put(account, container, name, content, Record())
        finally:
            content.discard()

    async def delete(self, workspace_id: str, name: str) -> None:
        account, container = await self._place(workspace_id, ARTIFACT_DATASTORE)
        if await self._store.stat(account, container, name) is None:
            raise NoSuchArtifact(name)
        await self._store.delete(account, container, name)

    async def commit(self, workspace_id: str, name: str, blocks: Sequence[str]) -> None:
        account, container = await self._place(workspace_id, ARTIFACT_DATASTORE)
        check_blob(name)
        sizes = {block.id: block.size for block in await self._store.blocks(account, container, name)}
        if missing := [block for block in blocks if block not in sizes]:
            raise NoSuchArtifact(missing[0])
        await self._store.commit(account, container, name, [BlockChoice(id_, sizes[id_]) for id_ in blocks], Record())

    async def sas_url(self, workspace_id: str, name: str, permissions: str, caller: Principal) -> str:
        account, container = await self._place(workspace_id, ARTIFACT_DATASTORE)
        holder = job_rights.holder(caller, self._tenant)
        return self._accounts.sas_url(account, container, name, permissions, _SAS_HOURS, holder)

    def _changed(self, keys: frozenset[str]) -> None:
        for key in keys:
            if "/datastores/" in key:
                self._places.pop(key.replace("/datastores/", "/"), None)

    async def _place(self, workspace_id: str, datastore: str) -> tuple[str, str]:
        key = f"{arm_id.key(workspace_id)}/{datastore.lower()}"
        if key not in self._places:
            row = await self._database.read(lambda c: resources.get(c, f"{workspace_id}/datastores/{datastore}"))
            if row is None:
                name = arm_id.parse(workspace_id).name
                raise not_found(f"There is no workspace '{name}' with a datastore '{datastore}'.", "workspace")
            container = next(str(row.properties[n]) for n in _CONTAINER if row.properties.get(n))
            self._places[key] = (str(row.properties["accountName"]), container)
        return self._places[key]


async def _chunks(reader: BlobReader, offset: int, end: int) -> AsyncIterator[bytes]:
    try:
        while offset < end:
            piece = await reader.read(offset, min(_CHUNK, end - offset))
            if not piece:
                return
            offset += len(piece)
            yield piece
    finally:
        reader.close()


def _entry(entry: Blob | str) -> Entry:
    return Entry(entry.rstrip("/"), None) if isinstance(entry, str) else Entry(entry.name, entry.size)


def _name(entry: Blob | str) -> str:
    return entry if isinstance(entry, str) else entry.name
