"""`runtime = "container"`: environments that are images run in real containers, through the unmodified SDK."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.container_fixture import engine, image, running
from tests.server_fixture import GROUP, SUBSCRIPTION, WORKSPACE, RunningServer

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    image()
    made = RunningServer(tmp_path_factory.mktemp("server") / "home", {"runtime": "container"})
    made.home.mkdir()
    made.start()
    made.activate()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def client(server: RunningServer) -> MLClient:
    warnings.filterwarnings("ignore")
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    return MLClient(DefaultAzureCredential(), SUBSCRIPTION, GROUP, WORKSPACE)


def test_what_runs_containers_is_said(server: RunningServer) -> None:
    with urllib.request.urlopen(f"{server.http_url}/healthz") as answer:
        told = json.load(answer)["runtime"]
    assert told["kind"] == "container"
    assert engine().detail in told["detail"]
    assert server.note["runtime"] == told


def test_a_job_in_its_image(client: MLClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from azure.ai.ml import Input, Output, command
    from azure.ai.ml.entities import Environment

    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.sh").write_text(
        "echo image says $FROM_IMAGE\nwc -l < $1\ncp $1 $2/copy.csv\necho m > outputs/m\n"
    )
    job = client.jobs.create_or_update(
        command(
            command="sh main.sh ${{inputs.table}} ${{outputs.made}}",
            code=str(tmp_path / "src"),
            environment=Environment(image=image()),
            inputs={"table": Input(type="uri_file", path=str(tmp_path / "table.csv"))},
            outputs={"made": Output(type="uri_folder")},
        )
    )
    client.jobs.stream(job.name)
    assert "image says yes\n2\n" in capsys.readouterr().out
    client.jobs.download(job.name, all=True, download_path=str(tmp_path / "down"))
    assert (tmp_path / "down/named-outputs/made/copy.csv").read_text() == "a,b\n1,2\n"
    assert (tmp_path / "down/artifacts/outputs/m").read_text() == "m\n"
    assert engine().detail in (tmp_path / "down/artifacts/system_logs/agent.log").read_text()
    assert running(job.name) == []


def test_a_build_context(client: MLClient, tmp_path: Path) -> None:
    from azure.ai.ml import command
    from azure.ai.ml.entities import BuildContext, Environment

    (tmp_path / "Dockerfile").write_text(
        f"FROM {image()}\nRUN echo {tmp_path.name} > /made.txt && ls -l /bin/busybox\n"
    )
    environment = client.environments.create_or_update(
        Environment(name="built", build=BuildContext(path=str(tmp_path)))
    )
    job = client.jobs.create_or_update(command(command="cat /made.txt", environment=environment))
    assert _ended(client, job.name).status == "Completed"
    assert tmp_path.name in _log(client, job.name, tmp_path)
    (built,) = re.findall(r"lazulite-build:\w+", (tmp_path / "artifacts/system_logs/agent.log").read_text())
    subprocess.run([*engine().command, "rmi", built], check=True, capture_output=True)


def test_a_conda_file_stays_a_process(client: MLClient, tmp_path: Path) -> None:
    from azure.ai.ml import command
    from azure.ai.ml.entities import Environment

    conda = {"dependencies": ["python=3.11", "pip"]}
    environment = Environment(image=image(), conda_file=conda)
    job = client.jobs.create_or_update(command(command="python -c 'print(6 * 7)'", environment=environment))
    assert _ended(client, job.name).status == "Completed"
    assert _log(client, job.name, tmp_path).strip() == "42"
    said = (tmp_path / "artifacts/system_logs/agent.log").read_text()
    assert "The runtime is 'container', but an environment with a conda_file" in said


def test_an_image_that_cannot_be_pulled(client: MLClient) -> None:
    from azure.ai.ml import command
    from azure.ai.ml.entities import Environment
    from azure.ai.ml.exceptions import JobException

    environment = Environment(image="127.0.0.1:1/no/such:1")
    job = client.jobs.create_or_update(command(command="true", environment=environment))
    with pytest.raises(JobException, match=r"127\.0\.0\.1:1/no/such:1 could not be pulled"):
        client.jobs.stream(job.name)


def test_cancel(client: MLClient) -> None:
    from azure.ai.ml import command
    from azure.ai.ml.entities import Environment

    job = client.jobs.create_or_update(command(command="echo up; sleep 300", environment=Environment(image=image())))
    _until(lambda: running(job.name))
    client.jobs.begin_cancel(job.name).result()
    assert _ended(client, job.name).status == "Canceled"
    _until(lambda: not running(job.name))


def test_a_running_container_survives_the_servers_end(server: RunningServer, client: MLClient, tmp_path: Path) -> None:
    from azure.ai.ml import command
    from azure.ai.ml.entities import Environment

    text = "echo started; for i in 1 2 3 4 5 6 7 8; do sleep 0.5; done; echo ended"
    job = client.jobs.create_or_update(command(command=text, environment=Environment(image=image())))
    _until(lambda: client.jobs.get(job.name).status == "Running")
    server.kill()
    server.start(same_ports=True)
    assert _ended(client, job.name).status == "Completed"
    assert _log(client, job.name, tmp_path) == "started\nended\n"


def test_no_engine_no_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lazulite.server", "--home", str(tmp_path), "--port", "0", "--http-port", "0"]
    without = {**os.environ, "PATH": str(tmp_path), "LAZULITE_RUNTIME": "container"}
    done = subprocess.run(command, env=without, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "podman is not installed; docker is not installed" in done.stderr
    assert "apt-get install podman" in done.stderr


def _ended(client: MLClient, name: str) -> Any:
    _until(lambda: client.jobs.get(name).status in ("Completed", "Failed", "Canceled"))
    return client.jobs.get(name)


def _log(client: MLClient, name: str, folder: Path) -> str:
    client.jobs.download(name, download_path=str(folder))
    return (folder / "artifacts/user_logs/std_log.txt").read_text()


def _until(reached: Callable[[], object], limit_s: float = 60.0) -> None:
    end = time.monotonic() + limit_s
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.1)
