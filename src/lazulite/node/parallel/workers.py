"""The driver's side of its workers: each is in one state, and what it does now may take so long."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from multiprocessing import Pipe
from typing import Any

from . import devices
from .batches import Batch
from .settings import Settings
from .table_file import Table

STARTING, IDLE, LOADING, RUNNING = "starting", "idle", "loading", "running"
_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_PROGRAM = os.path.join(_PACKAGE, "__main__.py")
_END_S = 60.0
_TELL_S = 1.0


class Worker:
    """A process that has the entry script loaded. `batch` is what it works on, `tried` how often it was tried before."""

    def __init__(self, settings: Settings, table: Table | None, instance: int, number: int) -> None:
        self.instance, self.number = instance, number
        self.batch: Batch | None = None
        self.tried = 0
        self.items = 0
        self.state = STARTING
        self.began = self.given = 0.0
        self._settings, self._table = settings, table
        self.start()

    @property
    def name(self) -> str:
        return f"process{self.number:03d}"

    def log(self, kind: str, ending: str) -> str:
        """The path of one of its logs, `logs/user/<kind>/<instance>/process000.<ending>`; its folder is made."""
        folder = os.path.join("logs", "user", kind, str(self.instance))
        os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, f"{self.name}.{ending}")

    def start(self) -> None:
        self.pipe, other = Pipe()
        self.batch, self.state, self.began = None, STARTING, time.monotonic()
        self._stacks = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `_close`)
        kept = [other.fileno(), self._stacks.fileno()]
        command = [sys.executable, _PROGRAM, "--worker-process", *map(str, kept)]
        command += [self.log("entry_script_log", "log.txt"), *self._settings.arguments]
        place = self.instance * self._settings.workers_per_instance + self.number
        with open(self.log("stdout", "stdout.txt"), "ab") as out, open(self.log("stderr", "stderr.txt"), "ab") as err:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=kept,
                start_new_session=True,
                env={**os.environ, **devices.variables(place)},
            )
        other.close()
        if self._table is not None:
            self.pipe.send(self._table)

    def give(self, batch: Batch, tried: int) -> None:
        self.batch, self.tried, self.items = batch, tried, len(batch.files)
        self.given = time.monotonic()
        self.enter(LOADING)
        with contextlib.suppress(OSError):  # it has died: its end of the pipe says so
            self.pipe.send(batch)

    def enter(self, state: str) -> None:
        self.state, self.began = state, time.monotonic()

    def left(self) -> float:
        """Seconds that what it does may take yet."""
        return self.allowed() - (time.monotonic() - self.began)

    def allowed(self) -> float:
        return {
            STARTING: self._settings.first_task_creation_timeout,
            LOADING: self._settings.task_overhead_timeout,
            RUNNING: self._settings.timeout,
            IDLE: float("inf"),
        }[self.state]

    def said(self) -> Any:
        """What came over the pipe. Raises EOFError when the process has ended."""
        try:
            return self.pipe.recv()
        except OSError as error:
            raise EOFError from error

    def ending(self) -> str:
        """How the process ended, in words."""
        code = self._process.wait()
        return f"ended with exit code {code}" if code >= 0 else f"was ended by {_signal(-code)}"

    def stack(self) -> str:
        """Where the process was when it crashed; one that runs yet is ended, and tells. Empty where nobody knows."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.terminate()
            self._process.wait(_TELL_S)
        self._stacks.seek(0)
        lines = self._stacks.read().decode("utf-8", "replace").splitlines(True)
        return "".join(line for line in lines if _PACKAGE not in line)

    def replace(self) -> None:
        """A new process in place of one that hangs or died."""
        self.kill()
        self.start()

    def release(self) -> None:
        """Ask it to end where it waits; kill it where it works."""
        if self.state == STARTING and self._is_ready():
            self.enter(IDLE)
        if self.state != IDLE:
            self.kill()
            return
        with contextlib.suppress(OSError):
            self.pipe.send(None)

    def _is_ready(self) -> bool:
        try:
            return bool(self.pipe.poll() and self.said() == ("ready",))
        except EOFError:
            return False

    def join(self) -> str | None:
        """Wait for its end; what went wrong in `shutdown`, if something did."""
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"shutdown() took longer than {_END_S:g} seconds and was ended"
        self._close()
        return f"shutdown() failed: see {self.log('stderr', 'stderr.txt')}" if code and self.state == IDLE else None

    def kill(self) -> None:
        """With whatever the entry script has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._close()

    def _close(self) -> None:
        self.pipe.close()
        self._stacks.close()


def _signal(number: int) -> str:
    try:
        return f"the signal {signal.Signals(number).name}{' (did memory run out?)' * (number == signal.SIGKILL)}"
    except ValueError:
        return f"signal {number}"
