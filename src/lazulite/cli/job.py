"""`lazulite job list`, `show`, `cancel` and `rerun`: jobs by their documents."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from lazulite.cli import steps
from lazulite.cli.client import call
from lazulite.cli.errors import OK
from lazulite.cli.home import Server
from lazulite.cli.workspace import server_of
from lazulite.drawing import words
from lazulite.drawing.facts import facts, local
from lazulite.drawing.state import OVER, moment

_API = "api-version=2024-10-01"
_PAGE = 100
#: How long the command waits to see that a job takes notice of its being cancelled.
_PATIENCE_S = 5.0
_TICK_S = 0.1
Json = dict[str, Any]


def show_list(arguments: argparse.Namespace) -> int:
    server = server_of(arguments)
    found = list(_listed(server, arguments))
    if arguments.output == "json":
        print(json.dumps(found, indent=2))
        return OK
    rows = [("NAME", "STATUS", "KIND", "EXPERIMENT", "CREATED", "DISPLAY NAME")] + [_row(one) for one in found]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        print("  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[-1]]).rstrip())
    return OK


def show(arguments: argparse.Namespace) -> int:
    server = server_of(arguments)
    name = steps.named(server, arguments)
    document = call(server, "GET", _path(arguments, name))
    if arguments.output == "json":
        print(json.dumps(document, indent=2))
        return OK
    run = call(server, "GET", f"/history/v1.0{steps.workspace(arguments)}/runs/{quote(name, safe='')}")
    properties = document["properties"]
    page = str(((properties.get("services") or {}).get("Studio") or {}).get("endpoint") or "")
    for label, value in (*facts(document["name"], properties, run, dt.datetime.now(dt.UTC)), ("page", page)):
        print(f"{label:<14}{words.printable(value)}" if "\n" not in value else f"{label}\n{_indented(value)}")
    below = steps.children(server, arguments, name)
    if below:
        tally: dict[str, int] = {}
        for child in below.values():
            tally[child["status"]] = tally.get(child["status"], 0) + 1
        print(f"{'steps':<14}{words.counts(tally)}; `lazulite job graph {name}{steps.options(arguments)}` shows them")
    return OK


def cancel(arguments: argparse.Namespace) -> int:
    server = server_of(arguments)
    name = steps.named(server, arguments)
    before = state = _state(server, arguments, name)
    call(server, "POST", _path(arguments, name, "/cancel"), {})
    until = time.monotonic() + _PATIENCE_S
    while state == before and state not in OVER and time.monotonic() < until:
        time.sleep(_TICK_S)
        state = _state(server, arguments, name)
    print(state)
    return OK


def _state(server: Server, arguments: argparse.Namespace, name: str) -> str:
    return str(call(server, "GET", _path(arguments, name))["properties"]["status"])


def rerun(arguments: argparse.Namespace) -> int:
    server = server_of(arguments)
    path = _path(arguments, arguments.name, "/rerun")
    made = call(server, "POST", path, {"from": arguments.node} if arguments.node else {})
    print(made["name"])
    return OK


def _path(arguments: argparse.Namespace, name: str, action: str = "") -> str:
    return f"{steps.workspace(arguments)}/jobs/{quote(name, safe='')}{action}?{_API}"


def _listed(server: Server, arguments: argparse.Namespace) -> Iterator[Json]:
    """The newest jobs that lie below no other, as many as wanted."""
    left: int = arguments.max
    count = _PAGE if arguments.experiment else min(left, _PAGE)
    path = f"{steps.workspace(arguments)}/jobs?{_API}&count={count}"
    while path:
        page = call(server, "GET", path)
        for one in page["value"]:
            if arguments.experiment in (None, one["properties"].get("experimentName")):
                yield one
                left -= 1
                if left == 0:
                    return
        path = (page.get("nextLink") or "").removeprefix(server.https_url)


def _row(document: Json) -> tuple[str, ...]:
    properties = document["properties"]
    created = moment(document["systemData"]["createdAt"])
    title = str(properties.get("displayName") or "")
    row = (
        document["name"],
        str(properties["status"]),
        str(properties["jobType"]).lower(),
        str(properties.get("experimentName") or ""),
        local(created),
        "" if title == document["name"] else title,
    )
    return tuple(words.printable(text) for text in row)


def _indented(text: str) -> str:
    return "\n".join(f"  {words.printable(line)}" for line in text.rstrip().splitlines())
