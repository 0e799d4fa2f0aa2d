"""The storage accounts of this server: who they are, what clients are told, where their bytes lie.

One object stands behind the blob gateway, the rules of resources, the engine and the artifacts of runs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import Connection

from lazulite.core import sas
from lazulite.core.clock import utc_now
from lazulite.resources import storage_accounts
from lazulite.resources.declaration import Files
from lazulite.storage.accounts import StorageAccount
from lazulite.storage.folder_store import FolderStore
from lazulite.storage.store import Blob, BlobReader, BlobStore, ContainerMissing, ContainerRecord, ListQuery
from lazulite.store.database import Database
from lazulite.store.resources import Resource
from lazulite.vault.sealed import SealedSecrets

#: Uploads of a job that are not registered yet.
_MOST_UPLOADS = 1000
_PIECE = 4 * 1024 * 1024


class StorageAccounts:
    """Implements the blob gateway's AccountDirectory, `declaration.Storage` and `store.locations.StorageLocator`.

    `authority` is host and port as clients reach the server over TLS. Accounts are kept in memory and read anew when
    one of them changes.
    """

    def __init__(self, database: Database, secrets: SealedSecrets, store: BlobStore, authority: str) -> None:
        self._database = database
        self._secrets = secrets
        self._store = store
        self._authority = authority
        self._accounts: dict[str, StorageAccount] = {}
        self._uploads: dict[tuple[str, str, str], str] = {}
        self._load()
        database.subscribe(self._changed)

    def get(self, name: str) -> StorageAccount | None:
        return self._accounts.get(name.lower())

    def names(self) -> list[str]:
        return sorted(self._accounts)

    def public_account(self, account: str) -> str:
        return f"{self._authority}/storage/v1/{account}/_"

    def own_account(self, account_name: str) -> str | None:
        """Any port will do: an address that an earlier start handed out still means this account.

        Letters beyond ASCII that are small letters of ASCII in lower case (the sign for kelvin) are not those.
        """
        parts = account_name.rstrip("/").removesuffix("/_").split("/")
        name = parts[-1].lower()
        if (
            not account_name.isascii()
            or len(parts) not in (1, 4)
            or (len(parts) == 4 and parts[1:3] != ["storage", "v1"])
        ):
            return None
        found = self._accounts.get(name)
        return found.name if found else None

    def local_path(self, account: str, container: str, blob_path: str) -> Path | None:
        if not isinstance(self._store, FolderStore):
            return None
        if not blob_path.strip("/"):
            return self._store.container_path(account, container)
        return self._store.blob_path(account, container, blob_path.strip("/"))

    def sas_url(
        self,
        account: str,
        container: str,
        blob_path: str,
        permissions: str,
        hours: float,
        holder: sas.Holder | None = None,
    ) -> str:
        """With a `holder`, one that ends with it. The path must then name a blob."""
        found = self._accounts[account.lower()]
        expires = utc_now() + dt.timedelta(hours=hours)
        url = f"https://{self.public_account(found.name)}.blob.core.windows.net/{container}"
        name = blob_path.strip("/")
        if not name:
            return f"{url}?{sas.container_sas(found.name, found.keys[0], container, permissions, expires)}"
        if holder is None:
            query = sas.blob_sas(found.name, found.keys[0], container, name, permissions, expires)
        else:
            key, start = found.keys[0], utc_now()
            query = sas.delegated_sas(found.name, key, container, permissions, expires, holder, start=start, blob=name)
        return f"{url}/{quote(name)}?{query}"

    async def ensure(self, account: str, containers: list[str], shares: list[str]) -> None:
        for name in (*containers, *shares):
            if await self._store.container(account, name) is None:
                await self._store.create_container(account, name, ContainerRecord())

    async def copy(self, source: Files, account: str, container: str) -> int:
        await self.ensure(account, [container], [])
        count = 0
        async for blob in _blobs(self._store, source):
            count += 1
            target = await self._store.stat(account, container, blob.name)
            if target is None or target.size != blob.size:
                await _copy(self._store, source, blob.name, account, container)
        return count

    async def same(self, a: Files, b: Files) -> bool:
        first = {_below(blob.name, a.path): blob async for blob in _blobs(self._store, a)}
        second = {_below(blob.name, b.path): blob async for blob in _blobs(self._store, b)}
        if {name: blob.size for name, blob in first.items()} != {name: blob.size for name, blob in second.items()}:
            return False
        for name, blob in first.items():
            if not await _same_bytes(self._store, a, blob.name, b, second[name].name):
                return False
        return True

    async def erase(self, account: str, container: str | None, path: str, kept: Collection[str]) -> None:
        if container is None:
            await self._store.delete_account(account)
            return
        with suppress(ContainerMissing):
            if not kept and await self._store.is_directory(account, container, path):
                await self._store.delete_directory(account, container, path)
            async for blob in _blobs(self._store, Files(account, container, path)):
                if not any(blob.name == name or blob.name.startswith(f"{name}/") for name in kept):
                    await self._store.delete(account, container, blob.name)

    async def claim_upload(self, job: str, account: str, container: str, folder: str) -> bool:
        """Whether a folder (or with an empty one the container) is that job's to upload a new asset into.

        The first that finds nothing there has it, until the asset is registered or the server ends.
        """
        key = (account, container, folder)
        if key in self._uploads:
            return self._uploads[key] == job
        if sum(holder == job for holder in self._uploads.values()) >= _MOST_UPLOADS:
            return False
        self._uploads[key] = job
        try:
            page = await self._store.list(account, container, ListQuery(f"{folder}/" if folder else "", limit=1))
        except ContainerMissing:
            page = None
        if page is not None and page.entries:
            del self._uploads[key]
            return False
        return True

    def registered(self, asset: Resource) -> None:
        addresses = [str(asset.properties.get(name)) for name in ("codeUri", "dataUri", "modelUri")]
        if isinstance(build := asset.properties.get("build"), dict):  # of an environment: others may call anything so
            addresses.append(str(build.get("contextUri")))
        for key in list(self._uploads):
            if any((key[2] or key[1]) in address for address in addresses):
                self._uploads.pop(key, None)

    def _changed(self, keys: frozenset[str]) -> None:
        if any("/providers/microsoft.storage/storageaccounts/" in key for key in keys):
            self._load()

    def _load(self) -> None:
        def read(connection: Connection) -> dict[str, StorageAccount]:
            found: dict[str, StorageAccount] = {}
            for row in storage_accounts.all_accounts(connection):
                pair = storage_accounts.keys(connection, self._secrets, row.id)
                if pair:
                    found.setdefault(row.name.lower(), StorageAccount(row.name, pair))
            return found

        self._accounts = self._database.read_sync(read)


async def _blobs(store: BlobStore, files: Files) -> AsyncIterator[Blob]:
    """The blob of that name, or those below it, in order of name."""
    path = files.path.strip("/")
    if path and (one := await store.stat(files.account, files.container, path)) and not one.record.directory:
        yield one
        return
    query = ListQuery(f"{path}/" if path else "")
    while True:
        try:
            page = await store.list(files.account, files.container, query)
        except ContainerMissing:
            return
        for entry in page.entries:
            if isinstance(entry, Blob) and not entry.record.directory:
                yield entry
        if not page.more:
            return
        last = page.entries[-1]
        query = ListQuery(query.prefix, last if isinstance(last, str) else last.name)


def _below(name: str, path: str) -> str:
    return name[len(path.strip("/")) :].strip("/")


async def _copy(store: BlobStore, source: Files, name: str, account: str, container: str) -> None:
    reader = await store.open(source.account, source.container, name)
    if reader is None:
        return  # removed meanwhile
    content = store.spool(account)
    try:
        offset = 0
        while piece := await reader.read(offset, _PIECE):
            await content.write(piece)
            offset += len(piece)
        await content.finish()
        await store.put(account, container, name, content, reader.blob.record)
    finally:
        reader.close()
        content.discard()


async def _same_bytes(store: BlobStore, a: Files, first: str, b: Files, second: str) -> bool:
    one, other = await store.open(a.account, a.container, first), await store.open(b.account, b.container, second)
    try:
        return one is not None and other is not None and await _equal(one, other)
    finally:
        for reader in (one, other):
            if reader is not None:
                reader.close()


async def _equal(one: BlobReader, other: BlobReader) -> bool:
    for offset in range(0, one.blob.size, _PIECE):
        if await one.read(offset, _PIECE) != await other.read(offset, _PIECE):
            return False
    return True
