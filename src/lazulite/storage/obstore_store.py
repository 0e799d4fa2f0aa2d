"""Blobs in S3, Azure Storage or Google Cloud Storage, through `obstore` (the extra `object-storage`).

A blob is the object `<account>/<container>/<name>`, its name escaped as in folders, so the bucket can be read by other
tools. What has no place in an object lies under `<account>/.lazulite/`: container records, uncommitted blocks, and per
blob a record that names the content it belongs to by the object's ETag. Content is written before its record: when the
process ends in between, the new content stands with derived properties, and was not acknowledged.

An append reads and writes the whole object again, as object stores have no append. Listings come in order of the keys.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lazulite.storage.errors import StorageError
from lazulite.storage.folder_names import path_parts, segment_name
from lazulite.storage.spool import Spool
from lazulite.storage.store import (
    Blob,
    Block,
    BlockChoice,
    BlockMissing,
    Container,
    ContainerMissing,
    ContainerRecord,
    ListQuery,
    Page,
    Record,
)

PRIVATE = ".lazulite"
_PARALLEL = 32
_PIECE = 4 * 1024 * 1024


class _Kept(msgspec.Struct, omit_defaults=True):
    """`version` is the ETag of the content that the record belongs to."""

    record: Record
    version: str
    modified: float


class ObstoreStore:
    """A `BlobStore` over any `obstore` store that orders its listings (all but the local one; use `FolderStore`)."""

    def __init__(self, store: Any) -> None:
        import obstore

        self._obstore = obstore
        self._store = store
        self._last = 0.0

    # ---- containers

    async def containers(self, account: str) -> Sequence[Container]:
        found = await self._keys(f"{account}/{PRIVATE}/containers")
        some = [await self.container(account, key.rpartition("/")[2]) for key, _ in found]
        return sorted((container for container in some if container is not None), key=lambda c: c.name)

    async def container(self, account: str, container: str) -> Container | None:
        raw = await self._get(f"{account}/{PRIVATE}/containers/{container}")
        if raw is None:
            return None
        record = msgspec.json.decode(raw, type=ContainerRecord)
        return Container(container, record.modified, f"0x{int(record.modified * 1e7):X}", record)

    async def create_container(self, account: str, container: str, record: ContainerRecord) -> Container:
        record.modified = record.modified or self._tick()
        key = f"{account}/{PRIVATE}/containers/{container}"
        await self._obstore.put_async(self._store, key, msgspec.json.encode(record))
        return await self._present(account, container)

    async def set_container(self, account: str, container: str, record: ContainerRecord) -> Container:
        await self._present(account, container)
        return await self.create_container(account, container, record)

    async def delete_container(self, account: str, container: str) -> None:
        await self._present(account, container)
        private = f"{account}/{PRIVATE}"
        await self._delete(f"{private}/containers/{container}")
        for prefix in (
            f"{account}/{container}",
            f"{private}/records/{container}",
            f"{private}/blocks/{container}",
        ):
            for key, _ in await self._keys(prefix):
                await self._delete(key)

    async def delete_account(self, account: str) -> None:
        for container in await self.containers(account):
            await self.delete_container(account, container.name)

    # ---- blobs

    async def list(self, account: str, container: str, query: ListQuery) -> Page:
        await self._present(account, container)
        root = f"{account}/{container}"
        found = await (self._level(root, query) if query.shallow else self._below(root, query))
        shown = found[: query.limit]
        gate = asyncio.Semaphore(_PARALLEL)

        async def entry(name: str, meta: Any) -> Blob | str | None:
            if meta is None:
                return name
            async with gate:
                return self._blob(name, meta, await self._record(account, container, name))

        entries = await asyncio.gather(*(entry(name, meta) for name, meta in shown))
        return Page([item for item in entries if item is not None], len(found) > query.limit)

    async def stat(self, account: str, container: str, name: str) -> Blob | None:
        meta, kept = await asyncio.gather(
            self._head(_key(account, container, name)), self._record(account, container, name)
        )
        if meta is None:
            await self._present(account, container)
            return None
        return self._blob(name, meta, kept)

    async def open(self, account: str, container: str, name: str) -> ObstoreReader | None:
        meta, kept = await asyncio.gather(
            self._head(_key(account, container, name)), self._record(account, container, name)
        )
        if meta is None:
            await self._present(account, container)
            return None
        blob = self._blob(name, meta, kept)
        return ObstoreReader(self._obstore, self._store, _key(account, container, name), blob, meta)

    def spool(self, account: str) -> Spool:
        return Spool(lambda: Path(tempfile.gettempdir()), None)

    async def put(self, account: str, container: str, name: str, content: Spool, record: Record) -> Blob:
        await self._present(account, container)
        body: Any = b"".join(content.chunks) if content.fd < 0 else content.read_all()
        return await self._write(account, container, name, body, record)

    async def append(self, account: str, container: str, name: str, content: Spool, blob: Blob) -> Blob:
        present = await self._get(_key(account, container, name)) or b""
        added = b"".join([piece async for piece in content.read_all()])
        return await self._write(account, container, name, present + added, blob.record)

    async def update(self, account: str, container: str, blob: Blob, *, touch: bool = True) -> Blob:
        meta = await self._head(_key(account, container, blob.name))
        if meta is None:
            raise FileNotFoundError(blob.name)
        modified = self._tick() if touch else blob.modified
        return await self._keep(account, container, blob.name, _Kept(blob.record, _version(meta), modified), meta)

    async def delete(self, account: str, container: str, name: str) -> None:
        await self._delete(_key(account, container, name))
        await self._delete(_record_key(account, container, name))

    # ---- blocks

    async def put_block(self, account: str, container: str, name: str, block: str, content: Spool) -> None:
        await self._present(account, container)
        folder = _blocks_key(account, container, name)
        await self._obstore.put_async(self._store, f"{folder}/name", name.encode())
        coded = base64.urlsafe_b64encode(block.encode()).decode()
        body: Any = b"".join(content.chunks) if content.fd < 0 else content.read_all()
        await self._obstore.put_async(self._store, f"{folder}/{time.time_ns():020d}~{content.size}~{coded}", body)

    async def blocks(self, account: str, container: str, name: str) -> Sequence[Block]:
        await self._present(account, container)
        return [Block(block, size) for block, (_, size) in (await self._staged(account, container, name)).items()]

    async def commit(
        self, account: str, container: str, name: str, choice: Sequence[BlockChoice], record: Record
    ) -> Blob:
        staged = await self._staged(account, container, name)
        for line in choice:
            if line.offset is None and line.id not in staged:
                raise BlockMissing(line.id)
        key = _key(account, container, name)

        async def pieces() -> AsyncIterator[bytes]:
            for line in choice:
                source, start = (staged[line.id][0], 0) if line.offset is None else (key, line.offset)
                for at in range(start, start + line.size, _PIECE):
                    length = min(_PIECE, start + line.size - at)
                    yield bytes(await self._obstore.get_range_async(self._store, source, start=at, length=length))

        blob = await self._write(account, container, name, pieces() if choice else b"", record)
        for key, _ in await self._keys(_blocks_key(account, container, name)):
            await self._delete(key)
        return blob

    async def uncommitted(self, account: str, container: str, prefix: str) -> Sequence[str]:
        keys = [key for key, _ in await self._keys(f"{account}/{PRIVATE}/blocks/{container}")]
        names = [(await self._get(key) or b"").decode() for key in keys if key.endswith("/name")]
        return sorted(name for name in names if name.startswith(prefix))

    # ---- directories

    async def make_directory(self, account: str, container: str, name: str, record: Record) -> Blob:
        record.directory = True
        await self._present(account, container)
        return await self._write(account, container, name, b"", record)

    async def is_directory(self, account: str, container: str, name: str) -> bool:
        blob = await self.stat(account, container, name)
        if blob is not None:
            return blob.record.directory
        return bool((await self.list(account, container, ListQuery(name + "/", limit=1))).entries)

    async def delete_directory(self, account: str, container: str, name: str) -> None:
        for path in await self._tree(account, container, name):
            await self.delete(account, container, path)

    async def rename(self, account: str, container: str, name: str, target_container: str, target: str) -> None:
        paths = await self._tree(account, container, name)
        if not paths:
            raise FileNotFoundError(name)
        for path in paths:
            source = await self.stat(account, container, path)
            assert source is not None
            moved = target + path[len(name) :]
            key = _key(account, target_container, moved)
            await self._obstore.copy_async(self._store, _key(account, container, path), key)
            meta = await self._head(key)
            await self._keep(account, target_container, moved, _Kept(source.record, _version(meta), self._tick()), meta)
            await self.delete(account, container, path)

    # ---- below

    def _tick(self) -> float:
        self._last = max(self._last + 1e-6, time.time())
        return self._last

    async def _present(self, account: str, container: str) -> Container:
        found = await self.container(account, container)
        if found is None:
            raise ContainerMissing(container)
        return found

    async def _tree(self, account: str, container: str, name: str) -> Sequence[str]:
        paths = [] if await self.stat(account, container, name) is None else [name]
        after, more = "", True
        while more:
            page = await self.list(account, container, ListQuery(name + "/", after))
            paths += [entry.name for entry in page.entries if isinstance(entry, Blob)]
            after, more = paths[-1] if paths else "", page.more
        return paths

    async def _write(self, account: str, container: str, name: str, body: Any, record: Record) -> Blob:
        key = _key(account, container, name)
        attributes = {"Content-Type": record.content_type} if record.content_type else None
        await self._obstore.put_async(self._store, key, body, attributes=attributes)
        meta = await self._head(key)
        return await self._keep(account, container, name, _Kept(record, _version(meta), self._tick()), meta)

    async def _keep(self, account: str, container: str, name: str, kept: _Kept, meta: Any) -> Blob:
        key = _record_key(account, container, name)
        await self._obstore.put_async(self._store, key, msgspec.json.encode(kept))
        return self._blob(name, meta, kept)

    async def _record(self, account: str, container: str, name: str) -> _Kept | None:
        raw = await self._get(_record_key(account, container, name))
        try:
            return msgspec.json.decode(raw, type=_Kept) if raw is not None else None
        except msgspec.DecodeError:
            return None

    def _blob(self, name: str, meta: Any, kept: _Kept | None) -> Blob:
        version = _version(meta)
        if kept is None or kept.version != version:
            when: dt.datetime = meta["last_modified"]
            kept = _Kept(Record(), version, when.timestamp())
        etag = hashlib.sha256(f"{version}{kept.modified!r}".encode()).hexdigest()[:15].upper()
        return Blob(name, meta["size"], kept.modified, f"0x{etag}", kept.record)

    async def _staged(self, account: str, container: str, name: str) -> dict[str, tuple[str, int]]:
        found: dict[str, tuple[str, int]] = {}
        for key, _ in sorted(await self._keys(_blocks_key(account, container, name))):
            _, tilde, rest = key.rpartition("/")[2].partition("~")
            if tilde:
                size, _, coded = rest.partition("~")
                block = base64.urlsafe_b64decode(coded).decode()
                found.pop(block, None)
                found[block] = (key, int(size))
        return found

    async def _below(self, root: str, query: ListQuery) -> Sequence[tuple[str, Any]]:
        folder = _folder(root, query.prefix)
        offset = f"{root}/{_coded(query.after)}" if query.after else None
        found: list[tuple[str, Any]] = []
        async for page in self._obstore.list(self._store, prefix=folder, offset=offset, chunk_size=1000):
            for meta in page:
                name = _name(meta["path"], root)
                if name is not None and name.startswith(query.prefix):
                    found.append((name, meta))
            if len(found) > query.limit:
                break
        return found

    async def _level(self, root: str, query: ListQuery) -> Sequence[tuple[str, Any]]:
        folder = _folder(root, query.prefix)
        listed = await self._obstore.list_with_delimiter_async(self._store, prefix=folder)
        found: list[tuple[str, Any]] = [(_name(meta["path"], root) or "", meta) for meta in listed["objects"]]
        found += [(f"{_name(prefix, root)}/", None) for prefix in listed["common_prefixes"]]
        return sorted(
            (item for item in found if item[0].startswith(query.prefix) and item[0] > query.after and item[0]),
            key=lambda item: item[0],
        )

    async def _keys(self, prefix: str) -> Sequence[tuple[str, int]]:
        return [
            (meta["path"], meta["size"])
            async for page in self._obstore.list(self._store, prefix=prefix, chunk_size=1000)
            for meta in page
        ]

    async def _head(self, key: str) -> Any:
        try:
            return await self._obstore.head_async(self._store, key)
        except FileNotFoundError:
            return None

    async def _get(self, key: str) -> bytes | None:
        try:
            answer = await self._obstore.get_async(self._store, key)
            return bytes(await answer.bytes_async())
        except FileNotFoundError:
            return None

    async def _delete(self, key: str) -> None:
        try:
            await self._obstore.delete_async(self._store, key)
        except FileNotFoundError:
            return


class ObstoreReader:
    """An opened object: reads stop short when the object was replaced meanwhile."""

    def __init__(self, obstore: Any, store: Any, key: str, blob: Blob, meta: Any) -> None:
        self._obstore = obstore
        self._store = store
        self._key = key
        self._meta = meta
        self.blob = blob

    async def read(self, offset: int, length: int) -> bytes:
        length = min(length, self.blob.size - offset)
        if length <= 0:
            return b""
        options: dict[str, Any] = {"range": (offset, offset + length)}
        if self._meta.get("e_tag"):
            options["if_match"] = self._meta["e_tag"]
        try:
            answer = await self._obstore.get_async(self._store, self._key, options=options)
            return bytes(await answer.bytes_async())
        except (FileNotFoundError, self._obstore.exceptions.PreconditionError):
            return b""

    def close(self) -> None:
        """Nothing is held between reads."""


def _key(account: str, container: str, name: str) -> str:
    return f"{account}/{container}/{_coded(name)}"


def _record_key(account: str, container: str, name: str) -> str:
    return f"{account}/{PRIVATE}/records/{container}/{_coded(name)}"


def _coded(name: str) -> str:
    if not name.isprintable() and any(c < " " or c == "\x7f" for c in name):
        raise StorageError("InvalidResourceName", "Object stores hold no names with control characters.")
    return "/".join(path_parts(name))


def _blocks_key(account: str, container: str, name: str) -> str:
    return f"{account}/{PRIVATE}/blocks/{container}/{hashlib.sha256(name.encode()).hexdigest()[:40]}"


def _folder(root: str, prefix: str) -> str:
    base, slash, _ = prefix.rpartition("/")
    return f"{root}/{_coded(base)}" if slash else root


def _name(key: str, root: str) -> str | None:
    parts = [segment_name(part) for part in key[len(root) + 1 :].split("/")]
    return None if None in parts else "/".join(part or "" for part in parts)


def _version(meta: Any) -> str:
    return str(meta.get("e_tag") or meta["last_modified"].isoformat())
