"""Names from outside, opened beneath a root: the one place where a client's string may become a path.

The walk goes one directory at a time through descriptors and follows no symbolic link, so neither `..`, an absolute
path, a link planted by a job, nor a directory swapped for a link during the walk leads out of the root. The root itself
belongs to the operator and may be reached through links.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lazulite.core.errors import Refusal

#: The longest name of one file or directory that common file systems hold, in bytes.
MAX_SEGMENT_BYTES = 255

#: To read what a job may have put there: a FIFO's open does not wait for its writer.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class UnsafePath(Refusal, ValueError):
    """The name cannot be a path beneath the root; the message says why."""

    code = "InvalidPath"

    @property
    def message(self) -> str:
        return f"The name cannot be held: {self}."


def split(relative: str) -> list[str]:
    """The segments of a relative path. Raises UnsafePath for anything that is not plainly below the root."""
    parts = relative.split("/")
    for part in parts:
        check_segment(part)
    return parts


def check_segment(part: str) -> None:
    """Raise UnsafePath unless `part` can be the name of one file: not empty, no dots-only step, no slash or NUL."""
    if part in ("", ".", ".."):
        raise UnsafePath(f"'{part}' cannot be a segment of a path")
    if "\0" in part or "/" in part:
        raise UnsafePath("a segment of a path holds neither a slash nor a NUL character")
    if len(part) > 63 and len(part.encode("utf-8", "surrogateescape")) > MAX_SEGMENT_BYTES:
        raise UnsafePath(f"the segment '{part[:40]}...' is longer than {MAX_SEGMENT_BYTES} bytes")


def open_directory(
    root: str | os.PathLike[str],
    parts: Sequence[str],
    *,
    create: bool = False,
    durable: bool = False,
    must_exist: int = 0,
) -> int:
    """A descriptor of the directory `parts` beneath `root`; the caller closes it.

    With `create`, missing directories are made, all but the first `must_exist` of them; with `durable`, each is on
    disk before the next.
    Raises UnsafePath when a step is a link, FileNotFoundError, NotADirectoryError.
    """
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        at_once = _open_at_once(fd, parts, _DIRECTORY)
        if at_once >= 0:
            os.close(fd)
            return at_once
        for depth, part in enumerate(parts):
            check_segment(part)
            below = _step(fd, part, create and depth >= must_exist, durable)
            os.close(fd)
            fd = below
    except BaseException:
        os.close(fd)
        raise
    return fd


def open_beneath(
    root: str | os.PathLike[str],
    relative: str | Sequence[str],
    flags: int = os.O_RDONLY,
    mode: int = 0o666,
    *,
    make_parents: bool = False,
) -> int:
    """A descriptor of the file or directory `relative` beneath `root`; the caller closes it.

    Raises UnsafePath (bad segment or a link on the way), and what `os.open` raises.
    """
    parts = split(relative) if isinstance(relative, str) else relative
    if not flags & os.O_CREAT:
        with directory(root, ()) as fd:
            at_once = _open_at_once(fd, parts, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
            if at_once >= 0:
                return at_once
    parent = open_directory(root, parts[:-1], create=make_parents)
    try:
        check_segment(parts[-1])
        return os.open(parts[-1], flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=parent)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _link(parts[-1]) from None
        raise
    finally:
        os.close(parent)


def open_file(path: str | os.PathLike[str]) -> int:
    """A descriptor to read the regular file at `path`; the caller closes it. Nobody waits for a FIFO that a job put there.

    Raises UnsafePath for what is not a regular file, and what `os.open` raises, also where `path` is a link.
    """
    return regular(os.open(path, READ))


def regular(descriptor: int) -> int:
    """The descriptor itself, opened with `READ`. Raises UnsafePath, and closes it, where it is of anything but a file."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise UnsafePath("it is not a regular file")


def path_beneath(root: str | os.PathLike[str], relative: str) -> Path:
    """`root/relative` as a Path, for those who must hand a name to another program.

    What exists of it is checked not to be a link; what does not exist yet is only checked by its text.
    Raises UnsafePath. Prefer `open_beneath`: a Path can change between this check and its use.
    """
    path = Path(root)
    for part in split(relative):
        path = path / part
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if stat.S_ISLNK(os.lstat(path).st_mode):
                raise _link(part)
    return path


@contextlib.contextmanager
def directory(
    root: str | os.PathLike[str],
    parts: Sequence[str],
    *,
    create: bool = False,
    durable: bool = False,
    must_exist: int = 0,
) -> Iterator[int]:
    """`open_directory`, closed at the end of the block."""
    fd = open_directory(root, parts, create=create, durable=durable, must_exist=must_exist)
    try:
        yield fd
    finally:
        os.close(fd)


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_OPENAT2 = 437
_BENEATH_WITHOUT_LINKS = 0x08 | 0x04 | 0x02


def _find_syscall() -> Any:
    if not sys.platform.startswith("linux") or os.uname().machine not in ("x86_64", "aarch64"):
        return None
    # Keeps the interpreter's lock: the call is shorter than giving it up and getting it back.
    function = ctypes.PyDLL(None).syscall
    function.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t]
    function.restype = ctypes.c_long
    return function


_syscall = _find_syscall()


def _open_at_once(fd: int, parts: Sequence[str], flags: int) -> int:
    """Linux resolves a whole path beneath a directory without links in one call; -1 when it did not."""
    if _syscall is None or not parts:
        return -1
    for part in parts:
        check_segment(part)
    how = _How(flags, 0, _BENEATH_WITHOUT_LINKS)
    path = os.fsencode("/".join(parts))
    return int(_syscall(_OPENAT2, fd, path, ctypes.addressof(how), ctypes.sizeof(how)))


def _step(fd: int, part: str, create: bool, durable: bool) -> int:
    try:
        return os.open(part, _DIRECTORY, dir_fd=fd)
    except FileNotFoundError:
        if not create:
            raise
    except OSError as error:
        raise _explain(fd, part, error) from None
    with contextlib.suppress(FileExistsError):
        os.mkdir(part, dir_fd=fd)
    if durable:
        os.fsync(fd)
    try:
        return os.open(part, _DIRECTORY, dir_fd=fd)
    except OSError as error:
        raise _explain(fd, part, error) from None


def _explain(fd: int, part: str, error: OSError) -> Exception:
    # Linux answers ENOTDIR for a link opened with O_DIRECTORY | O_NOFOLLOW, others ELOOP.
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        with contextlib.suppress(OSError):
            if stat.S_ISLNK(os.stat(part, dir_fd=fd, follow_symlinks=False).st_mode):
                return _link(part)
    return error


def _link(part: str) -> UnsafePath:
    return UnsafePath(f"'{part}' is a symbolic link; links are not followed here")
