"""The steps of a job by the names that their author gave them: `train`, `prepare/clean` inside a nested pipeline."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from lazulite.cli.client import call
from lazulite.cli.errors import CommandError
from lazulite.cli.home import Server
from lazulite.cli.variables import workspace_id
from lazulite.core import command_line
from lazulite.drawing.words import in_order

_SHOWN = 20
_BAD = ("Failed", "Canceled")


def workspace(arguments: argparse.Namespace) -> str:
    """The path of the workspace that the options name."""
    return workspace_id(arguments.subscription, arguments.group, arguments.workspace)


def options(arguments: argparse.Namespace) -> str:
    """What to type after a command for the same home and workspace; empty for the usual ones."""
    return command_line.options(
        home=arguments.home,
        workspace=arguments.workspace,
        group=arguments.group,
        subscription=arguments.subscription,
    )


def words(arguments: argparse.Namespace) -> str:
    """The step and the options as they were typed after a command."""
    node = f" --node {shlex.quote(arguments.node)}" if arguments.node else ""
    return f"{shlex.quote(arguments.name)}{node}{options(arguments)}"


def named(server: Server, arguments: argparse.Namespace) -> str:
    """The run that NAME and --node mean. Raises CommandError."""
    return find(server, arguments, arguments.node) if arguments.node else str(arguments.name)


def find(server: Server, arguments: argparse.Namespace, node: str) -> str:
    """The run of the step at the path `node` below the job named. Raises CommandError that lists what there is."""
    run = str(arguments.name)
    for name in node.split("/"):
        below = children(server, arguments, run)
        if name not in below:
            raise _missing(server, arguments, run, name, below)
        properties = below[name].get("properties") or {}
        run = str(properties.get("azureml.reusedrunid") or below[name]["runId"])
    return run


def _missing(
    server: Server, arguments: argparse.Namespace, run: str, name: str, below: dict[str, dict[str, Any]]
) -> CommandError:
    """Why there is no step of that name: there is no such node, or it is a loop's body, or did not run."""
    there = f"has: {_listed(below)}"
    job = call(server, "GET", f"{workspace(arguments)}/jobs/{quote(run, safe='')}?api-version=2024-10-01")["properties"]
    if name not in (job.get("jobs") or {}):
        return CommandError(f"'{run}' has no step '{name}'", f"it {there}")
    iterations = [step for step in below if step.startswith(f"{name}[")]
    if iterations:
        return CommandError(f"'{name}' is what a loop runs again and again", f"name one of: {_listed(iterations)}")
    return CommandError(f"'{name}' has no job: it did not run, or runs nothing itself", f"'{run}' {there}")


def hint(server: Server, arguments: argparse.Namespace, run: str) -> str:
    """What to name instead of a job that is a parent of others; empty for one that is not."""
    try:
        below = children(server, arguments, run)
    except CommandError:
        return ""
    bad = [name for name, step in below.items() if step["status"] in _BAD]
    text = f"its steps: {_listed(below)}" if below else ""
    if not bad:
        return text
    path = f"{arguments.node}/{bad[0]}" if arguments.node else bad[0]
    command = f"lazulite job debug {arguments.name} --node {shlex.quote(path)}{options(arguments)}"
    return f"{text}; failed: {', '.join(bad[:_SHOWN])}\n  -> `{command}`"


def children(server: Server, arguments: argparse.Namespace, run: str) -> dict[str, dict[str, Any]]:
    """The documents of a run's children: by the node of each, of a sweep's trials by their numbers."""
    path = f"/history/v1.0{workspace(arguments)}/runs/{quote(run, safe='')}/children?$top=1000"
    found: dict[str, dict[str, Any]] = {}
    after = ""
    while True:
        page = call(server, "GET", path + after)
        for child in page["value"]:
            found[_name(run, child)] = child
        if not page["continuationToken"]:
            return found
        after = f"&$continuationtoken={page['continuationToken']}"


def _name(parent: str, child: dict[str, Any]) -> str:
    node = (child.get("properties") or {}).get("azureml.nodeid")
    return str(node) if node else str(child["runId"]).removeprefix(f"{parent}_")


def _listed(below: Iterable[str]) -> str:
    names = sorted(below, key=in_order)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "none") + more
