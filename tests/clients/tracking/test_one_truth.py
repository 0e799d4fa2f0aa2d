"""A job is a run and a run is a job; a registered model is a model asset: as both real clients see them, on both databases."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import MLClient, Output, command, dsl
from azure.ai.ml.constants import ListViewType
from azure.ai.ml.entities import Job, Model
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from tests.clients.small_jobs import BARE
from tests.server_fixture import RunningServer

pytestmark = pytest.mark.clients

#: A step that logs to the run of its pipeline, without MLflow's client, which `bare:1` has not.
LOG_ABOVE = """
import json, os, urllib.request
field = {"run_id": os.environ["AZUREML_ROOT_RUN_ID"], "key": "rows", "value": 7, "timestamp": 1}
request = urllib.request.Request(
    os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/log-metric",
    json.dumps(field).encode(),
    {"Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"], "Content-Type": "application/json"},
)
urllib.request.urlopen(request).read()
"""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path_factory.mktemp("server") / "home")
    running.home.mkdir()
    if request.param == "postgresql":
        with request.getfixturevalue("postgres").database() as url:
            running.settings["database_url"] = url
            yield from _started(running)
    else:
        yield from _started(running)


def _started(running: RunningServer) -> Iterator[RunningServer]:
    running.start()
    running.activate()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def saved(mlflow: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an MLflow model."""
    from sklearn.linear_model import LinearRegression

    folder = tmp_path_factory.mktemp("saved") / "model"
    fitted = LinearRegression().fit([[1.0], [2.0]], [2.0, 4.0])
    mlflow.sklearn.save_model(fitted, str(folder), serialization_format="cloudpickle", pip_requirements=[])
    return folder


@pytest.fixture(scope="module")
def job(ml_client: MLClient, saved: Path) -> Job:
    """A job that is over, whose output is a registered MLflow model."""
    ml_client.environments.create_or_update(BARE)
    submitted = ml_client.jobs.create_or_update(
        command(
            command="mkdir -p ${{outputs.model}} && cp -r . ${{outputs.model}}",
            code=str(saved),
            environment="bare:1",
            experiment_name="one-truth",
            display_name="first name",
            description="first note",
            tags={"from": "sdk", "kind": "plain"},
            outputs={"model": Output(type="mlflow_model", name="made-by-a-job", version="1")},
        )
    )
    return ended(ml_client, submitted.name)


def ended(ml_client: MLClient, name: str) -> Job:
    deadline = time.monotonic() + 120
    while (found := ml_client.jobs.get(name)).status not in ("Completed", "Failed", "Canceled"):
        assert time.monotonic() < deadline, f"{name} is still {found.status}"
        time.sleep(0.1)
    return found


def test_a_job_is_a_run(ml_client: MLClient, mlflow: Any, job: Job) -> None:
    run = mlflow.get_run(job.name)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first name")
    assert mlflow.get_experiment(run.info.experiment_id).name == "one-truth"
    assert run.data.tags.items() >= {"from": "sdk", "kind": "plain", "mlflow.note.content": "first note"}.items()
    found = mlflow.search_runs(
        experiment_names=["one-truth"], filter_string="tags.`from` = 'sdk'", output_format="list"
    )
    assert [one.info.run_id for one in found] == [job.name]


def test_what_mlflow_changes_the_sdk_sees(ml_client: MLClient, mlflow: Any, job: Job) -> None:
    client = mlflow.MlflowClient()
    client.set_tag(job.name, "from", "mlflow")
    client.set_tag(job.name, "extra", "1")
    client.delete_tag(job.name, "kind")
    client.set_tag(job.name, "mlflow.note.content", "second note")
    client.update_run(job.name, name="second name")
    seen = ml_client.jobs.get(job.name)
    assert seen.tags == {"from": "mlflow", "extra": "1"}
    assert (seen.display_name, seen.description) == ("second name", "second note")


def test_what_the_sdk_changes_mlflow_sees(ml_client: MLClient, mlflow: Any, job: Job) -> None:
    again = ml_client.jobs.get(job.name)
    before = dict(again.tags)
    again.tags = {"new": "this"}
    again.display_name, again.description = "third name", "third note"
    ml_client.jobs.create_or_update(again)
    run = mlflow.get_run(job.name)
    own = {k: v for k, v in run.data.tags.items() if not k.startswith("mlflow.")}
    assert own == {**before, "new": "this"} == ml_client.jobs.get(job.name).tags  # the SDK's update adds tags
    assert (run.info.run_name, run.data.tags["mlflow.note.content"]) == ("third name", "third note")


