"""Jobs that go over what the server lets them take, sent with the SDK; and what the server says it keeps."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest
from azure.ai.ml import MLClient, command
from tests.clients.raw_requests import Bad, send
from tests.clients.small_jobs import ended, log, prepare
from tests.server_fixture import WORKSPACE_ID, RunningServer

from lazulite.node import marks

pytestmark = pytest.mark.clients
_GROWS = "python -c \"x = []\nwhile True: x.append(b'x' * (1 << 20))\""
_FORKS = "for n in $(seq 120); do sleep 60 & done; wait"


@pytest.fixture(scope="module", params=["auto", "rlimit"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One that keeps limits as well as this machine can, and one that does without control groups."""
    running = RunningServer(tmp_path_factory.mktemp("server") / "home")
    running.home.mkdir()
    running.settings |= {"limits": request.param, "job_memory": "0.125", "job_processes": "80"}
    running.start()
    running.activate()
    yield running
    running.stop()


def error(server: RunningServer, name: str) -> str:
    status, run = send(server, Bad("", "GET", f"/history/v1.0{WORKSPACE_ID}/runs/{name}"))
    assert status == 200, run
    return str(run["error"]["error"]["message"])


def test_the_server_says_what_keeps_which_limit(server: RunningServer) -> None:
    with urllib.request.urlopen(f"{server.http_url}/healthz") as answer:
        said = json.load(answer)["limits"]
    assert said == server.note["limits"]
    assert {"memory", "processes", "open", "disk"} <= set(said.replace(";", "").split())
    if server.settings["limits"] == "rlimit":
        assert "cgroup" not in said


@pytest.mark.parametrize(
    ("script", "limit", "setting"), [(_GROWS, "128 MiB", "job_memory"), (_FORKS, "80 processes", "job_processes")]
)
def test_a_job_over_a_limit_fails_naming_it(
    server: RunningServer, ml_client: MLClient, script: str, limit: str, setting: str
) -> None:
    prepare(ml_client)
    name = str(
        ml_client.jobs.create_or_update(command(command=script, environment="bare:1", compute="cpu-cluster")).name
    )
    job = ended(ml_client, name)
    assert job.status == "Failed"
    assert limit in error(server, name)
    assert setting in error(server, name)
    assert limit in log(server, job, "system_logs/agent.log")
    assert not [folder for _, folder in marks.everywhere() if folder.startswith(str(server.home))]
