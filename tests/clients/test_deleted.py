"""What is deleted is gone: the next of that name begins with nothing of it, through the unmodified clients."""

from __future__ import annotations

import time
from pathlib import Path

import mlflow
import pytest
from azure.ai.ml import MLClient, command
from azure.ai.ml._vendor.azure_resources import ResourceManagementClient
from azure.ai.ml.dsl import pipeline
from azure.ai.ml.entities import AmlCompute, Data, Model, Workspace
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from tests.clients import small_jobs
from tests.clients.raw_requests import Bad, send
from tests.server_fixture import SUBSCRIPTION, RunningServer

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def prepared(ml_client: MLClient) -> MLClient:
    small_jobs.prepare(ml_client)
    return ml_client


def submitted(client: MLClient, name: str, text: str) -> None:
    job = command(command=text, environment="azureml:bare:1", compute="cpu-cluster", name=name)
    client.jobs.create_or_update(job)
    small_jobs.ended(client, name)


def artifacts(server: RunningServer, job: str) -> list[str]:
    found = server.home.glob(f"storage/*/azureml/ExperimentRun/dcid.{job}/**/*")
    return sorted(file.name for file in found if file.is_file())


def test_a_job_leaves_no_log_run_or_artifact_and_what_was_registered_stays(
    prepared: MLClient, server: RunningServer, tmp_path: Path
) -> None:
    submitted(
        prepared, "again", "mkdir outputs/net && echo 1 > outputs/net/w && echo old > outputs/old.txt && echo old"
    )
    with mlflow.start_run(run_id="again"):
        mlflow.log_metric("loss", 1.0)
    model = Model(name="kept", version="1", path="azureml://jobs/again/outputs/artifacts/paths/outputs/net")
    prepared.models.create_or_update(model)
    assert "old.txt" in artifacts(server, "again")
    prepared.jobs.begin_delete("again").result()
    assert artifacts(server, "again") == ["w"]
    with pytest.raises(ResourceNotFoundError):
        prepared.jobs.get("again")
    with pytest.raises(mlflow.MlflowException, match="again"):
        mlflow.get_run("again")
    prepared.models.download("kept", "1", download_path=tmp_path)
    assert [file.read_text() for file in tmp_path.rglob("w")] == ["1\n"]
    submitted(prepared, "again", "echo new")
    run = mlflow.get_run("again")
    assert run.data.metrics == {}
    assert "old.txt" not in artifacts(server, "again")
    assert small_jobs.log(server, prepared.jobs.get("again")).strip() == "new"


def test_a_job_that_runs_is_not_deleted(prepared: MLClient) -> None:
    job = command(command="sleep 60", environment="azureml:bare:1", compute="cpu-cluster", name="busy")
    prepared.jobs.create_or_update(job)
    with pytest.raises(HttpResponseError, match="cancel it before deleting it"):
        prepared.jobs.begin_delete("busy").result()
    prepared.jobs.begin_cancel("busy").result()
    prepared.jobs.begin_delete("busy").result()


def test_a_pipeline_made_again_has_its_own_steps_and_log(prepared: MLClient, server: RunningServer) -> None:
    step = command(command="echo step", environment="azureml:bare:1", compute="cpu-cluster")

    @pipeline()  # type: ignore[untyped-decorator]
    def chain() -> None:
        step()

    logs = []
    for _ in range(2):
        job = chain()
        job.name = "pipe"
        prepared.jobs.create_or_update(job)
        assert small_jobs.ended(prepared, "pipe").status == "Completed"
        children = [str(child.name) for child in prepared.jobs.list(parent_job_name="pipe")]
        assert len(children) == 1
        logs.append(small_jobs.log(server, prepared.jobs.get("pipe"), "logs/azureml/executionlogs.txt"))
        prepared.jobs.begin_delete("pipe").result()
        with pytest.raises(ResourceNotFoundError):
            prepared.jobs.get(children[0])
        assert artifacts(server, "pipe") == artifacts(server, children[0]) == []
    assert len(logs[0].splitlines()) == len(logs[1].splitlines())


def test_assets_start_again(ml_client: MLClient, server: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("x")
    for _ in range(2):
        made = ml_client.data.create_or_update(Data(name="d", path=str(tmp_path / "f.txt"), type="uri_file"))
        assert made.version == "1"
        model = ml_client.models.create_or_update(Model(name="m", path=str(tmp_path / "f.txt")))
        assert model.version == "1"
        for collection in ("data/d", "models/m"):
            path = f"{WORKSPACE_PATH}/{collection}?api-version=2024-10-01"
            assert send(server, Bad("", "DELETE", path))[0] == 200


WORKSPACE_PATH = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-lazulite"
    "/providers/Microsoft.MachineLearningServices/workspaces/mlw-default"
)


def test_a_compute_made_again_has_no_part_in_what_was(ml_client: MLClient, server: RunningServer) -> None:
    scope = f"{WORKSPACE_PATH}/computes/shared"
    ml_client.compute.begin_create_or_update(AmlCompute(name="shared")).result()
    body = {"name": "helper", "role": "Contributor", "scope": scope}
    status, principal = send(server, Bad("", "POST", "/lazulite/principals", body))
    assert status in (200, 201), principal
    ml_client.compute.begin_delete("shared").result()
    ml_client.compute.begin_create_or_update(AmlCompute(name="shared", max_instances=1)).result()
    assert ml_client.compute.get("shared").max_instances == 1
    _, listed = send(server, Bad("", "GET", "/lazulite/principals"))
    helper = next(one for one in listed["value"] if one["name"] == "helper")
    assert helper["roles"] == []


def test_a_group_goes_with_all_in_it(ml_client: MLClient, server: RunningServer) -> None:
    client = MLClient(DefaultAzureCredential(), SUBSCRIPTION, "rg-gone", "ws-gone")
    made = client.workspaces.begin_create(Workspace(name="ws-gone", location="local")).result()
    small_jobs.prepare(client)
    job = command(command="echo here; sleep 600", environment="azureml:bare:1", compute="cpu-cluster", name="sleeper")
    client.jobs.create_or_update(job)
    deadline = time.monotonic() + 60
    while client.jobs.get("sleeper").status != "Running":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    account = made.storage_account.rsplit("/", 1)[1]
    assert (server.home / "storage" / account).is_dir()
    assert list((server.home / "runs").glob("*/sleeper/*"))
    group_deleted(server, "rg-gone")
    assert not (server.home / "storage" / account).exists()
    assert not list((server.home / "runs").glob("*/sleeper/*"))
    for path in ("", "/providers/Microsoft.MachineLearningServices/workspaces/ws-gone"):
        status, _ = send(server, Bad("", "GET", f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-gone{path}"))
        assert status == 404
    status, _ = send(server, Bad("", "GET", made.storage_account))
    assert status == 404
    client.workspaces.begin_create(Workspace(name="ws-gone", location="local")).result()
    assert list(client.jobs.list()) == list(client.compute.list()) == []
    assert {experiment.name for experiment in mlflow_of(client).search_experiments()} <= {"Default"}


def mlflow_of(client: MLClient) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(client.workspaces.get("ws-gone").mlflow_tracking_uri)


def group_deleted(server: RunningServer, group: str) -> None:
    scope = f"{server.https_url}/.default"
    client = ResourceManagementClient(
        DefaultAzureCredential(), SUBSCRIPTION, base_url=server.https_url, credential_scopes=[scope]
    )
    client.resource_groups.begin_delete(group, polling_interval=0).result(timeout=60)
