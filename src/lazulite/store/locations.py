"""Where the bytes of a storage account lie: what engine and gateways ask of whoever serves storage."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Protocol


class StorageLocator(Protocol):
    """The storage accounts of this platform. A share or a file system counts as a container."""

    def own_account(self, account_name: str) -> str | None:
        """The plain name of an account of ours, given that name or one that clients were told; None if not ours."""
        ...

    def local_path(self, account: str, container: str, blob_path: str) -> Path | None:
        """The file or folder of this machine that is the blob (or blob prefix); None when it lies elsewhere.

        Raises `core.paths.UnsafePath`.
        """
        ...

    def sas_url(self, account: str, container: str, blob_path: str, permissions: str, hours: float) -> str:
        """An address of the blob (or, with an empty path, the container) that grants `permissions` by itself."""
        ...

    async def erase(self, account: str, container: str | None, path: str, kept: Collection[str]) -> None:
        """Remove what lies below `path` in a container, but for the paths in `kept` and all below those.

        Without a container the whole account goes. Idempotent.
        """
        ...
