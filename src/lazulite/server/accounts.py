"""The storage accounts of this server: who they are, what clients are told, where their bytes lie.

One object stands behind the blob gateway, the rules of resources, the engine and the artifacts of runs.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import Connection

from lazulite.core import sas
from lazulite.core.clock import utc_now
from lazulite.resources import storage_accounts
from lazulite.storage.accounts import StorageAccount
from lazulite.storage.folder_store import FolderStore
from lazulite.storage.store import BlobStore, ContainerRecord
from lazulite.store.database import Database
from lazulite.vault.sealed import SealedSecrets


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
        self._load()
        database.subscribe(self._changed)

    def get(self, name: str) -> StorageAccount | None:
        return self._accounts.get(name.lower())

    def names(self) -> list[str]:
        return sorted(self._accounts)

    def public_account(self, account: str) -> str:
        return f"{self._authority}/storage/v1/{account}/_"

    def own_account(self, account_name: str) -> str | None:
        """Any port will do: an address that an earlier start handed out still means this account."""
        parts = account_name.rstrip("/").removesuffix("/_").split("/")
        name = parts[-1].lower()
        if len(parts) not in (1, 4) or (len(parts) == 4 and parts[1:3] != ["storage", "v1"]):
            return None
        found = self._accounts.get(name)
        return found.name if found else None

    def local_path(self, account: str, container: str, blob_path: str) -> Path | None:
        if not isinstance(self._store, FolderStore):
            return None
        if not blob_path.strip("/"):
            return self._store.container_path(account, container)
        return self._store.blob_path(account, container, blob_path.strip("/"))

    def sas_url(self, account: str, container: str, blob_path: str, permissions: str, hours: float) -> str:
        found = self._accounts[account.lower()]
        expires = utc_now() + dt.timedelta(hours=hours)
        url = f"https://{self.public_account(found.name)}.blob.core.windows.net/{container}"
        name = blob_path.strip("/")
        if not name:
            return f"{url}?{sas.container_sas(found.name, found.keys[0], container, permissions, expires)}"
        query = sas.blob_sas(found.name, found.keys[0], container, name, permissions, expires)
        return f"{url}/{quote(name)}?{query}"

    async def ensure(self, account: str, containers: list[str], shares: list[str]) -> None:
        for name in (*containers, *shares):
            if await self._store.container(account, name) is None:
                await self._store.create_container(account, name, ContainerRecord())

    async def clear(self, account: str) -> None:
        for container in await self._store.containers(account):
            await self._store.delete_container(account, container.name)

    def _changed(self, keys: frozenset[str]) -> None:
        if any("/providers/microsoft.storage/storageaccounts/" in key for key in keys):
            self._load()

    def _load(self) -> None:
        def read(connection: Connection) -> dict[str, StorageAccount]:
            found = {}
            for row in storage_accounts.all_accounts(connection):
                pair = storage_accounts.keys(connection, self._secrets, row.id)
                if pair:
                    found[row.name.lower()] = StorageAccount(row.name, pair)
            return found

        self._accounts = self._database.read_sync(read)
