"""Walking a container's folder in the order of blob names, from the middle, no further than asked."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from lazulite.core import paths
from lazulite.storage.folder_names import path_parts, segment_name
from lazulite.storage.store import Blob, ListQuery, Page

#: Makes the blob of an opened file or directory; None when it is none.
Describe = Callable[[int, os.stat_result, str], Blob | None]

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def list_page(container_fd: int, query: ListQuery, describe: Describe) -> Page:
    """One page of the folder behind `container_fd`."""
    page = Page([], more=False)
    for entry in _entries(container_fd, query, describe):
        if len(page.entries) >= query.limit:
            page.more = True
            break
        page.entries.append(entry)
    return page


def _entries(container_fd: int, query: ListQuery, describe: Describe) -> Iterator[Blob | str]:
    """What a listing shows, in order. Descends first to the folder that the prefix names."""
    base, _, _ = query.prefix.rpartition("/")
    parts = path_parts(base) if "/" in query.prefix else []
    fd = os.dup(container_fd)
    try:
        for part in parts:
            below = os.open(part, _OPEN | os.O_DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = below
        yield from _walk(fd, base + "/" if parts else "", query, describe)
    except (FileNotFoundError, NotADirectoryError, paths.UnsafePath):
        return
    except OSError as error:
        if not _is_link_error(error):
            raise
    finally:
        os.close(fd)


def _walk(fd: int, base: str, query: ListQuery, describe: Describe) -> Iterator[Blob | str]:
    for name, part, is_directory in _sorted(fd, base, query):
        if is_directory:
            yield from _below(fd, name, part, query, describe)
        elif name > query.after:
            blob = _describe(fd, part, name, describe)
            if blob is not None:
                yield blob


def _below(fd: int, name: str, part: str, query: ListQuery, describe: Describe) -> Iterator[Blob | str]:
    # `name` ends in a slash for a folder.
    try:
        child = os.open(part, _OPEN | os.O_DIRECTORY, dir_fd=fd)
    except OSError:  # gone meanwhile
        return
    try:
        if not query.shallow or not name.startswith(query.prefix) or name == query.prefix:
            yield from _walk(child, name, query, describe)
        elif name > query.after and _any_blob(child, name, describe):
            yield name
    finally:
        os.close(child)


def _any_blob(fd: int, name: str, describe: Describe) -> bool:
    return next(_walk(fd, name, ListQuery(), describe), None) is not None


def _sorted(fd: int, base: str, query: ListQuery) -> list[tuple[str, str, bool]]:
    """(blob name, path segment, is a folder) of one folder, ordered as the blobs below them are.

    A folder appears as `name/`; a folder that is itself a blob (a marker) also as `name`.
    """
    found = []
    with os.scandir(fd) as entries:
        for entry in entries:
            plain = segment_name(entry.name)
            if plain is None:
                continue
            name = base + plain
            if entry.is_dir(follow_symlinks=False):
                found.append((name + "/", entry.name, True))
                found.append((name, entry.name, False))
            elif entry.is_file(follow_symlinks=False):
                found.append((name, entry.name, False))
    return sorted(item for item in found if _wanted(item[0], item[2], query))


def _wanted(name: str, is_directory: bool, query: ListQuery) -> bool:
    if is_directory:
        if not (name.startswith(query.prefix) or query.prefix.startswith(name)):
            return False
        return name > query.after or query.after.startswith(name)
    return name.startswith(query.prefix) and name > query.after


def _describe(fd: int, part: str, name: str, describe: Describe) -> Blob | None:
    try:
        file = os.open(part, _OPEN, dir_fd=fd)
    except OSError:  # gone, replaced or not ours to read
        return None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            return None
        return describe(file, status, name)
    finally:
        os.close(file)


def _is_link_error(error: OSError) -> bool:
    import errno

    return error.errno in (errno.ELOOP, errno.ENAMETOOLONG)
