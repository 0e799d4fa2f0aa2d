"""What a job's processes take together: memory, processes and threads, read from /proc."""

import os
from collections.abc import Iterable


def below(root: int) -> list[int]:
    """The process ids below `root`, found at the cost of those alone; empty where the kernel does not tell."""
    found, waiting = [], [root]
    while waiting:
        children = children_of(waiting.pop())
        found += children
        waiting += children
    return found


def children_of(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:
        pass
    return found


def name(pid: int) -> str:
    """Of its program, at most 15 characters; empty where it is gone."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""


def tasks(pids: Iterable[int]) -> int:
    """Processes and threads."""
    return sum(number(f"/proc/{pid}/stat", 17) for pid in pids)


def resident(pids: Iterable[int]) -> int:
    """Bytes in memory; what processes share counts for each of them."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm", "rb") as file:
                total += int(file.read().split()[1]) * page
        except (OSError, IndexError):
            continue
    return total


def shared_out(pids: Iterable[int]) -> int:
    """Bytes in memory; what processes share counts once. Takes a while for processes that are large."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                lines = file.read().splitlines()
        except OSError:  # another user's, or gone
            total += resident([pid])
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(b"Pss:"))
    return total


def of_user(uid: int) -> int:
    """Processes and threads of a user on this machine: what the kernel counts against RLIMIT_NPROC."""
    pids = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        try:
            if name.isdecimal() and os.stat(f"/proc/{name}").st_uid == uid:
                pids.append(int(name))
        except OSError:
            continue
    return tasks(pids)


def number(path: str, after: int) -> int:
    """A field of a `stat` file, counted from the state, which is 0; 0 where the process is gone."""
    try:
        with open(path, "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[after])
    except (OSError, IndexError):
        return 0
