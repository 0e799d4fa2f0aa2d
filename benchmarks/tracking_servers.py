"""The servers that the tracking benchmark drives: ours on SQLite or PostgreSQL, MLflow's own and FastTrackML.

Each is started on loopback over plain HTTP with a new database, and ended with its block.
"""

from __future__ import annotations

import json
import os
import shutil
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
PEERS = {"mlflow": "mlflow==3.17.2", "fasttrackml": "fasttrackml==0.6.0"}


@dataclass(frozen=True)
class Target:
    """Where a server's MLflow API is: `base` is the path above `/api/2.0/mlflow`."""

    name: str
    host: str
    port: int
    base: str
    token: str


@contextmanager
def lazulite_server(name: str = "lazulite", database: str | None = None) -> Iterator[Target]:
    """`database` is the URL of one that is empty; without it, SQLite in a new home."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        command = [sys.executable, "-m", "lazulite.server", "--home", str(home), "--port", "0", "--http-port", "0"]
        own = {"LAZULITE_DATABASE_URL": database} if database else {}
        with _process(command, Path(folder), own):
            note = _until(lambda: json.loads((home / "server.json").read_text()))
            parts = urlsplit(note["http_url"])
            token = _token(note["http_url"], (home / "secrets" / "user.key").read_text().strip())
            yield Target(name, parts.hostname or "", parts.port or 0, f"/mlflow/rest{WORKSPACE}", token)


@contextmanager
def mlflow_server(python: Path) -> Iterator[Target]:
    """`python` has the full `mlflow` wheel."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [str(python), "-m", "mlflow", "server", "--port", str(port), "--host", "127.0.0.1"]
        command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", folder]
        with _process(command, Path(folder)):
            _until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).read())
            yield Target("mlflow", "127.0.0.1", port, "", "")


@contextmanager
def fasttrackml_server(program: Path) -> Iterator[Target]:
    """`program` is `fml`."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [str(program), "server", "--listen-address", f"127.0.0.1:{port}"]
        command += ["--database-uri", f"sqlite://{folder}/fml.db", "--default-artifact-root", folder]
        with _process(command, Path(folder)):
            _until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).read())
            yield Target("fasttrackml", "127.0.0.1", port, "", "")


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database of a PostgreSQL that writes to the disk as a server's does. Raises RuntimeError."""
    import pytest
    from tests import postgres_fixture

    try:
        with postgres_fixture.started(durable=True) as server, server.database() as url:
            yield url
    except pytest.skip.Exception as reason:
        raise RuntimeError(str(reason)) from None


def install(peer: str, scratch: Path) -> Path | None:
    """The folder of programs of a new virtual environment with that peer; None where it cannot be made."""
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    folder = scratch / peer
    try:
        subprocess.run([uv, "venv", "-q", "-p", sys.executable, str(folder)], check=True)
        subprocess.run([uv, "pip", "install", "-q", "-p", str(folder / "bin" / "python"), PEERS[peer]], check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return folder / "bin"


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
def _process(command: list[str], folder: Path, own: dict[str, str] | None = None) -> Iterator[None]:
    with (folder / "server.log").open("wb") as log:
        path = f"{Path(command[0]).absolute().parent}:{os.environ['PATH']}"  # where it finds gunicorn or uvicorn
        environment = {**os.environ, "PATH": path, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **(own or {})}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)
