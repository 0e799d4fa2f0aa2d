"""`lazulite job graph`: a picture of a pipeline on the terminal, or in a file."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lazulite.cli import steps
from lazulite.cli.client import call
from lazulite.cli.errors import FAILED, OK, USAGE, CommandError
from lazulite.cli.home import Server
from lazulite.cli.workspace import server_of
from lazulite.drawing import page, state, svg, tree, words
from lazulite.drawing.state import Picture

_API = "api-version=2024-10-01"
_KINDS = (".svg", ".html")
_TICK_S = 1.0
_CLEAR = "\x1b[H\x1b[J"


def graph(arguments: argparse.Namespace) -> int:
    """Draw the job once, or with `--watch` until it is over; then the exit code says whether it completed."""
    target = Path(arguments.output) if arguments.output else None
    if target is not None and target.suffix.lower() not in _KINDS:
        raise CommandError(f"a picture is written as {' or '.join(_KINDS)}, not as '{target.name}'", code=USAGE)
    source = HttpSource(server_of(arguments), arguments)
    shown = ""
    while True:
        began = time.monotonic()
        picture = state.read(source, arguments.name, arguments.depth)
        if target is not None:
            _save(picture, target, steps.options(arguments))
        else:
            shown = _show(picture, arguments.watch, shown, steps.options(arguments))
        if not arguments.watch or picture.over:
            break
        # A large pipeline takes longer to read, and is looked at less often.
        time.sleep(max(_TICK_S, 3 * (time.monotonic() - began)))
    if target is not None:
        print(target)
    return OK if not arguments.watch or picture.state == "Completed" else FAILED


class HttpSource:
    """The documents of a server's jobs."""

    def __init__(self, server: Server, arguments: argparse.Namespace) -> None:
        self._server = server
        self._arguments = arguments
        self._workspace = steps.workspace(arguments)

    def job(self, name: str) -> dict[str, Any]:
        found = call(self._server, "GET", f"{self._workspace}/jobs/{quote(name, safe='')}?{_API}")
        properties: dict[str, Any] = found["properties"]
        return properties

    def run(self, name: str) -> dict[str, Any]:
        return call(self._server, "GET", f"/history/v1.0{self._workspace}/runs/{quote(name, safe='')}")

    def children(self, name: str) -> Iterable[dict[str, Any]]:
        return steps.children(self._server, self._arguments, name).values()


def _save(picture: Picture, target: Path, options: str) -> None:
    now = dt.datetime.now(dt.UTC)
    text = svg.draw(picture, now) if target.suffix.lower() == ".svg" else page.write(picture, now, options)
    aside = target.with_name(f".{target.name}.new")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(target)
    except OSError as error:
        raise CommandError(f"{target} cannot be written: {error.strerror}") from None


def _show(picture: Picture, watch: bool, before: str, options: str) -> str:
    """Onto the screen; where there is none, while watching, a line for each change. Returns what it said."""
    now, screen = dt.datetime.now(dt.UTC), sys.stdout.isatty()
    if watch and not screen and not picture.over:
        line = f"{words.state_word(picture.state)}: {words.counts(picture.tally())}"
        if line != before:
            print(f"{now:%H:%M:%S} {line}", flush=True)
        return line
    size = shutil.get_terminal_size((120, 50))
    colour = screen and "NO_COLOR" not in os.environ
    lines = tree.write(picture, now, width=size.columns if screen else 160, colour=colour, unicode=can_write("✓█"))
    if any(picture.graph.failed()) and (picture.over or not watch):
        lines += ["", f"  -> `{page.next_commands(picture, options)[0]}`"]
    if watch and screen:
        most = size.lines - 1 if not picture.over else len(lines)
        lines = lines if len(lines) <= most else [*lines[: most - 1], f"  and {len(lines) - most + 1} lines more"]
        sys.stdout.write(_CLEAR)
    print("\n".join(lines), flush=True)
    return ""


def can_write(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeError):
        return False
    return True
