"""podman and docker: which of them works on this machine and with which options, and short questions to it."""

import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

from . import spawn

QUESTION_S = 60.0
TRIAL_CODE = 7
#: podman's own; a process may not raise its limits, only name those that it has.
PODMAN_PROCESSES = 32768
#: What every container is given where it can be.
LIMITS = ("--memory", "256m", "--pids-limit", "64")
SYSTEM_TOPS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "nix")


class NoAnswer(Exception):
    """The engine did not answer in time."""


def probe() -> dict[str, Any]:
    """A `ContainerEngine` as `model/run_plan.py` has it, or `{"kind": None, "detail": why}`. Runs a container."""
    why = []
    for kind, look in (("podman", podman), ("docker", docker)):
        path = shutil.which(kind)
        if path is None:
            why.append(f"{kind} is not installed")
            continue
        try:
            return look(path)
        except (NoAnswer, ValueError) as error:
            why.append(f"{kind} does not work here: {error}")
    return {"kind": None, "detail": "; ".join(why)}


def podman(path: str) -> dict[str, Any]:
    """Raises ValueError with podman's own words where it runs no container, NoAnswer."""
    facts = {"version": "{{.Version.Version}}", "runtime": "{{.Host.OCIRuntime.Name}}", "logs": "{{.Plugins.Log}}"}
    code, said = ask([path, "info", "--format", "|".join(facts.values())])
    if code:
        raise ValueError(brief(said))
    version, runtime, logs = said.splitlines()[-1].split("|")
    errors = []
    for options, run_options in podman_options():
        code, said = ask_trial([path, *options], run_options)
        if code == TRIAL_CODE:
            detail = f"podman {version} with {options[1] if options else runtime}"
            driver = "passthrough" if "passthrough" in logs else "none"
            return {
                "kind": "podman",
                "command": [path, *options],
                "run_options": run_options,
                "log_driver": driver,
                "user": "0:0",  # without root's rights that is the invoking user
                "limits": ask_trial([path, *options], [*run_options, *LIMITS])[0] == TRIAL_CODE,
                "detail": detail,
            }
        errors.append(brief(said))
    raise ValueError(errors[0])


def podman_options() -> Iterator[tuple[list[str], list[str]]]:
    """What to try in turn: as it is; with the limits this process has; with runc, which needs no systemd."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    processes = PODMAN_PROCESSES if processes == resource.RLIM_INFINITY else min(processes, PODMAN_PROCESSES)
    limits = ["--ulimit", f"nofile={files}:{files}", "--ulimit", f"nproc={processes}:{processes}"]
    kinds: list[list[str]] = [[]]
    if shutil.which("runc"):
        kinds.append(["--runtime", "runc", "--cgroup-manager", "cgroupfs"])
    for kind in kinds:
        yield kind, []
        yield kind, limits


def ask_trial(command: list[str], run_options: list[str]) -> tuple[int, str]:
    """Run this machine's own shell in a container: no image is needed for that."""
    import tempfile

    with tempfile.TemporaryDirectory() as root:
        mounts = []
        for top in SYSTEM_TOPS:
            if os.path.islink(f"/{top}"):
                os.symlink(os.readlink(f"/{top}"), os.path.join(root, top))
            elif os.path.isdir(f"/{top}"):
                os.mkdir(os.path.join(root, top))
                mounts += ["--volume", f"/{top}:/{top}:ro"]
        options = ["--rm", "--network", "host", "--log-driver", "none", *run_options, *mounts]
        return ask([*command, "run", *options, "--rootfs", root, "/bin/sh", "-c", f"exit {TRIAL_CODE}"])


def docker(path: str) -> dict[str, Any]:
    """Raises ValueError where its service does not answer, NoAnswer."""
    code, said = ask([path, "info", "--format", "{{.ServerVersion}}|{{.SecurityOptions}}"])
    version, _, security = (said.splitlines() or [""])[-1].partition("|")
    if code or not version:
        raise ValueError(brief(said))
    user = "0:0" if "rootless" in security else f"{os.getuid()}:{os.getgid()}"
    return {
        "kind": "docker",
        "command": [path],
        "run_options": [],
        "log_driver": "none",
        "user": user,
        "detail": f"docker {version}",
    }


def ask(command: list[str], seconds: float = QUESTION_S) -> tuple[int, str]:
    """(exit code, what it said). Raises NoAnswer."""
    import tempfile  # slow to import, and most runs ask nothing

    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "said")
        code = spawn.run_logged(command, log, dict(os.environ), "/", deadline(command, seconds))
        with open(log, encoding="utf-8", errors="replace") as file:
            return code, file.read().strip()


def deadline(command: list[str], seconds: float) -> Callable[[], None]:
    until = time.monotonic() + seconds

    def tick() -> None:
        if time.monotonic() > until:
            raise NoAnswer(f"'{' '.join(command[:3])}' did not end within {seconds:g} seconds")

    return tick


def brief(said: str) -> str:
    """The last line, which is where both engines put the cause."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][-300:] if lines else "it says nothing"
