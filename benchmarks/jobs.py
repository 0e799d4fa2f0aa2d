"""The platform itself: ready time, idle memory, submit to first line, environment build, durable writes.

`python -m benchmarks.jobs [--ray PYTHON]`: PYTHON is an interpreter with `ray[default]`; without it one is made in a
scratch folder, and where that cannot be, its row says so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.server_fixture import WORKSPACE_ID, RunningServer

JOBS = 100
WRITES_SECONDS = 8.0
WRITE_CLIENTS = 32
ENVIRONMENT = f"{WORKSPACE_ID}/environments/bench/versions/1"
PRINT_TIME = 'python -c "import time; print(time.time())"'
Row = dict[str, Any]

_RAY = """
import json, subprocess, sys, time
from ray.job_submission import JobSubmissionClient
client = JobSubmissionClient("http://127.0.0.1:" + sys.argv[1])
times = []
for _ in range(int(sys.argv[2])):
    begun = time.time()
    job = client.submit_job(entrypoint='python -c "import time; print(time.time())"')
    while str(client.get_job_status(job)) not in ("JobStatus.SUCCEEDED", "SUCCEEDED", "FAILED", "JobStatus.FAILED"):
        time.sleep(0.02)
    printed = [line for line in client.get_job_logs(job).splitlines() if line.replace(".", "").isdigit()]
    times.append(float(printed[-1]) - begun)
print(json.dumps(times))
"""


def main(argv: list[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ray", help="a Python interpreter that has ray[default]")
    options = parser.parse_args(argv)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="lazulite-bench-", ignore_cleanup_errors=True) as scratch:
        with server(Path(scratch)) as (running, seconds):
            rows.append(_row("first start to ready", seconds, "s"))
        with server(Path(scratch)) as (running, seconds):
            rows.append(_row("later start to ready", seconds, "s"))
            time.sleep(3)
            rows.append(_row("idle memory (RSS)", _rss_mib(running), "MiB"))
            rows += submit_rows(running)
            rows += write_rows(running)
        rows.append(
            _row("job in AzureML-sklearn-1.5, built with a warm package cache", build_seconds(Path(scratch)), "s")
        )
        rows += ray_rows(options.ray, Path(scratch))
    for row in rows:
        print(f"{row['what']:<55}{row['value']:>12} {row['unit']}")
    return rows


@contextmanager
def server(scratch: Path) -> Iterator[tuple[RunningServer, float]]:
    """A server on its own home, and how long it took until it answered."""
    running = RunningServer(scratch / "home")
    running.home.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    running.start()
    seconds = time.perf_counter() - begun
    try:
        yield running, seconds
    finally:
        running.stop()


def submit_rows(running: RunningServer) -> list[Row]:
    """Seconds from the request to the moment the user's process printed, one job after another."""
    with _client(running) as client:
        client.put(ENVIRONMENT, json={"properties": {"image": "library/python:3.11"}}).raise_for_status()
        cluster = {"computeType": "AmlCompute", "properties": {"vmSize": "Standard_DS3_v2"}}
        client.put(f"{WORKSPACE_ID}/computes/bench", json={"properties": cluster}).raise_for_status()
        times = [_submit(running, client) for _ in range(JOBS + 3)][3:]
    ordered = sorted(times)
    return [
        _row(f"submit to first user line, p50 of {JOBS}", statistics.median(ordered), "s"),
        _row(f"submit to first user line, p99 of {JOBS}", ordered[int(len(ordered) * 0.99) - 1], "s"),
    ]


def _submit(running: RunningServer, client: httpx.Client) -> float:
    name = f"bench-{uuid.uuid4().hex[:10]}"
    body = {
        "jobType": "Command",
        "command": PRINT_TIME,
        "environmentId": ENVIRONMENT,
        "computeId": f"{WORKSPACE_ID}/computes/bench",
    }
    begun = time.time()
    client.put(f"{WORKSPACE_ID}/jobs/{name}", json={"properties": body}).raise_for_status()
    _wait(client, name)
    log = next(running.home.glob(f"storage/*/azureml/ExperimentRun/dcid.{name}/user_logs/std_log.txt"))
    return float(log.read_text().split()[-1]) - begun


