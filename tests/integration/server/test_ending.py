"""SIGTERM ends the server soon, whatever is under way, and what was acknowledged stays."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from tests.server_fixture import WORKSPACE_ID, RunningServer

_QUERY = "?api-version=2024-04-01"


@pytest.fixture
def running(tmp_path: Path) -> RunningServer:
    server = RunningServer(tmp_path / "home")
    server.home.mkdir()
    return server.start()


def ask(server: RunningServer, method: str, path: str, body: bytes = b"") -> int:
    client = http.client.HTTPConnection("127.0.0.1", int(server.note["http_port"]), timeout=60)
    client.request(method, path, body, {"Authorization": f"Bearer {server.token()}"})
    return client.getresponse().status


def _ended_in(server: RunningServer) -> float:
    assert server.process is not None
    began = time.monotonic()
    server.process.terminate()
    assert server.process.wait(timeout=20) == 0
    return time.monotonic() - began


def _opened(server: RunningServer, head: str, body: bytes = b"") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", int(server.note["http_port"])), timeout=20)
    client.sendall(f"{head}\r\nhost: localhost\r\nauthorization: Bearer {server.token()}\r\n".encode() + body)
    return client


def test_a_quiet_server_ends_at_once(running: RunningServer) -> None:
    idle = [_opened(running, "GET /healthz HTTP/1.1", b"\r\n") for _ in range(5)]
    assert _ended_in(running) < 3
    assert not (running.home / "server.json").exists()
    for client in idle:
        client.close()


def test_a_busy_server_ends_in_five_seconds_and_keeps_what_it_acknowledged(running: RunningServer) -> None:
    body = json.dumps({"properties": {"dataType": "uri_file", "dataUri": "azureml://datastores/d/paths/a"}}).encode()
    assert ask(running, "PUT", f"{WORKSPACE_ID}/data/kept/versions/1{_QUERY}", body) == 201
    blob = f"{_container(running)}/large"
    clients = [
        _opened(running, f"PUT {blob} HTTP/1.1", b"x-ms-blob-type: BlockBlob\r\ncontent-length: 64000000\r\n\r\n")
    ]
    for _ in range(64):
        clients[0].sendall(bytes(1_000_000))
    assert clients[0].recv(100).startswith(b"HTTP/1.1 201")
    clients += [
        _opened(running, f"GET {blob} HTTP/1.1", b"\r\n"),  # never read
        _opened(running, f"PUT {blob} HTTP/1.1", b"x-ms-blob-type: BlockBlob\r\ncontent-length: 9\r\n\r\nhalf"),
        _opened(running, "POST /mlflow HTTP/1.1", b"transfer-encoding: chunked\r\n\r\n"),
        _opened(running, "GET /heal"),
    ]
    holder = sqlite3.connect(running.home / "lazulite.db", isolation_level=None)
    holder.execute("begin immediate")
    waiting = threading.Thread(target=_put_and_lose, args=(running, body))
    waiting.start()
    time.sleep(0.3)  # the write is with the database now, which waits for the lock
    assert _ended_in(running) < 5
    waiting.join()
    holder.close()
    for client in clients:
        client.close()
    running.start()
    assert ask(running, "GET", f"{WORKSPACE_ID}/data/kept/versions/1{_QUERY}") == 200
    assert ask(running, "GET", f"{WORKSPACE_ID}/data/lost/versions/1{_QUERY}") == 404
    running.stop()


def _put_and_lose(server: RunningServer, body: bytes) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        assert ask(server, "PUT", f"{WORKSPACE_ID}/data/lost/versions/1{_QUERY}", body) >= 500


def _container(server: RunningServer) -> str:
    account = next(path.name for path in sorted((server.home / "storage").iterdir()) if (path / "azureml").is_dir())
    return f"/storage/v1/{account}/azureml"
