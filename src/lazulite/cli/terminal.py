"""A terminal of its own for a shell that another process starts: keys and screen are passed between it and ours."""

from __future__ import annotations

import fcntl
import os
import select
import shlex
import signal
import subprocess
import sys
import termios
import tty
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

_BYTES = 65536
_TICK_S = 0.1
_CTRL_C, _CTRL_D = b"\x03", b"\x04"

#: Called at Ctrl-C; says whether that was meant for the caller rather than for the shell.
Interrupt = Callable[[], bool]


class Terminal:
    """Use as a context; `shell` or `program` is what the other process runs, `serve` passes everything on until it ends.

    `folder` takes the shell's start-up file, `title` stands in its prompt.
    """

    def __init__(self, folder: Path, title: str) -> None:
        self._start = folder / "shell.sh"
        prompt = shlex.quote(f"({title}) " + chr(92) + "w$ ")
        self._start.write_text(f'PS1={prompt}\nhistory -s -- "$JOB_COMMAND"\n')

    def __enter__(self) -> Terminal:
        self._master, self._slave = os.openpty()
        self._before = termios.tcgetattr(0)
        self._resize()
        self._on_resize = signal.signal(signal.SIGWINCH, lambda *_: self._resize())
        return self

    def shell(self, job: str) -> str:
        """A shell whose controlling terminal is this one, with the job's own command in JOB_COMMAND and its history."""
        return self._here(job, f"bash --rcfile {shlex.quote(str(self._start))} -i")

    def program(self, job: str) -> str:
        """The job's own command, with this one as its controlling terminal."""
        return self._here(job, 'bash -c "$JOB_COMMAND"')

    def _here(self, job: str, command: str) -> str:
        name = shlex.quote(os.ttyname(self._slave))
        variables = f"TERM={shlex.quote(os.environ.get('TERM', 'xterm'))} JOB_COMMAND={shlex.quote(job)}"
        return f"export {variables}; setsid -c -w {command} <{name} >{name} 2>&1"

    def serve(self, agent: subprocess.Popen[bytes], interrupt: Interrupt, tick: Callable[[], None]) -> None:
        tty.setraw(0)
        listened = [0, self._master]
        while agent.poll() is None:
            tick()
            ready, _, _ = select.select(listened, [], [], _TICK_S)
            if 0 in ready:
                keys = os.read(0, _BYTES)
                if not keys:
                    listened.remove(0)  # our own terminal is gone: so is the shell's
                if not (_CTRL_C in keys and interrupt()):
                    os.write(self._master, keys or _CTRL_D)
            if self._master in ready:
                self._show()
        while select.select([self._master], [], [], 0)[0]:
            self._show()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGWINCH, self._on_resize)
        termios.tcsetattr(0, termios.TCSADRAIN, self._before)
        os.close(self._master)
        os.close(self._slave)

    def _show(self) -> None:
        os.write(sys.stdout.fileno(), os.read(self._master, _BYTES))

    def _resize(self) -> None:
        size = fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, size)
