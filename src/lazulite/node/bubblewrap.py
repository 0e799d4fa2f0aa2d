"""bubblewrap's command line for a view of the machine."""

import os
import shutil
import stat
from typing import TYPE_CHECKING

from .view import View, devices

if TYPE_CHECKING:
    from .run import Mount

APART = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent", "--cap-drop", "ALL")


def program(asked: str) -> str:
    """bubblewrap's own path: the job's PATH begins with folders that packages write to."""
    return os.path.abspath(shutil.which(asked, path=os.environ.get("PATH", os.defpath)) or asked)


def arguments(view: View, options: list[str]) -> list[str]:
    """The view's folders at their own paths; /tmp, /run, /dev/shm and the processes are the job's own.

    What is in between is read-only too: a result written to a path that is not there shall not vanish in silence.
    """
    parts = [*APART, *options, "--tmpfs", "/run"]
    for path in view.shown:
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
    for path in (*filter(os.path.isdir, view.hidden), "/"):
        parts += ["--remount-ro", path]
    return parts


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
