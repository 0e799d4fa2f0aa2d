"""The folder of one run on this machine: what is written into it, and what its agent says. Blocking."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from lazulite.backends.base import BackendError, Observation
from lazulite.backends.local.removal import remove_tree
from lazulite.core.paths import UnsafePath, open_file
from lazulite.model.run_plan import RunPhase, RunPlan, RunSecrets, RunStatus
from lazulite.node import cgroups, marks

#: Started by its path, so that it imports nothing of the server.
AGENT = Path(__file__).resolve().parents[2] / "node" / "__main__.py"
_START_TIMEOUT_S = 60.0


class RunFolder:
    """`<root>/<workspace>/<job>/<attempt>`: plan, secrets, status and all that the job works with."""

    def __init__(self, path: Path, groups: Mapping[str, Any] | None = None) -> None:
        """`groups` are the places of the server's control groups by controller, for a run whose plan is gone."""
        self.path = path
        self.groups = groups or {}

    @property
    def exists(self) -> bool:
        return (self.path / "plan.json").exists()

    @property
    def started(self) -> bool:
        """Whether an agent ever took this run on. It will be run at most once."""
        return (self.path / "started").exists()

    def write(self, plan: RunPlan, secrets: RunSecrets) -> None:
        """Lay down what the agent reads; the plan last, as it is what makes the folder a run."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        _replace(self.path / "secrets.json", msgspec.json.encode(secrets))
        _replace(self.path / "plan.json", msgspec.json.encode(plan))

    def spawn(self) -> None:
        """Have an agent take the run on, or settle it where its agent died; returns once it is detached.

        Does nothing where another agent has it. Raises BackendError.
        """
        command = [sys.executable, "-I", "-S", str(AGENT), str(self.path)]
        with open(self.path / "agent.log", "ab") as log:
            try:
                done = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.path,
                    env=marks.environment(str(self.path)),
                    start_new_session=True,
                    timeout=_START_TIMEOUT_S,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise BackendError(f"the agent could not be started: {error}") from error
        if done.returncode != 0:
            raise BackendError(f"the agent ended with {done.returncode}: {self._last_words()}")

    def status(self) -> RunStatus | None:
        """What the agent last wrote; None before its first word, and where a job has spoilt it."""
        with (
            suppress(FileNotFoundError, UnsafePath, msgspec.DecodeError),
            os.fdopen(open_file(self.path / "status.json"), "rb") as file,
        ):
            return msgspec.json.decode(file.read(), type=RunStatus)
        return None

    def observe(self) -> Observation:
        """How the run stands. An agent that died has its run settled first, so that the status says so.

        Where the folder is gone, whatever still runs of it is ended first: nothing can be known of it any more.
        """
        if not self.started:
            self.end_processes()
            return Observation(phase=None, alive=False)
        found = self.status()
        if found is None or (found.outcome is None and not is_alive(found)):
            self.spawn()
            found = self.status()
        if found is None:
            return Observation(RunPhase.PREPARING)  # its agent lives and has not yet written a word
        return Observation(
            phase=found.phase,
            alive=found.outcome is None and is_alive(found),
            outcome=found.outcome,
            exit_code=found.exit_code,
            error=found.error,
            times=found.times,
            activity=found.activity,
            notes=tuple(found.notes),
        )

    def ask_to_stop(self, grace_s: float | None = None) -> None:
        """`grace_s` counts in place of the plan's own."""
        if self.exists:
            with suppress(FileNotFoundError):
                (self.path / "cancel").write_text("" if grace_s is None else f"{grace_s:g}")

    def end_processes(self) -> None:
        """SIGKILL whatever runs of this run, its agent too. Raises BackendError where something does not end."""
        for group in cgroups.of(dict(self.groups), str(self.path)):
            group.end()
        if not marks.end(str(self.path)):
            raise BackendError(f"processes of the run in {self.path} do not end: {marks.of(str(self.path))}")

    def stamp(self) -> tuple[int, int] | None:
        """Changes whenever the status is replaced."""
        with suppress(OSError):
            found = os.stat(self.path / "status.json")
            return found.st_ino, found.st_mtime_ns
        return None

    def remove(self) -> None:
        """Delete the folder, whatever the job left in it. Nothing of the run runs then. Raises BackendError."""
        found = self.status()
        if found is None or found.outcome is None or (found.error and found.error.code == "AgentLost"):
            self.end_processes()  # an agent that came to its own end has done so
        remove_tree(self.path)
        for parent in (self.path.parent, self.path.parent.parent):
            with suppress(OSError):
                parent.rmdir()

    def _last_words(self) -> str:
        with suppress(OSError):
            return (self.path / "agent.log").read_text(errors="replace")[-2000:].strip()
        return ""


def is_alive(status: RunStatus) -> bool:
    """Whether the agent that wrote this still lives; its start time tells it from a later process of that number."""
    if status.boot not in ("", marks.boot()):
        return False
    try:
        fields = Path(f"/proc/{status.pid}/stat").read_bytes().rpartition(b")")[2].split()
    except FileNotFoundError:
        return not Path("/proc/self/stat").exists() and _answers(status.pid)
    except OSError:
        return False
    return fields[0] != b"Z" and (status.start_ticks == 0 or int(fields[19]) == status.start_ticks)


def _answers(pid: int) -> bool:
    """For systems without /proc."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _replace(path: Path, content: bytes) -> None:
    aside = path.with_suffix(".new")
    with suppress(FileNotFoundError):
        aside.unlink()
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    os.replace(aside, path)
