"""`lazulite env`: print the variables that point a shell's clients to a server."""

from __future__ import annotations

import argparse
import os
import sys

from lazulite.cli import shells
from lazulite.cli.client import address
from lazulite.cli.errors import OK
from lazulite.cli.home import home_folder, required_server
from lazulite.cli.variables import client_variables


def env(arguments: argparse.Namespace) -> int:
    server = required_server(home_folder(arguments.home))
    shell = arguments.shell or shells.detected(os.environ)
    print(shells.script(client_variables(address(server), os.environ), shell))
    if sys.stdout.isatty():
        flag = f" --home {server.home}" if arguments.home else ""
        how = shells.how_to_apply(shell, f"lazulite env{flag}")
        print(f"\nThis only prints them. To set them in this shell:\n  {how}", file=sys.stderr)
    return OK
