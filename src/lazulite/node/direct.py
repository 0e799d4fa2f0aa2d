"""The user's command as a process of this machine, in the isolation that works there."""

import os
import signal

from . import descendants, isolation, spawn
from .limits import Enforced
from .ranks import Rank
from .run import Run

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Direct:
    """A Launcher (see `launcher.py`)."""

    def __init__(self, run: Run, enforced: Enforced) -> None:
        self.run = run
        self.enforced = enforced
        self.mounted = run.plan["isolation"]["kind"] in ("bubblewrap", "mounts")
        if not self.mounted:
            isolation.link_mounts(run)

    def start(self, rank: Rank, command: str, output: int) -> int:
        inner = ["/bin/bash" if os.path.exists("/bin/bash") else "bash", "-c", command]
        argv, restrict = isolation.confined(self.run, inner)
        pid = spawn.start(
            argv,
            variables(self.run, rank),
            self.run.workdir,
            output,
            limits=self.enforced.rlimits(),
            enter=self.enforced.entrances(rank),
            restrict=restrict,
        )
        self.enforced.started(rank, pid)
        return pid

    def terminate(self) -> None:
        """SIGTERM to all of the job's own processes (bubblewrap's outermost would take its children along at once)."""
        below = descendants.of(os.getpid())
        spared = {pid for pid in below if self.mounted and is_direct_child(pid)}
        descendants.signal_all([pid for pid in below if pid not in spared], signal.SIGTERM)

    def kill(self) -> None:
        descendants.signal_all({*descendants.of(os.getpid()), *self.enforced.members()}, signal.SIGKILL)

    def clear(self) -> None:
        self.enforced.clear()
        descendants.end_all()

    def exit_code(self, rank: Rank, reported: int) -> int:
        return reported

    def never_began(self, rank: Rank, said: str) -> None:
        """A command of this machine always begins: the shell is there."""


def is_direct_child(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1]) == os.getpid()
    except OSError:
        return False


def variables(run: Run, rank: Rank) -> dict[str, str]:
    """All that the process sees: a minimal base, the environment's, the job's, its inputs', the secrets, its rank's."""
    inherited = {name: os.environ[name] for name in run.plan["inherit"] if name in os.environ}
    image = dict(run.plan["environment"]["variables"])
    scripts = os.path.join(run.layer, "bin")
    path = f"{scripts}:{image.pop('PATH', SYSTEM_PATH)}"
    base = {
        "HOME": run.path("home"),
        "TMPDIR": "/tmp" if isolation.has_own_root(run) else run.path("tmp"),  # noqa: S108 (private to the job there)
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "VIRTUAL_ENV": run.layer,
        "SHELL": "/bin/bash",
    }
    merged = inherited | base | image | run.plan["variables"] | run.variables | run.secrets["variables"]
    return {**merged, "PATH": path, **rank.variables}
