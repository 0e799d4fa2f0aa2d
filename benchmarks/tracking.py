"""Tracking: runs created, batches logged and searches answered a second, beside MLflow's own server and FastTrackML.

    python -m benchmarks.tracking [--seconds S] [--clients N] [--mlflow PYTHON] [--fasttrackml FML] [--alone]

`PYTHON` is an interpreter that has the full `mlflow` wheel and `FML` FastTrackML's program; without them both are installed
into a scratch folder. The servers run one after the other, each on SQLite in a new folder (ours on PostgreSQL too),
driven by the same script. Ours then answers for a store of 100,000 runs and a metric of 1,000,000 points.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks.tracking_servers import (
    Target,
    fasttrackml_server,
    install,
    lazulite_server,
    mlflow_server,
    postgres,
)

_NUMBERS = itertools.count(1)  # of steps and times: no point is sent twice
Row = dict[str, Any]


def main(argv: list[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--mlflow", type=Path, help="an interpreter with the full mlflow wheel")
    parser.add_argument("--fasttrackml", type=Path, help="FastTrackML's program, fml")
    parser.add_argument("--alone", action="store_true", help="measure this server alone")
    parser.add_argument("--runs", type=int, default=100_000, help="of the large store; 0 leaves it out")
    parser.add_argument("--points", type=int, default=1_000_000, help="of the long metric; 0 leaves it out")
    options = parser.parse_args(argv)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="lazulite-bench-") as scratch:
        servers: list[AbstractContextManager[Target]] = [lazulite_server()]
        if not options.alone:
            servers += _peers(options, Path(scratch))
        for server in servers:
            with server as target:
                rows += asyncio.run(measure(target, options.clients, options.seconds))
    rows += on_postgres(options.clients, options.seconds)
    with lazulite_server() as target:
        rows += asyncio.run(measure_large(target, options.clients, options.runs, options.points))
    _print_ratios(rows)
    return rows


def _peers(options: argparse.Namespace, scratch: Path) -> list[AbstractContextManager[Target]]:
    found: list[AbstractContextManager[Target]] = []
    for peer, given, program, server in (
        ("mlflow", options.mlflow, "python", mlflow_server),
        ("fasttrackml", options.fasttrackml, "fml", fasttrackml_server),
    ):
        executable = given or ((folder := install(peer, scratch)) and folder / program)
        if executable is None:
            print(f"{peer} could not be installed; its rows are skipped")
        else:
            found.append(server(executable))
    return found


def on_postgres(clients: int, seconds: float) -> list[Row]:
    try:
        with postgres() as url, lazulite_server("lazulite, PostgreSQL", url) as target:
            return asyncio.run(measure(target, clients, seconds))
    except RuntimeError as error:
        print(f"PostgreSQL: {error}; its rows are skipped")
        return []


async def measure(target: Target, clients: int, seconds: float) -> list[Row]:
    """Each operation for so many seconds by so many clients with a connection each."""
    connection = await _Connection.open(target)
    name = f"bench-{time.time_ns()}"
    experiment = (await connection.post("experiments/create", {"name": name}))["experiment_id"]
    run = await connection.post("runs/create", {"experiment_id": experiment, "start_time": 1})
    run_id = run["run"]["info"]["run_id"]
    operations: dict[str, tuple[str, Callable[[int], dict[str, Any]]]] = {
        "create_run": ("runs/create", lambda n: {"experiment_id": experiment, "start_time": n, "run_name": f"r{n}"}),
        "log_batch of 10 metrics": ("runs/log-batch", lambda n: {"run_id": run_id, "metrics": _points(10, n)}),
        "log_batch of 500 metrics": ("runs/log-batch", lambda n: {"run_id": run_id, "metrics": _points(500, n)}),
        "search_runs of 100": (
            "runs/search",
            lambda n: {"experiment_ids": [experiment], "max_results": 100, "order_by": ["attributes.start_time DESC"]},
        ),
    }
    connection.close()
    rows = []
    for operation, (path, body) in operations.items():
        taken = await _drive(target, clients, seconds, path, body)
        rows.append(_row(target, operation, f"{len(taken) / seconds:.0f}", "/s", taken))
    return rows


async def measure_large(target: Target, clients: int, runs: int, points: int) -> list[Row]:
    """A search with a metric's filter and order among `runs` runs, and a chart of a metric of `points` points."""
    connection = await _Connection.open(target)
    rows = []
    if runs:
        experiment = (await connection.post("experiments/create", {"name": "large"}))["experiment_id"]
        connection.close()
        await _fill(target, experiment, clients, runs)
        connection = await _Connection.open(target)  # the server has let go of one idle for so long
        body = {"experiment_ids": [experiment], "max_results": 100, "order_by": ["metrics.loss ASC"]}
        taken = await _repeat(connection, "runs/search", {**body, "filter": "metrics.loss > 0.5"}, 50)
        rows.append(_row(target, f"search_runs of 100 in {runs:,} runs by a metric", _ms(taken), "ms", taken))
    if points:
        run = await connection.post("runs/create", {"experiment_id": "0", "start_time": 1})
        run_id = run["run"]["info"]["run_id"]
        for start in range(0, points, 1000):
            steps = range(start, start + 1000)
            metrics = [{"key": "loss", "value": step * 0.5, "timestamp": step, "step": step} for step in steps]
            await connection.post("runs/log-batch", {"run_id": run_id, "metrics": metrics})
        path = f"metrics/get-history-bulk-interval?run_ids={run_id}&metric_key=loss&max_results=2500"
        taken = await _repeat(connection, path, None, 20)
        rows.append(_row(target, f"chart of 2,500 of a metric's {points:,} points", _ms(taken), "ms", taken))
    connection.close()
    return rows


