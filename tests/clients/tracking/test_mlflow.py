"""The real MLflow client against a running server: what a notebook does in a workspace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.server_fixture import RunningServer

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def table() -> Any:
    from sklearn.datasets import load_breast_cancer

    return load_breast_cancer(return_X_y=True, as_frame=True)


@pytest.fixture(scope="module")
def trained(mlflow: Any, table: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run that autologged a scikit-learn model and logged the rest by hand."""
    from sklearn.linear_model import LogisticRegression

    features, target = table
    file = tmp_path_factory.mktemp("files") / "ROC-Curve.png"
    file.write_bytes(b"not really a picture")
    mlflow.set_experiment("diabetes-training")
    mlflow.sklearn.autolog(serialization_format="cloudpickle")
    with mlflow.start_run() as run:
        LogisticRegression(C=0.5, max_iter=20).fit(features, target)
        mlflow.log_param("Regularization rate", 0.1)
        mlflow.log_metric("AUC", 0.9)
        mlflow.log_artifact(str(file))
        mlflow.log_text("text", "notes/a b.txt")
        mlflow.set_tag("model_type", "LogisticRegression")
    mlflow.sklearn.autolog(disable=True)
    return str(run.info.run_id)


def test_autolog_and_hand_logging_come_back(mlflow: Any, trained: str) -> None:
    run = mlflow.get_run(trained)
    assert run.info.status == "FINISHED"
    assert run.data.params.items() >= {"C": "0.5", "Regularization rate": "0.1"}.items()
    assert run.data.metrics["AUC"] == 0.9
    assert 0.9 < run.data.metrics["training_accuracy_score"] <= 1
    assert run.inputs.dataset_inputs[0].dataset.source_type == "code"


def test_artifacts_are_listed_and_downloaded(mlflow: Any, trained: str, tmp_path: Path) -> None:
    client = mlflow.MlflowClient()
    assert {"ROC-Curve.png", "notes", "model"} <= {f.path for f in client.list_artifacts(trained)}
    assert [f.path for f in client.list_artifacts(trained, "notes")] == ["notes/a b.txt"]
    folder = mlflow.artifacts.download_artifacts(run_id=trained, artifact_path="notes", dst_path=str(tmp_path))
    assert (Path(folder) / "a b.txt").read_text() == "text"


def test_searching_as_the_labs_do(mlflow: Any, trained: str) -> None:
    experiment = mlflow.get_experiment_by_name("diabetes-training")
    assert experiment.experiment_id in {e.experiment_id for e in mlflow.search_experiments()}
    found = mlflow.search_runs(
        experiment.experiment_id,
        filter_string="metrics.AUC > 0.8 and tags.model_type = 'LogisticRegression'",
        order_by=["start_time DESC"],
        max_results=2,
    )
    assert list(found["run_id"]) == [trained]
    assert mlflow.search_runs(experiment.experiment_id, filter_string="metrics.AUC > 0.95").empty


def test_a_model_is_loaded_from_its_run_and_registered(mlflow: Any, trained: str, table: Any) -> None:
    features, target = table
    model = mlflow.sklearn.load_model(f"runs:/{trained}/model")
    assert model.score(features, target) > 0.9
    version = mlflow.register_model(f"runs:/{trained}/model", "diabetes")
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("diabetes", "champion", version.version)
    for uri in ("models:/diabetes/1", "models:/diabetes@champion"):
        assert list(mlflow.pyfunc.load_model(uri).predict(features[:3])) == list(model.predict(features[:3]))
    client.transition_model_version_stage("diabetes", "1", "Production")
    assert [v.version for v in client.get_latest_versions("diabetes", ["Production"])] == ["1"]


def test_a_logged_model_of_mlflow_3(mlflow: Any, trained: str, table: Any) -> None:
    from sklearn.tree import DecisionTreeClassifier

    features, target = table
    mlflow.set_experiment("trees")
    with mlflow.start_run() as run:
        tree = DecisionTreeClassifier(max_depth=2).fit(features, target)
        info = mlflow.sklearn.log_model(
            tree, name="tree", input_example=features[:2], serialization_format="cloudpickle"
        )
        mlflow.log_metric("f1", 0.7, model_id=info.model_id)
    logged = mlflow.get_logged_model(info.model_id)
    assert (logged.status, logged.source_run_id) == ("READY", run.info.run_id)
    assert [m.value for m in logged.metrics] == [0.7]
    assert mlflow.sklearn.load_model(info.model_uri).get_depth() == 2
    experiment = mlflow.get_experiment_by_name("trees").experiment_id
    found = mlflow.search_logged_models([experiment], filter_string="metrics.f1 > 0.5", output_format="list")
    assert [model.model_id for model in found] == [info.model_id]
    assert mlflow.register_model(info.model_uri, "trees").version == "1"
    assert mlflow.sklearn.load_model("models:/trees/1").get_depth() == 2


