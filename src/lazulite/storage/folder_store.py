"""Blobs as plain files: a container is a folder, a blob the file at its name, so people and jobs can use them directly.

Below the root lie `<account>/<container>/<blob name>` and, beside the containers where no name can reach it,
`<account>/.lazulite/` with temporary files, uncommitted blocks, container records and the few blob records that do not
fit into an attribute of the file. A write goes to a temporary file, gets its record, is fsynced, renamed into place,
and the folder is fsynced; only then the call returns. Files put there by other hands are blobs too; links are not.

A folder is not a blob, unless it is marked as one (Data Lake directories, `hdi_isfolder` blobs). Where `a` is a file
there can be no `a/b`, nor the reverse: `NameConflict`, as accounts with hierarchical namespaces answer.

One process owns a root. Reads of small blobs happen where they are called; whatever waits for the disk, in threads.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from lazulite.core import paths
from lazulite.storage.folder_disk import FolderDisk, container_part, unlink
from lazulite.storage.folder_names import path_parts
from lazulite.storage.spool import Spool, finish
from lazulite.storage.store import Blob, Block, BlockChoice, Container, ContainerRecord, ListQuery, Page, Record

_P = ParamSpec("_P")
_T = TypeVar("_T")
_INLINE_BYTES = 256 * 1024
_SMALL_BYTES = 64 * 1024


class FolderStore:
    """A `BlobStore` over the folder `root` (made when missing)."""

    def __init__(self, root: Path, *, threads: int = 16) -> None:
        self.root = root
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="folder-store")
        self._disk = FolderDisk(root)

    def close(self) -> None:
        """Wait for writes under way, and give the root back."""
        self._executor.shutdown()
        self._disk.close()

    # ---- where things lie, for rooms that hand folders to jobs

    def container_path(self, account: str, container: str) -> Path:
        """The folder of a container, which may not exist yet. Raises UnsafePath."""
        return paths.path_beneath(self.root, f"{account}/{container_part(container)}")

    def blob_path(self, account: str, container: str, name: str) -> Path:
        """The file of a blob, which may not exist yet. Raises UnsafePath, StorageError for names no folder can hold."""
        return paths.path_beneath(self.root, "/".join([account, container_part(container), *path_parts(name)]))

    # ---- containers

    async def containers(self, account: str) -> list[Container]:
        return await self._run(self._disk.containers, account)

    async def container(self, account: str, container: str) -> Container | None:
        return self._disk.container(account, container)

    async def create_container(self, account: str, container: str, record: ContainerRecord) -> Container:
        return await self._run(self._disk.create_container, account, container, record)

    async def set_container(self, account: str, container: str, record: ContainerRecord) -> Container:
        return await self._run(self._disk.set_container, account, container, record)

    async def delete_container(self, account: str, container: str) -> None:
        await self._run(self._disk.delete_container, account, container)

    async def delete_account(self, account: str) -> None:
        await self._run(self._disk.delete_account, account)

    # ---- blobs

    async def list(self, account: str, container: str, query: ListQuery) -> Page:
        return await self._run(self._disk.list, account, container, query)

    async def stat(self, account: str, container: str, name: str) -> Blob | None:
        reader = await self.open(account, container, name)
        if reader is None:
            return None
        reader.close()
        return reader.blob

    async def open(self, account: str, container: str, name: str) -> FolderReader | None:
        fd = self._disk.open(account, container, name, os.O_RDONLY)
        if fd < 0:
            return None
        try:
            blob = self._disk.describe(account, container, fd, os.fstat(fd), name)
        except BaseException:
            os.close(fd)
            raise
        if blob is None:
            os.close(fd)
            return None
        return FolderReader(fd, blob, self._executor)

    def spool(self, account: str) -> Spool:
        return Spool(lambda: self._disk.account(account).temporary, self._executor)

    async def put(self, account: str, container: str, name: str, content: Spool, record: Record) -> Blob:
        if content.fd >= 0 or content.size > _SMALL_BYTES:
            return await self._run(self._disk.put, account, container, name, content, record)
        path_parts(name)
        fd, path, blob = self._disk.write_small(account, container, name, content.chunks, record)
        try:
            await self._run(self._disk.settle, account, container, name, fd, path)
        except BaseException:
            unlink(path)
            raise
        finally:
            os.close(fd)
        return blob

    async def append(self, account: str, container: str, name: str, content: Spool, blob: Blob) -> Blob:
        return await self._run(self._disk.append, account, container, name, content, blob.record)

    async def update(self, account: str, container: str, blob: Blob, *, touch: bool = True) -> Blob:
        return await self._run(self._disk.update, account, container, blob, touch)

    async def delete(self, account: str, container: str, name: str) -> None:
        await self._run(self._disk.delete, account, container, name)

    # ---- blocks

    async def put_block(self, account: str, container: str, name: str, block: str, content: Spool) -> None:
        await self._run(self._disk.put_block, account, container, name, block, content)

    async def blocks(self, account: str, container: str, name: str) -> Sequence[Block]:
        return await self._run(self._disk.blocks, account, container, name)

    async def commit(
        self, account: str, container: str, name: str, choice: Sequence[BlockChoice], record: Record
    ) -> Blob:
        return await self._run(self._disk.commit, account, container, name, choice, record)

    async def uncommitted(self, account: str, container: str, prefix: str) -> Sequence[str]:
        return await self._run(self._disk.uncommitted, account, container, prefix)

    # ---- directories

    async def make_directory(self, account: str, container: str, name: str, record: Record) -> Blob:
        return await self._run(self._disk.make_directory, account, container, name, record)

    async def is_directory(self, account: str, container: str, name: str) -> bool:
        try:
            os.close(paths.open_directory(self.root, self._disk.parts(account, container, name)))
        except (FileNotFoundError, NotADirectoryError, paths.UnsafePath):
            return False
        return True

    async def delete_directory(self, account: str, container: str, name: str) -> None:
        await self._run(self._disk.delete_directory, account, container, name)

    async def rename(self, account: str, container: str, name: str, target_container: str, target: str) -> None:
        await self._run(self._disk.rename, account, container, name, target_container, target)

    # ---- convenience for rooms that read and write blobs themselves

    async def read(self, account: str, container: str, name: str) -> bytes | None:
        """A whole blob, None when it does not exist."""
        reader = await self.open(account, container, name)
        if reader is None:
            return None
        try:
            return await reader.read(0, reader.blob.size)
        finally:
            reader.close()

    async def write(self, account: str, container: str, name: str, data: bytes, record: Record | None = None) -> Blob:
        """Put a whole blob, durably; the container must exist (ContainerMissing)."""
        content = self.spool(account)
        try:
            await content.write(data)
            return await self.put(account, container, name, content, record or Record())
        finally:
            content.discard()

    async def exists(self, account: str, container: str, name: str) -> bool:
        return await self.stat(account, container, name) is not None

    async def _run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        # A write that has begun is finished even when its caller went away, so the spool it reads stays whole.
        future = asyncio.get_running_loop().run_in_executor(self._executor, lambda: work(*args, **kwargs))
        return await finish(future)


class FolderReader:
    """An opened file: it keeps its bytes when the blob is replaced, and its length when the file grows."""

    def __init__(self, fd: int, blob: Blob, executor: ThreadPoolExecutor) -> None:
        self.fd = fd
        self.blob = blob
        self._executor = executor

    async def read(self, offset: int, length: int) -> bytes:
        length = min(length, self.blob.size - offset)
        if length <= _INLINE_BYTES:
            return os.pread(self.fd, length, offset)
        reading = asyncio.get_running_loop().run_in_executor(self._executor, os.pread, self.fd, length, offset)
        return await finish(reading)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
