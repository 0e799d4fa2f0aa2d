"""`status.json`: the agent's word to the server, replaced whole."""

import datetime
import json
import os
from typing import Any

from . import files


class Status:
    """The document and where it lies. A phase change is durable; a heartbeat need not be."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.document: dict[str, Any] = {
            "phase": "preparing",
            "pid": os.getpid(),
            "start_ticks": start_ticks(os.getpid()),
            "heartbeat": now(),
            "times": {},
        }

    def write(self, *, durable: bool = False, **changes: Any) -> None:
        self.document.update(changes, heartbeat=now())
        files.replace(self.path, json.dumps(self.document).encode(), durable=durable)

    def time(self, name: str) -> None:
        """Note that `name` begins now; written with the next change."""
        self.document["times"][name] = now()

    def phase(self, phase: str, **changes: Any) -> None:
        self.time(phase)
        self.write(durable=True, phase=phase, activity=None, **changes)


def read(path: str) -> dict[str, Any] | None:
    """The document at `path`, or None when there is none."""
    try:
        with open(path, "rb") as file:
            document: dict[str, Any] = json.load(file)
            return document
    except FileNotFoundError:
        return None


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
