"""`lazulite job logs`: what a job or a step of it wrote, at once or as it comes."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any
from urllib.parse import quote

from lazulite.cli import steps
from lazulite.cli.client import call
from lazulite.cli.errors import FAILED, OK, CommandError
from lazulite.cli.home import Server
from lazulite.cli.http import Refused, Unreachable, read_file
from lazulite.cli.workspace import server_of
from lazulite.drawing.state import OVER
from lazulite.drawing.words import state_word

#: Beginnings of the log that is shown where none is named: what the user's first process wrote, or what a pipeline's steps
#: or a sweep's trials did.
_OWN = ("user_logs/std_log", "logs/azureml/executionlogs.txt", "azureml-logs/hyperdrive.txt")
#: For want of such, how its environment was built, and what the agent did.
_OTHERS = ("azureml-logs/20_image_build_log.txt", "system_logs/agent.log")
_FOLDERS = ("user_logs", "logs", "azureml-logs", "system_logs")
_TICK_S = 0.5


def logs(arguments: argparse.Namespace) -> int:
    server = server_of(arguments)
    log = _Log(server, arguments, steps.named(server, arguments))
    if arguments.list:
        print("\n".join(log.names()))
        return OK
    return _follow(log, arguments.file) if arguments.follow else _once(server, arguments, log)


def _once(server: Server, arguments: argparse.Namespace, log: _Log) -> int:
    wanted: str | None = arguments.file
    name = log.choose(wanted)
    if name is None:
        state = log.state()
        if state not in OVER:
            _say(f"'{log.run}' is {state_word(state)} and has no logs yet; -f waits for them")
            return OK
        below = steps.hint(server, arguments, log.run)
        raise CommandError(f"'{log.run}' is {state_word(state)} and has no logs of its own", below)
    if name.startswith(_OTHERS) and wanted is None:
        _say(f"its process has written nothing; this is {name}")
    log.show(name, 0)
    return OK


def _follow(log: _Log, wanted: str | None) -> int:
    """What comes until the job is over; the exit code says whether it completed."""
    name, shown, told = None, 0, ""
    while True:
        state = log.state()  # before the last look at the file
        over = state in OVER
        if state != told and name is None and not over:
            _say(f"'{log.run}' is {state_word(state)}")
            told = state
        if name is None:
            name = log.choose(wanted, patient=not over)
        if name is not None:
            shown += log.show(name, shown)
        if over:
            _say(f"'{log.run}' is {state_word(state)}")
            return OK if state == "Completed" else FAILED
        time.sleep(_TICK_S)


class _Log:
    """The log files of a run."""

    def __init__(self, server: Server, arguments: argparse.Namespace, run: str) -> None:
        self.run = run
        self._server = server
        self._runs = f"/history/v1.0{steps.workspace(arguments)}"

    def state(self) -> str:
        return str(call(self._server, "GET", f"{self._runs}/runs/{quote(self.run, safe='')}")["status"])

    def names(self) -> list[str]:
        return [str(one["path"]) for folder in _FOLDERS for one in self._artifacts(f"/path?path={folder}")["value"]]

    def choose(self, wanted: str | None, *, patient: bool = False) -> str | None:
        """The file to show, None where there is none yet; with `patient`, that of the job's process may still come.

        Raises CommandError where there is no file of the name wanted.
        """
        names = self.names()
        if wanted is not None:
            if wanted in names or patient:
                return wanted if wanted in names else None
            raise CommandError(f"'{self.run}' has no log '{wanted}'", f"it has: {', '.join(names) or 'none'}")
        beginnings = _OWN if patient else (*_OWN, *_OTHERS)
        return next((name for start in beginnings for name in sorted(names) if name.startswith(start)), None)

    def show(self, name: str, start: int) -> int:
        """Pass a file on from the byte `start`; return how many bytes that were."""
        shown, url = 0, str(self._artifacts(f"/contentinfo?path={quote(name)}")["contentUri"])
        try:
            for piece in read_file(url, start, self._server.bundle):
                sys.stdout.buffer.write(piece)
                sys.stdout.flush()
                shown += len(piece)
        except (Refused, Unreachable) as error:
            raise CommandError(f"{name} cannot be read: {error}") from None
        return shown

    def _artifacts(self, path: str) -> dict[str, Any]:
        # Runs are found by their own names: the experiment's is not looked at.
        return call(self._server, "GET", f"{self._runs}/experiments/-/runs/{quote(self.run, safe='')}/artifacts{path}")


def _say(text: str) -> None:
    print(f"lazulite: {text}", file=sys.stderr, flush=True)
