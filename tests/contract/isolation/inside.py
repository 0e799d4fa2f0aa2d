"""What the job of the contract runs: attempts, each by its name, and prints as JSON which of them succeeded.

Its one argument is `{"given": {name: path}, "outside": {name: path} or null, "pid": of a process outside}`. `given` is
what the job was handed; `outside` is the machine beside that, which is left alone where the level does not promise it.
"""

import ctypes
import errno
import json
import multiprocessing
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

ALLOWED = (
    "read input",
    "read input file",
    "write output",
    "rename in output",
    "write working directory",
    "write home",
    "write $TMPDIR",
    "write /tmp",
    "start a program",
    "read the system",
    "discard",
    "take random numbers",
    "use processes",
    "connect on loopback",
)
MS_REMOUNT, MS_BIND, MNT_DETACH = 32, 4096, 2


def main(told: dict[str, Any]) -> dict[str, str]:
    attempts = dict(zip(ALLOWED, allowed(told["given"]), strict=True))
    attempts |= {f"change {name}": changing(path) for name, path in given_to_read(told["given"]).items()}
    if told["outside"]:
        attempts |= dict(outside(told["outside"], told["pid"]))
    return {name: said(attempt) for name, attempt in attempts.items()}


def said(attempt: Callable[[], Any]) -> str:
    """`ok`, or the name of what went wrong."""
    try:
        return "ok" if attempt() is not False else "refused"
    except Exception as error:
        return type(error).__name__


def allowed(given: dict[str, str]) -> Iterator[Callable[[], Any]]:
    """In the order of ALLOWED."""
    yield lambda: read(os.path.join(given["input"], "f.txt"))
    yield lambda: read(given["file"])
    yield lambda: write(os.path.join(given["output"], "made.txt"))
    yield lambda: renamed(given["output"])
    yield lambda: write("made.txt")
    yield lambda: write(os.path.expanduser("~/made.txt"))
    yield lambda: os.close(tempfile.mkstemp()[0])
    yield lambda: write(f"/tmp/lazulite-contract-{os.getpid()}", remove=True)
    yield lambda: subprocess.run(["sh", "-c", "true"], check=True)
    yield lambda: read("/etc/passwd")
    yield lambda: write("/dev/null")
    yield lambda: os.urandom(4) and read_bytes("/dev/urandom")
    yield processes
    yield loopback


def given_to_read(given: dict[str, str]) -> dict[str, str]:
    import six

    return {"input": os.path.join(given["input"], "f.txt"), "input file": given["file"], "environment": six.__file__}


def outside(paths: dict[str, str], pid: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    for name in ("database", "key", "other run", "ssh key", "other home", "mounted disk"):
        yield f"read {name}", lambda path=paths[name]: read(path)
    for name in ("database", "data", "code", "environment", "cache"):
        yield f"change {name} by its path", changing(paths[name])
        yield f"cut {name} to length", lambda path=paths[name]: os.truncate(path, 0)
        yield f"remove {name}", lambda path=paths[name]: os.unlink(path)
        yield f"rename {name}", lambda path=paths[name]: os.rename(path, "taken")
        yield f"link {name}", lambda path=paths[name]: os.link(path, "linked")
    for folder in ("/usr", "/etc", "/opt", "/var", "/home", os.path.dirname(paths["data"])):
        yield f"write {folder}", lambda folder=folder: write(f"{folder}/lazulite-contract", remove=True)
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.getcwd().encode()
    yield "remount", lambda: not libc.mount(None, b"/usr", None, MS_REMOUNT | MS_BIND, None)
    yield "remount input", lambda: not libc.mount(None, here, None, MS_REMOUNT | MS_BIND, None)
    # Nothing is mounted there, which only who may unmount is told.
    yield "unmount", lambda: not libc.umount2(here, MNT_DETACH) or ctypes.get_errno() != errno.EPERM
    yield "mount", lambda: not libc.mount(b"none", here, b"tmpfs", 0, None)
    yield "make a device", lambda: os.mknod("device", stat.S_IFBLK | 0o600, os.makedev(7, 0))
    yield "read a process's variables", lambda: b"CONTRACT" in read_bytes(f"/proc/{pid}/environ")
    yield "signal a process", lambda: b"sleep" in read_bytes(f"/proc/{pid}/cmdline") and os.kill(pid, 0)
    yield "have a capability", lambda: any(int(mask, 16) for mask in capabilities())
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/kernel/mm/ksm/run"):
        yield f"open {path} for writing", lambda path=path: os.close(os.open(path, os.O_WRONLY))


def read(path: str) -> str:
    with open(path) as file:
        return file.read(100)


def write(path: str, *, remove: bool = False) -> None:
    with open(path, "w") as file:
        file.write("x")
    if remove:
        os.unlink(path)


def changing(path: str) -> Callable[[], Any]:
    def change() -> None:
        with open(path, "a") as file:
            file.write("# changed by a job\n")

    return change


def renamed(folder: str) -> None:
    os.makedirs(f"{folder}/a")
    write(f"{folder}/a/x")
    os.rename(f"{folder}/a/x", f"{folder}/a/y")


def processes() -> bool:
    """Locks lie in /dev/shm, and what a pool gives back passes through pipes."""
    lock = multiprocessing.get_context("fork").Lock()
    with lock, multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, 2]) == [1, 2]


def loopback() -> bool:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.sendall(b"x")
        return server.accept()[0].recv(1) == b"x"


def read_bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(4096)


def capabilities() -> list[str]:
    with open("/proc/self/status") as file:
        return [line.split()[1] for line in file if line.startswith(("CapPrm", "CapEff"))]


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
