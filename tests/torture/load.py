"""What clients do meanwhile, and what the server acknowledged of it."""

from __future__ import annotations

import http.client
import json
import random
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.server_fixture import WORKSPACE_ID, RunningServer

ENVIRONMENT = f"{WORKSPACE_ID}/environments/bare/versions/1"
_MLFLOW = f"/mlflow/rest{WORKSPACE_ID}/api/2.0/mlflow"
_MARK = "${{outputs.marks}}/mark"
#: What a job of each kind does between the marks of its begin and its end.
_COMMANDS = {
    "plain": "sleep 0.2",
    "daemon": "(setsid sleep 300 &) ; (sleep 300 & sleep 300; true) & sleep 0.2",
    "talkative": "i=0; while [ $i -lt 4000 ]; do echo line $i of many; i=$((i+1)); done",
    "long": "sleep 300",
}


@dataclass
class Ledger:
    """What was acknowledged with success, from several threads."""

    jobs: dict[str, str] = field(default_factory=dict)
    canceled: set[str] = field(default_factory=set)
    assets: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    runs: dict[str, list[float]] = field(default_factory=dict)

    def __str__(self) -> str:
        points = sum(map(len, self.runs.values()))
        return (
            f"{len(self.jobs)} jobs ({len(self.canceled)} canceled), {len(self.assets)} assets, {len(self.blobs)} blobs, "
            f"{points} metrics of {len(self.runs)} runs"
        )


