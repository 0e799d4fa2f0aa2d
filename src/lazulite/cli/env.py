"""`lazulite env`: print the variables that point a shell's clients to a server."""

from __future__ import annotations

import argparse
import os
import sys

from lazulite.cli import shells
from lazulite.cli.client import address
from lazulite.cli.errors import OK
from lazulite.cli.steps import options
from lazulite.cli.variables import client_variables, workspace_id
from lazulite.cli.workspace import server_of


def env(arguments: argparse.Namespace) -> int:
    server = server_of(arguments)
    workspace = workspace_id(arguments.subscription, arguments.group, arguments.workspace)
    shell = arguments.shell or shells.detected(os.environ)
    print(shells.script(client_variables(address(server), os.environ, workspace), shell))
    if sys.stdout.isatty():
        how = shells.how_to_apply(shell, f"lazulite env{options(arguments)}")
        print(f"\nThis only prints them. To set them in this shell:\n  {how}", file=sys.stderr)
    return OK
