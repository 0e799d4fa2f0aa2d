"""A terminal of its own for a shell that another process starts: keys and screen are passed between it and ours."""

from __future__ import annotations

import fcntl
import os
import select
import shlex
import subprocess
import sys
import termios
import tty
from types import TracebackType

_BYTES = 65536


class Terminal:
    """Use as a context; `command` is what the other process runs, `serve` passes everything on until it ends."""

    def __enter__(self) -> Terminal:
        self._master, self._slave = os.openpty()
        self._before = termios.tcgetattr(0)
        size = fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, size)
        return self

    def command(self) -> str:
        """A shell whose controlling terminal is this one."""
        name = shlex.quote(os.ttyname(self._slave))
        return f"TERM={shlex.quote(os.environ.get('TERM', 'xterm'))} setsid -c -w bash -i <{name} >{name} 2>&1 || true"

    def serve(self, agent: subprocess.Popen[bytes]) -> int:
        tty.setraw(0)
        while agent.poll() is None:
            ready, _, _ = select.select([0, self._master], [], [], 0.1)
            if 0 in ready:
                os.write(self._master, os.read(0, _BYTES))
            if self._master in ready:
                os.write(sys.stdout.fileno(), os.read(self._master, _BYTES))
        return 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        termios.tcsetattr(0, termios.TCSADRAIN, self._before)
        os.close(self._master)
        os.close(self._slave)
