"""Bodies that are small to send and dear to take: others are answered meanwhile, and nothing of them is kept."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.server_fixture import WORKSPACE_ID, RunningServer

_QUERY = "?api-version=2024-04-01"
_NUMBERS = b"[" + b"1," * 7_000_000 + b"1]"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    server = RunningServer(tmp_path_factory.mktemp("bodies") / "home")
    server.home.mkdir()
    server.start()
    yield server
    server.stop()


def _ask(server: RunningServer, method: str, path: str, body: bytes = b"", kind: str = "json") -> tuple[int, str]:
    client = http.client.HTTPConnection("127.0.0.1", int(server.note["http_port"]), timeout=60)
    headers = {"Authorization": f"Bearer {server.token()}", "Content-Type": f"application/{kind}"}
    client.request(method, path, body, headers)
    answer = client.getresponse()
    return answer.status, answer.read().decode()


@contextmanager
def answered_meanwhile(server: RunningServer) -> Iterator[None]:
    over, waits = threading.Event(), [0.0]

    def ask() -> None:
        while not over.is_set():
            began = time.monotonic()
            assert _ask(server, "GET", "/healthz")[0] == 200
            waits.append(time.monotonic() - began)
            over.wait(0.02)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        over.set()
        asking.join()
    assert max(waits) < 3


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", f"{WORKSPACE_ID}/data/d/versions/1", b'{"properties": {"numbers": ' + _NUMBERS + b"}}", 413),
        ("POST", f"/mlflow/rest{WORKSPACE_ID}/api/2.0/mlflow/runs/log-batch", b'{"metrics": ' + _NUMBERS + b"}", 413),
        ("PUT", f"{WORKSPACE_ID}/data/d/versions/1", b'{"properties": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400),
        ("POST", "/adfs/oauth2/token", b"a&" * 100_000, 413),
    ],
    ids=["asset", "log-batch", "depth", "form of anybody"],
)
def test_a_body_of_very_many_values_is_refused(
    running: RunningServer, method: str, path: str, body: bytes, status: int
) -> None:
    with answered_meanwhile(running):
        found, said = _ask(running, method, f"{path}{_QUERY}" if path.startswith("/sub") else path, body)
    assert found == status, said


def test_more_tags_than_azure_takes_are_refused_and_not_kept(running: RunningServer) -> None:
    path = f"{WORKSPACE_ID}/data/tagged/versions/1{_QUERY}"
    properties = {"dataType": "uri_file", "dataUri": "azureml://datastores/workspaceblobstore/paths/a"}
    for count, expected in ((200_000, 400), (51, 400), (50, 201)):
        body = {"properties": {**properties, "tags": {f"t{n}": "v" for n in range(count)}}}
        with answered_meanwhile(running):
            status, said = _ask(running, "PUT", path, json.dumps(body).encode())
        assert status == expected, said
        if status == 400:
            assert json.loads(said)["error"]["target"] == "properties.tags"
            assert _ask(running, "GET", path)[0] == 404


def test_a_block_list_of_very_many_elements_is_refused(running: RunningServer) -> None:
    account = json.loads(_ask(running, "POST", f"{WORKSPACE_ID}/listKeys{_QUERY}")[1])["userStorageResourceId"]
    path = f"/storage/v1/{account.rsplit('/', 1)[1]}/azureml/b?comp=blocklist"
    with answered_meanwhile(running):
        status, said = _ask(running, "PUT", path, b"<BlockList>" + b"<a>" * 2_500_000, "xml")
    assert (status, "more elements" in said) == (400, True)


def test_a_large_pipeline_is_within_the_limits(running: RunningServer) -> None:
    node = {"type": "command", "componentId": "azureml:nothing:1", "inputs": {"a": {"job_input_type": "literal"}}}
    body = {"properties": {"jobType": "Pipeline", "jobs": {f"n{n}": {**node, "name": f"n{n}"} for n in range(30_000)}}}
    status, said = _ask(running, "PUT", f"{WORKSPACE_ID}/jobs/large{_QUERY}", json.dumps(body).encode())
    assert status in (400, 404), said
    assert "nothing" in said  # it came as far as its components


def test_who_leaves_in_the_middle_is_no_error(running: RunningServer) -> None:
    """Uploads and downloads through every gateway, each cut off by a reset."""
    runs = f"/mlflow/rest{WORKSPACE_ID}/api/2.0/mlflow"
    made = _ask(running, "POST", f"{runs}/runs/create", b'{"experiment_id": "0"}')[1]
    run = json.loads(made)["run"]["info"]["run_id"]
    artifacts = f"/mlflow/rest{WORKSPACE_ID}/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts"
    assert _ask(running, "PUT", f"{artifacts}/large", bytes(10_000_000))[0] == 200
    log = running.home.parent / f"{running.home.name}.log"
    before = log.read_text()
    for _ in range(3):
        for method, path in (
            ("GET", f"{artifacts}/large"),
            ("PUT", f"{artifacts}/half"),
            ("POST", f"{runs}/upload-artifact?run_uuid={run}&path=half.txt"),
            ("POST", f"/mlflow/rest{WORKSPACE_ID}/v1/traces"),
            ("PUT", f"{WORKSPACE_ID}/jobs/half{_QUERY}"),
        ):
            _leave(running, method, path)
    assert _ask(running, "GET", "/healthz")[0] == 200
    said = log.read_text().removeprefix(before)
    assert "ERROR" not in said
    assert "Traceback" not in said


def _leave(server: RunningServer, method: str, path: str) -> None:
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {server.token()}\r\n"
    with socket.create_connection(("127.0.0.1", int(server.note["http_port"])), timeout=20) as client:
        if method == "GET":
            client.sendall(f"{head}\r\n".encode())
            client.recv(1000)
        else:
            more = "x-mlflow-experiment-id: 0\r\ncontent-type: application/json\r\ncontent-length: 5000000\r\n\r\n{"
            client.sendall((head + more).encode())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
