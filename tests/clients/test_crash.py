"""The server is killed as by a power cut: what it acknowledged is there, what ran goes on, nothing runs twice."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import AzureError
from tests.clients.raw_requests import Bad, send
from tests.long import size
from tests.server_fixture import WORKSPACE_ID, RunningServer

pytestmark = pytest.mark.clients
_ENVIRONMENT = f"{WORKSPACE_ID}/environments/bare/versions/1"
_COMPONENT = f"{WORKSPACE_ID}/components/mark/versions/1"
#: Steps of the pipeline that is killed at random; a quarter as many trials.
_STEPS = size(12, 200)
_ENDED = ("Completed", "Failed", "Canceled")


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path / "home")
    running.home.mkdir()
    running.start()
    status, _ = send(running, Bad("", "PUT", _ENVIRONMENT, {"properties": {"image": "library/python:3.11"}}))
    assert status == 201
    yield running
    running.stop()


def test_killed_during_submission(mortal: RunningServer) -> None:
    acknowledged: list[str] = []

    def submit(worker: int) -> None:
        for number in range(1000):
            name = f"job-{worker}-{number}"
            body = _job("true", computeId=None)
            try:
                status, _ = send(mortal, Bad("", "PUT", f"{WORKSPACE_ID}/jobs/{name}", body))
            except OSError:
                return
            if status != 201:
                return
            acknowledged.append(name)

    workers = [threading.Thread(target=submit, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    _until(lambda: len(acknowledged) >= 12)
    mortal.kill()
    for worker in workers:
        worker.join()
    mortal.start(same_ports=True)
    for name in acknowledged:
        assert _finished(mortal, name)["status"] == "Completed", name


def test_killed_during_a_run(mortal: RunningServer, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    command = (
        "echo started >> ${{outputs.marks}}/started; "
        "for i in 1 2 3 4 5 6; do echo tick $i; sleep 0.5; done; echo ended >> ${{outputs.marks}}/ended"
    )
    body = _job(command, outputs={"marks": {"jobOutputType": "uri_folder", "mode": "ReadWriteMount"}})
    send(mortal, Bad("", "PUT", f"{WORKSPACE_ID}/jobs/survivor", body))
    _until(lambda: _state(mortal, "survivor") == "Running")
    for _ in range(2):
        mortal.kill()
        mortal.start(same_ports=True)
    job = _finished(mortal, "survivor")
    assert job["status"] == "Completed"
    folder = next(mortal.home.glob("storage/*/azureml-blobstore-*/azureml/survivor/marks"))
    assert (folder / "started").read_text() == "started\n"
    assert (folder / "ended").read_text() == "ended\n"
    log = next(mortal.home.glob("storage/*/azureml/ExperimentRun/dcid.survivor/user_logs/std_log.txt")).read_text()
    assert log.splitlines() == [f"tick {n}" for n in range(1, 7)]


def test_a_run_that_ends_while_the_server_is_down_is_seen(mortal: RunningServer) -> None:
    send(mortal, Bad("", "PUT", f"{WORKSPACE_ID}/jobs/alone", _job("sleep 1; exit 3")))
    _until(lambda: _state(mortal, "alone") == "Running")
    mortal.kill()
    status = next(mortal.home.glob("runs/*/alone/*/status.json"))
    _until(lambda: '"done"' in status.read_text())
    mortal.start(same_ports=True)
    job = _finished(mortal, "alone")
    assert job["status"] == "Failed"


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_killed_at_random_during_a_pipeline_and_a_sweep(tmp_path: Path) -> None:
    """Every step and every trial leaves one mark: none is lost, and none runs twice."""
    chance = random.Random(_STEPS)
    server = RunningServer(tmp_path / "home", settings={"isolation": "process"})
    server.home.mkdir()
    server.start()
    try:
        _submit_marked(server, chance, tmp_path / "marks")
        kills, most = 0, max(4, _STEPS // 5)
        while kills < most and not _all_ended(server):
            time.sleep(chance.uniform(0.0, 1.5))
            server.kill()
            server.start(same_ports=True)
            kills += 1
        assert kills >= 3
        _until(lambda: _all_ended(server), 1200)
        states = {name: _state(server, name) for name in ("killed", "swept")}
    finally:
        server.stop()
    marks = Counter((tmp_path / "marks").read_text().split())
    expected = [f"n{number}" for number in range(_STEPS)] + [f"trial{number}" for number in range(_STEPS // 4)]
    assert marks == Counter(expected)
    assert states == {"killed": "Completed", "swept": "Completed"}


def test_killed_during_an_upload(mortal: RunningServer) -> None:
    mortal.activate()
    from azure.storage.blob import BlobServiceClient

    status, found = send(mortal, Bad("", "POST", f"{WORKSPACE_ID}/listKeys", {}))
    assert status == 200
    account = found["userStorageResourceId"].rsplit("/", 1)[1]
    url = f"{mortal.https_url}/storage/v1/{account}/_.blob.core.windows.net"
    credential = {"account_name": account, "account_key": found["userStorageKey"]}
    service = BlobServiceClient(url, credential=credential, retry_total=0)
    container = service.create_container("crash")
    acknowledged: dict[str, bytes] = {}

    def upload(worker: int) -> None:
        for number in range(10_000):
            name, content = f"w{worker}/{number}", f"{worker}-{number}-".encode() * 300
            try:
                container.upload_blob(name, content)
            except AzureError:
                return
            acknowledged[name] = content

    workers = [threading.Thread(target=upload, args=(n,)) for n in range(3)]
    for worker in workers:
        worker.start()
    _until(lambda: len(acknowledged) >= 30)
    mortal.kill()
    for worker in workers:
        worker.join()
    mortal.start(same_ports=True)
    for name, content in acknowledged.items():
        assert container.download_blob(name).readall() == content
    whole = {len(f"{blob.name.replace('/', '-')[1:]}-".encode() * 300) == blob.size for blob in container.list_blobs()}
    assert whole == {True}


def _submit_marked(server: RunningServer, chance: random.Random, marks: Path) -> None:
    spec = {
        "type": "command",
        "command": f"echo ${{{{inputs.text}}}} >> {marks}",
        "environment": f"azureml:{_ENVIRONMENT}",
        "is_deterministic": False,
        "inputs": {"text": {"type": "string"}, "data": {"type": "uri_folder", "optional": True}},
        "outputs": {"made": {"type": "uri_folder"}},
    }
    nodes = {}
    for number in range(_STEPS):
        inputs: dict[str, Any] = {"text": {"job_input_type": "literal", "value": f"n{number}"}}
        if number > 2:
            other = f"${{{{parent.jobs.n{chance.randrange(max(0, number - 8), number)}.outputs.made}}}}"
            inputs["data"] = {"job_input_type": "literal", "value": other}
        nodes[f"n{number}"] = {"type": "command", "componentId": _COMPONENT, "inputs": inputs, "outputs": {}}
    sweep = {
        "jobType": "Sweep",
        "trial": {"command": f"echo trial${{{{search_space.x}}}} >> {marks}", "environmentId": _ENVIRONMENT},
        "searchSpace": {"x": ["choice", [list(range(_STEPS // 4))]]},
        "samplingAlgorithm": {"samplingAlgorithmType": "Grid"},
        "objective": {"goal": "maximize", "primaryMetric": "m"},
        "limits": {"maxTotalTrials": _STEPS // 4, "maxConcurrentTrials": 2},
    }
    pipeline = {"jobType": "Pipeline", "jobs": nodes, "inputs": {}, "outputs": {}, "settings": {}}
    for path, properties in (
        (_ENVIRONMENT, {"image": "library/python:3.11"}),
        (_COMPONENT, {"componentSpec": spec}),
        (f"{WORKSPACE_ID}/jobs/killed", pipeline),
        (f"{WORKSPACE_ID}/jobs/swept", sweep),
    ):
        status, answer = send(server, Bad("", "PUT", path, {"properties": properties}))
        assert status in (200, 201), answer


def _all_ended(server: RunningServer) -> bool:
    return all(_state(server, name) in _ENDED for name in ("killed", "swept"))


def _job(command: str, **properties: Any) -> dict[str, Any]:
    return {"properties": {"jobType": "Command", "command": command, "environmentId": _ENVIRONMENT, **properties}}


def _state(server: RunningServer, name: str) -> str:
    _, document = send(server, Bad("", "GET", f"{WORKSPACE_ID}/jobs/{name}"))
    return str(document["properties"]["status"])


def _finished(server: RunningServer, name: str) -> dict[str, Any]:
    _until(lambda: _state(server, name) in ("Completed", "Failed", "Canceled"))
    _, document = send(server, Bad("", "GET", f"{WORKSPACE_ID}/jobs/{name}"))
    found: dict[str, Any] = document["properties"]
    return found


def _until(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)
