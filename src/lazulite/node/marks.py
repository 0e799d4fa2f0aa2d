"""A mark in the environment of every process of a run, which children inherit: it finds them whoever their parents are."""

import contextlib
import errno
import os
import signal
import time
from collections.abc import Collection, Iterator

#: The variable; its value is the run's folder.
MARK = "LAZULITE_RUN"


def inherited() -> dict[str, str]:
    """The variable, where this process acts for a run."""
    return {MARK: os.environ[MARK]} if MARK in os.environ else {}


def environment(folder: str) -> dict[str, str]:
    """This process's own, with the mark of that run: for its agent."""
    return {**os.environ, MARK: folder}


def everywhere() -> Iterator[tuple[int, str]]:
    """(process id, folder of its run) of every process that has a mark and may be looked at; none without /proc."""
    try:
        names = os.listdir("/proc")
    except FileNotFoundError:
        return
    for name in names:
        if name.isdecimal() and (folder := mark(int(name))):
            yield int(name), folder


def mark(pid: int) -> str:
    """The folder of the run that a process belongs to; empty where there is none, or the process is another user's."""
    try:
        variables = (environment_of(f"/proc/{pid}") or of_threads(pid)).split(b"\0")
    except OSError:
        return ""
    start = f"{MARK}=".encode()
    return next((os.fsdecode(each[len(start) :]) for each in variables if each.startswith(start)), "")


def environment_of(place: str) -> bytes:
    """Empty for a thread that has ended, as Linux says one way or the other, and for the kernel's own. Raises OSError."""
    with contextlib.suppress(ProcessLookupError), open(f"{place}/environ", "rb") as file:
        return file.read()
    return b""


def of_threads(pid: int) -> bytes:
    """The environment of a process whose first thread has ended; empty where it has no other. Raises OSError."""
    threads = os.listdir(f"/proc/{pid}/task")
    return next(filter(None, (environment_of(f"/proc/{pid}/task/{thread}") for thread in threads)), b"")


def of(folder: str) -> list[int]:
    """The processes of the run in `folder`."""
    return [pid for pid, found in everywhere() if found == folder]


def end(folder: str, *, spare: Collection[int] = (), seconds: float = 5.0) -> bool:
    """SIGKILL every process of a run, again until there is none. False where some did not go within `seconds`."""
    until = time.monotonic() + seconds
    while left := [pid for pid in of(folder) if pid not in spare]:
        if time.monotonic() > until:
            return False
        for pid in left:
            kill(pid, folder)
        time.sleep(0.005)
    return True


def kill(pid: int, folder: str) -> None:
    """SIGKILL a process if it still is of that run: between two looks the number may have become a stranger's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        try:
            process = os.pidfd_open(pid)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EPERM):
                raise
            if mark(pid) == folder:
                os.kill(pid, signal.SIGKILL)  # a kernel before 5.3, or a container that forbids the call
            return
        try:
            if mark(pid) == folder:
                signal.pidfd_send_signal(process, signal.SIGKILL)
        finally:
            os.close(process)


def boot() -> str:
    """What tells this start of the machine from others; empty where that is not told."""
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
    return ""
