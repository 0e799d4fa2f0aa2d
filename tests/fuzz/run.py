"""Send the requests, look at every answer, and look at the server between and afterwards."""

from __future__ import annotations

import json
import random
import re
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from tests.fuzz.requests import Answer, Connection, Sent
from tests.fuzz.seeds import Seed, all_seeds
from tests.fuzz.spoil import spoiled
from tests.server_fixture import RunningServer

_TIMEOUT_S = 20.0
_HEALTHY_S = 5.0
_EVERY = 100
#: What a server may say of itself: it has not built that, or it is busy and says when to come again.
_ALLOWED_5XX = (501,)


@dataclass
class Findings:
    """What came of a run. `faults` are sentences, each naming the request."""

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    slowest: str = ""
    slowest_health_s: float = 0.0
    seconds: float = 0.0
    stopped_s: float = 0.0


def fuzz(server: RunningServer, requests: int, seed: int, told: Callable[[str], None], threads: int = 2) -> Findings:
    """Send `requests` requests drawn from `seed` to a running server, which is stopped at the end."""
    chance = random.Random(seed)
    account = next((server.home / "storage").iterdir()).name
    seeds = all_seeds(account, chance)
    findings, lock = Findings(), threading.Lock()
    began = time.monotonic()
    workers = [
        threading.Thread(
            target=_send, args=(server, seeds, requests // threads, seed * 1000 + number, findings, lock, told)
        )
        for number in range(threads)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    findings.seconds = time.monotonic() - began
    _aftermath(server, findings)
    return findings


def _send(
    server: RunningServer,
    seeds: list[list[Seed]],
    count: int,
    seed: int,
    findings: Findings,
    lock: threading.Lock,
    told: Callable[[str], None],
) -> None:
    chance, token = random.Random(seed), server.token()
    connection = Connection(int(server.note["http_port"]), _TIMEOUT_S)
    for number in range(count):
        start = chance.choice(chance.choice(seeds))
        request, known = spoiled(start, token, chance)
        if Seed(request.method, request.target.split("?")[0]).spared:
            continue
        began = time.monotonic()
        try:
            answer = connection.send(request)
            fault = _fault(request, answer, known or start.public)
        except TimeoutError:
            answer, fault = Answer(0, {}, b""), f"no answer within {_TIMEOUT_S:.0f} s"
        took = time.monotonic() - began
        with lock:
            findings.sent += 1
            findings.statuses[answer.status] += 1
            if took > findings.slowest_s:
                findings.slowest_s, findings.slowest = took, str(request)
            if fault:
                findings.faults.append(f"{fault}: {request}")
            if number % _EVERY == 0:
                _look(server, findings)
            if findings.sent % 1000 == 0:
                told(f"{findings.sent} requests, {len(findings.faults)} faults")
    connection.close()


def _fault(request: Sent, answer: Answer, entitled: bool) -> str:
    """What is wrong with the answer; empty where nothing is."""
    if answer.status == 0:
        return "" if request.broken else "the connection was closed without an answer"
    if answer.status >= 500 and answer.status not in _ALLOWED_5XX:
        return f"{answer.status} {answer.body[:200]!r}"
    if answer.status < 300 and not entitled and request.method != "OPTIONS":
        return f"{answer.status} without a token"
    if answer.status >= 400 and request.method != "HEAD" and not request.broken and not _readable(answer):
        return f"{answer.status} whose error cannot be read: {answer.body[:200]!r}"
    return ""


def _readable(answer: Answer) -> bool:
    kind = answer.headers.get("content-type", "")
    if "json" in kind:
        document = json.loads(answer.body)
        return isinstance(document, dict) and bool(
            document.keys() & {"error", "error_code", "code", "errors", "message"}
        )
    if "xml" in kind:
        return ElementTree.fromstring(answer.body).find("Code") is not None
    return bool(answer.body.strip())


def _look(server: RunningServer, findings: Findings) -> None:
    began = time.monotonic()
    try:
        status = Connection(int(server.note["http_port"]), _TIMEOUT_S).send(Sent("GET", "/healthz")).status
    except (OSError, TimeoutError) as error:
        status, findings.faults[len(findings.faults) :] = 0, [f"/healthz: {error}"]
    took = time.monotonic() - began
    findings.slowest_health_s = max(findings.slowest_health_s, took)
    if status not in (0, 200) or took > _HEALTHY_S:
        findings.faults.append(f"/healthz answered {status} after {took:.1f} s")


def _aftermath(server: RunningServer, findings: Findings) -> None:
    """The server still ends when asked, wrote no traceback, and left its database whole."""
    began = time.monotonic()
    server.stop()
    findings.stopped_s = time.monotonic() - began
    if findings.stopped_s > 5:
        findings.faults.append(f"the server took {findings.stopped_s:.1f} s to end")
    for log in _logs(server.home):
        causes = Counter(_causes(log.read_text(errors="replace")))
        findings.faults += [f"{number} tracebacks in {log.name}: {cause}" for cause, number in causes.items()]
    with sqlite3.connect(server.home / "lazulite.db") as database:
        if (said := database.execute("pragma integrity_check").fetchone()[0]) != "ok":
            findings.faults.append(f"the database is not whole: {said}")


def _causes(log: str) -> list[str]:
    """The last place and the words of each traceback."""
    found = re.findall(r"^Traceback .*\n(?:[ ].*\n|\n)+(\S.*)", log, re.MULTILINE)
    places = re.findall(r"^Traceback .*\n(?:[ ].*\n|\n)*?((?:  File .*\n(?:    .*\n)*)+)", log, re.MULTILINE)
    return [f"{words} at {place.strip().rsplit('  File ', 1)[-1]}" for words, place in zip(found, places, strict=False)]


def _logs(home: Path) -> list[Path]:
    return [path for path in (home.parent / f"{home.name}.log", home / "server.log") if path.exists()]
