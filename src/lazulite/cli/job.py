"""`lazulite job rerun`: run a job again, a pipeline with what need not run taken over."""

from __future__ import annotations

import argparse
from urllib.parse import quote

from lazulite.cli import steps
from lazulite.cli.client import call
from lazulite.cli.errors import OK
from lazulite.cli.home import home_folder, required_server

_API = "api-version=2024-10-01"


def rerun(arguments: argparse.Namespace) -> int:
    server = required_server(home_folder(arguments.home))
    path = f"{steps.workspace(arguments)}/jobs/{quote(arguments.name, safe='')}/rerun?{_API}"
    made = call(server, "POST", path, {"from": arguments.node} if arguments.node else {})
    print(made["name"])
    return OK
