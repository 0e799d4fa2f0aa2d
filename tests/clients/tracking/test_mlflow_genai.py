"""The real MLflow client on a running server: evaluation datasets, scorers, prompts, reviews, webhooks, metrics."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.server_fixture import RunningServer

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path_factory.mktemp("server") / "home", settings={"webhook_private_addresses": "true"})
    running.home.mkdir()
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def mlflow(server: RunningServer) -> Iterator[Any]:
    patch = pytest.MonkeyPatch()
    for name, value in server.environment().items():
        patch.setenv(name, value)
    import mlflow

    mlflow.set_tracking_uri(server.environment()["MLFLOW_TRACKING_URI"])
    mlflow.set_experiment("genai")
    yield mlflow
    mlflow.set_tracking_uri(None)
    patch.undo()


@pytest.fixture(scope="module")
def experiment_id(mlflow: Any) -> str:
    return str(mlflow.get_experiment_by_name("genai").experiment_id)


@pytest.fixture(scope="module")
def traces(mlflow: Any) -> list[Any]:
    for n in range(2):
        with mlflow.start_span("root") as span:
            span.set_inputs({"question": n})
            span.set_outputs({"answer": n + 1})
    mlflow.flush_trace_async_logging()
    return list(mlflow.search_traces(return_type="list"))


def test_a_dataset_is_filled_from_rows_and_traces(mlflow: Any, experiment_id: str, traces: list[Any]) -> None:
    from mlflow.genai import datasets

    made = datasets.create_dataset(name="qa", experiment_id=[experiment_id], tags={"kind": "golden"})
    made.merge_records([{"inputs": {"question": "x"}, "expectations": {"expected": 1}}, {"inputs": {"question": 0}}])
    made.merge_records(traces)
    found = datasets.get_dataset(dataset_id=made.dataset_id)
    frame = found.to_df()
    assert sorted(map(str, frame["inputs"])) == ["{'question': 'x'}", "{'question': 0}", "{'question': 1}"]
    assert json.loads(found.schema)["inputs"] == {"question": "string"}
    assert json.loads(found.profile) == {"num_records": 3}
    assert set(frame["source_type"]) >= {"HUMAN", "TRACE"}
    searched = datasets.search_datasets(experiment_ids=[experiment_id], filter_string="tags.kind = 'golden'")
    assert [one.dataset_id for one in searched] == [made.dataset_id]
    datasets.add_dataset_to_experiments(dataset_id=made.dataset_id, experiment_ids=["0"])
    assert set(datasets.get_dataset(dataset_id=made.dataset_id).experiment_ids) == {"0", experiment_id}
    assert found.delete_records(list(frame["dataset_record_id"])[:1]) == 1
    assert len(datasets.get_dataset(dataset_id=made.dataset_id).to_df()) == 2
    datasets.delete_dataset(dataset_id=made.dataset_id)
    assert len(datasets.search_datasets(experiment_ids=[experiment_id])) == 0


def test_judges_are_registered_in_versions(mlflow: Any, experiment_id: str) -> None:
    from mlflow.genai.judges import make_judge
    from mlflow.genai.scorers import delete_scorer, get_scorer, list_scorers
    from mlflow.genai.scorers.registry import list_scorer_versions

    for word in ("polite", "kind"):
        judge = make_judge(name="manners", instructions=f"Is {{{{ outputs }}}} {word}?", model="openai:/gpt-4o")
        judge.register(experiment_id=experiment_id)
    assert [one.name for one in list_scorers(experiment_id=experiment_id)] == ["manners"]
    assert [version for _, version in list_scorer_versions(name="manners", experiment_id=experiment_id)] == [1, 2]
    first = get_scorer(name="manners", experiment_id=experiment_id, version=1)
    assert first.instructions == "Is {{ outputs }} polite?"
    delete_scorer(name="manners", experiment_id=experiment_id, version="all")
    assert list_scorers(experiment_id=experiment_id) == []


def test_prompts(mlflow: Any) -> None:
    mlflow.genai.register_prompt("greeting", "Hello {{name}}")
    mlflow.genai.register_prompt("greeting", "Bye {{name}}", commit_message="the end")
    mlflow.genai.set_prompt_alias("greeting", "live", 2)
    assert mlflow.genai.load_prompt("prompts:/greeting/1").format(name="Ada") == "Hello Ada"
    assert mlflow.genai.load_prompt("prompts:/greeting@live").template == "Bye {{name}}"
    assert [one.name for one in mlflow.genai.search_prompts()] == ["greeting"]
    assert [one.name for one in mlflow.MlflowClient().search_registered_models()] == []


def test_reviews(mlflow: Any, experiment_id: str, traces: list[Any]) -> None:
    from mlflow.genai import label_schemas, review_queues
    from mlflow.genai.label_schemas import InputPassFail

    schema = label_schemas.create_label_schema(
        "correct", type="feedback", input=InputPassFail("Yes", "No"), experiment_id=experiment_id
    )
    listed = label_schemas.list_label_schemas(experiment_id=experiment_id)
    assert {one.name: one.is_default for one in listed} == {"correct": False, "Feedback": True}
    made = review_queues.create_review_queue(
        "weekly", queue_type="custom", users=["ada"], schema_ids=[schema.schema_id], experiment_id=experiment_id
    )
    ids = [trace.info.trace_id for trace in traces]
    review_queues.add_items_to_review_queue(made.queue_id, item_ids=ids)
    review_queues.set_review_queue_item_status(made.queue_id, item_id=ids[0], status="complete", completed_by="ada")
    left = review_queues.list_review_queue_items(made.queue_id, status="pending")
    assert [one.item_id for one in left] == ids[1:]
    mine = review_queues.get_or_create_user_queue("ada", experiment_id=experiment_id)
    found = review_queues.list_review_queues(experiment_id=experiment_id, user="ada")
    assert {one.queue_id for one in found} == {made.queue_id, mine.queue_id}


def test_metrics_of_traces(mlflow: Any, experiment_id: str, traces: list[Any]) -> None:
    from mlflow.entities.trace_metrics import AggregationType, MetricAggregation, MetricViewType
    from mlflow.tracing.client import TracingClient

    store = TracingClient().store
    counted = store.query_trace_metrics(
        [experiment_id],
        MetricViewType.TRACES,
        "trace_count",
        [MetricAggregation(AggregationType.COUNT)],
        dimensions=["trace_name"],
    )
    assert [(one.dimensions, one.values) for one in counted] == [({"trace_name": "root"}, {"COUNT": 2.0})]
    spread = store.query_trace_metrics(
        [experiment_id], MetricViewType.SPANS, "latency", [MetricAggregation(AggregationType.PERCENTILE, 90.0)]
    )
    assert spread[0].values["P90.0"] >= 0


def test_a_webhook_hears_of_a_model_and_can_check_who_speaks(mlflow: Any) -> None:
    came: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.put((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    client = mlflow.MlflowClient()
    url = f"http://127.0.0.1:{receiver.server_port}/hook"
    made = client.create_webhook("ci", url, ["registered_model.created"], secret="shared", description="d")
    assert [one.webhook_id for one in client.list_webhooks()] == [made.webhook_id]
    client.create_registered_model("heard")
    headers, body = came.get(timeout=10)
    signed = f"{headers['X-MLflow-Delivery-Id']}.{headers['X-MLflow-Timestamp']}.".encode() + body
    digest = base64.b64encode(hmac.new(b"shared", signed, hashlib.sha256).digest()).decode()
    assert headers["X-MLflow-Signature"] == f"v1,{digest}"
    assert json.loads(body)["data"]["name"] == "heard"
    assert client.test_webhook(made.webhook_id).success
    assert str(client.update_webhook(made.webhook_id, status="DISABLED").status) == "DISABLED"
    client.delete_webhook(made.webhook_id)
    assert list(client.list_webhooks()) == []
    receiver.shutdown()
    receiver.server_close()