def test_an_archived_job_is_a_deleted_run(ml_client: MLClient, mlflow: Any, job: Job) -> None:
    client = mlflow.MlflowClient()
    assert seen_by_both(ml_client, mlflow, job.name) == (True, True)
    ml_client.jobs.archive(job.name)
    assert client.get_run(job.name).info.lifecycle_stage == "deleted"
    assert seen_by_both(ml_client, mlflow, job.name) == (False, False)
    client.restore_run(job.name)
    assert seen_by_both(ml_client, mlflow, job.name) == (True, True)
    client.delete_run(job.name)
    assert seen_by_both(ml_client, mlflow, job.name) == (False, False)
    client.set_tag(job.name, "after", "archiving")  # a job that is archived while it runs may still log
    ml_client.jobs.restore(job.name)
    assert seen_by_both(ml_client, mlflow, job.name) == (True, True)
    assert ml_client.jobs.get(job.name).tags["after"] == "archiving"


def test_the_jobs_of_a_deleted_experiment_are_archived(ml_client: MLClient, mlflow: Any, job: Job) -> None:
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("one-truth")
    client.delete_experiment(experiment.experiment_id)
    assert seen_by_both(ml_client, mlflow, job.name) == (False, False)
    client.restore_experiment(experiment.experiment_id)
    assert seen_by_both(ml_client, mlflow, job.name) == (True, True)
    client.rename_experiment(experiment.experiment_id, "renamed")
    assert ml_client.jobs.get(job.name).experiment_name == "renamed"
    client.rename_experiment(experiment.experiment_id, "one-truth")


def seen_by_both(ml_client: MLClient, mlflow: Any, name: str) -> tuple[bool, bool]:
    """Whether the SDK's list of active jobs and MLflow's search of active runs show it."""
    listed = {one.name for one in ml_client.jobs.list()}
    archived = {one.name for one in ml_client.jobs.list(list_view_type=ListViewType.ARCHIVED_ONLY)}
    experiment = mlflow.get_run(name).info.experiment_id
    found = {run.info.run_id for run in mlflow.search_runs([experiment], output_format="list")}
    assert (name in archived) != (name in listed)
    return name in listed, name in found


def test_a_run_is_a_job(ml_client: MLClient, mlflow: Any) -> None:
    mlflow.set_experiment("by-hand")
    with mlflow.start_run(run_name="above", tags={"a": "b"}, description="noted") as parent:
        with mlflow.start_run(run_name="below", nested=True) as child:
            mlflow.log_metric("m", 1.0)
        assert ml_client.jobs.get(parent.info.run_id).status == "Running"
    seen = ml_client.jobs.get(parent.info.run_id)
    assert (seen.status, seen.display_name, seen.experiment_name) == ("Completed", "above", "by-hand")
    assert (seen.tags, seen.description) == ({"a": "b"}, "noted")
    below = list(ml_client.jobs.list(parent_job_name=parent.info.run_id))
    assert [one.name for one in below] == [child.info.run_id]
    listed = {one.name for one in ml_client.jobs.list()}
    assert parent.info.run_id in listed
    assert child.info.run_id not in listed  # as the steps of a pipeline: below its parent
    ml_client.jobs.archive(parent.info.run_id)
    assert mlflow.get_run(parent.info.run_id).info.lifecycle_stage == "deleted"
    assert seen_by_both(ml_client, mlflow, parent.info.run_id) == (False, False)


def test_runs_of_clients_are_listed_to_the_last(ml_client: MLClient, mlflow: Any, job: Job) -> None:
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("long")
    made = [client.create_run(experiment).info.run_id for _ in range(230)]
    listed = [one.name for one in ml_client.jobs.list()]
    assert len(listed) == len(set(listed))
    assert [name for name in listed if name in set(made)] == made[::-1]
    assert job.name in listed


def test_the_steps_of_a_pipeline_are_runs_below_it(ml_client: MLClient, mlflow: Any, job: Job, tmp_path: Path) -> None:
    (tmp_path / "log.py").write_text(LOG_ABOVE)
    step = command(name="step", command="python log.py", code=str(tmp_path), environment="bare:1")

    @dsl.pipeline(experiment_name="steps", default_compute="serverless")
    def two() -> None:
        step()
        step()

    pipeline = ended(ml_client, ml_client.jobs.create_or_update(two(), force_rerun=True).name)
    experiment = mlflow.get_experiment_by_name("steps").experiment_id
    below = mlflow.search_runs([experiment], f"tags.mlflow.parentRunId = '{pipeline.name}'", output_format="list")
    assert {run.info.run_id for run in below} == {
        one.name for one in ml_client.jobs.list(parent_job_name=pipeline.name)
    }
    assert [run.info.status for run in below] == ["FINISHED"] * 2
    above = mlflow.get_run(pipeline.name)
    assert (above.info.status, above.data.metrics) == ("FINISHED", {"rows": 7})
    parts = mlflow.search_runs([experiment], f"tags.mlflow.rootRunId = '{pipeline.name}'", output_format="list")
    assert {run.info.run_id for run in parts} == {pipeline.name, *(run.info.run_id for run in below)}


