"""`lazulite up`: start a server, and say how to use it."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from lazulite.cli import process, shells
from lazulite.cli.errors import OK, CommandError
from lazulite.cli.home import Server, home_folder, running_server

_FOLLOW_EVERY_S = 0.2


def up(arguments: argparse.Namespace) -> int:
    home = home_folder(arguments.home)
    server = running_server(home)
    if server is not None:
        print(f"Lazulite is already running on {home} (process {server.pid}).\n")
        print(introduction(server, explicit_home=arguments.home))
        return OK
    if process.hung_server(home):
        raise CommandError(
            f"a server of {home} lives but does not answer", "end it with `lazulite down`, then start it again"
        )
    began = time.monotonic()
    # A closed terminal ends a server in the foreground as Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    server, child = process.start(home, process.Options(arguments.port, arguments.http_port, arguments.host))
    try:
        print(f"Lazulite {server.version} is ready ({time.monotonic() - began:.1f} s, process {server.pid}).\n")
        print(introduction(server, explicit_home=arguments.home), flush=True)
        if arguments.detach:
            stop = f"lazulite down --home {home}" if arguments.home else "lazulite down"
            print(f"It runs in the background; its log is {process.log_file(home)}. Stop it with `{stop}`.")
            return OK
        print("Press Ctrl-C to stop it.", flush=True)
        _watch(server, child)
    except KeyboardInterrupt:
        print("\nStopping.", flush=True)
        process.stop(server)
    return OK


def introduction(server: Server, *, explicit_home: str | None = None) -> str:
    """Addresses, isolation, limits and the next step, as lines for a person."""
    flag = f" --home {server.home}" if explicit_home else ""
    shell = shells.detected(os.environ)
    return (
        f"  Azure ML API   {server.https_url}\n"
        f"  plain HTTP     {server.http_url}  (loopback only: sign-in, health)\n"
        f"  home           {server.home}\n"
        f"  isolation      {server.isolation or 'unknown'}\n"
        f"  limits         {server.limits or 'unknown'}\n"
        f"\nPoint this shell's Azure ML, MLflow and Blob clients to it:\n"
        f"  {shells.how_to_apply(shell, f'lazulite env{flag}')}\n"
        f"or a single command:\n"
        f"  lazulite run{flag} -- python train.py\n"
    )


def _watch(server: Server, child: subprocess.Popen[bytes]) -> None:
    """Show the server's log until it is stopped. Raises CommandError if it ends in another way."""
    with process.log_file(server.home).open("rb") as log:
        log.seek(0, os.SEEK_END)
        while child.poll() is None:
            _show(log)
            time.sleep(_FOLLOW_EVERY_S)
        _show(log)
    if child.returncode != 0:
        raise CommandError(
            f"the server ended by itself (exit code {child.returncode})",
            f"its log is {process.log_file(server.home)}; `lazulite up` starts it again with everything it had",
        )
    print("The server was stopped.")


def _show(log: BinaryIO) -> None:
    text = log.read()
    if text:
        sys.stderr.write(text.decode(errors="replace"))
        sys.stderr.flush()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def down(arguments: argparse.Namespace) -> int:
    """`lazulite down`: stop the server of a home; nothing to stop is no failure."""
    home = home_folder(arguments.home)
    server = running_server(home) or process.hung_server(home)
    if server is None:
        print(f"No server is running on {home}.")
        return OK
    process.stop(server)
    print(
        f"Stopped the server on {_short(home)} (process {server.pid}). Jobs that run go on; `lazulite up` finds them."
    )
    return OK


def _short(path: Path) -> str:
    return str(path).replace(str(Path.home()), "~", 1) if path.is_relative_to(Path.home()) else str(path)
