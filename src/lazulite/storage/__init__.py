"""The Azure Blob protocol (and what clients need of Data Lake and Files) over plain folders or object storage.

`BlobGateway` is a raw ASGI application: it authorises (shared key, SAS, bearer), applies the protocol's rules once
(conditions, leases, ranges, block lists) and hands bytes to a `BlobStore`, which knows none of them. It must not know
workspaces, datastores or jobs, and never answers a write before the store says that it is durable.
"""

from lazulite.storage.accounts import AccountDirectory, StorageAccount
from lazulite.storage.folder_store import FolderStore
from lazulite.storage.gateway import BlobGateway
from lazulite.storage.store import BlobStore

__all__ = ["AccountDirectory", "BlobGateway", "BlobStore", "FolderStore", "StorageAccount"]
