"""A full disk, a locked database and a broken one: what every way in answers, and what `lazulite up` says."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.server_fixture import WORKSPACE_ID, RunningServer

_QUERY = "?api-version=2024-04-01"
_MLFLOW = f"/mlflow/rest{WORKSPACE_ID}/api/2.0/mlflow"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    made = subprocess.run([mount, "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {made.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
    return filler


def _ask(server: RunningServer, method: str, path: str, body: bytes, **headers: str) -> tuple[int, str]:
    client = http.client.HTTPConnection("127.0.0.1", int(server.note["http_port"]), timeout=60)
    client.request(method, path, body, {"Authorization": f"Bearer {server.token()}"} | headers)
    answer = client.getresponse()
    return answer.status, answer.read().decode()


def _ways_in(server: RunningServer) -> dict[str, Callable[[int], tuple[int, str]]]:
    """Writes through each gateway, by a number that makes them differ."""
    account = next(path.name for path in sorted((server.home / "storage").iterdir()) if (path / "azureml").is_dir())
    asset = {
        "properties": {"dataType": "uri_file", "dataUri": "azureml://datastores/d/paths/a", "description": "x" * 4000}
    }
    run = {"experiment_id": "0", "tags": [{"key": f"k{n}", "value": "v" * 400} for n in range(10)]}
    return {
        "arm": lambda n: _ask(
            server, "PUT", f"{WORKSPACE_ID}/data/d{n}/versions/1{_QUERY}", json.dumps(asset).encode()
        ),
        "mlflow": lambda n: _ask(
            server, "POST", f"{_MLFLOW}/experiments/create", json.dumps({"name": f"e{n}" + "x" * 200}).encode()
        ),
        "run": lambda n: _ask(server, "POST", f"{_MLFLOW}/runs/create", json.dumps(run).encode()),
        "blob": lambda n: _ask(
            server, "PUT", f"/storage/v1/{account}/azureml/b{n}", bytes(65536), **{"x-ms-blob-type": "BlockBlob"}
        ),
    }


def test_a_full_disk_is_told_on_every_way_in_and_forgotten_once_there_is_room(small_disk: Path) -> None:
    server = RunningServer(small_disk / "home")
    server.home.mkdir()
    server.start()
    ways = _ways_in(server)
    assert ways["arm"](0)[0] == 201
    filler = _fill(small_disk)
    for name, write in ways.items():
        answers = (write(n) for n in range(1, 2000))  # what the database's file still has room for is taken
        status, said = next(answer for answer in answers if answer[0] not in (200, 201))
        assert (status, "disk is full" in said) == (507, True), f"{name}: {said}"
        if name in ("mlflow", "run"):
            assert json.loads(said)["error_code"] == "INTERNAL_ERROR"
        elif name == "arm":
            assert json.loads(said)["error"]["code"] == "InsufficientStorage"
    assert server.process is not None
    assert server.process.poll() is None
    filler.unlink()
    for name, write in ways.items():
        status, said = write(5000)
        assert status in (200, 201), f"{name}: {said}"
    _fill(small_disk)
    server.stop()
    for home in (server.home, small_disk / "new"):
        said = _up(home)
        assert f"the disk that holds {home} is full" in said
        assert "make room there" in said


def _up(home: Path) -> str:
    """What a start that fails says; a traceback is none of it."""
    command = [sys.executable, "-m", "lazulite.cli.main", "up", "--home", str(home), "--port", "0", "--http-port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
    return ended.stderr


@pytest.mark.parametrize("content", [b"no database at all " * 1000, b"SQLite format 3\0" + bytes(range(256)) * 100])
def test_a_file_that_is_no_database_is_named_with_the_next_step(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lazulite.db").write_bytes(content)
    said = _up(tmp_path)
    assert str(tmp_path / "lazulite.db") in said
    assert f"mv {tmp_path / 'lazulite.db'}" in said
    assert (tmp_path / "lazulite.db").read_bytes() == content


def test_a_locked_database_is_waited_for(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "home")
    server.home.mkdir()
    server.start()
    try:
        holder = sqlite3.connect(server.home / "lazulite.db", isolation_level=None, check_same_thread=False)
        holder.execute("begin immediate")
        threading.Timer(1, lambda: holder.execute("rollback")).start()
        assert _ways_in(server)["arm"](1)[0] == 201
        holder.close()
    finally:
        server.stop()