def test_a_model_registered_by_mlflow_is_an_asset(
    ml_client: MLClient, mlflow: Any, saved: Path, tmp_path: Path
) -> None:
    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(saved), "model")
    version = mlflow.register_model(f"runs:/{run.info.run_id}/model", "by-mlflow", tags={"a": "b"})
    client.update_model_version("by-mlflow", "1", "what it is")
    seen = ml_client.models.get("by-mlflow", version=version.version)
    assert (seen.type, seen.description, seen.tags, seen.job_name) == (
        "mlflow_model",
        "what it is",
        {"a": "b"},
        run.info.run_id,
    )
    assert [(one.name, one.version) for one in ml_client.models.list("by-mlflow")] == [("by-mlflow", "1")]
    assert ml_client.models.get("by-mlflow", label="latest").version == "1"
    ml_client.models.download("by-mlflow", "1", download_path=str(tmp_path))
    assert list(tmp_path.rglob("MLmodel"))
    seen.tags, seen.description = {"c": "d"}, "said by the SDK"
    ml_client.models.create_or_update(seen)
    changed = client.get_model_version("by-mlflow", "1")
    assert (changed.tags, changed.description) == ({"c": "d"}, "said by the SDK")
    assert mlflow.pyfunc.load_model("models:/by-mlflow/1").predict([[3.0]])[0] == pytest.approx(6)


def test_a_backslash_in_a_name_spoils_nothing(mlflow: Any, tmp_path: Path) -> None:
    folder = tmp_path / "from"
    folder.mkdir()
    for name in ("plain.txt", "odd\\name.txt"):
        (folder / name).write_text(name)
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(folder), "kept")
    (to := tmp_path / "to").mkdir()
    found = Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="kept", dst_path=str(to)))
    assert {path.name: path.read_text() for path in found.iterdir()} == {
        name: name for name in ("plain.txt", "odd\\name.txt")
    }


@pytest.mark.parametrize("path", ["plain", "a b", "a b/one.pkl"])
def test_a_version_made_of_a_runs_address_has_azures(
    ml_client: MLClient, mlflow: Any, tmp_path: Path, path: str
) -> None:
    (tmp_path / "one.pkl").write_text("weights")
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(tmp_path / "one.pkl"), path.removesuffix("/one.pkl"))
    client, name = mlflow.MlflowClient(), f"of-run-{path.replace(' ', '').replace('/', '')}"
    client.create_registered_model(name)
    client.create_model_version(name, f"runs:/{run.info.run_id}/{path}", run.info.run_id)
    seen = ml_client.models.get(name, "1")
    assert seen.path.endswith(f"/datastores/workspaceartifactstore/paths/ExperimentRun/dcid.{run.info.run_id}/{path}")
    ml_client.models.download(name, "1", download_path=str(tmp_path / "sdk"))
    (to := tmp_path / "mlflow").mkdir()
    by_mlflow = mlflow.artifacts.download_artifacts(f"models:/{name}/1", dst_path=str(to))
    for folder in (tmp_path / "sdk", Path(by_mlflow)):
        assert [found.read_text() for found in folder.rglob("one.pkl") if found.is_file()] == ["weights"]


@pytest.mark.parametrize(
    ("file", "named"),
    [("one.pkl", "one.pkl"), ("one #1.pkl", "one _1.pkl"), ("what?.bin", "what?.bin"), ("100%20.pkl", "100 .pkl")],
)
def test_a_model_of_one_file_is_that_file_to_mlflow(
    ml_client: MLClient, mlflow: Any, tmp_path: Path, file: str, named: str
) -> None:
    """Under a name that its client takes: it refuses a `#` in what it is told, and decodes `%20`."""
    (tmp_path / file).write_text("weights")
    name = f"of-file-{file.encode().hex()}"
    ml_client.models.create_or_update(Model(name=name, version="1", path=str(tmp_path / file), type="custom_model"))
    client = mlflow.MlflowClient()
    client.set_registered_model_alias(name, "best", "1")
    for uri in (f"models:/{name}/1", f"models:/{name}@best", client.get_model_version_download_uri(name, "1")):
        assert [found.path.rsplit("/", 1)[-1] for found in mlflow.artifacts.list_artifacts(uri)] == [named]
        (tmp_path / "to").mkdir(exist_ok=True)
        folder = mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path / "to"))
        assert [(each.name, each.read_text()) for each in Path(folder).rglob("*") if each.is_file()] == [
            (named, "weights")
        ]
        shutil.rmtree(tmp_path / "to")
    with pytest.raises(Exception, match="MLmodel"):
        mlflow.pyfunc.load_model(f"models:/{name}/1")


