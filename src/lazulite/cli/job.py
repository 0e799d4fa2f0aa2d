"""`lazulite job rerun` and `lazulite job debug`: run a job again, or step into one that is over."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lazulite.cli import terminal
from lazulite.cli.client import call
from lazulite.cli.errors import FAILED, OK, CommandError
from lazulite.cli.home import Server, home_folder, required_server

_AGENT = Path(__file__).resolve().parents[1] / "node" / "__main__.py"
_API = "api-version=2024-10-01"


def rerun(arguments: argparse.Namespace) -> int:
    server = required_server(home_folder(arguments.home))
    path = f"{_workspace(arguments)}/jobs/{quote(arguments.name, safe='')}/rerun?{_API}"
    made = call(server, "POST", path, {"from": arguments.node} if arguments.node else {})
    print(made["name"])
    return OK


def debug(arguments: argparse.Namespace) -> int:
    server = required_server(home_folder(arguments.home))
    name = _step(server, arguments) if arguments.node else arguments.name
    found = call(server, "GET", f"/lazulite{_workspace(arguments)}/jobs/{quote(name, safe='')}/plan")
    folder = Path(tempfile.mkdtemp(prefix="lazulite-debug-"))
    command = arguments.command
    plan = _of_scratch(found["plan"], folder)
    print(f"lazulite: stepping into {name}; outputs and logs go to {folder}", file=sys.stderr)
    print(f"lazulite: its command: {plan['command']}", file=sys.stderr)
    if command:
        plan["command"] = command[0] if len(command) == 1 else shlex.join(command)
        return _run(folder, plan, found["secrets"])
    if not sys.stdin.isatty():
        raise CommandError("there is no terminal for a shell", "name a command: `lazulite job debug NAME -- CMD`")
    with terminal.Terminal() as shell:
        plan["command"] = shell.command()
        return shell.serve(_started(folder, plan, found["secrets"]))


def _of_scratch(plan: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The plan with everything that is written going to `folder`, as one process that nothing ends but its user."""
    outputs = {
        name: {
            **output,
            "kind": "path",
            "root": None,
            "url": None,
            "path": str(_output(folder, name, output)),
        }
        for name, output in plan["outputs"].items()
    }
    isolation = {**plan["isolation"], "kind": "process"}
    distribution = {**plan["distribution"], "type": None, "nodes": 1}
    variables = {name: value for name, value in plan["variables"].items() if name != "MLFLOW_RUN_ID"}
    return {
        **plan,
        "variables": variables,  # without the run: what is logged here goes to a run of its own
        "artifacts": str(folder / "artifacts"),
        "outputs": outputs,
        "isolation": isolation,
        "distribution": distribution,
        "timeout_s": None,
    }


def _output(folder: Path, name: str, output: dict[str, Any]) -> Path:
    path = folder / "outputs" / name
    path.mkdir(parents=True)
    return path / Path(output.get("path") or output.get("url") or name).name if output["type"] == "uri_file" else path


def _started(folder: Path, plan: dict[str, Any], secrets: dict[str, Any]) -> subprocess.Popen[bytes]:
    run = folder / "run"
    run.mkdir(mode=0o700)
    for name, document in (("secrets.json", secrets), ("plan.json", plan)):
        (run / name).touch(mode=0o600)
        (run / name).write_text(json.dumps(document))
    arguments = [sys.executable, "-I", "-S", str(_AGENT), str(run), "--foreground"]
    return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, start_new_session=True)


def _run(folder: Path, plan: dict[str, Any], secrets: dict[str, Any]) -> int:
    """Run the command to its end, its output passed on as it comes; Ctrl-C ends it."""
    agent = _started(folder, plan, secrets)
    log, shown = folder / "artifacts" / "user_logs" / "std_log.txt", 0
    while True:
        over = True
        try:
            agent.wait(0.1)
        except subprocess.TimeoutExpired:
            over = False
        except KeyboardInterrupt:
            (folder / "run" / "cancel").touch()
            over = False
        shown = _pass_on(log, shown)
        if over:
            return _ending(folder)


def _pass_on(log: Path, shown: int) -> int:
    try:
        with log.open("rb") as file:
            file.seek(shown)
            text = file.read()
    except FileNotFoundError:
        return shown
    sys.stdout.buffer.write(text)
    sys.stdout.flush()
    return shown + len(text)


def _ending(folder: Path) -> int:
    try:
        status = json.loads((folder / "run" / "status.json").read_text())
    except (OSError, ValueError):
        raise CommandError("the job's agent ended without a word", f"see {folder}") from None
    if status.get("outcome") == "completed":
        return OK
    code = status.get("exit_code")
    if code is None:
        raise CommandError(str((status.get("error") or {}).get("message") or "the command did not run"))
    return int(code) if code > 0 else FAILED


def _step(server: Server, arguments: argparse.Namespace) -> str:
    """The run of a pipeline's node."""
    path = f"/history/v1.0{_workspace(arguments)}/runs/{quote(arguments.name, safe='')}/children"
    children = call(server, "GET", path)["value"]
    nodes = {str((child.get("properties") or {}).get("azureml.nodeid")): child for child in children}
    if arguments.node not in nodes:
        there = ", ".join(sorted(nodes)) or "none"
        raise CommandError(f"'{arguments.name}' has no step '{arguments.node}'", f"it has: {there}")
    step = nodes[arguments.node]
    return str(step["properties"].get("azureml.reusedrunid") or step["runId"])


def _workspace(arguments: argparse.Namespace) -> str:
    return (
        f"/subscriptions/{arguments.subscription}/resourceGroups/{arguments.group}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{arguments.workspace}"
    )