async def _fill(target: Target, experiment: str, clients: int, runs: int) -> None:
    numbers = iter(range(runs))

    async def client() -> None:
        connection = await _Connection.open(target)
        for n in numbers:
            made = await connection.post("runs/create", {"experiment_id": experiment, "start_time": n})
            loss = {"key": "loss", "value": n * 7919 % runs / runs, "timestamp": n, "step": 0}
            await connection.post("runs/log-batch", {"run_id": made["run"]["info"]["run_id"], "metrics": [loss]})
            if n % 20_000 == 0:
                print(f"filling the store: {n:,} of {runs:,} runs", flush=True)
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))


async def _repeat(connection: _Connection, path: str, body: dict[str, Any] | None, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        await connection.post(path, body)
        taken.append(time.perf_counter() - start)
    return taken


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
            f"%s {target.base}/api/2.0/mlflow/%s HTTP/1.1\r\nHost: {target.host}:{target.port}\r\n"
            f"Authorization: Bearer {target.token}\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        )

    @classmethod
    async def open(cls, target: Target) -> _Connection:
        return cls(target, *await asyncio.open_connection(target.host, target.port, limit=1 << 24))

    async def post(self, path: str, body: dict[str, Any] | None) -> Any:
        """GET where there is no body."""
        payload = json.dumps(body).encode() if body is not None else b""
        self._writer.write((self._head % ("GET" if body is None else "POST", path, len(payload))).encode() + payload)
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


def _row(target: Target, what: str, value: str, unit: str, taken: list[float]) -> Row:
    taken = sorted(taken)
    row = {
        "server": target.name,
        "what": what,
        "value": value,
        "unit": unit,
        "p99_ms": f"{_at(taken, 0.99) * 1000:.1f}",
    }
    print(f"{target.name:22}{what:52}{value:>10} {unit:4} p99 {row['p99_ms']:>8} ms", flush=True)
    return row


def _print_ratios(rows: list[Row]) -> None:
    values = {(row["server"], row["what"]): float(row["value"]) for row in rows}
    for (server, what), value in values.items():
        for peer in ("mlflow", "fasttrackml"):
            if server.startswith("lazulite") and (peer, what) in values:
                print(f"{server:22}{what:28} {value / values[peer, what]:6.2f} times {peer}")


def _ms(taken: list[float]) -> str:
    return f"{_at(sorted(taken), 0.5) * 1000:.1f}"


def _points(count: int, number: int) -> list[dict[str, Any]]:
    return [{"key": f"m{k}", "value": k * 0.5, "timestamp": number, "step": number} for k in range(count)]


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


if __name__ == "__main__":
    main()
