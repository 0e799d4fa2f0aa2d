"""One authorised request on its way through an operation, the answer it becomes, and what every operation shares."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import email.utils
import mimetypes
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import lru_cache

from lazulite.storage.accounts import AccountDirectory
from lazulite.storage.authorization import Authorizer, Grant
from lazulite.storage.conditions import check_write
from lazulite.storage.errors import StorageError
from lazulite.storage.leases import check_blob_lease, lease_headers
from lazulite.storage.request import Request
from lazulite.storage.spool import Spool
from lazulite.storage.store import Blob, BlobReader, BlobStore, Record


@dataclass(slots=True)
class Answer:
    """`reader` and `span` (first byte, number of bytes) stream a blob instead of `body`."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    reader: BlobReader | None = None
    span: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes. `external_copies` allows copying from other servers, up to `put_bytes`."""

    put_bytes: int = 5000 * 1024 * 1024
    block_bytes: int = 4000 * 1024 * 1024
    append_bytes: int = 100 * 1024 * 1024
    append_blocks: int = 50_000
    blocks: int = 50_000
    external_copies: bool = False


class Locks:
    """One lock per name, for as long as somebody holds or waits for it."""

    def __init__(self) -> None:
        self._locks: dict[tuple[str, str, str], tuple[asyncio.Lock, int]] = {}

    @contextlib.asynccontextmanager
    async def hold(self, *key: str) -> AsyncIterator[None]:
        name = (key[0], key[1], key[2])
        lock, users = self._locks.get(name) or (asyncio.Lock(), 0)
        self._locks[name] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            _, users = self._locks[name]
            if users == 1:
                del self._locks[name]
            else:
                self._locks[name] = (lock, users - 1)


@dataclass(slots=True)
class Exchange:
    """`account`, `container` and `name` are those of the address, checked against Azure's rules."""

    request: Request
    store: BlobStore
    grant: Grant
    limits: Limits
    locks: Locks
    accounts: AccountDirectory
    authorizer: Authorizer
    now: Callable[[], float]
    account: str
    container: str
    name: str
    authority: str

    def lock(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Held from deciding on a change of the blob until it is made."""
        return self.locks.hold(self.account, self.container, self.name)

    async def stat(self) -> Blob | None:
        return await self.store.stat(self.account, self.container, self.name)

    async def existing(self) -> Blob:
        """The blob. Raises StorageError 404."""
        blob = await self.stat()
        if blob is None:
            raise blob_not_found(self.name)
        return blob

    async def writable(self) -> Blob | None:
        """The blob as it stands, when this request may replace or make it. Raises StorageError 403, 409 or 412."""
        blob = await self.stat()
        headers = self.request.headers
        check_write(headers, blob.etag if blob else None, blob.modified if blob else 0)
        lease = blob.record.lease if blob else None
        check_blob_lease(lease, headers.get("x-ms-lease-id"), self.now(), writing=True)
        if blob is not None and not self.grant.allows("w"):
            raise StorageError(
                "AuthorizationPermissionMismatch",
                "The signature may create blobs (c), but this one exists: overwriting needs 'w'.",
            )
        return blob

    async def changeable(self) -> Blob:
        """An existing blob that this request may change. Raises StorageError 404, 412."""
        blob = await self.existing()
        check_write(self.request.headers, blob.etag, blob.modified)
        check_blob_lease(blob.record.lease, self.request.headers.get("x-ms-lease-id"), self.now(), writing=True)
        return blob

    @contextlib.asynccontextmanager
    async def content(self, limit: int, *, md5: bool = False) -> AsyncIterator[Spool]:
        """The request's body, whole and checked against Content-MD5. Raises StorageError 400, 413."""
        expected = self.request.header("content-md5")
        refuse_structured(self.request)
        spool = self.store.spool(self.account)
        if md5 or expected:
            spool.hash_content()
        try:
            async for piece in self.request.stream(limit):
                await spool.write(piece)
            await spool.finish()
            if expected and expected != spool.md5:
                raise StorageError(
                    "Md5Mismatch", f"Content-MD5 says {expected}, but the MD5 of the body that arrived is {spool.md5}."
                )
            yield spool
        finally:
            spool.discard()


def blob_not_found(name: str) -> StorageError:
    return StorageError("BlobNotFound", f"The blob '{name[:200]}' does not exist.")


def refuse_structured(request: Request) -> None:
    if "x-ms-structured-body" in request.headers:
        raise StorageError(
            "UnsupportedHeader",
            "Structured bodies (x-ms-structured-body) are not built; send the content plain, with Content-MD5.",
        )


@lru_cache(maxsize=4096)
def http_date(seconds: int) -> str:
    return email.utils.formatdate(seconds, usegmt=True)


def iso_date(seconds: float) -> str:
    """A time with seven digits after the second, as snapshots and user delegation keys have it."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def version_headers(blob: Blob) -> dict[str, str]:
    """What every answer about a present blob begins with."""
    return {"ETag": f'"{blob.etag}"', "Last-Modified": http_date(int(blob.modified))}


def content_type(blob: Blob) -> str:
    """What was set, or for files put there by hand what their name suggests."""
    record = blob.record
    if record.content_type:
        return record.content_type
    guessed = None if record.created else mimetypes.guess_type(blob.name)[0]
    return guessed or "application/octet-stream"


def blob_headers(blob: Blob, now: float) -> dict[str, str]:
    """All properties of a blob as headers, but its length."""
    record = blob.record
    headers = version_headers(blob)
    headers["Content-Type"] = content_type(blob)
    headers["x-ms-blob-type"] = record.kind
    headers["x-ms-creation-time"] = http_date(int(record.created or blob.modified))
    headers["Accept-Ranges"] = "bytes"
    headers["x-ms-server-encrypted"] = "true"
    headers["x-ms-access-tier"] = record.tier or "Hot"
    if record.tier is None:
        headers["x-ms-access-tier-inferred"] = "true"
    headers.update(lease_headers(record.lease, now))
    _optional_headers(headers, record)
    for name, value in record.metadata.items():
        headers["x-ms-meta-" + name] = value
    if record.directory:
        headers["x-ms-meta-hdi_isfolder"] = "true"
        headers["x-ms-resource-type"] = "directory"
    return headers


def _optional_headers(headers: dict[str, str], record: Record) -> None:
    if record.content_encoding:
        headers["Content-Encoding"] = record.content_encoding
    if record.content_language:
        headers["Content-Language"] = record.content_language
    if record.content_disposition:
        headers["Content-Disposition"] = record.content_disposition
    if record.cache_control:
        headers["Cache-Control"] = record.cache_control
    if record.content_md5:
        headers["Content-MD5"] = record.content_md5
    if record.tags:
        headers["x-ms-tag-count"] = str(len(record.tags))
    if record.kind == "AppendBlob":
        headers["x-ms-blob-committed-block-count"] = str(record.append_blocks)
        if record.sealed:
            headers["x-ms-blob-sealed"] = "true"
    if record.copy:
        headers["x-ms-copy-id"] = record.copy.id
        headers["x-ms-copy-source"] = record.copy.source
        headers["x-ms-copy-status"] = "success"
        headers["x-ms-copy-progress"] = f"{record.copy.size}/{record.copy.size}"
        headers["x-ms-copy-completion-time"] = http_date(int(record.copy.finished))
