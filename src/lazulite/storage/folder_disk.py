"""The blocking half of `FolderStore`: calls touch the disk and run in a thread, except where they say otherwise."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import shutil
import stat
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from lazulite.core import paths
from lazulite.storage.folder_blocks import StagedBlocks, copy_range, folder_of, staged_name
from lazulite.storage.folder_listing import list_page
from lazulite.storage.folder_names import path_parts
from lazulite.storage.folder_records import Envelope, FolderRecords, sync_directory, write_durably
from lazulite.storage.spool import Spool, write_all
from lazulite.storage.store import (
    Blob,
    Block,
    BlockChoice,
    Container,
    ContainerMissing,
    ContainerRecord,
    ListQuery,
    NameConflict,
    Page,
    Record,
)

PRIVATE = ".lazulite"
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_READ = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CACHED_STAGED = 256


class FolderDisk:
    def __init__(self, root: Path) -> None:
        self.root = root
        self._accounts: dict[str, AccountFolder] = {}
        self._lock = threading.Lock()
        self._last = 0
        self._temporary = itertools.count()
        root.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        while self._accounts:
            self._accounts.popitem()[1].close()

    def account(self, account: str) -> AccountFolder:
        found = self._accounts.get(account)
        if found is None:
            with self._lock:
                found = self._accounts.get(account)
                if found is None:
                    found = self._accounts[account] = AccountFolder(paths.path_beneath(self.root, account))
        return found

    def parts(self, account: str, container: str, name: str) -> list[str]:
        return [account, container_part(container), *path_parts(name)]

    def _tick(self) -> int:
        """The time of a write, in ns: later than that of any other, since ETags are made of it."""
        with self._lock:
            self._last = max(self._last + 1, time.time_ns())
            return self._last

    def open(self, account: str, container: str, name: str, flags: int) -> int:
        """Runs where it is called. -1 when there is nothing of that name."""
        parts = self.parts(account, container, name)
        try:
            return paths.open_beneath(self.root, parts, _READ | flags)
        except (NotADirectoryError, IsADirectoryError):
            return -1
        except FileNotFoundError:
            self._require(account, container)
            return -1
        except paths.UnsafePath:
            return -1
        except OSError as error:
            if error.errno == errno.ENXIO:  # a socket or a pipe that nobody reads
                return -1
            raise

    def _require(self, account: str, container: str) -> None:
        try:
            os.close(paths.open_directory(self.root, [account, container_part(container)]))
        except (FileNotFoundError, NotADirectoryError):
            raise ContainerMissing(container) from None

    def describe(self, account: str, container: str, fd: int, status: os.stat_result, name: str) -> Blob | None:
        envelope = self.account(account).records.load(fd, status, container, name)
        if stat.S_ISDIR(status.st_mode):
            return _directory_blob(name, envelope) if envelope.record.directory else None
        return _blob(name, status, envelope) if stat.S_ISREG(status.st_mode) else None

    def containers(self, account: str) -> list[Container]:
        self.account(account)
        with os.scandir(self.root / account) as entries:
            names = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith("."))
        found = (self.container(account, name) for name in names)
        return [container for container in found if container is not None]

    def container(self, account: str, container: str) -> Container | None:
        """Runs where it is called."""
        try:
            with paths.directory(self.root, [account, container_part(container)]) as fd:
                modified = os.fstat(fd).st_mtime
        except (FileNotFoundError, NotADirectoryError, paths.UnsafePath):
            return None
        try:
            raw = (self.account(account).containers / f"{container}.json").read_bytes()
            record = msgspec.json.decode(raw, type=ContainerRecord)
        except (FileNotFoundError, msgspec.DecodeError):
            record = ContainerRecord(modified=modified)
        return Container(container, record.modified, f"0x{int(record.modified * 1e7):X}", record)

    def create_container(self, account: str, container: str, record: ContainerRecord) -> Container:
        self._set_record(account, container, record)
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.root / account / container_part(container))
        sync_directory(self.root / account)
        return self._present(account, container)

    def set_container(self, account: str, container: str, record: ContainerRecord) -> Container:
        self._present(account, container)
        self._set_record(account, container, record)
        return self._present(account, container)

    def _set_record(self, account: str, container: str, record: ContainerRecord) -> None:
        record.modified = record.modified or self._tick() / 1e9
        write_durably(self.account(account).containers / f"{container}.json", msgspec.json.encode(record))

    def _present(self, account: str, container: str) -> Container:
        found = self.container(account, container)
        if found is None:
            raise ContainerMissing(container)
        return found

    def delete_container(self, account: str, container: str) -> None:
        place = self.account(account)
        trash = place.temporary / uuid.uuid4().hex
        try:
            os.rename(self.root / account / container_part(container), trash)
        except FileNotFoundError:
            raise ContainerMissing(container) from None
        sync_directory(self.root / account)
        for kept in (place.records.folder / container, place.blocks / container):
            shutil.rmtree(kept, ignore_errors=True)
        (place.containers / f"{container}.json").unlink(missing_ok=True)
        place.records.forget_container(container)
        place.forget_staged(container)
        shutil.rmtree(trash, ignore_errors=True)

    def delete_account(self, account: str) -> None:
        for container in self.containers(account):
            self.delete_container(account, container.name)
        shutil.rmtree(self.root / account, ignore_errors=True)
        with self._lock:
            self._accounts.pop(account, None)
        sync_directory(self.root)

    def list(self, account: str, container: str, query: ListQuery) -> Page:
        def describe(fd: int, status: os.stat_result, name: str) -> Blob | None:
            return self.describe(account, container, fd, status, name)

        try:
            with paths.directory(self.root, [account, container_part(container)]) as fd:
                return list_page(fd, query, describe)
        except FileNotFoundError:
            raise ContainerMissing(container) from None

    def put(self, account: str, container: str, name: str, content: Spool, record: Record) -> Blob:
        if content.fd >= 0:
            assert content.path is not None
            blob = self._place(account, container, name, content.fd, content.path, record)
            content.taken()
            return blob
        path = self._temporary_path(account)
        fd = os.open(path, _NEW, 0o666)
        try:
            for chunk in content.chunks:
                write_all(fd, chunk)
            return self._place(account, container, name, fd, path, record)
        except BaseException:
            unlink(path)
            raise
        finally:
            os.close(fd)

    def _temporary_path(self, account: str) -> Path:
        return self.account(account).temporary / f"{os.getpid():x}-{next(self._temporary):x}"

    def write_small(
        self, account: str, container: str, name: str, chunks: Sequence[bytes], record: Record
    ) -> tuple[int, Path, Blob]:
        """Write a temporary file with its record, without waiting for the disk; runs where it is called.

        Returns its descriptor, which the caller closes, its path, and the blob that `settle` makes of it.
        """
        path = self._temporary_path(account)
        fd = os.open(path, _NEW, 0o666)
        try:
            for chunk in chunks:
                write_all(fd, chunk)
            return fd, path, self._label(account, container, name, fd, record)
        except BaseException:
            os.close(fd)
            unlink(path)
            raise

    def settle(self, account: str, container: str, name: str, fd: int, path: Path) -> None:
        """Make the temporary file durable, and rename it into place, durably."""
        os.fsync(fd)
        with self._parent(account, container, name) as (parent, leaf):
            self._move(account, container, name, path, parent, leaf)
            os.fsync(parent)

    def _place(self, account: str, container: str, name: str, fd: int, path: Path, record: Record) -> Blob:
        """Give a written temporary file its record and its name, durably."""
        blob = self._label(account, container, name, fd, record)
        self.settle(account, container, name, fd, path)
        return blob

    def _label(self, account: str, container: str, name: str, fd: int, record: Record) -> Blob:
        modified = self._tick()
        os.utime(fd, ns=(modified, modified))
        envelope = Envelope(record, modified)
        self.account(account).records.save(fd, container, name, envelope)
        return _blob(name, os.fstat(fd), envelope)

    def _move(self, account: str, container: str, name: str, path: Path, parent: int, leaf: str) -> None:
        records = self.account(account).records
        old = _inode(parent, leaf) if records.keeps_beside(container) else 0
        _rename_over(path, parent, leaf)
        if old:
            records.forget(old, container, name)

    @contextlib.contextmanager
    def _parent(self, account: str, container: str, name: str) -> Iterator[tuple[int, str]]:
        """The folder that a blob goes into, made when missing, and the name within."""
        parts = self.parts(account, container, name)
        try:
            fd = paths.open_directory(self.root, parts[:-1], create=True, durable=True, must_exist=2)
        except FileNotFoundError:
            raise ContainerMissing(container) from None
        except NotADirectoryError:
            raise NameConflict(f"A part of the path of '{name}' is a blob, so nothing can lie below it.") from None
        except paths.UnsafePath as error:
            raise NameConflict(str(error)) from None
        try:
            yield fd, parts[-1]
        finally:
            os.close(fd)

    def _writable(self, account: str, container: str, name: str) -> int:
        fd = self.open(account, container, name, os.O_RDWR)
        if fd < 0:
            raise FileNotFoundError(name)
        return fd

    def append(self, account: str, container: str, name: str, content: Spool, record: Record) -> Blob:
        fd = self._writable(account, container, name)
        records = self.account(account).records
        try:
            begin = self._settle(records.load(fd, os.fstat(fd), container, name), fd)
            modified = self._tick()
            # The intent goes first: until the file has grown to `end`, the blob ends at `begin`.
            envelope = Envelope(record, modified, (begin, begin + content.size))
            records.save(fd, container, name, envelope)
            _copy_spool(content, fd, begin)
            os.utime(fd, ns=(modified, modified))
            os.fsync(fd)
            return _blob(name, os.fstat(fd), envelope)
        finally:
            os.close(fd)

    def _settle(self, envelope: Envelope, fd: int) -> int:
        """Cut off what an append that never finished left behind; the blob's true size."""
        actual = os.fstat(fd).st_size
        size = envelope.size(actual)
        if size < actual:
            os.ftruncate(fd, size)
        return size

    def update(self, account: str, container: str, blob: Blob, touch: bool) -> Blob:
        records = self.account(account).records
        fd = self.open(account, container, blob.name, os.O_RDONLY if blob.record.directory else os.O_RDWR)
        if fd < 0:
            raise FileNotFoundError(blob.name)
        try:
            status = os.fstat(fd)
            before = records.load(fd, status, container, blob.name)
            if not blob.record.directory:
                self._settle(before, fd)
            modified = self._tick() if touch else before.mtime if blob.record.directory else status.st_mtime_ns
            envelope = Envelope(blob.record, modified)
            records.save(fd, container, blob.name, envelope)
            if touch or status.st_mtime_ns != os.fstat(fd).st_mtime_ns:
                os.utime(fd, ns=(modified, modified))
            os.fsync(fd)
            if blob.record.directory:
                return _directory_blob(blob.name, envelope)
            return _blob(blob.name, os.fstat(fd), envelope)
        finally:
            os.close(fd)

    def delete(self, account: str, container: str, name: str) -> None:
        parts = self.parts(account, container, name)
        records = self.account(account).records
        with paths.directory(self.root, parts[:-1]) as parent:
            inode = _inode(parent, parts[-1])
            try:
                os.unlink(parts[-1], dir_fd=parent)
            except (IsADirectoryError, PermissionError):
                self._unmark(parent, parts[-1], records, container, name)
            os.fsync(parent)
        records.forget(inode, container, name)

    def _unmark(self, parent: int, leaf: str, records: FolderRecords, container: str, name: str) -> None:
        with contextlib.suppress(OSError):
            os.rmdir(leaf, dir_fd=parent)
            return
        fd = os.open(leaf, _READ | os.O_DIRECTORY, dir_fd=parent)
        try:
            records.clear(fd, container, name)
            os.fsync(fd)
        finally:
            os.close(fd)

    def make_directory(self, account: str, container: str, name: str, record: Record) -> Blob:
        record.directory = True
        records = self.account(account).records
        with self._parent(account, container, name) as (parent, leaf):
            with contextlib.suppress(FileExistsError):
                os.mkdir(leaf, dir_fd=parent)
            try:
                fd = os.open(leaf, _READ | os.O_DIRECTORY, dir_fd=parent)
            except OSError:
                raise NameConflict(f"'{name}' is a blob, so it cannot be a directory.") from None
            try:
                envelope = Envelope(record, self._tick())
                records.save(fd, container, name, envelope)
                os.fsync(fd)
                os.fsync(parent)
            finally:
                os.close(fd)
        return _directory_blob(name, envelope)

    def delete_directory(self, account: str, container: str, name: str) -> None:
        parts = self.parts(account, container, name)
        trash = self.account(account).temporary / uuid.uuid4().hex
        with paths.directory(self.root, parts[:-1]) as parent:
            os.rename(parts[-1], trash, src_dir_fd=parent)
            os.fsync(parent)
        shutil.rmtree(trash, ignore_errors=True)

    def rename(self, account: str, container: str, name: str, target_container: str, target: str) -> None:
        source = self.parts(account, container, name)
        with (
            paths.directory(self.root, source[:-1]) as old,
            self._parent(account, target_container, target) as (new, leaf),
        ):
            try:
                os.rename(source[-1], leaf, src_dir_fd=old, dst_dir_fd=new)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EINVAL):
                    raise NameConflict(f"'{target}' is in the way of '{name}'.") from None
                raise
            os.fsync(new)
            os.fsync(old)

    # ---- blocks

    def staged(self, account: str, container: str, name: str, create: bool = True) -> StagedBlocks | None:
        """The uncommitted blocks of a blob; None when it has none and `create` is not set."""
        self._require(account, container)
        place = self.account(account)
        folder = folder_of(place.blocks, container, name)
        with place.lock:
            staged = place.staged.pop((container, name), None)
            if staged is None and (create or folder.is_dir()):
                staged = StagedBlocks(folder, name)
            if staged is not None:
                place.staged[container, name] = staged
                if len(place.staged) > _CACHED_STAGED:
                    del place.staged[next(iter(place.staged))]
            return staged

    def blocks(self, account: str, container: str, name: str) -> Sequence[Block]:
        staged = self.staged(account, container, name, create=False)
        return staged.blocks() if staged else []

    def put_block(self, account: str, container: str, name: str, block: str, content: Spool) -> None:
        path_parts(name)
        staged = self.staged(account, container, name)
        assert staged is not None
        staged.put(block, content)

    def commit(self, account: str, container: str, name: str, choice: Sequence[BlockChoice], record: Record) -> Blob:
        staged = self.staged(account, container, name)
        assert staged is not None
        staged.check(choice)
        if staged.in_place(choice):
            blob = self._adopt(account, container, name, staged, sum(line.size for line in choice), record)
        else:
            blob = self._assemble(account, container, name, staged, choice, record)
        place = self.account(account)
        with place.lock:
            place.staged.pop((container, name), None)
        staged.remove()
        return blob

    def _adopt(self, account: str, container: str, name: str, staged: StagedBlocks, size: int, record: Record) -> Blob:
        fd = os.open(staged.data, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.ftruncate(fd, size)
            return self._place(account, container, name, fd, staged.data, record)
        finally:
            os.close(fd)

    def _assemble(
        self,
        account: str,
        container: str,
        name: str,
        staged: StagedBlocks,
        choice: Sequence[BlockChoice],
        record: Record,
    ) -> Blob:
        present = self.open(account, container, name, os.O_RDONLY)
        path = self._temporary_path(account)
        fd = os.open(path, _NEW, 0o666)
        try:
            staged.write_to(fd, choice, present)
            return self._place(account, container, name, fd, path, record)
        except BaseException:
            unlink(path)
            raise
        finally:
            os.close(fd)
            if present >= 0:
                os.close(present)

    def uncommitted(self, account: str, container: str, prefix: str) -> Sequence[str]:
        folder = self.account(account).blocks / container
        names = (staged_name(path) for path in folder.iterdir()) if folder.is_dir() else iter(())
        return sorted(name for name in names if name is not None and name.startswith(prefix))


class AccountFolder:
    """The private folders of one account."""

    def __init__(self, folder: Path) -> None:
        private = folder / PRIVATE
        self.temporary = private / "tmp"
        self.blocks = private / "blocks"
        self.containers = private / "containers"
        for path in (self.temporary, self.blocks, self.containers, private / "records"):
            path.mkdir(parents=True, exist_ok=True)
        sync_directory(folder)
        self.records = FolderRecords(private / "records")
        self.lock = threading.Lock()
        self.staged: dict[tuple[str, str], StagedBlocks] = {}
        self._owner = os.open(private / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(OSError):
            fcntl.flock(self._owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._clean()

    def _clean(self) -> None:
        """Remove what a process that was killed had not finished."""
        for path in self.temporary.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def forget_staged(self, container: str) -> None:
        with self.lock:
            for key in [key for key in self.staged if key[0] == container]:
                del self.staged[key]

    def close(self) -> None:
        os.close(self._owner)


def container_part(container: str) -> str:
    if container.startswith("."):
        raise paths.UnsafePath(f"'{container}' cannot be the name of a container")
    return container


def _blob(name: str, status: os.stat_result, envelope: Envelope) -> Blob:
    size = envelope.size(status.st_size)
    return Blob(name, size, status.st_mtime, f"0x{status.st_mtime_ns:X}{size & 0xFFFF:04X}", envelope.record)


def _directory_blob(name: str, envelope: Envelope) -> Blob:
    return Blob(name, 0, envelope.mtime / 1e9, f"0x{envelope.mtime:X}0000", envelope.record)


def _inode(parent: int, leaf: str) -> int:
    try:
        return os.stat(leaf, dir_fd=parent, follow_symlinks=False).st_ino
    except FileNotFoundError:
        return 0


def _rename_over(path: Path, parent: int, leaf: str) -> None:
    try:
        os.rename(path, leaf, dst_dir_fd=parent)
    except IsADirectoryError:
        # An empty folder is nothing to a blob client; one that holds something stays.
        try:
            os.rmdir(leaf, dir_fd=parent)
        except OSError:
            raise NameConflict(f"'{leaf}' is a folder with content, so it cannot also be a blob.") from None
        os.rename(path, leaf, dst_dir_fd=parent)


def _copy_spool(content: Spool, fd: int, position: int) -> None:
    if content.fd >= 0:
        copy_range(content.fd, 0, fd, position, content.size)
        return
    os.lseek(fd, position, os.SEEK_SET)
    for chunk in content.chunks:
        write_all(fd, chunk)


def unlink(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
