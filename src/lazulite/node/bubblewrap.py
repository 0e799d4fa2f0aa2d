"""bubblewrap's command line for a view of the machine."""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .view import View, devices, is_below, parents

if TYPE_CHECKING:
    from .run import Mount

APART = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent", "--cap-drop", "ALL")

#: Where programs replace files while jobs run, and some are root's alone.
SETTINGS = "/etc"


def program(asked: str) -> str:
    """bubblewrap's own path: the job's PATH begins with folders that packages write to."""
    return os.path.abspath(shutil.which(asked, path=os.environ.get("PATH", os.defpath)) or asked)


def arguments(view: View, options: list[str]) -> list[str]:
    """The view's folders at their own paths; /tmp, /run, /dev/shm and the processes are the job's own.

    What is in between is read-only too: a result written to a path that is not there shall not vanish in silence.
    """
    parts = [*APART, *options, "--tmpfs", "/run"]
    above = {folder for path in view.hidden if is_below(path, SETTINGS) for folder in parents(path)}
    for path in view.shown:
        if path == SETTINGS and path in above:
            parts += entry_by_entry(path, view.hidden, above)
        else:
            parts += ["--symlink", os.readlink(path), path] if is_top_link(path) else ["--ro-bind", path, path]
    for path in view.hidden:
        parts += ["--tmpfs", path] if os.path.isdir(path) else ["--ro-bind", os.devnull, path]
    parts += ["--proc", "/proc", "--dev", "/dev", "--symlink", "/run", "/var/run"]
    for path in kernel_settings():
        parts += ["--ro-bind", path, path]
    parts += ["--bind", view.temporary, "/tmp", "--symlink", "/tmp", "/var/tmp"]  # noqa: S108
    for device in devices():
        parts += ["--dev-bind", device, device]
    for path in view.own:
        parts += ["--ro-bind", path, path]
    for path in view.writable:
        parts += ["--bind", path, path]
    parts += binds(view.mounts)
    made = sorted(path for path in above if is_below(path, SETTINGS))
    for path in (*filter(os.path.isdir, view.hidden), *made, "/"):
        parts += ["--remount-ro", path]
    return parts


def entry_by_entry(folder: str, hidden: list[str], above: set[str]) -> Iterator[str]:
    """What is there now, but for the hidden: a mount on a file ends where the file is replaced, and the next is seen."""
    yield from ("--tmpfs", folder)
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            if entry.is_symlink():
                with contextlib.suppress(FileNotFoundError):
                    yield from ("--symlink", os.readlink(entry.path), entry.path)
            elif entry.path in above:
                yield from entry_by_entry(entry.path, hidden, above)
            elif entry.path not in hidden:
                yield from ("--ro-bind-try", entry.path, entry.path)


def kernel_settings() -> list[str]:
    """What root may write to in /proc by its mode alone, without a capability; bubblewrap leaves it so."""
    if os.geteuid() != 0:
        return []
    with os.scandir("/proc") as entries:
        return [entry.path for entry in entries if not entry.name.isdecimal() and is_setting(entry)]


def is_setting(entry: "os.DirEntry[str]") -> bool:
    if entry.is_symlink():
        return False
    return entry.is_dir() or bool(entry.stat().st_mode & stat.S_IWUSR)


def binds(mounts: "list[Mount]") -> list[str]:
    return [
        part for mount in mounts for part in ("--bind" if mount.writable else "--ro-bind", mount.source, mount.target)
    ]


def is_top_link(path: str) -> bool:
    """`/bin`, where that is a link to `usr/bin`."""
    return path.count("/") == 1 and os.path.islink(path)
