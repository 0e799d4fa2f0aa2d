"""`lazulite run -- CMD`: run one program whose Azure ML clients come to a server here."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from lazulite.cli import process
from lazulite.cli.client import address
from lazulite.cli.errors import USAGE, CommandError
from lazulite.cli.home import home_folder
from lazulite.cli.variables import applied, client_variables
from lazulite.cli.workspace import chosen

_NOT_FOUND, _NOT_EXECUTABLE, _SIGNALLED = 127, 126, 128


def run(arguments: argparse.Namespace) -> int:
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        raise CommandError(
            "there is no command to run", "write it after two dashes: `lazulite run -- python x.py`", USAGE
        )
    server, started = process.ensure(home_folder(arguments.home))
    try:
        if started:
            print(f"lazulite: started a server on {server.home} for this command", file=sys.stderr)
        workspace = chosen(server, arguments.workspace, arguments.group, arguments.subscription, Path.cwd())
        return _run(command, applied(client_variables(address(server), os.environ, workspace.id), os.environ))
    finally:
        if started:
            process.stop(server)


def _run(command: list[str], environment: dict[str, str]) -> int:
    try:
        child = subprocess.Popen(command, env=environment)
    except FileNotFoundError:
        print(f"lazulite: there is no program {command[0]!r}", file=sys.stderr)
        return _NOT_FOUND
    except PermissionError:
        print(f"lazulite: {command[0]!r} may not be run", file=sys.stderr)
        return _NOT_EXECUTABLE
    # Ctrl-C reaches the child from the terminal; it decides what that means, and we wait for it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for passed_on in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(passed_on, lambda number, frame: child.send_signal(number))
    code = child.wait()
    return code if code >= 0 else _SIGNALLED - code
