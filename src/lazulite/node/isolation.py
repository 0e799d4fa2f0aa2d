"""Keeping a job to its own folders: bubblewrap where it works, else links in place of mounts."""

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import spawn

if TYPE_CHECKING:
    from .run import Mount, Run

PRIVATE_TOPS = ("proc", "dev", "tmp", "run")
DEVICES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset", "/dev/dri", "/dev/kfd")


def probe(bwrap: str = "bwrap") -> dict[str, Any]:
    """`{"kind": "bubblewrap" | "process", "detail": why}`: really starts one."""
    import tempfile

    path = shutil.which(bwrap)
    if path is None:
        return {"kind": "process", "detail": "bubblewrap (bwrap) is not installed"}
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        inner = ["/bin/sh", "-c", f"test ! -e {folder}/log && kill -0 1"]
        arguments = [path, *view(), "--chdir", "/", "--", *inner]
        code = spawn.run_logged(arguments, log, {"PATH": os.environ.get("PATH", "")}, folder, lambda: None)
        with open(log, encoding="utf-8", errors="replace") as file:
            said = " ".join(file.read().split())
    if code:
        return {"kind": "process", "detail": f"bubblewrap does not work here: {said or f'exit code {code}'}"}
    return {"kind": "bubblewrap", "detail": path}


def command(run: "Run", inner: list[str]) -> list[str]:
    """`inner` in a view of the machine that has the job's folders, its environment and the system, and no more.

    Of the kind `mounts` the view is the machine as it is, and the mounts.
    """
    if run.plan["isolation"]["kind"] == "mounts":
        arguments = [program(run), "--dev-bind", "/", "/", "--die-with-parent"]
    else:
        arguments = [*base(run), *bind_copies(run)]
        for folder in (run.path("exe"), run.path("cap"), run.path("home"), run.layer):
            arguments += ["--bind", folder, folder]
    for mount in run.mounts:
        arguments += ["--bind" if mount.writable else "--ro-bind", mount.source, mount.target]
    return [*arguments, "--chdir", run.workdir, "--", *inner]


def program(run: "Run") -> str:
    """bubblewrap's own path: the job's PATH begins with folders that packages write to."""
    asked: str = run.plan["isolation"]["bwrap"]
    return os.path.abspath(shutil.which(asked, path=os.environ.get("PATH", os.defpath)) or asked)


def confined_build(run: "Run", inner: list[str], writable: list[str]) -> list[str]:
    """uv compiling packages: it sees no job and no key, and writes to `writable` and its own /tmp."""
    arguments = [*base(run), "--ro-bind", inner[0], inner[0]]
    for folder in writable:
        arguments += ["--bind", folder, folder]
    return [*arguments, "--chdir", writable[0], "--", *inner]


def base(run: "Run") -> list[str]:
    """bubblewrap's own part: the system, what is hidden in it, and what is shown again below that."""
    asked = run.plan["isolation"]
    arguments = [program(run), *view(temporary=run.path("tmp"))]
    for folder in asked["hide"]:
        if os.path.isdir(folder):
            arguments += ["--tmpfs", folder]
    for path in filter(os.path.exists, [*asked["show"], run.plan["ca_bundle"] or ""]):
        arguments += ["--ro-bind", path, path]
    return arguments + bind_interpreter(run.plan["environment"]["interpreter"])


def view(temporary: str | None = None) -> list[str]:
    """The system read-only, /tmp and /run private, and no process but the job's own."""
    arguments = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent"]
    for name in sorted(os.listdir("/")):
        path = f"/{name}"
        if name in PRIVATE_TOPS:
            continue
        if os.path.islink(path):
            arguments += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            arguments += ["--ro-bind", path, path]
    arguments += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/run"]
    arguments += ["--bind", temporary, "/tmp"] if temporary else ["--tmpfs", "/tmp"]  # noqa: S108
    for device in [*DEVICES, *nvidia_devices()]:
        if os.path.exists(device):
            arguments += ["--dev-bind", device, device]
    resolver = os.path.realpath("/etc/resolv.conf")
    return [*arguments, "--ro-bind", resolver, resolver] if resolver.startswith("/run/") else arguments


def nvidia_devices() -> Iterator[str]:
    return (f"/dev/{name}" for name in os.listdir("/dev") if name.startswith("nvidia") and name[6:].isdigit())


def bind_interpreter(interpreter: str) -> list[str]:
    """The interpreter's own folder, which may lie below a hidden one."""
    prefix = os.path.dirname(os.path.dirname(os.path.realpath(interpreter)))
    return [] if prefix in ("/", "/usr") else ["--ro-bind", prefix, prefix]


def bind_copies(run: "Run") -> list[str]:
    """What a Dockerfile copied into the image, at the image's paths where the system has nothing."""
    folder = os.path.join(run.shared_environment, "files")
    tops = os.listdir(folder) if os.path.isdir(folder) else []
    free = [top for top in tops if not os.path.exists(f"/{top}")]
    return [part for top in free for part in ("--ro-bind", os.path.join(folder, top), f"/{top}")]


def link_mounts(run: "Run") -> None:
    """Without bubblewrap an input or output is a link to the datastore's own folder."""
    for mount in run.mounts:
        if mount.source != mount.target and not os.path.lexists(mount.target):
            link(mount)


def link(mount: "Mount") -> None:
    os.makedirs(os.path.dirname(mount.target), exist_ok=True)
    os.symlink(mount.source, mount.target)