def test_nested_runs_and_long_histories(mlflow: Any) -> None:
    from mlflow.entities import Metric

    client = mlflow.MlflowClient()
    mlflow.set_experiment("nested")
    with mlflow.start_run() as parent, mlflow.start_run(nested=True) as child:
        for start in range(0, 3000, 1000):
            points = [Metric("loss", 1 / (n + 1), 1, n) for n in range(start, start + 1000)]
            client.log_batch(child.info.run_id, metrics=points)
    history = client.get_metric_history(child.info.run_id, "loss")
    assert [m.step for m in history] == list(range(3000))
    experiment = mlflow.get_experiment_by_name("nested").experiment_id
    below = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    assert [run.info.run_id for run in below] == [child.info.run_id]


def test_refusals_reach_the_caller_as_mlflows_own(mlflow: Any) -> None:
    client = mlflow.MlflowClient()
    with pytest.raises(mlflow.MlflowException) as caught:
        client.get_run("0" * 32)
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    run = client.create_run("0")
    client.log_param(run.info.run_id, "a", 1)
    with pytest.raises(mlflow.MlflowException) as caught:
        client.log_param(run.info.run_id, "a", 2)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_no_token_no_answer(server: RunningServer) -> None:
    code = "import mlflow; mlflow.MlflowClient().get_run('x')"
    environment = {**server.environment(), "PATH": "/usr/bin:/bin", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    del environment["MLFLOW_TRACKING_TOKEN"]
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "UNAUTHENTICATED" in ended.stderr or "401" in ended.stderr


def test_traces_with_spans_and_assessments(mlflow: Any) -> None:
    experiment = mlflow.set_experiment("traced").experiment_id

    @mlflow.trace(span_type="CHAIN")
    def answer(question: str) -> dict[str, int]:
        with mlflow.start_span("think", attributes={"model": "small", "depth": 3}) as span:
            span.set_inputs({"question": question})
        return {"letters": len(question)}

    with mlflow.start_run(experiment_id=experiment) as run:
        answer("why?")
    mlflow.flush_trace_async_logging()
    (trace,) = mlflow.search_traces(locations=[experiment], return_type="list")
    assert [span.name for span in trace.data.spans] == ["answer", "think"]
    assert trace.data.spans[1].attributes["depth"] == 3
    assert trace.data.spans[0].outputs == {"letters": 4}
    assert trace.info.state == "OK"
    feedback = mlflow.log_feedback(trace_id=trace.info.trace_id, name="right", value=0.5)
    mlflow.log_expectation(trace_id=trace.info.trace_id, name="wanted", value={"letters": 4})
    mlflow.set_trace_tag(trace.info.trace_id, "kind", "test")
    for text in ("feedback.right > 0.4", "span.name = 'think'", "tags.kind = 'test'", f"run_id = '{run.info.run_id}'"):
        assert len(mlflow.search_traces(locations=[experiment], filter_string=text, return_type="list")) == 1, text
    seen = mlflow.get_trace(trace.info.trace_id)
    assert {one.name: one.value for one in seen.info.assessments} == {"right": 0.5, "wanted": {"letters": 4}}
    mlflow.delete_assessment(trace_id=trace.info.trace_id, assessment_id=feedback.assessment_id)
    assert mlflow.MlflowClient().delete_traces(experiment, trace_ids=[trace.info.trace_id]) == 1


def test_large_files_go_in_parts_both_ways(mlflow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "true")
    for name in ("UPLOAD_MINIMUM_FILE", "UPLOAD_CHUNK", "DOWNLOAD_MINIMUM_FILE", "DOWNLOAD_CHUNK"):
        monkeypatch.setenv(f"MLFLOW_MULTIPART_{name}_SIZE", str(5 * 2**20))
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

    # A client that cannot upload in parts quietly sends the whole file: count what it completed.
    completed: list[str] = []
    complete = HttpArtifactRepository.complete_multipart_upload

    def counted(self: Any, *args: Any, **more: Any) -> None:
        complete(self, *args, **more)
        completed.append(args[0])

    monkeypatch.setattr(HttpArtifactRepository, "complete_multipart_upload", counted)
    content = bytes(range(256)) * (12 * 4096 + 1)
    (tmp_path / "big.bin").write_bytes(content)
    with mlflow.start_run(experiment_id="0") as run:
        mlflow.log_artifact(str(tmp_path / "big.bin"), "deep")
    found = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="deep/big.bin")
    assert Path(found).read_bytes() == content
    assert len(completed) == 1
