"""What the protocol asks of a place that keeps bytes, and the records kept beside them.

A store applies no rule of the protocol: conditions, leases, permissions and limits are decided before it is called,
under a lock per blob that the gateway holds. What it promises: a write is durable when its call returns, content and
record change together, and a reader that has opened a blob keeps reading the bytes it opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from lazulite.core.errors import Refusal
from lazulite.storage.spool import Spool

BLOCK_BLOB = "BlockBlob"
APPEND_BLOB = "AppendBlob"


class Lease(msgspec.Struct, omit_defaults=True, frozen=True):
    """`seconds` is -1 for an infinite lease; `expires` and `breaks` are seconds since the epoch, 0 when not set."""

    id: str
    seconds: int = -1
    expires: float = 0
    breaks: float = 0
    broken: bool = False


class CopyRecord(msgspec.Struct, omit_defaults=True, frozen=True):
    id: str
    source: str
    finished: float
    size: int


class Record(msgspec.Struct, omit_defaults=True):
    """What is kept beside a blob's bytes. Everything may be missing: a file put there by hand has no record."""

    kind: str = BLOCK_BLOB
    created: float = 0
    content_type: str | None = None
    content_encoding: str | None = None
    content_language: str | None = None
    content_disposition: str | None = None
    cache_control: str | None = None
    content_md5: str | None = None
    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    blocks: list[tuple[str, int]] = []
    append_blocks: int = 0
    sealed: bool = False
    tier: str | None = None
    lease: Lease | None = None
    copy: CopyRecord | None = None
    directory: bool = False
    length: int = 0  # of a file on a share whose ranges are still coming


class AccessPolicy(msgspec.Struct, omit_defaults=True, frozen=True):
    """A stored access policy, its times as the client wrote them."""

    start: str = ""
    expiry: str = ""
    permission: str = ""


class ContainerRecord(msgspec.Struct, omit_defaults=True):
    metadata: dict[str, str] = {}
    policies: dict[str, AccessPolicy] = {}
    public: str | None = None
    lease: Lease | None = None
    modified: float = 0


@dataclass(slots=True)
class Blob:
    """A blob as it stood when it was looked at. `etag` has no quotes; `modified` is seconds since the epoch."""

    name: str
    size: int
    modified: float
    etag: str
    record: Record


@dataclass(slots=True)
class Container:
    name: str
    modified: float
    etag: str
    record: ContainerRecord


@dataclass(frozen=True, slots=True)
class Block:
    id: str
    size: int


@dataclass(frozen=True, slots=True)
class BlockChoice:
    """One line of a block list being committed: from the uncommitted blocks, or at `offset` of the present blob."""

    id: str
    size: int
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class ListQuery:
    """`after` is exclusive. `shallow` folds what lies below the next `/` after the prefix into one prefix entry."""

    prefix: str = ""
    after: str = ""
    limit: int = 5000
    shallow: bool = False


@dataclass(slots=True)
class Page:
    """Blobs and (when shallow) prefixes ending in `/`, in order of name; `more` when the limit cut it."""

    entries: list[Blob | str]
    more: bool


class BlobReader(Protocol):
    """An opened blob. `read` may return less than asked only at the end of the blob."""

    blob: Blob

    async def read(self, offset: int, length: int) -> bytes: ...

    def close(self) -> None: ...


class BlobStore(Protocol):
    """Names arrive decoded and checked against Azure's rules. Unknown containers raise `ContainerMissing`."""

    async def containers(self, account: str) -> Sequence[Container]: ...

    async def container(self, account: str, container: str) -> Container | None: ...

    async def create_container(self, account: str, container: str, record: ContainerRecord) -> Container: ...

    async def set_container(self, account: str, container: str, record: ContainerRecord) -> Container: ...

    async def delete_container(self, account: str, container: str) -> None: ...

    async def delete_account(self, account: str) -> None:
        """Remove an account with all its containers. Idempotent."""
        ...

    async def list(self, account: str, container: str, query: ListQuery) -> Page: ...

    async def stat(self, account: str, container: str, name: str) -> Blob | None: ...

    async def open(self, account: str, container: str, name: str) -> BlobReader | None: ...

    def spool(self, account: str) -> Spool:
        """Where an upload's bytes are gathered, on the file system they will stay on where that is possible."""
        ...

    async def put(self, account: str, container: str, name: str, content: Spool, record: Record) -> Blob: ...

    async def append(self, account: str, container: str, name: str, content: Spool, blob: Blob) -> Blob:
        """Add the content at the end of the present append blob, all of it or none."""
        ...

    async def update(self, account: str, container: str, blob: Blob, *, touch: bool = True) -> Blob:
        """Replace the record of a present blob; `touch` gives it a new etag and time (leases do not)."""
        ...

    async def delete(self, account: str, container: str, name: str) -> None: ...

    async def put_block(self, account: str, container: str, name: str, block: str, content: Spool) -> None: ...

    async def blocks(self, account: str, container: str, name: str) -> Sequence[Block]:
        """The uncommitted blocks, in the order they came."""
        ...

    async def commit(
        self, account: str, container: str, name: str, choice: Sequence[BlockChoice], record: Record
    ) -> Blob:
        """Make the blob from blocks, and drop every uncommitted block of that name."""
        ...

    async def uncommitted(self, account: str, container: str, prefix: str) -> Sequence[str]:
        """The names that have uncommitted blocks."""
        ...

    async def make_directory(self, account: str, container: str, name: str, record: Record) -> Blob: ...

    async def is_directory(self, account: str, container: str, name: str) -> bool: ...

    async def delete_directory(self, account: str, container: str, name: str) -> None:
        """Remove a directory and all below it, at once for those who look."""
        ...

    async def rename(self, account: str, container: str, name: str, target_container: str, target: str) -> None:
        """Move a blob or a directory with all below it."""
        ...


class ContainerMissing(Refusal):
    """The container does not exist (or went away meanwhile)."""

    status, code = 404, "ContainerNotFound"

    @property
    def message(self) -> str:
        return "The specified container does not exist."


class NameConflict(Refusal):
    """The store cannot hold that name beside what there is: a file where a folder must be, or the reverse."""

    status, code = 409, "PathConflict"


class BlockMissing(Exception):
    """An uncommitted block that was acknowledged is not there any more, or not whole."""
