"""`lazulite status`: is a server running, where, and with what isolation."""

from __future__ import annotations

import argparse
import json

from lazulite.cli.errors import NOT_RUNNING, OK, not_running
from lazulite.cli.home import home_folder, running_server
from lazulite.cli.http import get_json


def status(arguments: argparse.Namespace) -> int:
    home = home_folder(arguments.home)
    server = running_server(home)
    if server is None:
        if arguments.json:
            print(json.dumps({"running": False, "home": str(home)}, indent=2))
            return NOT_RUNNING
        raise not_running(home)
    health = get_json(f"{server.http_url}/healthz")
    facts = {
        "running": True,
        "status": health.get("status"),
        "home": str(home),
        "pid": server.pid,
        "version": server.version,
        "started": server.started,
        "https_url": server.https_url,
        "http_url": server.http_url,
        "isolation": health.get("isolation"),
        "limits": health.get("limits"),
    }
    if arguments.json:
        print(json.dumps(facts, indent=2))
        return OK
    print(f"Lazulite {server.version} is running, {health.get('status', 'state unknown')}.")
    rows = {
        "Azure ML API": server.https_url,
        "plain HTTP": server.http_url,
        "home": home,
        "process": f"{server.pid}, since {server.started}",
        "isolation": server.isolation,
        "limits": server.limits,
    }
    print("\n".join(f"  {name:<14} {value}" for name, value in rows.items()))
    return OK