class Caller:
    """Requests of the owner of the home; the server may be away at any time, but not when this is made."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._tls = ssl.create_default_context(cafile=server.bundle)
        self._token = server.token()

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        """Status and body. Raises OSError where the server is away."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        every = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        every |= {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self._server.https_url + path, data, every, method=method)
        try:
            with urllib.request.urlopen(request, context=self._tls, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def document(self, path: str) -> dict[str, Any]:
        status, body = self.send("GET", path)
        assert status == 200, (path, status, body[:300])
        found: dict[str, Any] = json.loads(body)
        return found


class Load:
    """Two threads of clients; `stop` ends them."""

    def __init__(self, server: RunningServer, seed: int) -> None:
        self.ledger = Ledger()
        self._server, self._seed = server, seed
        self._done = threading.Event()
        self._account = ""
        self._threads = [
            threading.Thread(target=self._go_on, args=(number, turn))
            for number, turn in enumerate((self._work, self._write))
        ]

    def start(self) -> None:
        caller = Caller(self._server)
        status, _ = caller.send("PUT", ENVIRONMENT, {"properties": {"image": "library/python:3.11"}})
        assert status in (200, 201)
        component = {"properties": {"componentSpec": _component()}}
        assert caller.send("PUT", f"{WORKSPACE_ID}/components/mark/versions/1", component)[0] == 201
        _, keys = caller.send("POST", f"{WORKSPACE_ID}/listKeys", {})
        self._account = json.loads(keys)["userStorageResourceId"].rsplit("/", 1)[1]
        assert caller.send("PUT", self.blob("") + "?restype=container", b"", x_ms_version="2023-11-03")[0] in (201, 409)
        for thread in self._threads:
            thread.start()

    def stop(self) -> Ledger:
        self._done.set()
        for thread in self._threads:
            thread.join()
        return self.ledger

    def blob(self, name: str) -> str:
        return f"/storage/v1/{self._account}/_.blob.core.windows.net/torture" + (f"/{name}" if name else "")

    def _go_on(self, number: int, turn: Callable[[Caller, random.Random, str], None]) -> None:
        chance, count, caller = random.Random(self._seed * 10 + number), 0, Caller(self._server)
        while not self._done.is_set():
            count += 1
            with suppress(OSError, http.client.HTTPException):  # the server is away
                turn(caller, chance, f"{self._seed}-{count}")
            self._done.wait(0.05)

    def _work(self, caller: Caller, chance: random.Random, name: str) -> None:
        if sum(1 for _ in self.ledger.jobs) > 4 and self._busy(caller):
            self._done.wait(0.2)
            return
        kind = chance.choice((*_COMMANDS, "pipeline"))
        job = f"{kind}-{name}"
        body = _pipeline() if kind == "pipeline" else _command(_COMMANDS[kind])
        status, _ = caller.send("PUT", f"{WORKSPACE_ID}/jobs/{job}", {"properties": body})
        if status in (200, 201):
            self.ledger.jobs[job] = kind
        if kind == "long":
            self._done.wait(chance.uniform(0, 1))
            if caller.send("POST", f"{WORKSPACE_ID}/jobs/{job}/cancel", {})[0] in (200, 202):
                self.ledger.canceled.add(job)

    def _busy(self, caller: Caller) -> bool:
        recent = list(self.ledger.jobs)[-6:]
        ended = ("Completed", "Failed", "Canceled")
        states = [caller.document(f"{WORKSPACE_ID}/jobs/{name}")["properties"]["status"] for name in recent]
        return sum(state not in ended for state in states) > 3

    def _write(self, caller: Caller, chance: random.Random, name: str) -> None:
        kind = chance.randrange(3)
        if kind == 0:
            uri = f"azureml://datastores/workspaceblobstore/paths/{name}"
            path = f"{WORKSPACE_ID}/data/d{name}/versions/1"
            status, _ = caller.send("PUT", path, {"properties": {"dataType": "uri_folder", "dataUri": uri}})
            if status in (200, 201):
                self.ledger.assets[path] = uri
        elif kind == 1:
            content = f"{name} ".encode() * chance.randint(1, 40_000)
            headers = {"x_ms_version": "2023-11-03", "x_ms_blob_type": "BlockBlob"}
            if caller.send("PUT", self.blob(name), content, **headers)[0] == 201:
                self.ledger.blobs[name] = content
        else:
            self._log(caller, chance)

    def _log(self, caller: Caller, chance: random.Random) -> None:
        status, body = caller.send("POST", f"{_MLFLOW}/runs/create", {"experiment_id": "0", "start_time": 1})
        if status != 200:
            return
        run = str(json.loads(body)["run"]["info"]["run_id"])
        self.ledger.runs[run] = []
        values = [chance.random() for _ in range(20)]
        metrics = [{"key": "m", "value": value, "timestamp": 1, "step": step} for step, value in enumerate(values)]
        if caller.send("POST", f"{_MLFLOW}/runs/log-batch", {"run_id": run, "metrics": metrics})[0] == 200:
            self.ledger.runs[run] = values


def _command(command: str) -> dict[str, Any]:
    return {
        "jobType": "Command",
        "command": f"echo begin >> {_MARK}; {command}; echo end >> {_MARK}",
        "environmentId": ENVIRONMENT,
        "outputs": {"marks": {"jobOutputType": "uri_folder", "mode": "ReadWriteMount"}},
    }


def _pipeline() -> dict[str, Any]:
    component = f"{WORKSPACE_ID}/components/mark/versions/1"
    nodes = {node: {"type": "command", "componentId": component, "inputs": {}, "outputs": {}} for node in ("a", "b")}
    return {"jobType": "Pipeline", "jobs": nodes, "inputs": {}, "outputs": {}, "settings": {}}


def _component() -> dict[str, Any]:
    return {
        "type": "command",
        "command": _command("true")["command"],
        "environment": f"azureml:{ENVIRONMENT}",
        "is_deterministic": False,
        "outputs": {"marks": {"type": "uri_folder", "mode": "rw_mount"}},
    }


def history(caller: Caller, run: str) -> list[float]:
    """The values of the metric `m` of a run, by step."""
    found = caller.document(f"{_MLFLOW}/metrics/get-history?run_id={run}&metric_key=m").get("metrics", [])
    return [float(point["value"]) for point in sorted(found, key=lambda point: int(point.get("step", 0)))]
