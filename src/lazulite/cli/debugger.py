"""`lazulite job debug --debugpy`: the step's Python program waits for a debugger before its first line."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from lazulite.cli.errors import CommandError

#: The first Python program of a command, but for `python -m pip` and the like that prepare for it.
_PYTHON = re.compile(r"(?<![\w./-])(?P<python>(?:\S*/)?python(?:3(?:\.\d+)?)?)(?=\s+(?!-m\s+(?:pip|venv)\b)\S)")
_PACKAGE = "debugpy"


def waiting(plan: dict[str, Any], folder: Path, port: int, root: str | None = None) -> dict[str, Any]:
    """The plan with its program under debugpy, listening on `port` (0 picks a free one) of this machine.

    Says how to attach; `root` is the folder of the step's code on this machine, where that is known. debugpy comes from
    a folder beside the step's environment, which is left as it is.
    Raises CommandError where the command has no Python program, or debugpy cannot be had.
    """
    if plan.get("container"):
        raise CommandError(
            "--debugpy does not reach into containers", "set runtime = process, or use `-- python -m pdb SCRIPT`"
        )
    port = port or _free_port()
    found = _PYTHON.search(plan["command"])
    if found is None:
        first = next(iter(plan["command"].strip().splitlines()), "it is empty")
        raise CommandError(
            f"the command runs no Python program itself: {first[:200]}",
            "name one: `lazulite job debug NAME --debugpy -- python SCRIPT ARGUMENTS`",
        )
    # Modules frozen into the interpreter would hide some break points.
    under = f"{found['python']} -Xfrozen_modules=off -m {_PACKAGE} --listen 127.0.0.1:{port} --wait-for-client"
    command = plan["command"][: found.start()] + under + plan["command"][found.end() :]
    overlay = _overlay(plan, folder)
    path = ":".join(filter(None, (str(overlay), plan["variables"].get("PYTHONPATH"))))
    _say(folder, port, root)
    return {**plan, "command": command, "variables": {**plan["variables"], "PYTHONPATH": path}}


def launch_json(folder: Path, port: int, root: str | None = None) -> dict[str, Any]:
    """A configuration for VS Code that attaches to the step."""
    code = str(folder / "run" / "exe" / "wd")
    return {
        "name": "Lazulite: attach to the step",
        "type": "debugpy",
        "request": "attach",
        "connect": {"host": "127.0.0.1", "port": port},
        "pathMappings": [{"localRoot": root or "${workspaceFolder}", "remoteRoot": code}],
        "justMyCode": False,
    }


def _say(folder: Path, port: int, root: str | None) -> None:
    where = "" if root else " (localRoot is the folder that was the job's code)"
    lines = (
        f"lazulite: the program waits for a debugger on 127.0.0.1:{port}; Ctrl-C gives up",
        f"lazulite: for VS Code, in .vscode/launch.json{where}:",
        json.dumps({"version": "0.2.0", "configurations": [launch_json(folder, port, root)]}, indent=2),
    )
    print("\n".join(lines), file=sys.stderr, flush=True)


def _overlay(plan: dict[str, Any], folder: Path) -> Path:
    """A folder that holds debugpy and nothing else: this command's own where it has one, else from the index."""
    overlay = folder / "debugger"
    overlay.mkdir()
    own = importlib.util.find_spec(_PACKAGE)
    if own is not None and own.origin is not None:
        (overlay / _PACKAGE).symlink_to(Path(own.origin).parent, target_is_directory=True)
        return overlay
    command = [plan["uv"], "pip", "install", "--quiet", "--target", str(overlay), _PACKAGE]
    command += ["--python", plan["environment"]["interpreter"]]
    if plan.get("uv_cache"):
        command += ["--cache-dir", plan["uv_cache"]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CommandError(
            f"debugpy cannot be installed ({shlex.join(command[:3])}): {done.stderr.strip()[-300:]}",
            "install it beside lazulite: `pip install debugpy`",
        )
    return overlay


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])
