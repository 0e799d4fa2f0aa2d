"""Rounds of load and kills, and the look at everything afterwards."""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.server_fixture import WORKSPACE_ID, RunningServer
from tests.torture.chaos import Chaos, end, leftovers
from tests.torture.load import Caller, Ledger, Load, history

_ENDED = ("Completed", "Failed", "Canceled")
_SETTLE_S = 240


class NotHere(Exception):
    """The level of isolation does not work on this machine; the message is the server's."""


@dataclass
class Verdict:
    """What came of a run at one level of isolation. `faults` are sentences."""

    level: str
    rounds: int
    kills: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    ledger: Ledger = field(default_factory=Ledger)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        kills = ", ".join(f"{number} {kind}" for kind, number in sorted(self.kills.items()))
        states = ", ".join(f"{number} {state}" for state, number in sorted(self.states.items()))
        lines = [
            *(f"fault: {fault}" for fault in self.faults[:40]),
            f"{self.level}: {self.rounds} rounds in {self.seconds:.0f} s, killed: {kills}; {len(self.faults)} faults",
            f"acknowledged: {self.ledger}; jobs ended: {states}",
        ]
        return "\n".join(lines)


def torture(folder: Path, level: str, rounds: int, seed: int, told: Callable[[str], None]) -> Verdict:
    """`rounds` kills under load with jobs at isolation `level`, on a home of its own in `folder`.

    Raises NotHere.
    """
    chance, began = random.Random(seed), time.monotonic()
    server = RunningServer(folder / "home", settings={"isolation": level})
    server.home.mkdir(parents=True)
    try:
        server.start()
    except RuntimeError as error:
        if f"isolation is '{level}'" in str(error):
            raise NotHere(str(error).strip().splitlines()[-1]) from None
        raise
    verdict = Verdict(level, rounds)
    try:
        load, chaos = Load(server, seed), Chaos(server, chance)
        load.start()
        for number in range(rounds):
            time.sleep(chance.uniform(0.1, 1.2))
            chaos.strike()
            if (number + 1) % 10 == 0:
                told(f"{level}: round {number + 1} of {rounds}; {load.ledger}")
        verdict.ledger = load.stop()
        verdict.kills = chaos.kills
        _judge(server, verdict, chaos)
    finally:
        server.stop()
        end(server.home)
    verdict.faults += _whole(server)
    verdict.seconds = time.monotonic() - began
    return verdict


def _judge(server: RunningServer, verdict: Verdict, chaos: Chaos) -> None:
    caller = Caller(server)
    for job, state in _settled(caller, verdict.ledger).items():
        verdict.states[state] += 1
        verdict.faults += _job_faults(server, verdict.ledger, chaos, job, state)
    verdict.faults += [f"{job} ran twice: {words}" for job, words in _marks(server).items() if words.count("begin") > 1]
    verdict.faults += [
        f"acknowledged and lost: {path}" for path in verdict.ledger.assets if caller.send("GET", path)[0] != 200
    ]
    verdict.faults += [f"left running: {pid} {words[:200]}" for pid, words in _remaining(server.home).items()]
    for name, content in verdict.ledger.blobs.items():
        status, body = caller.send("GET", _blob(server, name), x_ms_version="2023-11-03")
        if status != 200 or body != content:
            verdict.faults.append(
                f"the blob {name} is not what was acknowledged ({status}, {len(body)} of {len(content)} bytes)"
            )
    for run, values in verdict.ledger.runs.items():
        if values and history(caller, run) != values:
            verdict.faults.append(f"run {run} has not the metrics that were acknowledged")


def _settled(caller: Caller, ledger: Ledger) -> dict[str, str]:
    """How each job ended. A `long` one whose cancel was not acknowledged is cancelled now."""
    for job, kind in ledger.jobs.items():
        if kind == "long":
            caller.send("POST", f"{WORKSPACE_ID}/jobs/{job}/cancel", {})
    deadline, states = time.monotonic() + _SETTLE_S, dict.fromkeys(ledger.jobs, "?")
    while time.monotonic() < deadline:
        for job, state in states.items():
            if state not in _ENDED:
                states[job] = str(caller.document(f"{WORKSPACE_ID}/jobs/{job}")["properties"]["status"])
        if all(state in _ENDED for state in states.values()):
            break
        time.sleep(0.2)
    return states


def _job_faults(server: RunningServer, ledger: Ledger, chaos: Chaos, job: str, state: str) -> list[str]:
    """A job that nobody hit ends as it should; none begins twice; one that completed did its work."""
    kind, faults = ledger.jobs[job], []
    expected = {"long": {"Canceled"}}.get(kind, {"Completed"})
    hit = any(name == job or name.startswith(job) for name in chaos.hit) or (kind == "pipeline" and bool(chaos.hit))
    if state not in _ENDED:
        faults.append(f"{job} is {state} for ever")
    elif state not in expected and not hit:
        faults.append(f"{job} is {state}, and nothing happened to it")
    if state == "Completed" and kind != "pipeline" and (words := _marks(server).get(job)) != ["begin", "end"]:
        faults.append(f"{job} is Completed and left the marks {words}")
    return faults


def _marks(server: RunningServer) -> dict[str, list[str]]:
    """What each job left, steps of pipelines too."""
    found = server.home.glob("storage/*/azureml-blobstore-*/azureml/*/marks/mark")
    return {path.parent.parent.name: path.read_text().split() for path in found}


def _remaining(home: Path) -> dict[int, str]:
    """Processes that are still there some seconds after every job is over."""
    deadline = time.monotonic() + 15
    while (found := leftovers(home)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def _blob(server: RunningServer, name: str) -> str:
    account = next((server.home / "storage").iterdir()).name
    return f"/storage/v1/{account}/_.blob.core.windows.net/torture/{name}"


def _whole(server: RunningServer) -> list[str]:
    faults = []
    log = (server.home.parent / f"{server.home.name}.log").read_text(errors="replace")
    if "Traceback" in log:
        at = log.index("Traceback")
        faults.append(f"{log.count('Traceback')} tracebacks in the log, the first: {log[at : at + 2500]}")
    with sqlite3.connect(server.home / "lazulite.db") as database:
        said = database.execute("pragma integrity_check").fetchone()[0]
    return faults if said == "ok" else [*faults, f"the database is not whole: {said}"]