def build_seconds(scratch: Path) -> float:
    """Submit to first line on a home that has not built the environment; the first of two fills uv's cache."""
    for attempt in range(2):
        with server(scratch / f"build-{attempt}") as (running, _), _client(running) as client:
            name = f"build-{uuid.uuid4().hex[:8]}"
            body = {"jobType": "Command", "command": PRINT_TIME, "environmentId": "azureml:AzureML-sklearn-1.5@latest"}
            begun = time.time()
            client.put(f"{WORKSPACE_ID}/jobs/{name}", json={"properties": body}).raise_for_status()
            _wait(client, name, 600)
            log = next(running.home.glob(f"storage/*/azureml/ExperimentRun/dcid.{name}/user_logs/std_log.txt"))
            seconds = float(log.read_text().split()[-1]) - begun
    return seconds


def write_rows(running: RunningServer) -> list[Row]:
    """PUTs of data versions over kept connections; each is answered once it is on the disk.

    The requests are written by hand: a comfortable client would cost more than the server.
    """
    body = b'{"properties": {"dataType": "uri_file", "dataUri": "https://example.com/x"}}'
    port, token = running.note["http_port"], running.token()
    head = f"Host: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    async def work(number: int, end: float, times: list[float]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
        count = 0
        while time.perf_counter() < end:
            begun = time.perf_counter()
            path = f"{WORKSPACE_ID}/data/bench-{number}/versions/{count}"
            writer.write(f"PUT {path} HTTP/1.1\r\n".encode() + head + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            if b" 201 " not in answer[:16]:
                raise RuntimeError(answer.decode())
            length = next(line for line in answer.split(b"\r\n") if line.lower().startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
            times.append(time.perf_counter() - begun)
            count += 1
        writer.close()

    async def drive() -> list[float]:
        times: list[float] = []
        end = time.perf_counter() + WRITES_SECONDS
        await asyncio.gather(*(work(n, end, times) for n in range(WRITE_CLIENTS)))
        return times

    times = sorted(asyncio.run(drive()))
    return [
        _row(f"durable control-plane writes, {WRITE_CLIENTS} clients", len(times) / WRITES_SECONDS, "/s"),
        _row("durable control-plane writes, p99", times[int(len(times) * 0.99)] * 1000, "ms"),
    ]


def ray_rows(python: str | None, scratch: Path) -> list[Row]:
    """The same line printed by a job of a local Ray."""
    python = python or _make_ray(scratch)
    if python is None:
        return [{"what": "Ray job, submit to first line", "value": "ray[default] could not be installed", "unit": ""}]
    bin_folder = str(Path(python).parent)
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "RAY_USAGE_STATS_ENABLED": "0"}
    port = "8299"
    command = [f"{bin_folder}/ray", "start", "--head", "--block", "--port=6399", f"--dashboard-port={port}"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _until_open(f"http://127.0.0.1:{port}/api/version")
        done = subprocess.run([python, "-c", _RAY, port, "12"], env=environment, capture_output=True, text=True)
        times = sorted(json.loads(done.stdout.strip().splitlines()[-1])[2:])
        return [_row("Ray job, submit to first line, p50 of 10", statistics.median(times), "s")]
    finally:
        os.killpg(process.pid, 15)
        process.wait(timeout=60)


def _make_ray(scratch: Path) -> str | None:
    python = scratch / "ray" / "bin" / "python"
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    try:
        subprocess.run([uv, "venv", "-q", "-p", sys.executable, str(scratch / "ray")], check=True)
        subprocess.run([uv, "pip", "install", "-q", "-p", str(python), "ray[default]==2.60.0"], check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return str(python)


def _until_open(url: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            httpx.get(url).raise_for_status()
            return
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _wait(client: httpx.Client, name: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while True:
        status = client.get(f"{WORKSPACE_ID}/jobs/{name}").json()["properties"]["status"]
        if status == "Completed":
            return
        if status in ("Failed", "Canceled") or time.monotonic() > deadline:
            raise RuntimeError(f"{name} is {status}")
        time.sleep(0.02)


def _client(running: RunningServer) -> httpx.Client:
    context = ssl.create_default_context(cafile=running.bundle)
    return httpx.Client(
        base_url=running.https_url, verify=context, headers={"Authorization": f"Bearer {running.token()}"}, timeout=60
    )


def _rss_mib(running: RunningServer) -> float:
    assert running.process is not None
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def _row(what: str, value: float, unit: str) -> Row:
    return {"what": what, "value": round(value, 3 if value < 10 else 1), "unit": unit}


if __name__ == "__main__":
    main()
