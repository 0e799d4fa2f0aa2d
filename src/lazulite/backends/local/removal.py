"""Deleting what a job left: whatever modes its folders have, and however deep they lie in one another. Blocking."""

from __future__ import annotations

import os
import stat
import uuid
from contextlib import suppress

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str | os.PathLike[str]) -> None:
    """Delete a folder and all in it; links are not followed. What cannot be deleted stays, without an error.

    Folders in folders are moved up to `path` before their turn comes, so that neither the depth of calls, the number of
    open files nor the length of a path grows with the tree.
    """
    with suppress(OSError):
        os.chmod(path, stat.S_IRWXU)
        top = os.open(path, _DIRECTORY)
        try:
            while sum([_take_apart(top, name) for name in os.listdir(top)]):
                pass
        finally:
            os.close(top)
        os.rmdir(path)


def _take_apart(top: int, name: str) -> int:
    """Delete a file, or empty a folder as far as that goes. Returns how much was deleted or moved."""
    if _delete(top, name):
        return 1
    changes = 0
    with suppress(OSError):
        os.chmod(name, stat.S_IRWXU, dir_fd=top)
        folder = os.open(name, _DIRECTORY, dir_fd=top)
        try:
            for entry in os.listdir(folder):
                changes += _delete(folder, entry) or _move_up(folder, entry, top)
        finally:
            os.close(folder)
    return changes + _delete(top, name)


def _delete(folder: int, name: str) -> bool:
    """Whether a file, a link or an empty folder could be deleted."""
    with suppress(OSError):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            os.rmdir(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)
        return True
    return False


def _move_up(folder: int, name: str, top: int) -> bool:
    with suppress(OSError):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            os.chmod(name, stat.S_IRWXU, dir_fd=folder)
            os.rename(name, uuid.uuid4().hex, src_dir_fd=folder, dst_dir_fd=top)
            return True
    return False
