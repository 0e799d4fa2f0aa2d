"""Uncommitted blocks of `FolderStore`: one file per blob holds them all, an index beside it says which lies where.

Blocks are laid where their id says that they will end up (every client numbers them), so that committing them in order
is a rename of that file and copies nothing. What was put elsewhere is copied at the commit.

Blocks are written before they are acknowledged but forced to disk by the commit alone: a block lost with the machine's
power is noticed there, and the client is told that the list is invalid.
"""

from __future__ import annotations

import base64
import binascii
import bisect
import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from lazulite.storage.spool import Spool
from lazulite.storage.store import Block, BlockChoice, BlockMissing

_DIGITS = re.compile(rb"\s*[0-9]+\s*").fullmatch
_MAX_BLOCKS = 100_000


class _Placed(msgspec.Struct, array_like=True):
    id: str
    offset: int
    size: int


class _Heading(msgspec.Struct):
    """First line of an index. `inode` is the data file's, so that an index that outlived its data is known."""

    name: str
    inode: int


class StagedBlocks:
    """The uncommitted blocks of one blob, in `folder`. Calls for one blob come one after another."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._name = name
        self._placed: dict[str, _Placed] = {}
        self._starts: list[int] = []
        self._ends: list[int] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._load()

    def put(self, block: str, content: Spool) -> None:
        """Write one block; the last of several with one id counts."""
        placed = _Placed(block, self._allocate(block, content.size), content.size)
        with _opened(self.data) as fd:
            if content.fd >= 0:
                copy_range(content.fd, 0, fd, placed.offset, content.size)
            else:
                _write_chunks(fd, content.chunks, placed.offset)
        with _opened(self.folder / "index", os.O_APPEND) as index:
            os.write(index, msgspec.json.encode(placed) + b"\n")
        self._placed.pop(block, None)
        self._placed[block] = placed

    def blocks(self) -> list[Block]:
        return [Block(p.id, p.size) for p in self._placed.values()]

    def in_place(self, choice: Sequence[BlockChoice]) -> bool:
        """Whether the data file, cut to length, already is the blob that the list describes."""
        offset = 0
        for line in choice:
            placed = self._placed.get(line.id)
            if line.offset is not None or placed is None or placed.offset != offset:
                return False
            offset += placed.size
        return True

    def write_to(self, target: int, choice: Sequence[BlockChoice], present: int) -> None:
        """Write the blob that the list describes to the file `target`; `present` is the present blob's file."""
        position = 0
        with _opened(self.data) as data:
            for line in choice:
                if line.offset is not None:
                    copy_range(present, line.offset, target, position, line.size)
                else:
                    copy_range(data, self._placed[line.id].offset, target, position, line.size)
                position += line.size

    def check(self, choice: Sequence[BlockChoice]) -> None:
        """Raise BlockMissing when an acknowledged block is not whole on disk."""
        actual = os.stat(self.data).st_size
        for line in choice:
            if line.offset is None:
                placed = self._placed.get(line.id)
                if placed is None or placed.offset + placed.size > actual:
                    raise BlockMissing(line.id)

    def remove(self) -> None:
        """Drop every block."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _load(self) -> None:
        with _opened(self.data) as data, _opened(self.folder / "index", os.O_APPEND) as index:
            heading = _Heading(self._name, os.fstat(data).st_ino)
            lines = os.pread(index, os.fstat(index).st_size, 0).split(b"\n")
            if not _is_heading(lines[0], heading):
                os.ftruncate(index, 0)
                os.write(index, msgspec.json.encode(heading) + b"\n")
                return
            if lines[-1]:  # torn, so never acknowledged
                os.write(index, b"\n")
        for line in lines[1:]:
            with contextlib.suppress(msgspec.DecodeError):
                placed = msgspec.json.decode(line, type=_Placed)
                self._reserve(placed.offset, placed.size)
                self._placed.pop(placed.id, None)
                self._placed[placed.id] = placed

    def _allocate(self, block: str, size: int) -> int:
        wanted = expected_offset(block, size)
        end = self._ends[-1] if self._ends else 0
        offset = wanted if wanted is not None and self._free(wanted, size) else end
        self._reserve(offset, size)
        return offset

    def _free(self, offset: int, size: int) -> bool:
        at = bisect.bisect_right(self._starts, offset)
        after = self._starts[at] if at < len(self._starts) else None
        before = self._ends[at - 1] if at else 0
        return before <= offset and (after is None or offset + size <= after)

    def _reserve(self, offset: int, size: int) -> None:
        # Regions never overlap, so both lists stay sorted together.
        at = bisect.bisect_right(self._starts, offset)
        self._starts.insert(at, offset)
        self._ends.insert(at, offset + size)


def folder_of(root: Path, container: str, name: str) -> Path:
    """Where the uncommitted blocks of a blob lie."""
    return root / container / hashlib.sha256(name.encode()).hexdigest()[:40]


def staged_name(folder: Path) -> str | None:
    """The blob's name that a folder of blocks belongs to, when it holds any block."""
    try:
        with open(folder / "index", "rb") as file:
            heading = msgspec.json.decode(file.readline(), type=_Heading)
            return heading.name if file.readline() else None
    except (OSError, msgspec.DecodeError):
        return None


def expected_offset(block: str, size: int) -> int | None:
    """Where a block will lie in the blob, going by its id: clients write a number into it, offset or index."""
    try:
        text = base64.b64decode(block)
        if not _DIGITS(text):
            text = base64.b64decode(text)
        if len(text) > 48 or not _DIGITS(text):
            return None
        number = int(text)
    except (binascii.Error, ValueError):
        return None
    offset = number if number >= size else number * size
    return offset if offset <= _MAX_BLOCKS * max(size, 1) else None


def copy_range(source: int, offset: int, target: int, position: int, size: int) -> None:
    """Copy bytes between files inside the kernel where it can."""
    while size > 0:
        try:
            count = os.copy_file_range(source, target, size, offset, position)
        except (AttributeError, OSError):
            count = os.pwrite(target, os.pread(source, min(size, 1 << 20), offset), position)
        if count == 0:
            raise BlockMissing("the source ended early")
        offset, position, size = offset + count, position + count, size - count


def _write_chunks(fd: int, chunks: list[bytes], offset: int) -> None:
    for start in range(0, len(chunks), 512):
        group = chunks[start : start + 512]
        length = sum(map(len, group))
        written = os.pwritev(fd, group, offset)
        while written < length:
            written += os.pwrite(fd, b"".join(group)[written:], offset + written)
        offset += length


def _is_heading(line: bytes, expected: _Heading) -> bool:
    try:
        return msgspec.json.decode(line, type=_Heading) == expected
    except msgspec.DecodeError:
        return False


@contextlib.contextmanager
def _opened(path: Path, flags: int = 0) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flags, 0o666)
    try:
        yield fd
    finally:
        os.close(fd)
