"""Every process that came of ours, also those whose parents are gone: finding and ending them."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable

from . import marks
from .status import start_ticks

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Orphans below us become our children instead of init's, so that none escapes."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """To be called in a fresh child: it gets SIGKILL when the agent ends."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def prctl(option: int, value: int) -> None:
    """Linux's prctl(2); nothing on other systems."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def of(root: int) -> list[int]:
    """The process ids below `root`, nearest first; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    try:
        names = [name for name in os.listdir("/proc") if name.isdigit()]
    except FileNotFoundError:
        return []
    for name in names:
        with contextlib.suppress(OSError, IndexError):
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            if is_living(fields):
                children.setdefault(int(fields[1]), []).append(int(name))
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(0), [])
        found += below
        waiting += below
    return found


def is_living(fields: list[bytes]) -> bool:
    """By /proc/<pid>/stat from the state on. Of a process whose first thread has ended the others may go on."""
    return fields[0] != b"Z" or int(fields[17]) > 1


def signal_all(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def end_all(seconds: float = 5.0) -> None:
    """SIGKILL everything below this process, again until nothing is left, and reap it."""
    until = time.monotonic() + seconds
    while (left := of(os.getpid())) and time.monotonic() < until:
        signal_all(left, signal.SIGKILL)
        reap()
        time.sleep(0.005)
    reap()


def reap() -> None:
    """Collect the exit of every child that has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def end_groups(groups: object, folder: str) -> None:
    """SIGKILL process groups that a lost agent noted, where the leader is still the process it was.

    A job may have written the note: what has any other shape, or names a process without the run's mark, is left out.
    """
    for group in groups if isinstance(groups, list) else []:
        pid, ticks = (group.get("pid"), group.get("start_ticks")) if isinstance(group, dict) else (None, None)
        if type(pid) is int and pid > 1 and start_ticks(pid) == ticks != 0 and marks.mark(pid) == folder:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
