"""Writing files so that a reader sees the old content or the new, and nothing between."""

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator

CHUNK = 1 << 26
_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PART = re.compile(r"\.lazulite-[0-9a-f]{32}\.part")


def replace(path: str, data: bytes, *, durable: bool = True) -> None:
    """Write `data` to a temporary name beside `path` and rename it there."""
    aside = f"{path}.{os.getpid()}.tmp"
    try:
        with open(aside, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.rename(aside, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(aside)
        raise


def store(source: int, target: str, tick: Callable[[], None] | None = None) -> None:
    """Copy the rest of an open file to `target`, durable and atomic; the target's folder is made.

    Jobs write to the folder too: the name aside cannot be guessed, and nothing that lies there is written through.
    """
    folder = os.path.dirname(target)
    os.makedirs(folder, exist_ok=True)
    aside = os.path.join(folder, f".lazulite-{secrets.token_hex(16)}.part")
    created = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        with open(created, "wb") as writer, open(source, "rb", closefd=False) as reader:
            while chunk := reader.read(1 << 20):
                writer.write(chunk)
                if tick is not None:
                    tick()
            writer.flush()
            os.fsync(writer.fileno())
        os.rename(aside, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
        raise


@contextlib.contextmanager
def directory(root: str, *below: str) -> Iterator[int]:
    """A descriptor of a folder below one that no job can move, reached through no link. Raises OSError."""
    passed = _FOLDER | (getattr(os, "O_PATH", os.O_RDONLY) if below else os.O_RDONLY)
    descriptor = os.open(root, passed)
    try:
        for left, name in enumerate(below, 1 - len(below)):
            step = os.open(name, _FOLDER | os.O_NOFOLLOW | (passed if left else os.O_RDONLY), dir_fd=descriptor)
            os.close(descriptor)
            descriptor = step
        yield descriptor
    finally:
        os.close(descriptor)


def opened(root: str | int) -> Iterator[tuple[str, int]]:
    """(path relative to `root`, descriptor) of every regular file, following no link; what a killed copy left is not.

    A job may still be writing there: what is opened is what was looked at, so that no file can be swapped for a link
    that leads out of the folder. Where it could swap the folder itself, `root` is a descriptor (see `directory`).
    """
    if isinstance(root, int):
        top, walk = ".", os.fwalk(".", follow_symlinks=False, dir_fd=root)
    else:
        top, walk = root, os.fwalk(root, follow_symlinks=False)
    for folder, _, names, descriptor in walk:
        for name in sorted(names):
            if _PART.fullmatch(name):
                continue
            try:
                file = os.open(name, _FILE, dir_fd=descriptor)
            except OSError:
                continue
            try:
                if stat.S_ISREG(os.fstat(file).st_mode):
                    yield os.path.relpath(os.path.join(folder, name), top), file
            finally:
                os.close(file)


def copy(source: str, target: str, tick: Callable[[int], object]) -> None:
    """Copy a file with its mode and times; a clone where the file system can. `tick` is told how many bytes came.

    `source` is a real path (see `beneath`): what has become a link since then raises OSError.
    """
    folder, name = os.path.split(source)
    with directory("/", *parts(folder)) as descriptor:
        copy_at(descriptor, name, target, tick)


def copy_at(folder: int, name: str, target: str, tick: Callable[[int], object]) -> None:
    """`copy` of a file in an open folder."""
    source = os.open(name, _FILE, dir_fd=folder)
    with open(source, "rb") as reader:
        if not stat.S_ISREG(os.fstat(source).st_mode):
            raise OSError(errno.EINVAL, "not a file", name)
        with open(target, "wb") as writer:
            if not _copied_within(source, writer.fileno(), tick):
                while chunk := reader.read(CHUNK):
                    writer.write(chunk)
                    tick(len(chunk))
        found = os.fstat(source)
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
        os.chmod(target, stat.S_IMODE(found.st_mode))


def parts(path: str) -> list[str]:
    """The names of an absolute path, from the top."""
    return [part for part in path.split("/") if part]


def _copied_within(source: int, target: int, tick: Callable[[int], object]) -> bool:
    """Whether the system did it; it cannot between some file systems."""
    done = 0
    try:
        while count := os.copy_file_range(source, target, CHUNK):
            done += count
            tick(count)
    except (OSError, AttributeError):
        if done:
            raise
        return False
    return done > 0


def copy_tree(source: str, target: str, tick: Callable[[int], object]) -> int:
    """Copy the files below `source`, a real path (see `beneath`). Returns how many. Raises OSError.

    Links are made anew where they lead to something in it, and left out where they lead elsewhere. Others may swap
    what is there for links meanwhile: none is followed.
    """
    os.makedirs(target, exist_ok=True)
    count = 0
    with directory("/", *parts(source)) as top:
        for folder, folders, names, descriptor in os.fwalk(".", follow_symlinks=False, dir_fd=top):
            for name in (*folders, *names):
                copied = os.path.normpath(os.path.join(target, folder, name))
                mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
                if stat.S_ISLNK(mode):
                    _link_again(os.path.normpath(os.path.join(source, folder, name)), copied, source)
                elif stat.S_ISDIR(mode):
                    os.makedirs(copied, exist_ok=True)
                elif stat.S_ISREG(mode):
                    copy_at(descriptor, name, copied, tick)
                    count += 1
                    tick(0)
    return count


def _link_again(path: str, copied: str, top: str) -> None:
    real = os.path.realpath(path)
    if real.startswith(top + os.sep) and os.path.exists(real) and not os.path.lexists(copied):
        os.symlink(os.path.relpath(real, os.path.realpath(os.path.dirname(path))), copied)


def walk(root: str) -> Iterator[tuple[str, str]]:
    """(path, path relative to `root`) of every regular file; links are followed, as an upload follows them."""
    for folder, _, names in os.walk(root, followlinks=True):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                yield path, os.path.relpath(path, root)


def beneath(path: str, root: str | None) -> str:
    """The real path. Raises PermissionError when a link leads out of `root`; None checks nothing."""
    real = os.path.realpath(path)
    if root is not None and os.path.commonpath([real, os.path.realpath(root)]) != os.path.realpath(root):
        raise PermissionError(f"a link leads out of the datastore: {path}")
    return real


def size(root: str) -> int:
    """Bytes of the regular files below `root`."""
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total
