"""The user's command in a container of podman or docker: its folders at the same paths, the machine's network."""

import os
import re
import resource
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

from . import descendants, engines, marks, ranks, spawn
from .failure import RunFailure
from .ranks import Rank
from .run import Mount, Run

#: Variables of the machine that name its own files and libraries, which the image does not have.
OF_THE_MACHINE = ("LD_LIBRARY_PATH", "PIP_CERT", "PIP_CONFIG_FILE", "PIP_FIND_LINKS")
#: A shell must not be given these.
READ_ONLY = ("UID", "EUID", "PPID", "SHELLOPTS", "BASHOPTS", "BASH_VERSINFO")
KILLED = 128 + signal.SIGKILL
KILL_EVERY_S = 1.0
LEAVE_S = 3.0

# The container's first process. Its arguments: the folder of the container's notes, the rank, the command. A first
# process that knows no SIGTERM ignores it, and a container has no other to be told: so it passes it on to all.
FIRST = """
. "$1/env-$2" || exit 125
trap 'kill -s TERM -- -1 2>/dev/null' TERM
: > "$1/begun-$2"
[ -e "$1/stop" ] && exit 143
if command -v bash > /dev/null 2>&1; then bash -c "$3" & else /bin/sh -c "$3" & fi
p=$!
[ -e "$1/stop" ] && kill -s TERM -- -1 2>/dev/null
while :; do wait "$p"; c=$?; kill -0 "$p" 2>/dev/null || break; done
echo "$c" > "$1/ended-$2"
exit "$c"
"""


class Containers:
    """A Launcher (see `launcher.py`): one container a rank. `engine` is the plan's ContainerEngine."""

    def __init__(self, run: Run, engine: dict[str, Any]) -> None:
        self.run = run
        self.engine = engine
        self.notes = run.path("container")
        self.started: list[Rank] = []
        self.killed = 0
        self.kill_at = 0.0
        os.makedirs(self.notes, mode=0o700, exist_ok=True)
        for mount in run.mounts:
            prepare_target(mount)

    def start(self, rank: Rank, command: str, output: int) -> int:
        write_variables(self.run, rank, os.path.join(self.notes, f"env-{rank.number}"))
        self.started.append(rank)
        argv = arguments(self.run, self.engine, rank, command)
        return spawn.start(argv, dict(os.environ), self.run.folder, output)

    def terminate(self) -> None:
        """What has not begun by now finds the note and does not begin."""
        with open(os.path.join(self.notes, "stop"), "wb"):
            pass
        self.tell(["kill", "--signal", "TERM"], [rank for rank in self.started if self.is_noted("begun", rank)])

    def kill(self) -> None:
        if time.monotonic() < self.kill_at:
            return
        self.tell(["kill"], self.left())
        self.kill_at = time.monotonic() + KILL_EVERY_S
        self.killed += 1
        if self.killed > 1:  # the engine itself hangs
            descendants.signal_all(descendants.of(os.getpid()), signal.SIGKILL)

    def clear(self) -> None:
        """What ended by itself the engine removes; it is given the time for that."""
        self.tell(removal(self.engine), self.left())
        self.started = []
        until = time.monotonic() + LEAVE_S
        while descendants.of(os.getpid()) and time.monotonic() < until:
            descendants.reap()
            time.sleep(0.01)
        descendants.end_all()

    def exit_code(self, rank: Rank, reported: int) -> int:
        """What the first process noted: engines have been seen to report 0 for a container that they had removed."""
        try:
            with open(os.path.join(self.notes, f"ended-{rank.number}"), encoding="ascii") as file:
                return int(file.read())
        except FileNotFoundError:
            return reported or KILLED
        except ValueError:  # noted, on a full disk
            return reported

    def never_began(self, rank: Rank, said: str) -> RunFailure | None:
        if self.is_noted("begun", rank):
            return None
        image, kind = self.run.plan["environment"]["image"]["name"], self.engine["kind"]
        cause = ""
        if re.search(r"/bin/sh.{0,80}(no such file|not found)", said, re.IGNORECASE):
            cause = " The image has no /bin/sh, which a job's command needs: use an image with a shell."
        message = f"The container of image {image} could not be started by {kind}.{cause}\n{said.strip()[-2000:]}"
        return RunFailure("ContainerStartFailed", message)

    def left(self) -> list[Rank]:
        """The ranks whose container did not come to its end by itself."""
        return [rank for rank in self.started if not self.is_noted("ended", rank)]

    def is_noted(self, what: str, rank: Rank) -> bool:
        return os.path.exists(os.path.join(self.notes, f"{what}-{rank.number}"))

    def tell(self, verb: list[str], to: list[Rank]) -> None:
        """What comes of it is seen by the containers' end."""
        if to:
            tell(self.engine, verb, [name(self.run, rank) for rank in to])


def sweep(run: Run) -> None:
    """End the containers of a run whose agent is gone."""
    if run.container is None:
        return
    asked = run.plan["distribution"]
    names = [name(run, rank) for rank in ranks.plan(asked, [0] * ranks.ports_needed(asked))]
    tell(run.container, removal(run.container), names)


