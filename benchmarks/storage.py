"""Blob requests per second and large transfers with azure-storage-blob, beside Azurite in the same run.

`python -m benchmarks.storage [--azurite FOLDER]`: without FOLDER, Azurite is installed by npm into a scratch folder;
where that cannot be, its rows say so. Both servers listen on loopback http, keep their data on the same file system, and
are driven by the same client processes. On a machine of few cores the SDK's own work is most of what the small requests
measure, so they are also sent by a bare HTTP client with a SAS ("bare").
"""

from __future__ import annotations

import argparse
import base64
import datetime
import http.client
import json
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AZURITE_VERSION = "3.35.0"
PROCESSES = 2
THREADS = 8
SECONDS = 5.0
SMALL_BYTES = 4096
LARGE_BYTES = 256 * 1024 * 1024
ACCOUNT = "devstoreaccount1"
#: The key that Azurite's documentation gives for its account.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_SERVER = """
import asyncio, sys
from pathlib import Path
import uvicorn
from lazulite.storage import BlobGateway, FolderStore, StorageAccount
root, port, key = sys.argv[1:]
class Accounts:
    def get(self, name):
        return StorageAccount(name, (key, key))
app = BlobGateway(Accounts(), FolderStore(Path(root)), authorise_bearer=lambda *a: "no", authority=f"http://127.0.0.1:{port}")
uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False, lifespan="off")
"""


@dataclass(frozen=True)
class Target:
    name: str
    url: str


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Print a row per measurement and return the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--azurite", type=Path, help="a folder with azurite installed by npm")
    parser.add_argument("--folder", type=Path, help="where the servers keep their data")
    parser.add_argument("--without-azurite", action="store_true", help="measure this server alone")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON too")
    options = parser.parse_args(argv)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="bench-storage-", dir=options.folder) as folder:
        with lazulite(Path(folder)) as target:
            rows += measure(target)
        executable = None if options.without_azurite else find_azurite(options.azurite, Path(folder))
        if options.without_azurite:
            return rows
        if executable is None:
            print("azurite: npm or the package is not there; its rows are skipped")
        else:
            with azurite(executable, Path(folder)) as target:
                rows += measure(target)
    _print_ratios(rows)
    if options.json:
        print(json.dumps(rows))
    return rows


def measure(target: Target) -> list[dict[str, Any]]:
    """All rows of one server."""
    container = f"bench-{uuid.uuid4().hex[:8]}"
    _service(target.url).create_container(container)
    rows = []
    for client, worker in (("", _small_worker), (" bare", _bare_worker)):
        for operation in ("put", "get"):
            rate, p99 = small(target, container, operation, worker)
            rows.append(_row(target, f"{SMALL_BYTES // 1024} KiB {operation}{client}", rate, "1/s", p99))
    up, down = large(target, container)
    rows.append(_row(target, "256 MiB upload", up, "MB/s"))
    rows.append(_row(target, "256 MiB download", down, "MB/s"))
    return rows


def small(target: Target, container: str, operation: str, worker_function: Any) -> tuple[float, float]:
    """Operations per second of all processes together, and the 99th percentile in ms."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    barrier = context.Barrier(PROCESSES)
    workers = [
        context.Process(target=worker_function, args=(target.url, container, operation, barrier, results))
        for _ in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    gathered = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    times = [seconds for some, _ in gathered for seconds in some]
    rate = sum(len(some) / elapsed for some, elapsed in gathered)
    return rate, statistics.quantiles(times, n=100)[98] * 1000


def large(target: Target, container: str) -> tuple[float, float]:
    """MB/s up and down of one blob, best of three."""
    blob = _service(target.url).get_blob_client(container, "large")
    data = os.urandom(LARGE_BYTES)
    up, down = [], []
    for _ in range(3):
        begin = time.perf_counter()
        blob.upload_blob(data, overwrite=True, max_concurrency=4)
        up.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        stream = blob.download_blob(max_concurrency=4)
        with open(os.devnull, "wb") as sink:
            stream.readinto(sink)
        down.append(time.perf_counter() - begin)
    return LARGE_BYTES / min(up) / 1e6, LARGE_BYTES / min(down) / 1e6


def _small_worker(url: str, container: str, operation: str, barrier: Any, results: Any) -> None:
    service = _service(url)
    client = service.get_container_client(container)
    data = os.urandom(SMALL_BYTES)
    prefix = uuid.uuid4().hex
    names = [f"seed/{index}" for index in range(50)]
    if operation == "get":
        for name in names:
            client.upload_blob(name, data, overwrite=True)
    times: list[float] = []
    barrier.wait()
    start = time.perf_counter()

    def work(number: int) -> None:
        count = 0
        while (begin := time.perf_counter()) - start < SECONDS:
            count += 1
            if operation == "put":
                client.get_blob_client(f"{prefix}/{number}/{count}").upload_blob(data, overwrite=True)
            else:
                client.get_blob_client(names[count % len(names)]).download_blob().readall()
            times.append(time.perf_counter() - begin)

    _in_threads(work)
    results.put((times, time.perf_counter() - start))


def _bare_worker(url: str, container: str, operation: str, barrier: Any, results: Any) -> None:
    from azure.storage.blob import generate_container_sas

    expiry = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    token = generate_container_sas(ACCOUNT, container, account_key=KEY, permission="racwdl", expiry=expiry)
    host, _, path = url.removeprefix("http://").partition("/")
    body = os.urandom(SMALL_BYTES)
    prefix = uuid.uuid4().hex
    headers = {"x-ms-version": "2021-08-06", "x-ms-blob-type": "BlockBlob"}
    times: list[float] = []

    def request(connection: http.client.HTTPConnection, method: str, name: str) -> None:
        target = f"/{path}/{container}/{prefix}/{name}?{token}"
        connection.request(method, target, body if method == "PUT" else None, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (200, 201):
            raise RuntimeError(f"{method} answered {answer.status}")

    def work(number: int) -> None:
        connection = http.client.HTTPConnection(host)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request(connection, "PUT", f"{number}/0")
        count = 0
        while (begin := time.perf_counter()) - start < SECONDS:
            count += 1
            request(
                connection, "PUT" if operation == "put" else "GET", f"{number}/{count if operation == 'put' else 0}"
            )
            times.append(time.perf_counter() - begin)

    barrier.wait()
    start = time.perf_counter()
    _in_threads(work)
    results.put((times, time.perf_counter() - start))


def _in_threads(work: Any) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def lazulite(folder: Path) -> Iterator[Target]:
    port = _free_port()
    process = subprocess.Popen([sys.executable, "-c", _SERVER, str(folder / "lazulite"), str(port), KEY])
    with _running(process, port):
        yield Target("lazulite", f"http://127.0.0.1:{port}/storage/v1/{ACCOUNT}")


@contextmanager
def azurite(executable: Path, folder: Path) -> Iterator[Target]:
    port = _free_port()
    data = folder / "azurite"
    command = [str(executable), "--blobPort", str(port), "--location", str(data), "--silent", "--skipApiVersionCheck"]
    command.append("--disableTelemetry")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with _running(process, port):
        yield Target("azurite", f"http://127.0.0.1:{port}/{ACCOUNT}")


def find_azurite(installed: Path | None, scratch: Path) -> Path | None:
    """azurite-blob, installed when need be; None where that is not possible."""
    folder = installed or scratch / "npm"
    executable = folder / "node_modules" / ".bin" / "azurite-blob"
    if not executable.exists() and shutil.which("npm"):
        folder.mkdir(exist_ok=True)
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", f"azurite@{AZURITE_VERSION}"]
        subprocess.run(command, cwd=folder, check=False, capture_output=True)
    return executable if executable.exists() else None


@contextmanager
def _running(process: subprocess.Popen[bytes], port: int) -> Iterator[None]:
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        else:
            raise TimeoutError("the server does not listen")
        yield
    finally:
        process.terminate()
        process.wait(20)


def _service(url: str) -> Any:
    from azure.storage.blob import BlobServiceClient

    return BlobServiceClient(url, credential={"account_name": ACCOUNT, "account_key": KEY})


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _row(target: Target, what: str, value: float, unit: str, p99: float | None = None) -> dict[str, Any]:
    tail = f"  p99 {p99:.1f} ms" if p99 is not None else ""
    print(f"{target.name:10} {what:18} {value:9.0f} {unit}{tail}", flush=True)
    return {"server": target.name, "what": what, "value": round(value, 1), "unit": unit, "p99_ms": p99}


def _print_ratios(rows: list[dict[str, Any]]) -> None:
    values = {(row["server"], row["what"]): row["value"] for row in rows}
    for (server, what), value in values.items():
        if server == "lazulite" and ("azurite", what) in values:
            print(f"{what:18} {value / values['azurite', what]:.2f} times Azurite")


if __name__ == "__main__":
    assert base64.b64decode(KEY)
    main()
