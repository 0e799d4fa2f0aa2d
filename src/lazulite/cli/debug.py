"""`lazulite job debug`: the environment, folder, inputs and variables of a step, with a shell or command in its place."""

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

from lazulite.cli import debugger, steps, terminal
from lazulite.cli.client import call
from lazulite.cli.errors import FAILED, INTERRUPTED, OK, CommandError
from lazulite.cli.home import home_folder, required_server

_AGENT = Path(__file__).resolve().parents[1] / "node" / "__main__.py"
_TICK_S = 0.1


def debug(arguments: argparse.Namespace) -> int:
    code = _code(arguments.code)
    server = required_server(home_folder(arguments.home))
    name = steps.named(server, arguments)
    path = f"/lazulite{steps.workspace(arguments)}/jobs/{quote(name, safe='')}/plan"
    try:
        found = call(server, "GET", path)
    except CommandError as error:
        raise CommandError(error.message, steps.hint(server, arguments, name) or error.hint) from None
    command = arguments.command
    if not (sys.stdin.isatty() or ((command or arguments.run or arguments.debugpy is not None) and not arguments.pdb)):
        text = "name a command: `lazulite job debug NAME -- CMD`, or run the job's own with --run"
        raise CommandError(f"there is no terminal for {'pdb' if arguments.pdb else 'a shell'}", text)
    folder = Path(tempfile.mkdtemp(prefix="lazulite-debug-"))
    plan = of_scratch(found["plan"], folder)
    if code is not None:
        plan["code"] = {"path": str(code), "url": None, "hash": None}
    _introduce(f"'{arguments.node}' of {arguments.name}" if arguments.node else name, found["plan"], plan, folder)
    if command:
        plan["command"] = command[0] if len(command) == 1 else shlex.join(command)
    if arguments.debugpy is not None:
        plan = debugger.waiting(plan, folder, arguments.debugpy, str(code) if code else None)
    elif arguments.pdb or not (command or arguments.run):
        plan = debugger.stopping(plan) if arguments.pdb else plan
        return _at_terminal(folder, plan, found["secrets"], None if arguments.pdb else arguments.node or name)
    return _run(folder, plan, found["secrets"])


