"""Where `FolderStore` keeps a blob's record: in an extended attribute of the file itself.

So record and content change together by one rename, and follow the file wherever it is moved. What does not fit (long
metadata, long block lists), and everything on file systems without extended attributes, goes to a file beside the
container, named after the blob and the inode of its content: it is durable before that inode takes the blob's name.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import uuid
from pathlib import Path

import msgspec

from lazulite.storage.store import APPEND_BLOB, Record

ATTRIBUTE = "user.lazulite"
#: ext4 gives all attributes of a file one block of 4 KiB.
MAX_ATTRIBUTE_BYTES = 3072
_ELSEWHERE = b"@"


class Envelope(msgspec.Struct, omit_defaults=True):
    """`mtime` (ns) tells whether the file was changed by other hands since. `appended` is (from, to) of the append
    that may be under way: while the file is shorter than `to`, the blob ends at `from`."""

    record: Record
    mtime: int = 0
    appended: tuple[int, int] = (0, 0)

    def size(self, actual: int) -> int:
        """The blob's size, for a file of `actual` bytes."""
        begin, end = self.appended
        return begin if end > begin and actual < end else actual


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)


class FolderRecords:
    """Records of one account's blobs. `folder` holds those that do not fit into an attribute."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.attributes = _supported(folder)
        self._overflow: dict[str, bool] = {}

    def load(self, fd: int, status: os.stat_result, container: str, name: str) -> Envelope:
        """The record of an opened file; a default one when it has none."""
        raw = self._raw(fd, status.st_ino, container, name)
        if raw is None:
            return Envelope(Record())
        try:
            envelope = _decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Envelope(Record())
        if envelope.mtime != status.st_mtime_ns:
            envelope.record.content_md5 = None
            envelope.record.blocks = []
        if envelope.record.kind == APPEND_BLOB and envelope.size(status.st_size) != status.st_size:
            envelope.record.append_blocks -= 1
        return envelope

    def save(self, fd: int, container: str, name: str, envelope: Envelope) -> None:
        """Keep the record with the file. The caller fsyncs the file."""
        raw = _encoder.encode(envelope)
        if self.attributes and len(raw) <= MAX_ATTRIBUTE_BYTES:
            try:
                os.setxattr(fd, ATTRIBUTE, raw)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.E2BIG, errno.ERANGE, errno.ENOTSUP):
                    raise
            else:
                return
        self._save_beside(os.fstat(fd).st_ino, container, name, raw)
        if self.attributes:
            os.setxattr(fd, ATTRIBUTE, _ELSEWHERE)

    def clear(self, fd: int, container: str, name: str) -> None:
        """The file has no record any more."""
        self.forget(os.fstat(fd).st_ino, container, name)
        if self.attributes:
            with contextlib.suppress(OSError):
                os.removexattr(fd, ATTRIBUTE)

    def keeps_beside(self, container: str) -> bool:
        """Whether any record of the container may lie beside it (so that leftovers must be looked for)."""
        known = self._overflow.get(container)
        if known is None:
            known = self._overflow[container] = (self.folder / container).is_dir()
        return known

    def forget(self, inode: int, container: str, name: str) -> None:
        """Remove the record that lies beside, for content that is gone."""
        if self.keeps_beside(container):
            self._path(inode, container, name).unlink(missing_ok=True)

    def forget_container(self, container: str) -> None:
        self._overflow.pop(container, None)

    def _raw(self, fd: int, inode: int, container: str, name: str) -> bytes | None:
        if self.attributes:
            try:
                raw = os.getxattr(fd, ATTRIBUTE)
            except OSError:
                return None
            if raw != _ELSEWHERE:
                return raw
        elif not self.keeps_beside(container):
            return None
        try:
            return self._path(inode, container, name).read_bytes()
        except FileNotFoundError:
            return None

    def _save_beside(self, inode: int, container: str, name: str, raw: bytes) -> None:
        path = self._path(inode, container, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._overflow[container] = True
        write_durably(path, raw)

    def _path(self, inode: int, container: str, name: str) -> Path:
        return self.folder / container / f"{hashlib.sha256(name.encode()).hexdigest()[:40]}-{inode:x}"


def write_durably(path: Path, data: bytes) -> None:
    """Replace the file at a path of our own, whole or not at all, on disk when this returns."""
    temporary = path.with_name(f".{uuid.uuid4().hex}")
    with open(temporary, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _supported(folder: Path) -> bool:
    if not hasattr(os, "setxattr"):
        return False
    probe = folder / f".probe-{uuid.uuid4().hex}"
    probe.touch()
    try:
        os.setxattr(probe, ATTRIBUTE, b"1")
    except OSError:
        return False
    finally:
        probe.unlink()
    return True
