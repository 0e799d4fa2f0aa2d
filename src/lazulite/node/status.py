"""`status.json`: the agent's word to the server, replaced whole."""

import contextlib
import datetime
import json
import os
from typing import Any

from . import disk, files, marks

#: Bytes: many times what a status takes.
RESERVE = 1 << 16


class Status:
    """The document and where it lies. A phase change is durable; a heartbeat need not be."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.document: dict[str, Any] = {
            "phase": "preparing",
            "pid": os.getpid(),
            "start_ticks": start_ticks(os.getpid()),
            "boot": marks.boot(),
            "heartbeat": now(),
            "times": {},
        }

    def write(self, *, durable: bool = False, **changes: Any) -> None:
        """Raises OSError; on a full disk a phase goes where the reserve lay, and a heartbeat is left out."""
        self.document.update(changes, heartbeat=now())
        content = json.dumps(self.document).encode()
        try:
            files.replace(self.path, content, durable=durable)
        except OSError as error:
            if not disk.is_full(error):
                raise
            if durable:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.reserve)
                files.replace(self.path, content, durable=True)

    @property
    def reserve(self) -> str:
        """A file that holds room for the last word on a full disk."""
        return f"{self.path}.reserve"

    def keep_room(self) -> None:
        with contextlib.suppress(OSError), open(self.reserve, "wb") as file:
            file.write(bytes(RESERVE))

    def time(self, name: str) -> None:
        """Note that `name` begins now; written with the next change."""
        self.document["times"][name] = now()

    def phase(self, phase: str, **changes: Any) -> None:
        self.time(phase)
        self.write(durable=True, phase=phase, activity=None, **changes)


def read(path: str) -> dict[str, Any] | None:
    """The document at `path`, or None when there is none that can be read: a job may have written there."""
    try:
        with open(path, "rb", opener=at_once) as file:
            document = json.load(file)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def at_once(path: str, flags: int) -> int:
    """Opens without waiting for who would write into a FIFO."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def now() -> str:
    """UTC as `2026-01-31T12:00:00.000000Z`."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def start_ticks(pid: int) -> int:
    """When the process began, in clock ticks since the machine's start; 0 where that is not told."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError):
        return 0
