"""Numbered lines with times, plain or in colour."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator


class Display:
    """Prints one line per step with the seconds since the step before it."""

    def __init__(self) -> None:
        self._out = sys.stdout
        self._colour = self._out.isatty() and "NO_COLOR" not in os.environ
        self._began = self._last = time.monotonic()
        self._number = 0

    def title(self, text: str) -> None:
        self._write(self._paint("1", text) + "\n\n")

    def step(self, name: str, result: str) -> None:
        """Say that a step is done, and how long it took."""
        now = time.monotonic()
        self._number += 1
        left = f"{self._paint('36', f'{self._number:>2}')}  {self._paint('1', f'{name:<12}')}{result}"
        visible = 4 + 12 + len(result)
        self._write(f"{left}{' ' * max(2, 92 - visible)}{self._paint('2', f'{now - self._last:6.1f} s')}\n")
        self._last = now

    def detail(self, text: str) -> None:
        self._write("".join(self._paint("2", f"                {line}") + "\n" for line in text.splitlines()))

    def say(self, text: str = "") -> None:
        self._write(text + "\n")

    def command(self, command: str, meaning: str) -> None:
        self._write(f"  {self._paint('32', command)}\n      {self._paint('2', meaning)}\n")

    @property
    def seconds(self) -> float:
        """Since the first line."""
        return time.monotonic() - self._began

    @contextlib.contextmanager
    def quoted(self) -> Iterator[None]:
        """What is printed meanwhile appears beside a bar, as it comes."""
        with contextlib.redirect_stdout(_Quotation(self)):
            yield

    def _quote(self, line: str) -> None:
        width = shutil.get_terminal_size((120, 24)).columns - 6
        self._write(f"    {self._paint('34', '|')} {line if len(line) <= width else line[: width - 1] + '…'}\n")

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


class _Quotation(io.TextIOBase):
    """Lines as they come; the long list of what an environment was given is told as a number."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._rest = ""
        self._packages = 0

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if re.match(r" \+ \S+==\S+$", line):
                self._packages += 1
            elif line.strip() and not set(line) <= {"="}:
                self._tell_packages()
                self._display._quote(line)
        return len(text)

    def _tell_packages(self) -> None:
        if self._packages:
            self._display._quote(f" + {self._packages} packages")
        self._packages = 0
