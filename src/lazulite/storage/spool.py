"""Where an upload's bytes wait until they are whole: memory for the small, a temporary file for the rest."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")

#: Up to here an upload stays in memory. It covers the 4 MiB blocks that the SDK sends.
MEMORY_BYTES = 8 * 1024 * 1024
_BATCH_BYTES = 1024 * 1024


class Spool:
    """Bytes on their way into a store. `size` counts what was written.

    Beyond `MEMORY_BYTES` they go to a temporary file in `folder`, batch by batch, in a thread. `discard` must be
    called at the end whatever happened; a store that takes the file over (by renaming it) says so with `taken`.
    """

    def __init__(self, folder: Callable[[], Path], executor: Executor | None) -> None:
        self._folder = folder
        self._executor = executor
        self._chunks: list[bytes] = []
        self._pending = 0
        self._md5: hashlib._Hash | None = None
        self.size = 0
        self.fd = -1
        self.path: Path | None = None

    def hash_content(self) -> None:
        """Compute the MD5 of what is written from here on."""
        self._md5 = hashlib.md5(usedforsecurity=False)

    async def write(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._pending += len(chunk)
        self.size += len(chunk)
        if self.size > MEMORY_BYTES and self._pending >= _BATCH_BYTES:
            await self._run(self._flush)

    async def finish(self) -> None:
        """All bytes are here: complete the hash, and the file where there is one."""
        if self.fd >= 0 and self._chunks:
            await self._run(self._flush)
        elif self._md5 is not None and self.fd < 0:
            if self.size > _BATCH_BYTES:
                await self._run(self._hash)
            else:
                self._hash()

    @property
    def md5(self) -> str:
        """Base64, after `finish`."""
        return base64.b64encode(self._md5.digest()).decode() if self._md5 else ""

    @property
    def chunks(self) -> list[bytes]:
        """The bytes, when they are still in memory (`fd` is -1)."""
        return self._chunks

    async def read_all(self) -> AsyncIterator[bytes]:
        """The bytes in order, in pieces of about 1 MiB at most when they are in a file."""
        if self.fd < 0:
            for chunk in self._chunks:
                yield chunk
            return
        offset = 0
        while piece := await finish(
            asyncio.get_running_loop().run_in_executor(self._executor, os.pread, self.fd, _BATCH_BYTES, offset)
        ):
            offset += len(piece)
            yield piece

    def taken(self) -> None:
        """The file now belongs to the store."""
        self.path = None

    def discard(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if self.path is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            self.path = None
        self._chunks = []

    def _flush(self) -> None:
        if self.fd < 0:
            self.path = self._folder() / uuid.uuid4().hex
            self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        for chunk in self._chunks:
            if self._md5 is not None:
                self._md5.update(chunk)
            write_all(self.fd, chunk)
        self._chunks = []
        self._pending = 0

    def _hash(self) -> None:
        if self._md5 is not None:
            for chunk in self._chunks:
                self._md5.update(chunk)

    async def _run(self, work: Callable[[], None]) -> None:
        await finish(asyncio.get_running_loop().run_in_executor(self._executor, work))


async def finish(future: asyncio.Future[_T]) -> _T:
    """Wait for work in a thread, to its end even when the waiting task is cancelled, and only then cancel.

    What the thread uses may be closed only then: its number may be another file's by now.
    """
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with contextlib.suppress(asyncio.CancelledError):  # some cancel again and again
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # nobody is left to be told
        raise


def write_all(fd: int, data: bytes) -> None:
    """Write every byte at the descriptor's position."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
