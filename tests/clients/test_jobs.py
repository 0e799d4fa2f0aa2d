"""Command jobs through the unmodified SDK: what goes in, what comes out, where they run, how they end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import (
    Input,
    MLClient,
    MpiDistribution,
    Output,
    PyTorchDistribution,
    TensorFlowDistribution,
    command,
)
from azure.ai.ml.entities import AmlCompute, ComputeInstance, Data, Environment, Job, Model
from azure.ai.ml.exceptions import JobException
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from tests.clients import small_jobs
from tests.clients.raw_requests import Bad, send
from tests.clients.small_jobs import ended, log
from tests.server_fixture import WORKSPACE_ID, RunningServer

pytestmark = pytest.mark.clients
Run = Callable[..., Job]


@pytest.fixture(scope="module", autouse=True)
def _things(ml_client: MLClient) -> None:
    small_jobs.prepare(ml_client, nodes=2)


@pytest.fixture
def run(ml_client: MLClient) -> Run:
    """Submit a command and wait for its end; `wait=False` only submits."""

    def submit(text: str, wait: bool = True, **more: Any) -> Job:
        more = {"environment": "bare:1", "compute": "cpu-cluster", **more}
        job = ml_client.jobs.create_or_update(command(command=text, **more))
        return ended(ml_client, job.name) if wait else job

    return submit


def test_literals_optional_and_variables(server: RunningServer, run: Run) -> None:
    job = run(
        "echo ${{inputs.rate}} ${{inputs.text}} ${{inputs.flag}} $[[--extra ${{inputs.extra}}]] $COLOUR "
        "run=$AZUREML_RUN_ID ws=$AZUREML_ARM_WORKSPACE_NAME in=$AZURE_ML_INPUT_rate",
        inputs={"rate": 0.5, "text": "a b", "flag": True, "extra": Input(type="string", optional=True)},
        environment_variables={"COLOUR": "blue"},
    )
    assert job.status == "Completed"
    assert f"0.5 a b True blue run={job.name} ws=mlw-default in=0.5" in log(server, job).replace("  ", " ")


def test_inputs_of_every_kind_and_mode(server: RunningServer, ml_client: MLClient, run: Run, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.csv").write_text("x\n1\n")
    (tmp_path / "folder" / "MLTable").write_text("paths:\n  - file: ./a.csv\n")
    (tmp_path / "folder" / "MLmodel").write_text("flavors: {}\n")
    folder = str(tmp_path / "folder")
    ml_client.data.create_or_update(Data(name="file", version="1", path=f"{folder}/a.csv", type="uri_file"))
    ml_client.data.create_or_update(Data(name="table", version="1", path=folder, type="mltable"))
    ml_client.models.create_or_update(Model(name="model", version="1", path=folder, type="mlflow_model"))
    job = run(
        "set -e; cat ${{inputs.file}} ${{inputs.latest}} ${{inputs.local}}/a.csv; cat ${{inputs.table}}/MLTable; "
        "cat ${{inputs.model}}/MLmodel ${{inputs.custom}}/MLmodel; cat ${{inputs.copied}}/a.csv; echo ${{inputs.direct}}",
        inputs={
            "file": Input(type="uri_file", path="azureml:file:1"),
            "latest": Input(type="uri_file", path="azureml:file@latest", mode="download"),
            "local": Input(type="uri_folder", path=folder),
            "table": Input(type="mltable", path="azureml:table:1", mode="ro_mount"),
            "model": Input(type="mlflow_model", path="azureml:model:1"),
            "custom": Input(type="custom_model", path=folder),
            "copied": Input(type="uri_folder", path=folder, mode="download"),
            "direct": Input(type="uri_file", path="azureml:file:1", mode="direct"),
        },
    )
    text = log(server, job)
    assert job.status == "Completed", text
    assert text.count("x\n1\n") == 4
    assert "paths:" in text
    assert "azureml://" in text.splitlines()[-1]


def test_what_is_registered_stays_as_it_is(
    server: RunningServer, ml_client: MLClient, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("kept")
    inputs = {"folder": Input(type="uri_folder", path=str(tmp_path / "folder"), mode="ro_mount")}
    job = run("echo spoiled > ${{inputs.folder}}/a.txt; cat ${{inputs.folder}}/a.txt", inputs=inputs)
    copied = server.note["isolation"]["kind"] == "process"  # type: ignore[index]
    assert log(server, job).strip().endswith("spoiled" if copied else "kept")
    again = {"folder": Input(type="uri_folder", path=str(ml_client.jobs.get(job.name).inputs["folder"].path))}
    assert log(server, run("cat ${{inputs.folder}}/a.txt", inputs=again)).strip() == "kept"


def test_outputs_of_every_mode_and_place(server: RunningServer, ml_client: MLClient, run: Run, tmp_path: Path) -> None:
    place = "azureml://datastores/workspaceblobstore/paths"
    job = run(
        "for o in ${{outputs.uploaded}} ${{outputs.mounted}} ${{outputs.placed}} ${{outputs.named}}; do "
        "echo made > $o/made.txt; done; echo file > ${{outputs.file}}",
        outputs={
            "uploaded": Output(type="uri_folder", mode="upload"),
            "mounted": Output(type="uri_folder", mode="rw_mount"),
            "placed": Output(type="uri_folder", path=f"{place}/chosen/${{{{name}}}}/"),
            "named": Output(type="uri_folder", name="made-by-a-job", version="3"),
            "file": Output(type="uri_file", path=f"{place}/chosen/file.txt"),
        },
    )
    assert job.status == "Completed", log(server, job)
    blobs = next(server.home.glob("storage/*/azureml-blobstore-*"))
    assert (blobs / "chosen" / job.name / "made.txt").read_text() == "made\n"
    assert (blobs / "chosen" / "file.txt").read_text() == "file\n"
    ml_client.jobs.download(job.name, output_name="uploaded", download_path=str(tmp_path / "one"))
    assert (tmp_path / "one" / "named-outputs" / "uploaded" / "made.txt").read_text() == "made\n"
    ml_client.jobs.download(job.name, all=True, download_path=str(tmp_path / "all"))
    assert (tmp_path / "all" / "named-outputs" / "mounted" / "made.txt").exists()
    assert ml_client.data.get("made-by-a-job", version="3").type == "uri_folder"
    again = run("cat ${{inputs.d}}/made.txt", inputs={"d": Input(type="uri_folder", path="azureml:made-by-a-job:3")})
    assert log(server, again).endswith("made\n")


def test_model_from_a_jobs_output(server: RunningServer, ml_client: MLClient, run: Run, tmp_path: Path) -> None:
    job = run("mkdir -p outputs/m && echo weights > outputs/m/w.txt")
    path = f"azureml://jobs/{job.name}/outputs/artifacts/paths/outputs/m/"
    made = ml_client.models.create_or_update(Model(name="from-job", path=path, type="custom_model"))
    ml_client.models.download("from-job", version=made.version, download_path=str(tmp_path))
    assert next(tmp_path.rglob("w.txt")).read_text() == "weights\n"


def test_serverless_and_instance(server: RunningServer, ml_client: MLClient, run: Run) -> None:
    assert run("echo hi", compute=None, instance_count=1, instance_type="Standard_DS3_v2").status == "Completed"
    assert run("echo hi", compute=None).status == "Completed"
    ml_client.compute.begin_create_or_update(ComputeInstance(name="ci-jobs", size="STANDARD_DS11_V2")).result()
    assert run("echo hi", compute="ci-jobs").status == "Completed"


def test_failure_says_why(
    server: RunningServer, ml_client: MLClient, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    job = run("echo before; python -c 'import nothing_of_that_name'")
    assert job.status == "Failed"
    with pytest.raises(JobException) as failure:
        ml_client.jobs.stream(job.name)
    message = str(failure.value)
    assert "nothing_of_that_name" in message
    assert "exit code 1" in message.lower() or "exited with 1" in message.lower() or "code 1" in message
    other = run("exit 42")
    with pytest.raises(JobException, match="42"):
        ml_client.jobs.stream(other.name)


def test_timeout_cancel_delete(server: RunningServer, ml_client: MLClient, run: Run) -> None:
    slow = command(command="sleep 60", environment="bare:1", compute="cpu-cluster")
    slow.set_limits(timeout=1)
    limited = ended(ml_client, ml_client.jobs.create_or_update(slow).name)
    assert limited.status == "Failed"
    job = run("sleep 60", wait=False)
    while ml_client.jobs.get(job.name).status != "Running":
        time.sleep(0.05)
    with pytest.raises(HttpResponseError, match="cancel it before"):
        ml_client.jobs._operation_2023_02_preview.begin_delete(
            id=job.name, resource_group_name="rg-lazulite", workspace_name="mlw-default"
        ).result()
    ml_client.jobs.begin_cancel(job.name).result()
    assert ml_client.jobs.get(job.name).status == "Canceled"
    ml_client.jobs._operation_2023_02_preview.begin_delete(
        id=job.name, resource_group_name="rg-lazulite", workspace_name="mlw-default"
    ).result()
    with pytest.raises(ResourceNotFoundError):
        ml_client.jobs.get(job.name)


def test_update_archive_list_services(server: RunningServer, ml_client: MLClient, run: Run) -> None:
    job = run("echo hi", tags={"a": "1"}, display_name="first", experiment_name="things", description="said")
    assert (job.tags, job.display_name, job.experiment_name) == ({"a": "1"}, "first", "things")
    assert "?" in job.studio_url
    job.tags["b"] = "2"
    job.display_name = "second"
    ml_client.jobs.create_or_update(job)
    found = ml_client.jobs.get(job.name)
    assert (found.tags, found.display_name) == ({"a": "1", "b": "2"}, "second")
    assert job.name in {j.name for j in ml_client.jobs.list()}
    ml_client.jobs.archive(job.name)
    assert job.name not in {j.name for j in ml_client.jobs.list()}
    ml_client.jobs.restore(job.name)
    assert job.name in {j.name for j in ml_client.jobs.list(max_results=500)}
    assert ml_client.jobs.show_services(job.name) is None or ml_client.jobs.show_services(job.name) == {}


def test_pytorch_on_two_nodes(server: RunningServer, run: Run) -> None:
    job = run(
        "echo rank=$RANK local=$LOCAL_RANK node=$NODE_RANK world=$WORLD_SIZE master=$MASTER_ADDR:$MASTER_PORT",
        instance_count=2,
        distribution=PyTorchDistribution(process_count_per_instance=2),
    )
    assert job.status == "Completed"
    logs = "".join(
        path.read_text()
        for path in server.home.glob(f"storage/*/azureml/ExperimentRun/dcid.{job.name}/user_logs/std_log*.txt")
    )
    for rank in range(4):
        assert f"rank={rank} local={rank % 2} node={rank // 2} world=4 master=" in logs


def test_mpi_and_tensorflow(server: RunningServer, run: Run) -> None:
    mpi = run(
        "echo rank=$OMPI_COMM_WORLD_RANK size=$OMPI_COMM_WORLD_SIZE",
        instance_count=2,
        distribution=MpiDistribution(process_count_per_instance=1),
    )
    tensorflow = run("echo $TF_CONFIG", instance_count=2, distribution=TensorFlowDistribution(worker_count=2))
    assert (mpi.status, tensorflow.status) == ("Completed", "Completed")
    texts = {}
    for job in (mpi, tensorflow):
        pattern = f"storage/*/azureml/ExperimentRun/dcid.{job.name}/user_logs/std_log*.txt"
        texts[job.name] = "".join(path.read_text() for path in server.home.glob(pattern))
    assert "rank=0 size=2" in texts[mpi.name]
    assert "rank=1 size=2" in texts[mpi.name]
    assert '"worker"' in texts[tensorflow.name]


def test_more_jobs_than_nodes_queue(server: RunningServer, ml_client: MLClient, run: Run) -> None:
    jobs = [run("sleep 0.5", wait=False) for _ in range(5)]
    busy = 0
    while any(ml_client.jobs.get(j.name).status not in ("Completed", "Failed") for j in jobs):
        nodes = list(ml_client.compute.list_nodes("cpu-cluster"))
        busy = max(busy, sum(node.node_state == "running" for node in nodes))
        assert len(nodes) <= 2
    assert {ml_client.jobs.get(j.name).status for j in jobs} == {"Completed"}
    assert busy == 2


def test_preempted_job_runs_again(server: RunningServer, ml_client: MLClient, run: Run) -> None:
    low = AmlCompute(name="spot-cluster", size="STANDARD_DS3_v2", max_instances=1, tier="LowPriority")
    ml_client.compute.begin_create_or_update(low).result()
    job = run(
        "echo attempt >> ${{outputs.o}}/attempts; sleep 2",
        wait=False,
        compute="spot-cluster",
        outputs={"o": Output(type="uri_folder", mode="rw_mount")},
    )
    while ml_client.jobs.get(job.name).status != "Running":
        time.sleep(0.05)
    compute = f"{WORKSPACE_ID}/computes/spot-cluster"
    status, answer = send(server, Bad("", "POST", f"{compute}/preempt", {}))
    assert status == 202, answer
    assert ended(ml_client, job.name).status == "Completed"
    _, document = send(server, Bad("", "GET", compute))
    assert document["properties"]["properties"]["vmPriority"] == "LowPriority"
    attempts = next(server.home.glob(f"storage/*/azureml-blobstore-*/azureml/{job.name}/o/attempts"))
    assert attempts.read_text() == "attempt\nattempt\n"


def test_job_sees_its_own_folders_only(server: RunningServer, run: Run) -> None:
    if server.note["isolation"]["kind"] == "process":  # type: ignore[index]
        pytest.skip("nothing keeps jobs apart here: " + server.note["isolation"]["detail"])  # type: ignore[index]
    home = server.home
    job = run(f"cat {home}/lazulite.db | head -c 1; ls {home}/secrets; ls {home}/runs/*/; ls {home}/storage; echo done")
    text = log(server, job)
    assert "done" in text
    assert "user.key" not in text
    assert "signing_key" not in text


def test_mlflow_in_a_job_is_the_job(server: RunningServer, ml_client: MLClient, run: Run) -> None:
    import mlflow

    conda = {"dependencies": ["python=3.11", {"pip": ["mlflow-skinny==2.22.2"]}]}
    ml_client.environments.create_or_update(
        Environment(name="with-mlflow", version="1", image="library/python:3.11", conda_file=conda)
    )
    script = (
        "import mlflow; mlflow.log_param('rate', 0.1); mlflow.log_metric('loss', 0.25); "
        "mlflow.set_tag('colour', 'blue'); open('note.txt', 'w').write('n'); mlflow.log_artifact('note.txt')"
    )
    job = run(f'python -c "{script}"', environment="with-mlflow:1", experiment_name="tracked")
    assert job.status == "Completed", log(server, job)
    tracked = mlflow.MlflowClient().get_run(job.name)
    assert tracked.data.params["rate"] == "0.1"
    assert tracked.data.metrics["loss"] == 0.25
    assert tracked.info.status == "FINISHED"
    assert ml_client.jobs.get(job.name).tags["colour"] == "blue"
    assert "note.txt" in [f.path for f in mlflow.MlflowClient().list_artifacts(job.name)]
    with mlflow.start_run(run_name="from a notebook") as notebook:
        mlflow.log_metric("m", 1)
    assert notebook.info.run_id in {j.name for j in ml_client.jobs.list()}
    assert ml_client.jobs.get(notebook.info.run_id).display_name == "from a notebook"


def test_children_of_a_job(server: RunningServer, ml_client: MLClient) -> None:
    import mlflow

    with mlflow.start_run(run_name="parent") as parent:
        for number in range(3):
            with mlflow.start_run(run_name=f"child {number}", nested=True):
                mlflow.log_metric("n", number)
    children = list(ml_client.jobs.list(parent_job_name=parent.info.run_id))
    assert {child.display_name for child in children} == {"child 0", "child 1", "child 2"}


def test_user_identity_and_services_are_kept_and_said(
    server: RunningServer, ml_client: MLClient, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    from azure.ai.ml import UserIdentityConfiguration
    from azure.ai.ml.entities import JupyterLabJobService

    job = run("echo hi", identity=UserIdentityConfiguration(), services={"lab": JupyterLabJobService()})
    assert job.status == "Completed"
    assert job.identity.type == "user_identity"
    assert {"Studio", "Tracking", "lab"} <= set(job.services)
    ml_client.jobs.stream(job.name)
    assert "interactive services are not built" in capsys.readouterr().out


def test_update_of_a_jobs_words(ml_client: MLClient, run: Run) -> None:
    job = run("echo hi", tags={"a": "1"})
    changed = ml_client.jobs.update(job.name, display_name="renamed", tags={"b": "2"}, properties={"c": "3"})
    assert (changed.display_name, changed.tags, changed.properties["c"]) == ("renamed", {"a": "1", "b": "2"}, "3")


def test_jobs_are_listed_by_properties(ml_client: MLClient, run: Run) -> None:
    marks = {"azureml.FeatureSetName": "f", "azureml.FeatureSetVersion": "1"}
    marked = run("echo hi", properties=marks)
    run("echo hi", properties={**marks, "azureml.FeatureSetVersion": "2"})
    assert [job.name for job in ml_client.feature_sets.list_materialization_operations("f", "1")] == [marked.name]


def test_validation_before_submission(ml_client: MLClient) -> None:
    right = command(command="echo hi", environment="bare:1", compute="cpu-cluster")
    assert ml_client.jobs.validate(right).passed
    wrong = ml_client.jobs.validate(command(command="echo hi", compute="cpu-cluster"))
    assert (wrong.passed, list(wrong.error_messages)) == (False, ["component.environment"])


def test_delete_of_a_finished_job(ml_client: MLClient, run: Run) -> None:
    job = run("echo hi")
    ml_client.jobs.begin_delete(job.name).result()
    with pytest.raises(ResourceNotFoundError):
        ml_client.jobs.get(job.name)
