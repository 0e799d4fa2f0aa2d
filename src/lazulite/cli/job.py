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
from lazulite.cli.home import Server, home_folder, required_server
from lazulite.drawing import words
from lazulite.drawing.state import OVER, moment

_API = "api-version=2024-10-01"
_PAGE = 100
#: How long the command waits to see that a job takes notice of its being cancelled.
_PATIENCE_S = 5.0
_TICK_S = 0.1
Json = dict[str, Any]


def show_list(arguments: argparse.Namespace) -> int:
    server = required_server(home_folder(arguments.home))
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
    server = required_server(home_folder(arguments.home))
    name = steps.named(server, arguments)
    document = call(server, "GET", _path(arguments, name))
    if arguments.output == "json":
        print(json.dumps(document, indent=2))
        return OK
    run = call(server, "GET", f"/history/v1.0{steps.workspace(arguments)}/runs/{quote(name, safe='')}")
    for label, value in _facts(document, run):
        print(f"{label:<14}{words.printable(value)}" if "\n" not in value else f"{label}\n{_indented(value)}")
    below = steps.children(server, arguments, name)
    if below:
        tally: dict[str, int] = {}
        for child in below.values():
            tally[child["status"]] = tally.get(child["status"], 0) + 1
        print(f"{'steps':<14}{words.counts(tally)}; `lazulite job graph {name}{steps.options(arguments)}` shows them")
    return OK


def cancel(arguments: argparse.Namespace) -> int:
    server = required_server(home_folder(arguments.home))
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
    server = required_server(home_folder(arguments.home))
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
        _local(created),
        "" if title == document["name"] else title,
    )
    return tuple(words.printable(text) for text in row)


def _facts(document: Json, run: Json) -> Iterator[tuple[str, str]]:
    properties = document["properties"]
    began, ended = moment(run.get("startTimeUtc")), moment(run.get("endTimeUtc"))
    found: dict[str, Any] = {
        "name": document["name"],
        "display name": properties.get("displayName"),
        "kind": str(properties["jobType"]).lower(),
        "status": properties["status"],
        "experiment": properties.get("experimentName"),
        "created": _local(moment(run.get("createdUtc"))),
        "took": words.duration(began, ended, dt.datetime.now(dt.UTC)),
        "step of": run.get("parentRunId"),
        "reuses": (run.get("properties") or {}).get("azureml.reusedrunid"),
        "best trial": _best(document["name"], run.get("properties") or {}),
        "compute": run.get("target"),
        "environment": str(properties.get("environmentId") or "").rsplit("/environments/", 1)[-1],
        "command": properties.get("command"),
        "error": ((run.get("error") or {}).get("error") or {}).get("message"),
    }
    yield from ((label, str(value)) for label, value in found.items() if value)
    for what in ("inputs", "outputs", "tags"):
        values = {name: _value(value) for name, value in sorted((properties.get(what) or {}).items())}
        if values:
            yield what, "\n".join(f"{name}: {value}" for name, value in values.items()) + "\n"
    yield "page", str(((properties.get("services") or {}).get("Studio") or {}).get("endpoint") or "")


def _best(name: str, properties: Json) -> str:
    """Of a sweep, what to name as --node, and what it came to."""
    child = str(properties.get("best_child_run_id") or "")
    return f"{child.removeprefix(f'{name}_')}, {properties.get('score')}" if child else ""


def _value(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("uri") or value.get("value") or value.get("jobOutputType") or ""
    return str(value)


def _indented(text: str) -> str:
    return "\n".join(f"  {words.printable(line)}" for line in text.rstrip().splitlines())


def _local(at: dt.datetime | None) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}" if at else ""
