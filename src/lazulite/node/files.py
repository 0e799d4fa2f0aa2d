"""Writing files so that a reader sees the old content or the new, and nothing between."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator


def replace(path: str, data: bytes, *, durable: bool = True) -> None:
    """Write `data` to a temporary name beside `path` and rename it there."""
    aside = f"{path}.{os.getpid()}.tmp"
    with open(aside, "wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    os.rename(aside, path)


def copy(source: str, target: str) -> None:
    """Copy one file's content and times, durable and atomic; the target's folder is made."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    aside = f"{target}.{os.getpid()}.tmp"
    try:
        shutil.copyfile(source, aside)
        with contextlib.suppress(OSError):
            shutil.copymode(source, aside)
        descriptor = os.open(aside, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(aside, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
        raise


def copy_tree(source: str, target: str, tick: Callable[[], None]) -> int:
    """Copy the files below `source` (following links, as an upload would); `tick` is called per file. Counts files."""
    os.makedirs(target, exist_ok=True)
    count = 0
    for path, name in walk(source, follow=True):
        place = os.path.join(target, name)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        shutil.copyfile(path, place)
        shutil.copystat(path, place)
        count += 1
        tick()
    for root, folders, _ in os.walk(source, followlinks=True):
        for folder in folders:
            os.makedirs(os.path.join(target, os.path.relpath(os.path.join(root, folder), source)), exist_ok=True)
    return count


def walk(root: str, *, follow: bool = False) -> Iterator[tuple[str, str]]:
    """(path, path relative to `root`) of every regular file; a link to a file counts only when `follow`."""
    for folder, _, names in os.walk(root, followlinks=follow):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and (follow or not os.path.islink(path)):
                yield path, os.path.relpath(path, root)


def size(root: str) -> int:
    """Bytes of the regular files below `root`."""
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total