@pytest.mark.parametrize("kind", ["mlflow_model", "custom_model"])
def test_a_model_of_the_sdk_is_a_registered_version(ml_client: MLClient, mlflow: Any, saved: Path, kind: str) -> None:
    client = mlflow.MlflowClient()
    name = f"by-sdk-{kind.split('_')[0]}"
    ml_client.models.create_or_update(
        Model(name=name, version="1", path=str(saved), type=kind, tags={"a": "b"}, description="d", stage="Production")
    )
    found = client.get_model_version(name, "1")
    assert (found.tags, found.description, found.current_stage) == ({"a": "b"}, "d", "Production")
    assert [one.version for one in client.search_model_versions(f"name='{name}'")] == ["1"]
    assert name in {one.name for one in client.search_registered_models()}
    assert mlflow.pyfunc.load_model(f"models:/{name}/1").predict([[3.0]])[0] == pytest.approx(6)
    client.set_registered_model_alias(name, "best", "1")
    assert mlflow.pyfunc.load_model(f"models:/{name}@best").predict([[4.0]])[0] == pytest.approx(8)
    client.set_model_version_tag(name, "1", "more", "tags")
    client.transition_model_version_stage(name, "1", "Archived")
    seen = ml_client.models.get(name, version="1")
    assert (seen.tags, seen.stage) == ({"a": "b", "more": "tags"}, "Archived")
    again = mlflow.register_model(f"models:/{name}/1", name)
    assert ml_client.models.get(name, label="latest").version == again.version == "2"


def test_archiving_hides_and_deleting_removes(ml_client: MLClient, mlflow: Any, saved: Path) -> None:
    client = mlflow.MlflowClient()
    for version in ("1", "2"):
        ml_client.models.create_or_update(Model(name="going", version=version, path=str(saved), type="mlflow_model"))

    def known() -> tuple[set[str], set[str], bool, bool]:
        return (
            {one.version for one in ml_client.models.list("going")},
            {one.version for one in client.search_model_versions("name='going'")},
            "going" in {one.name for one in ml_client.models.list()},
            "going" in {one.name for one in client.search_registered_models()},
        )

    assert known() == ({"1", "2"}, {"1", "2"}, True, True)
    ml_client.models.archive("going", version="1")
    assert known() == ({"2"}, {"2"}, True, True)
    ml_client.models.restore("going", version="1")
    ml_client.models.archive("going")
    versions, searched, *listed = known()
    assert (versions == searched, listed) == (True, [False, False])
    ml_client.models.restore("going")
    client.delete_model_version("going", "2")
    assert known() == ({"1"}, {"1"}, True, True)
    with pytest.raises(ResourceNotFoundError):
        ml_client.models.get("going", version="2")
    client.delete_registered_model("going")
    assert known()[2:] == (False, False)
    with pytest.raises(ResourceNotFoundError):
        ml_client.models.get("going", version="1")


def test_a_jobs_output_is_in_the_registry(ml_client: MLClient, mlflow: Any, job: Job) -> None:
    assert job.status == "Completed"
    found = mlflow.MlflowClient().get_model_version("made-by-a-job", "1")
    assert found.run_id == job.name
    assert mlflow.pyfunc.load_model("models:/made-by-a-job/1").predict([[3.0]])[0] == pytest.approx(6)
    assert ml_client.models.get("made-by-a-job", version="1").job_name == job.name


def test_a_prompt_is_mlflows_alone(ml_client: MLClient, mlflow: Any) -> None:
    client = mlflow.MlflowClient()
    client.register_prompt("greeting", "Hi {{name}}")
    assert "greeting" not in [model.name for model in ml_client.models.list()]
    for asked in (
        lambda: ml_client.models.get("greeting", version="1"),
        lambda: ml_client.models.get("greeting", label="latest"),
        lambda: list(ml_client.models.list("greeting")),
        lambda: ml_client.models.archive("greeting"),
    ):
        with pytest.raises(ResourceNotFoundError, match="There is no model 'greeting'"):
            asked()
    with pytest.raises(HttpResponseError, match="is a prompt in MLflow's registry"):
        ml_client.models.create_or_update(Model(name="greeting", version="2", path="https://example.com/model"))
    assert client.get_prompt_version("greeting", "1").template == "Hi {{name}}"
    assert [prompt.name for prompt in client.search_prompts()] == ["greeting"]
