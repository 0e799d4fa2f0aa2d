"""A disk that takes no more: telling it from other errors, and saying so."""

import contextlib
import errno
import os
import time
from collections.abc import Iterable, Iterator

FULL = (errno.ENOSPC, errno.EDQUOT)
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Bytes that every system takes as one path; a character has up to four.
LONGEST_PATH = 4000


def is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in FULL


def full(path: str) -> str:
    """What a run says whose files do not fit."""
    return (
        f"The disk of {path} is full{left(path)}, and what the job writes does not fit: delete what is not needed there, "
        "or move the platform's home to a larger disk."
    )


def left(path: str) -> str:
    try:
        found = os.statvfs(path)
    except OSError:
        return ""
    return f" ({found.f_bavail * found.f_frsize >> 20} of {found.f_blocks * found.f_frsize >> 20} MiB are free)"


class Growth:
    """How much folders have grown since this object was made, in allocated bytes; looked at a little at a time."""

    def __init__(self, folders: Iterable[str], every_s: float) -> None:
        given = sorted({os.path.realpath(folder) for folder in folders})
        self.folders = [one for one in given if not any(is_beneath(one, other) for other in given)]
        self.every_s = every_s
        self.first: int | None = None
        self.walk: Iterator[int] | None = None
        self.taken_s = 0.0
        self.next_at = 0.0

    def look(self, moment: float, *, budget_s: float = 0.02) -> int | None:
        """Go on with the walk; bytes when it has come to its end. Where a walk is long, pauses are ten times as long."""
        if self.walk is None:
            if moment < self.next_at:
                return None
            self.walk, self.taken_s = sizes(self.folders), 0.0
        began = time.monotonic()
        total = None
        for total in self.walk:
            if total < 0 and time.monotonic() - began > budget_s:
                self.taken_s += time.monotonic() - began
                return None
        self.walk = None
        self.next_at = moment + max(self.every_s, 10 * (self.taken_s + time.monotonic() - began))
        if total is None or total < 0:
            return None
        if self.first is None:
            self.first = total
        return max(0, total - self.first)


def sizes(folders: Iterable[str]) -> Iterator[int]:
    """-1 again and again while it looks, then the allocated bytes of all files. No link is followed."""
    total = 0
    linked: set[tuple[int, int]] = set()
    for count, found in enumerate(files(folders)):
        if found is not None:
            key = (found.st_dev, found.st_ino)
            if key not in linked:
                total += found.st_blocks * 512
            if found.st_nlink > 1:
                linked.add(key)
        if count % 100 == 99:
            yield -1
    yield total


def files(folders: Iterable[str]) -> Iterator[os.stat_result | None]:
    """Of every file below; None for each folder. The depth of folders is limited by nothing but time."""
    waiting = [*folders]
    while waiting:
        path = waiting.pop()
        yield None
        with contextlib.suppress(OSError):
            folder = open_folder(path)
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(f"{path}/{entry.name}")
                            continue
                        with contextlib.suppress(OSError):
                            yield entry.stat(follow_symlinks=False)
            finally:
                os.close(folder)


def open_folder(path: str) -> int:
    """A descriptor of the folder, also where its path is longer than the system takes at once. Raises OSError."""
    folder = os.open("/", FOLDER)
    rest = path
    while rest := rest.lstrip("/"):
        part = rest
        if len(os.fsencode(part)) > LONGEST_PATH:
            part = rest[: LONGEST_PATH // 4].rpartition("/")[0]
        rest = rest[len(part) :]
        try:
            below = os.open(part, FOLDER, dir_fd=folder)
        finally:
            os.close(folder)
        folder = below
    return folder


def is_beneath(path: str, folder: str) -> bool:
    return path != folder and path.startswith(folder.rstrip("/") + "/")
