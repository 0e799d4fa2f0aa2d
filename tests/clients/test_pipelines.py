"""Pipelines through the unmodified SDK: the DSL and YAML, bindings, reuse, failures, what clients see of the steps."""

import time
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import Input, MLClient, Output, command, dsl, load_job
from azure.ai.ml.entities import AmlCompute, Environment, Job
from azure.ai.ml.exceptions import JobException
from azure.core.exceptions import HttpResponseError
from tests.server_fixture import RunningServer

pytestmark = pytest.mark.clients

FOLDER = Input(type="uri_folder")
MAKE = command(
    name="make",
    inputs={"text": Input(type="string"), "n": Input(type="integer", default=1, min=1, max=5)},
    outputs={"made": Output(type="uri_folder")},
    command="for i in $(seq ${{inputs.n}}); do echo '${{inputs.text}}' >> ${{outputs.made}}/a.txt; done; echo made",
    environment="bare:1",
)
COUNT = command(
    name="count",
    inputs={"folder": FOLDER, "extra": Input(type="string", optional=True)},
    outputs={"counted": Output(type="uri_file")},
    command="wc -l < ${{inputs.folder}}/a.txt > ${{outputs.counted}}; echo $[[extra=${{inputs.extra}}]]",
    environment="bare:1",
)


@pytest.fixture(scope="module", autouse=True)
def _things(ml_client: MLClient) -> None:
    ml_client.environments.create_or_update(Environment(name="bare", version="1", image="library/python:3.11"))
    ml_client.compute.begin_create_or_update(
        AmlCompute(name="cpu-cluster", size="STANDARD_DS3_v2", max_instances=4)
    ).result()


def run(ml_client: MLClient, job: Any) -> Job:
    return ended(ml_client, ml_client.jobs.create_or_update(job).name)


def ended(ml_client: MLClient, name: str) -> Job:
    deadline = time.monotonic() + 120
    while True:
        job = ml_client.jobs.get(name)
        if job.status in ("Completed", "Failed", "Canceled"):
            return job
        assert time.monotonic() < deadline, f"{name} is still {job.status}"
        time.sleep(0.1)


def steps(ml_client: MLClient, name: str) -> dict[str, Job]:
    return {child.display_name: child for child in ml_client.jobs.list(parent_job_name=name)}


def log(server: RunningServer, job: Job, file: str = "user_logs/std_log.txt") -> str:
    found = next(server.home.glob(f"storage/*/azureml/ExperimentRun/dcid.{job.name}/{file}"), None)
    return found.read_text() if found else ""


@dsl.pipeline(default_compute="cpu-cluster")
def two_steps(text: str, n: int = 2) -> dict[str, Any]:
    first = MAKE(text=text, n=n)
    second = COUNT(folder=first.outputs.made, extra="x")
    return {"result": second.outputs.counted, "folder": first.outputs.made}


def test_two_steps(
    server: RunningServer, ml_client: MLClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = ml_client.jobs.create_or_update(two_steps(text="hello", n=3), experiment_name="pipes")
    ml_client.jobs.stream(job.name)
    said = capsys.readouterr().out
    assert "executionlogs.txt" in said
    assert "Step 'second' is Completed" in said
    done = ml_client.jobs.get(job.name)
    assert (done.status, done.type, done.experiment_name) == ("Completed", "pipeline", "pipes")
    found = steps(ml_client, job.name)
    assert {name: child.status for name, child in found.items()} == {"first": "Completed", "second": "Completed"}
    assert "extra=x" in log(server, found["second"])
    ml_client.jobs.download(job.name, output_name="result", download_path=str(tmp_path))
    assert next(p for p in tmp_path.rglob("*") if p.is_file()).read_text().strip() == "3"
    assert found["first"].name not in {listed.name for listed in ml_client.jobs.list()}
    assert job.name in {listed.name for listed in ml_client.jobs.list()}
