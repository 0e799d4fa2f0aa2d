"""Attempts what a job may not do, from inside an isolation, and prints as JSON what succeeded.

Started by `probe.py` by its path. Its one argument is `{"own": folder, "canaries": files by where they lie, "pid": of a
process outside, "cmdline": its command line}`. Standard library only; imports nothing of this package.
"""

import ctypes
import errno
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from typing import Any

MS_REMOUNT, MS_BIND, MNT_DETACH = 32, 4096, 2
SYSTEM = ("/usr", "/etc")


def main(told: dict[str, Any]) -> dict[str, str]:
    """What succeeded, by the name of the promise that it breaks, each as half a sentence."""
    broken = {}
    own, canaries = told["own"], told["canaries"]
    folders = {**dict.fromkeys(SYSTEM), **{place: os.path.dirname(path) for place, path in canaries.items()}}
    writing = [(place, lambda folder=folder or place: made(folder)) for place, folder in folders.items()]
    for name, text, attempts in (
        ("write", "it writes into {0}", writing),
        ("read", "it reads files in {0}", [(place, lambda path=path: read(path)) for place, path in canaries.items()]),
        (
            "change",
            "it changes files in {0}",
            [(place, lambda path=path: changed(path)) for place, path in canaries.items()],
        ),
        (
            "cut",
            "it cuts files in {0} to length",
            [(place, lambda path=path: cut(path)) for place, path in canaries.items()],
        ),
        ("mount", "it {0}", list(mounting(own))),
        ("environment", "it reads the variables of {0}", [("other processes", lambda: environment(told))]),
        ("see", "it sees {0}", [("other processes", lambda: is_seen(told))]),
        ("signal", "it signals {0}", [("other processes", lambda: signalled(told))]),
    ):
        done = [what for what, attempt in attempts if succeeds(attempt)]
        if done:
            broken[name] = text.format(", ".join(done))
    if not succeeds(lambda: made(own)):
        broken["own"] = "it cannot write into its own folder"
    return broken


def succeeds(attempt: Callable[[], bool]) -> bool:
    try:
        return attempt()
    except OSError:
        return False


def made(folder: str) -> bool:
    path = os.path.join(folder, ".lazulite-probe")
    with open(path, "x"):
        pass
    os.unlink(path)
    return True


def read(path: str) -> bool:
    with open(path) as file:
        return bool(file.read())


def changed(path: str) -> bool:
    with open(path, "a") as file:
        file.write("!")
    return True


def cut(path: str) -> bool:
    os.truncate(path, 1)
    return True


def mounting(own: str) -> Iterator[tuple[str, Callable[[], bool]]]:
    """None of it harms the machine where it succeeds."""
    libc = ctypes.CDLL(None, use_errno=True)
    folder = own.encode()
    yield "remounts /usr", lambda: not libc.mount(None, b"/usr", None, MS_REMOUNT | MS_BIND, None)
    yield "unmounts", lambda: may_unmount(libc, folder)
    yield "mounts", lambda: not libc.mount(b"none", folder, b"tmpfs", 0, None) and not libc.umount2(folder, MNT_DETACH)
    yield "makes a device", lambda: device(os.path.join(own, "device"))


def may_unmount(libc: ctypes.CDLL, folder: bytes) -> bool:
    """Nothing is mounted there, which only who may unmount is told."""
    return not libc.umount2(folder, MNT_DETACH) or ctypes.get_errno() != errno.EPERM


def device(path: str) -> bool:
    os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 0))
    os.unlink(path)
    return True


def environment(told: dict[str, Any]) -> bool:
    return is_seen(told) and bool(read(f"/proc/{told['pid']}/environ"))


def is_seen(told: dict[str, Any]) -> bool:
    with open(f"/proc/{told['pid']}/cmdline", "rb") as file:
        return bool(file.read().decode(errors="replace") == told["cmdline"])


def signalled(told: dict[str, Any]) -> bool:
    os.kill(told["pid"], 0)
    return is_seen(told)


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
