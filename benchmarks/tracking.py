"""Tracking: runs created, batches logged and searches answered a second, beside MLflow's own server.

    python -m benchmarks.tracking [--seconds S] [--clients N] [--mlflow PYTHON] [--fasttrackml FML]

`PYTHON` is an interpreter that has the full `mlflow` wheel and `FML` FastTrackML's program; without them only ours is
measured. The servers run on this machine over plain HTTP with SQLite in a new folder, one after the other, driven by the
same script. Ours uses the database that `LAZULITE_DATABASE_URL` names, if it names one.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

WORKSPACE = (
    "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-lazulite"
    "/providers/Microsoft.MachineLearningServices/workspaces/mlw-default"
)
_NUMBERS = itertools.count(1)  # of steps and times: no point is sent twice


@dataclass(frozen=True)
class Target:
    """Where a server's MLflow API is: `base` is the path above `/api/2.0/mlflow`."""

    name: str
    host: str
    port: int
    base: str
    token: str


@dataclass(frozen=True)
class Result:
    server: str
    operation: str
    per_second: float
    p50_ms: float
    p99_ms: float

    def __str__(self) -> str:
        return (
            f"{self.server:11} {self.operation:28} {self.per_second:10.0f}/s"
            f"   p50 {self.p50_ms:7.1f} ms   p99 {self.p99_ms:7.1f} ms"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--mlflow", help="an interpreter with the full mlflow wheel")
    parser.add_argument("--fasttrackml", help="FastTrackML's program, fml")
    arguments = parser.parse_args()
    servers: list[Callable[[], Any]] = [lazulite_server]
    if arguments.mlflow:
        servers.append(lambda: mlflow_server(arguments.mlflow))
    if arguments.fasttrackml:
        servers.append(lambda: fasttrackml_server(arguments.fasttrackml))
    for server in servers:
        with server() as target:
            for result in asyncio.run(measure(target, arguments.clients, arguments.seconds)):
                print(result, flush=True)


async def measure(target: Target, clients: int, seconds: float) -> list[Result]:
    """Each operation for so many seconds by so many clients with a connection each."""
    connection = await _Connection.open(target)
    name = f"bench-{time.time_ns()}"
    experiment = (await connection.post("experiments/create", {"name": name}))["experiment_id"]
    run = await connection.post("runs/create", {"experiment_id": experiment, "start_time": 1})
    run_id = run["run"]["info"]["run_id"]
    batches: dict[str, tuple[str, Callable[[int], dict[str, Any]]]] = {
        "create_run": ("runs/create", lambda n: {"experiment_id": experiment, "start_time": n, "run_name": f"r{n}"}),
        "log_batch of 10 metrics": ("runs/log-batch", lambda n: {"run_id": run_id, "metrics": _points(10, n)}),
        "log_batch of 500 metrics": ("runs/log-batch", lambda n: {"run_id": run_id, "metrics": _points(500, n)}),
        "search_runs of 100": (
            "runs/search",
            lambda n: {"experiment_ids": [experiment], "max_results": 100, "order_by": ["attributes.start_time DESC"]},
        ),
    }
    results = []
    for operation, (path, body) in batches.items():
        taken = await _drive(target, clients, seconds, path, body)
        taken.sort()
        results.append(
            Result(target.name, operation, len(taken) / seconds, _at(taken, 0.5) * 1000, _at(taken, 0.99) * 1000)
        )
    connection.close()
    return results


@contextmanager
def lazulite_server() -> Iterator[Target]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        command = [sys.executable, "-m", "lazulite.server", "--home", str(home), "--port", "0", "--http-port", "0"]
        with _process(command, Path(folder)):
            note = _until(lambda: json.loads((home / "server.json").read_text()))
            parts = urlsplit(note["http_url"])
            token = _token(note["http_url"], (home / "secrets" / "user.key").read_text().strip())
            yield Target("lazulite", parts.hostname or "", parts.port or 0, f"/mlflow/rest{WORKSPACE}", token)


@contextmanager
def mlflow_server(python: str) -> Iterator[Target]:
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [python, "-m", "mlflow", "server", "--port", str(port), "--host", "127.0.0.1"]
        command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", folder]
        with _process(command, Path(folder)):
            _until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).read())
            yield Target("mlflow", "127.0.0.1", port, "", "")


@contextmanager
def fasttrackml_server(program: str) -> Iterator[Target]:
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [program, "server", "--listen-address", f"127.0.0.1:{port}"]
        command += ["--database-uri", f"sqlite://{folder}/fml.db", "--default-artifact-root", folder]
        with _process(command, Path(folder)):
            _until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).read())
            yield Target("fasttrackml", "127.0.0.1", port, "", "")


async def _drive(
    target: Target, clients: int, seconds: float, path: str, body: Callable[[int], dict[str, Any]]
) -> list[float]:
    taken: list[float] = []
    end = time.perf_counter() + seconds

    async def client() -> None:
        connection = await _Connection.open(target)
        while (start := time.perf_counter()) < end:
            await connection.post(path, body(next(_NUMBERS)))
            taken.append(time.perf_counter() - start)
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return taken


class _Connection:
    """HTTP/1.1 kept alive, with as little work on the client's side as can be: it shares the machine."""

    def __init__(self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._target, self._reader, self._writer = target, reader, writer
        self._head = (
            f"POST {target.base}/api/2.0/mlflow/%s HTTP/1.1\r\nHost: {target.host}:{target.port}\r\n"
            f"Authorization: Bearer {target.token}\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        )

    @classmethod
    async def open(cls, target: Target) -> _Connection:
        return cls(target, *await asyncio.open_connection(target.host, target.port, limit=1 << 24))

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        payload = json.dumps(body).encode()
        self._writer.write((self._head % (path, len(payload))).encode() + payload)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            content = await self._chunks()
        else:
            length = int(lower.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            content = await self._reader.readexactly(length)
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(f"{path}: {head!r} {content!r}")
        if b"connection: close" in lower:  # gunicorn's plain workers keep nothing alive
            self._writer.close()
            self._reader, self._writer = await asyncio.open_connection(
                self._target.host, self._target.port, limit=1 << 24
            )
        return json.loads(content) if len(content) < 10_000 else None

    async def _chunks(self) -> bytes:
        parts = []
        while size := int((await self._reader.readline()).strip(), 16):
            parts.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return b"".join(parts)

    def close(self) -> None:
        self._writer.close()


def _points(count: int, number: int) -> list[dict[str, Any]]:
    return [{"key": f"m{k}", "value": k * 0.5, "timestamp": number, "step": number} for k in range(count)]


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def _token(http_url: str, key: str) -> str:
    url = f"{http_url}/msi/token?api-version=2019-08-01&resource=https://management.azure.com"
    request = urllib.request.Request(url, headers={"X-IDENTITY-HEADER": key})
    with urllib.request.urlopen(request, timeout=10) as response:
        return str(json.load(response)["access_token"])


def _until(attempt: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except (OSError, ValueError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@contextmanager
def _process(command: list[str], folder: Path) -> Iterator[None]:
    with (folder / "server.log").open("wb") as log:
        path = f"{Path(command[0]).absolute().parent}:{os.environ['PATH']}"  # where it finds gunicorn or uvicorn
        environment = {**os.environ, "PATH": path, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


if __name__ == "__main__":
    main()
