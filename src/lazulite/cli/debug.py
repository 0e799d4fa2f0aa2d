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

from lazulite.cli import debugger, scratch, steps, terminal
from lazulite.cli.client import call
from lazulite.cli.errors import FAILED, INTERRUPTED, OK, CommandError
from lazulite.cli.workspace import server_of

_AGENT = Path(__file__).resolve().parents[1] / "node" / "__main__.py"
_TICK_S = 0.1


def debug(arguments: argparse.Namespace) -> int:
    code = _code(arguments.code)
    server = server_of(arguments)
    name = steps.named(server, arguments)
    path = f"/lazulite{steps.workspace(arguments)}/jobs/{quote(name, safe='')}/plan"
    try:
        found = call(server, "GET", path)
    except CommandError as error:
        raise CommandError(error.message, steps.hint(server, arguments, name) or error.hint) from None
    command = arguments.command
    if not (sys.stdin.isatty() or ((command or arguments.run or arguments.debugpy is not None) and not arguments.pdb)):
        typed = f"lazulite job debug {steps.words(arguments)}"
        text = (
            f"name a command: `{typed} -- CMD`, or run the job's own with --run (in a notebook: `!{typed} -- CMD`); "
            "a shell and pdb need a terminal: type it in one"
        )
        raise CommandError(f"there is no terminal for {'pdb' if arguments.pdb else 'a shell'}", text)
    folder = Path(tempfile.mkdtemp(prefix="lazulite-debug-"))
    plan = scratch.redirected(found["plan"], folder)
    if code is not None:
        plan["code"] = {"path": str(code), "url": None, "hash": None}
    title = f"'{arguments.node}' of {arguments.name}" if arguments.node else name
    for line in scratch.introduction(title, found["plan"], plan, folder):
        _say(line)
    if command:
        plan["command"] = command[0] if len(command) == 1 else shlex.join(command)
    if arguments.debugpy is not None:
        plan = debugger.waiting(plan, folder, arguments.debugpy, str(code) if code else None)
    elif arguments.pdb:
        return _at_terminal(folder, debugger.stopping(plan), found["secrets"])
    elif not (command or arguments.run):
        return _at_terminal(folder, plan, found["secrets"], shell=arguments.node or name)
    elif command and sys.stdin.isatty() and sys.stdout.isatty() and not plan.get("container"):
        return _at_terminal(folder, plan, found["secrets"])  # it may ask for something, as pdb does
    return _run(folder, plan, found["secrets"])


def _code(given: str | None) -> Path | None:
    """The folder to take in place of the job's code. Raises CommandError where there is none."""
    if given is None:
        return None
    folder = Path(given).resolve()
    if not folder.is_dir():
        raise CommandError(f"--code must name a folder, and '{given}' is none")
    return folder


def _at_terminal(folder: Path, plan: dict[str, Any], secrets: dict[str, Any], shell: str = "") -> int:
    """Run a shell of that title, or where there is none the plan's command."""
    if shell:
        _say('the command is in $JOB_COMMAND: `bash -c "$JOB_COMMAND"` runs it, the up arrow brings it; `exit` leaves')
    with terminal.Terminal(folder, shell) as here:
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