def tell(engine: dict[str, Any], verb: list[str], names: list[str]) -> None:
    try:
        engines.ask([*engine["command"], *verb, *names], seconds=20.0)
    except (engines.NoAnswer, OSError):
        return


def removal(engine: dict[str, Any]) -> list[str]:
    return ["rm", "--force", *(["--ignore", "--time", "0"] if engine["kind"] == "podman" else [])]


def name(run: Run, rank: Rank) -> str:
    """The job's name, and what tells it from the same name in another home or attempt."""
    import hashlib  # slow to import, and most runs are no containers

    place = hashlib.sha256(run.folder.encode()).hexdigest()[:12]
    return f"lazulite-{re.sub(r'[^A-Za-z0-9_.-]', '-', run.plan['job'])[:100]}-{place}-{rank.number}"


def arguments(run: Run, engine: dict[str, Any], rank: Rank, command: str) -> list[str]:
    """The engine's command line. It holds no variable of the job: those stand in a file that only its owner reads."""
    return [
        *engine["command"],
        *("run", "--rm", "--name", name(run, rank), "--network", "host"),
        *("--log-driver", engine["log_driver"], "--user", engine["user"], "--workdir", run.workdir),
        *("--security-opt", "label=disable", "--entrypoint", "/bin/sh"),
        *(["--shm-size", run.plan["shm_size"]] if run.plan.get("shm_size") else []),
        *limits(run, engine),
        *mounts(run),
        *(run.image, "-c", FIRST, "lazulite", run.path("container"), str(rank.number), command),
    ]


def limits(run: Run, engine: dict[str, Any]) -> list[str]:
    """What this machine calls for, and what the plan asks for; the latter counts."""
    asked = run.plan["limits"]
    options = list(engine["run_options"])
    if asked["open_files"] is not None:
        count = min(asked["open_files"], hard_limit(resource.RLIMIT_NOFILE))
        files = f"nofile={count}:{count}"
        others = [option for option in options if not option.startswith("nofile=") and option != "--ulimit"]
        options = ["--ulimit", files, *(part for other in others for part in ("--ulimit", other))]
    if not engine.get("limits", True):
        return options
    if asked["memory_bytes"] is not None:
        options += ["--memory", str(asked["memory_bytes"])]
    if asked["processes"] is not None:
        options += ["--pids-limit", str(asked["processes"])]
    return options


def hard_limit(number: int) -> int:
    """What this process may ask for."""
    found = resource.getrlimit(number)[1]
    return sys.maxsize if found == resource.RLIM_INFINITY else found


def mounts(run: Run) -> list[str]:
    """The job's folders, inputs, outputs and certificates; nothing else of this machine is in the container."""
    own = [Mount(run.path(each), run.path(each), writable=True) for each in ("exe", "cap", "home", "container")]
    own.append(Mount(run.path("tmp"), "/tmp", writable=True))  # noqa: S108 (private to the job)
    shown = filter(os.path.exists, {*run.plan["isolation"]["show"], run.plan["ca_bundle"] or ""})
    certificates = [Mount(path, path) for path in sorted(shown)]
    return [part for mount in [*own, *run.mounts, *certificates] for part in option(mount)]


def option(mount: Mount) -> list[str]:
    """Raises RunFailure (UserError/InvalidPath) for what neither way of writing a mount can say."""
    if ":" not in mount.source + mount.target:
        return ["--volume", f"{mount.source}:{mount.target}:{'rw' if mount.writable else 'ro'}"]
    if "," in mount.source + mount.target:
        message = f"The path {mount.source} has a colon and a comma, and cannot be mounted into a container: rename it."
        raise RunFailure("UserError/InvalidPath", message)
    readonly = "" if mount.writable else ",readonly"
    return ["--mount", f"type=bind,source={mount.source},target={mount.target}{readonly}"]


def prepare_target(mount: Mount) -> None:
    """Make the place of a mount ourselves: what an engine makes would be root's."""
    if os.path.isdir(mount.source):
        os.makedirs(mount.target, exist_ok=True)
    elif not os.path.exists(mount.target):
        os.makedirs(os.path.dirname(mount.target), exist_ok=True)
        with open(mount.target, "wb"):
            pass


def write_variables(run: Run, rank: Rank, path: str) -> None:
    """A shell's file of all that the process sees beside the image's own variables."""
    lines = []
    for each, value in variables(run, rank).items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", each) or each in READ_ONLY:
            run.log(f"approximated: the variable '{each}' is left out, as a shell in the container cannot set it.")
            continue
        lines.append(f"export {each}={shlex.quote(value)}\n")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.writelines(lines)


def variables(run: Run, rank: Rank) -> dict[str, str]:
    base = {
        "HOME": run.path("home"),
        "TMPDIR": "/tmp",  # noqa: S108 (private to the job)
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
    }
    return {
        **dict(inherited(run)),
        **base,
        **run.plan["variables"],
        **run.variables,
        **run.secrets["variables"],
        **rank.variables,
        **marks.inherited(),
    }


def inherited(run: Run) -> Iterator[tuple[str, str]]:
    return (
        (each, os.environ[each]) for each in run.plan["inherit"] if each in os.environ and each not in OF_THE_MACHINE
    )
