"""`lazulite ui`: sign a browser in to MLflow's pages of a workspace, or to the page of a job."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from collections.abc import Mapping

from lazulite.cli import client
from lazulite.cli.errors import OK
from lazulite.cli.variables import workspace_id
from lazulite.cli.workspace import server_of


def ui(arguments: argparse.Namespace) -> int:
    server = server_of(arguments)
    workspace = workspace_id(arguments.subscription, arguments.group, arguments.workspace)
    made = client.sign_in_code(server, workspace, arguments.job)
    base = server.https_url if arguments.tls else server.http_url
    # What stands behind the # is sent to no server, and so stands in no log.
    link = f"{base}{made['page']}#{made['code']}"
    what = f"the page of {arguments.job}" if arguments.job else f"MLflow's pages of {arguments.workspace}"
    opened = not arguments.link and can_open(os.environ, sys.platform) and webbrowser.open(link)
    if opened:
        print(f"Opened {what} in a browser. If none appears, open this link in one:")
    else:
        print(f"Open this link in a browser, for {what}:")
    print(f"  {link}")
    print(f"It signs in one browser, once, within {made['expires_in']} seconds.")
    return OK


def can_open(environ: Mapping[str, str], platform: str) -> bool:
    """Whether there is a screen: a text browser would take the terminal, and could not show the pages."""
    if platform in ("darwin", "win32"):
        return not environ.get("SSH_CONNECTION")
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))
