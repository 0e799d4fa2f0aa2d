"""bubblewrap's command line for a view of the machine."""

import os
import shutil
from typing import TYPE_CHECKING

from .view import View, devices

if TYPE_CHECKING:
    from .run import Mount

APART = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent", "--cap-drop", "ALL")


def program(asked: str) -> str:
    """bubblewrap's own path: the job's PATH begins with folders that packages write to."""
    return os.path.abspath(shutil.which(asked, path=os.environ.get("PATH", os.defpath)) or asked)


def arguments(view: View, options: list[str]) -> list[str]:
    """The view's folders at their own paths; /tmp, /run, /dev/shm and the processes are the job's own."""
    parts = [*APART, *options]
    for path in view.shown:
        parts += ["--symlink", os.readlink(path), path] if is_top_link(path) else ["--ro-bind", path, path]
    for path in view.hidden:
        parts += ["--tmpfs", path] if os.path.isdir(path) else ["--ro-bind", os.devnull, path]
    parts += ["--proc", "/proc", "--dev", "/dev", "--symlink", "/run", "/var/run"]
    parts += ["--bind", view.temporary, "/tmp", "--symlink", "/tmp", "/var/tmp"]  # noqa: S108
    for device in devices():
        parts += ["--dev-bind", device, device]
    for path in view.own:
        parts += ["--ro-bind", path, path]
    for path in view.writable:
        parts += ["--bind", path, path]
    return [*parts, *binds(view.mounts)]


def binds(mounts: "list[Mount]") -> list[str]:
    return [
        part for mount in mounts for part in ("--bind" if mount.writable else "--ro-bind", mount.source, mount.target)
    ]


def is_top_link(path: str) -> bool:
    """`/bin`, where that is a link to `usr/bin`."""
    return path.count("/") == 1 and os.path.islink(path)
