"""Servers, agents and the processes of jobs, killed at random."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.server_fixture import RunningServer


class Chaos:
    """`strike` kills something; what it killed is counted, and the jobs that lost an agent or a process are known."""

    def __init__(self, server: RunningServer, chance: random.Random) -> None:
        self.kills: Counter[str] = Counter()
        self.hit: set[str] = set()
        self._server, self._chance = server, chance

    def strike(self) -> None:
        """Kill the server, an agent, a process of a job, or the server and an agent at once; the server starts again."""
        kind = self._chance.choice(("server", "agent", "process", "both"))
        if kind in ("agent", "both"):
            self._kill_agent()
        if kind == "process":
            self._kill_process()
        if kind in ("server", "both"):
            self._server.kill()
            self.kills["server"] += 1
            self._server.start(same_ports=True)

    def _kill_agent(self) -> None:
        agents = _agents(self._server.home)
        if agents:
            job, pid = self._chance.choice(sorted(agents.items()))
            self._end("agent", job, pid)

    def _kill_process(self) -> None:
        below = [(job, child) for job, pid in _agents(self._server.home).items() for child in _descendants(pid)]
        if below:
            self._end("process", *self._chance.choice(sorted(below)))

    def _end(self, kind: str, job: str, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.kills[kind] += 1
            self.hit.add(job)


def leftovers(home: Path) -> dict[int, str]:
    """Processes of jobs of this home, whoever started them: each carries a path of the home in its environment or words."""
    found = {pid: _words(pid) for pid in _pids()}
    return {pid: words for pid, words in found.items() if str(home) in words and "lazulite.server" not in words}


def end(home: Path) -> None:
    """Kill what is left of the jobs of this home."""
    for pid in leftovers(home):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _agents(home: Path) -> dict[str, int]:
    """Job and agent of each run that is not over."""
    found = {}
    for path in home.glob("runs/*/*/*/status.json"):
        with suppress(OSError, ValueError):
            status = json.loads(path.read_text())
            if status.get("outcome") is None and _is_agent(status["pid"]):
                found[path.parent.parent.name] = int(status["pid"])
    return found


def _is_agent(pid: int) -> bool:
    return b"node/__main__.py" in _read(f"/proc/{pid}/cmdline")


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for other in _pids():
        with suppress(IndexError, ValueError):
            children.setdefault(int(_read(f"/proc/{other}/stat").rpartition(b")")[2].split()[1]), []).append(other)
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _words(pid: int) -> str:
    if _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[:1] == [b"Z"]:
        return ""
    command = _read(f"/proc/{pid}/cmdline").replace(b"\0", b" ")
    environment = _read(f"/proc/{pid}/environ").replace(b"\0", b" ")
    return (command + b" | " + environment).decode(errors="replace")


def _read(path: str) -> bytes:
    with suppress(OSError):
        return Path(path).read_bytes()
    return b""