def of_scratch(plan: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The plan with everything that is written going to `folder`, as one process that nothing ends but its user."""
    outputs = {
        name: {**output, "kind": "path", "root": None, "url": None, "path": str(_output(folder, name, output))}
        for name, output in plan["outputs"].items()
    }
    kind = plan["isolation"]["kind"]
    alone = {"nodes": 1, "processes_per_node": 1, "worker_count": 1, "parameter_server_count": 0}
    return {
        **plan,
        # Without the run: what is logged here goes to a run of its own.
        "variables": {name: value for name, value in plan["variables"].items() if name != "MLFLOW_RUN_ID"},
        "artifacts": str(folder / "artifacts"),
        "inputs": {name: _unharmed(given) for name, given in plan["inputs"].items()},
        "outputs": outputs,
        "isolation": {**plan["isolation"], "kind": "mounts" if kind == "bubblewrap" else kind},
        "distribution": {**plan["distribution"], **alone},
        "timeout_s": None,
    }


def _unharmed(given: dict[str, Any]) -> dict[str, Any]:
    """The input; of one that its job may write to, a copy."""
    return {**given, "mode": "download"} if given["mode"] == "rw_mount" else given


def _output(folder: Path, name: str, output: dict[str, Any]) -> Path:
    path = folder / "outputs" / name
    path.mkdir(parents=True)
    return path / Path(output.get("path") or output.get("url") or name).name if output["type"] == "uri_file" else path


def _code(given: str | None) -> Path | None:
    """The folder to take in place of the job's code. Raises CommandError where there is none."""
    if given is None:
        return None
    folder = Path(given).resolve()
    if not folder.is_dir():
        raise CommandError(f"--code must name a folder, and '{given}' is none")
    return folder


def _introduce(title: str, real: dict[str, Any], plan: dict[str, Any], folder: Path) -> None:
    _say(f"stepping into {title}; outputs and logs go to {folder}, the job itself is left as it is")
    for name, given in plan["inputs"].items():
        _say(f"  inputs.{name} = {_told(name, given)}")
    for name, told in plan["outputs"].items():
        _say(f"  outputs.{name} -> {told['path']}")
    if plan["isolation"]["kind"] == "process" and any(given["kind"] == "path" for given in plan["inputs"].values()):
        _say("inputs are the data itself: without bubblewrap nothing keeps a command from writing there")
    count = _processes(real["distribution"])
    if count > 1:
        _say(f"the job has {count} processes; this is rank 0 by itself, and its world has one")
    if plan["code"] != real["code"]:
        _say(f"its code is a copy of {plan['code']['path']}")
    _say(f"its command: {plan['command'].strip()}")


def _told(name: str, given: dict[str, Any]) -> str:
    """A literal as it is, of data where it lies and the variable that has its path in the step."""
    if given["kind"] == "literal":
        return str(given["value"])
    return f"$AZURE_ML_INPUT_{name}, {given['path'] or given['uri'] or given['url']}"


def _processes(distribution: dict[str, Any]) -> int:
    kind = (distribution["type"] or "").lower()
    if kind == "tensorflow":
        return int(distribution["worker_count"] + distribution["parameter_server_count"])
    return int(distribution["nodes"] * (distribution["processes_per_node"] if kind else 1))


def _at_terminal(folder: Path, plan: dict[str, Any], secrets: dict[str, Any], shell: str | None) -> int:
    """Run a shell of that title, or where there is none the job's command."""
    if shell:
        _say('the command is in $JOB_COMMAND: `bash -c "$JOB_COMMAND"` runs it, the up arrow brings it; `exit` leaves')
    with terminal.Terminal(folder, shell or "") as here:
        command = here.shell if shell else here.program
        here.serve(
            _started(folder, {**plan, "command": command(plan["command"])}, secrets),
            _interrupt(folder),
            _Activity(folder, end="\r\n").tell,
        )
    return _ending(folder)


class _Activity:
    """Says what takes time before the command runs."""

    def __init__(self, folder: Path, end: str = "\n") -> None:
        self._folder = folder
        self._end = end
        self._told: str | None = None

    def tell(self) -> None:
        status = _status(self._folder) or {}
        activity = status.get("activity") if status.get("phase") == "preparing" else None
        if activity and activity != self._told:
            print(f"lazulite: {activity}", file=sys.stderr, end=self._end, flush=True)
        self._told = activity


def _interrupt(folder: Path) -> terminal.Interrupt:
    """Ctrl-C ends the preparation; once the shell is there, it is the shell's."""

    def interrupt() -> bool:
        if (_status(folder) or {}).get("phase") == "running":
            return False
        (folder / "run" / "cancel").touch()
        return True

    return interrupt


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
    activity = _Activity(folder)
    while True:
        over = True
        try:
            agent.wait(_TICK_S)
        except subprocess.TimeoutExpired:
            over = False
        except KeyboardInterrupt:
            (folder / "run" / "cancel").touch()
            over = False
        activity.tell()
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
    status = _status(folder)
    if status is None:
        raise CommandError("the job's agent ended without a word", f"see {folder}")
    if status.get("outcome") == "completed":
        return OK
    if status.get("outcome") == "canceled":
        return INTERRUPTED
    code = status.get("exit_code")
    if code is None:
        raise CommandError(str((status.get("error") or {}).get("message") or "the command did not run"))
    return int(code) if code > 0 else FAILED


def _status(folder: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((folder / "run" / "status.json").read_text())
    except (OSError, ValueError):
        return None
    return found


def _say(text: str) -> None:
    print(f"lazulite: {text}", file=sys.stderr, flush=True)
