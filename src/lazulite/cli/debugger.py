"""`lazulite job debug --debugpy` and `--pdb`: the step's Python program under a debugger."""

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
from lazulite.core.extras import install_packages

#: The first Python program of a command with the interpreter's options, but for `python -m pip`, `python -V` and the like.
_PYTHON = re.compile(
    r"(?<![\w./-])(?P<python>(?:\S*/)?python(?:3(?:\.\d+)?)?(?:\s+-(?:[bBdEIOPqsSuvx]+|[WX]\s*\S+))*)"
    r"(?=\s+(?!-m\s+(?:pip|venv)\b)(?:-[cm]\s|[^-\s]))"
)
_PACKAGE = "debugpy"
_POST_MORTEM = Path(__file__).resolve().parents[1] / "node" / "post_mortem.py"


def waiting(plan: dict[str, Any], folder: Path, port: int, root: str | None = None) -> dict[str, Any]:
    """The plan with its program under debugpy, listening on `port` (0 picks a free one) of this machine.

    Says how to attach; `root` is the folder of the step's code on this machine, where that is known. debugpy comes from
    a folder beside the step's environment, which is left as it is.
    Raises CommandError where the command has no Python program, or debugpy cannot be had.
    """
    port = port or _free_port()
    found = _program(plan, "--debugpy")
    # By its path, so that the step's own variables stay as they are.
    overlay = _overlay(plan, folder)
    # Modules frozen into the interpreter would hide some break points.
    options = f"-Xfrozen_modules=off {overlay / _PACKAGE} --listen 127.0.0.1:{port} --wait-for-client"
    _say(folder, port, root)
    return {**plan, "command": _under(plan["command"], found, options)}


def stopping(plan: dict[str, Any]) -> dict[str, Any]:
    """The plan with its program under pdb from the moment that it raises what it does not catch.

    Raises CommandError where the command has no Python program, or one that pdb cannot read.
    """
    found = _program(plan, "--pdb")
    if plan["command"][found.end() :].split(None, 1)[0] == "-c":
        raise CommandError("--pdb needs a script or a module, and the command has its program after -c")
    return {**plan, "command": _under(plan["command"], found, shlex.quote(str(_POST_MORTEM)))}


def _program(plan: dict[str, Any], option: str) -> re.Match[str]:
    if plan.get("container"):
        raise CommandError(
            f"{option} does not reach into containers", "set runtime = process, or use `-- python -m pdb SCRIPT`"
        )
    found = _PYTHON.search(plan["command"])
    if found is None:
        first = next(iter(plan["command"].strip().splitlines()), "it is empty")
        raise CommandError(
            f"the command runs no Python program itself: {first[:200]}",
            f"name one: `lazulite job debug NAME {option} -- python SCRIPT ARGUMENTS`",
        )
    return found


def _under(command: str, found: re.Match[str], what: str) -> str:
    return f"{command[: found.end()]} {what}{command[found.end() :]}"


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
            f"install it beside lazulite: `{install_packages(_PACKAGE)}`",
        )
    return overlay


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])
