"""Runs over MLflow's REST API."""

from __future__ import annotations

from typing import Any

import pytest

from lazulite.store import runs as run_store
from lazulite.store.database import Database


async def test_a_run_has_the_artifact_address_of_the_client_that_asks(api: Any) -> None:
    made = await api.post("runs/create", experiment_id="0", run_name="first", start_time=5)
    info = made["run"]["info"]
    run_id = info["run_id"]
    assert info["artifact_uri"] == f"mlflow-artifacts:/0/{run_id}/artifacts"
    assert (info["run_name"], info["status"], info["start_time"]) == ("first", "RUNNING", 5)
    seen = await api.on("v2.0").get("runs/get", run_id=run_id)
    assert seen["run"]["info"]["artifact_uri"] == (
        "azureml://localhost:8443/mlflow/v2.0/subscriptions/sub/resourceGroups/rg/providers/"
        f"Microsoft.MachineLearningServices/workspaces/ws/experiments/0/runs/{run_id}/artifacts"
    )


async def test_what_is_logged_comes_back(api: Any) -> None:
    run_id = await api.a_run(tags=[{"key": "kind", "value": "lr"}])
    await api.post("runs/log-metric", run_id=run_id, key="auc", value=0.5, timestamp=1, step=0)
    await api.post(
        "runs/log-batch",
        run_id=run_id,
        metrics=[
            {"key": "auc", "value": 0.75, "timestamp": "2", "step": "1"},
            {"key": "bad", "value": "NaN", "timestamp": 1},
        ],
        params=[{"key": "Regularization rate", "value": "0.1"}],
        tags=[{"key": "who", "value": "me"}],
    )
    data = (await api.get("runs/get", run_id=run_id))["run"]["data"]
    assert {m["key"]: m["value"] for m in data["metrics"]} == {"auc": 0.75, "bad": "NaN"}
    assert data["params"] == [{"key": "Regularization rate", "value": "0.1"}]
    assert {t["key"]: t["value"] for t in data["tags"]}.items() >= {"kind": "lr", "who": "me"}.items()
    history = await api.get("metrics/get-history", run_id=run_id, metric_key="auc")
    assert [(m["step"], m["value"]) for m in history["metrics"]] == [(0, 0.5), (1, 0.75)]


async def test_history_comes_in_pages(api: Any) -> None:
    run_id = await api.a_run()
    points = [{"key": "m", "value": n, "timestamp": n, "step": n} for n in range(5)]
    await api.post("runs/log-batch", run_id=run_id, metrics=points)
    steps, token = [], None
    while True:
        query = {"run_id": run_id, "metric_key": "m", "max_results": 2, **({"page_token": token} if token else {})}
        page = await api.get("metrics/get-history", **query)
        steps += [m["step"] for m in page["metrics"]]
        if not (token := page.get("next_page_token")):
            break
    assert steps == [0, 1, 2, 3, 4]


async def test_a_chart_gets_points_spread_over_the_steps(api: Any) -> None:
    run_id = await api.a_run()
    points = [{"key": "m", "value": n, "timestamp": 1, "step": n} for n in range(1000)]
    await api.post("runs/log-batch", run_id=run_id, metrics=points)
    found = await api.get("metrics/get-history-bulk-interval", run_ids=run_id, metric_key="m", max_results=11)
    assert [m["step"] for m in found["metrics"]] == [0, 90, 181, 272, 363, 454, 545, 636, 727, 818, 909, 999]


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("runs/log-metric", {"key": "a", "value": "x", "timestamp": 1}, "Invalid value \"x\" for parameter 'value'"),
        ("runs/log-metric", {"key": "a", "timestamp": 1}, "Missing value for required parameter 'value'"),
        ("runs/log-metric", {"key": "a", "value": 1}, "Missing value for required parameter 'timestamp'"),
        ("runs/log-metric", {"key": "a", "value": 1, "timestamp": -1}, "nonnegative long"),
        ("runs/log-metric", {"key": "a", "value": 1, "timestamp": 2**63}, "parameter 'timestamp'"),
        ("runs/log-metric", {"key": "../a", "value": 1, "timestamp": 1}, "would resolve to '../a'"),
        ("runs/log-metric", {"key": "a" * 251, "value": 1, "timestamp": 1}, "maximum length of 250"),
        ("runs/log-metric", {"key": "a\nb", "value": 1, "timestamp": 1}, "Names may only contain"),
        ("runs/log-parameter", {"value": "1"}, "Missing value for required parameter 'key'"),
        ("runs/log-batch", {"metrics": [{"key": "a", "value": 1, "timestamp": 1}] * 1001}, "at most 1000 metrics"),
        ("runs/log-batch", {"params": [{"key": str(n), "value": "1"} for n in range(101)]}, "at most 100 params"),
        ("runs/log-batch", {"params": [{"key": "a", "value": "1"}] * 2}, "Duplicate parameter keys"),
        ("runs/log-batch", {"metrics": {"key": "a"}}, "parameter 'metrics'"),
        ("runs/log-batch", {"metrics": [1]}, "parameter 'metrics'"),
        ("runs/update", {"status": "DONE"}, "parameter 'status'"),
        ("runs/set-tag", {"key": "x" * 251, "value": "1"}, "maximum length of 250"),
    ],
)
async def test_bad_input_is_refused_as_mlflow_does(api: Any, path: str, body: dict[str, Any], message: str) -> None:
    run_id = await api.a_run()
    status, code, said = await api.refused("POST", path, run_id=run_id, **body)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert message in said
    assert (await api.get("runs/get", run_id=run_id))["run"]["data"]["metrics"] == []


async def test_a_parameter_keeps_its_value(api: Any) -> None:
    run_id = await api.a_run()
    await api.post("runs/log-parameter", run_id=run_id, key="lr", value="1")
    await api.post("runs/log-parameter", run_id=run_id, key="lr", value="1")
    status, code, said = await api.refused("POST", "runs/log-parameter", run_id=run_id, key="lr", value="2")
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "already logged with value='1'" in said
    batch = {"params": [{"key": "new", "value": "1"}, {"key": "lr", "value": "3"}]}
    assert (
        "Changing param values is not allowed"
        in (await api.refused("POST", "runs/log-batch", run_id=run_id, **batch))[2]
    )
    assert len((await api.get("runs/get", run_id=run_id))["run"]["data"]["params"]) == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "runs/get", {}),
        ("POST", "runs/update", {"status": "FINISHED"}),
        ("POST", "runs/log-batch", {}),
        ("POST", "runs/delete", {}),
        ("GET", "artifacts/list", {}),
    ],
)
async def test_an_unknown_run_is_not_found(api: Any, method: str, path: str, body: dict[str, Any]) -> None:
    status, code, said = await api.refused(method, path, run_id="0" * 32, **body)
    assert (status, code, said) == (404, "RESOURCE_DOES_NOT_EXIST", f"Run with id={'0' * 32} not found")


async def test_a_run_ends_once_and_takes_a_name(api: Any) -> None:
    run_id = await api.a_run()
    ended = await api.post("runs/update", run_id=run_id, status="FINISHED", end_time=9, run_name="done")
    assert (ended["run_info"]["status"], ended["run_info"]["end_time"]) == ("FINISHED", 9)
    tags = (await api.get("runs/get", run_id=run_id))["run"]["data"]["tags"]
    assert {"key": "mlflow.runName", "value": "done"} in tags


async def test_a_deleted_run_takes_nothing_more_until_it_is_restored(api: Any) -> None:
    run_id = await api.a_run()
    await api.post("runs/delete", run_id=run_id)
    assert (await api.refused("POST", "runs/set-tag", run_id=run_id, key="a", value="b"))[
        1
    ] == "INVALID_PARAMETER_VALUE"
    await api.post("runs/restore", run_id=run_id)
    await api.post("runs/set-tag", run_id=run_id, key="a", value="b")
    await api.post("runs/delete-tag", run_id=run_id, key="a")
    assert (await api.refused("POST", "runs/delete-tag", run_id=run_id, key="a"))[1] == "RESOURCE_DOES_NOT_EXIST"


async def test_ending_a_job_is_for_the_platform(api: Any, database: Database) -> None:
    await database.write(lambda c: run_store.create(c, api.workspace, "train", name="t", user="ada", job=True))
    answer = await api.post("runs/update", run_id="train", status="FINISHED")
    assert answer["run_info"]["status"] == "RUNNING"


async def test_a_jobs_token_writes_to_its_run_and_below(api: Any) -> None:
    own, other = await api.a_run(), await api.a_run()
    job = api.as_job(own)
    child = await job.a_run(tags=[{"key": "mlflow.parentRunId", "value": own}])
    loose = await job.a_run()
    for run_id in (own, child, loose):
        await job.post("runs/log-metric", run_id=run_id, key="a", value=1, timestamp=1)
    assert (await job.refused("POST", "runs/log-metric", run_id=other, key="a", value=1, timestamp=1))[:2] == (
        403,
        "PERMISSION_DENIED",
    )
    await job.get("runs/get", run_id=other)
    for path, body in (("experiments/delete", {"experiment_id": "0"}), ("runs/delete", {"run_id": other})):
        assert (await job.refused("POST", path, **body))[0] == 403


async def test_datasets_are_inputs_of_a_run(api: Any) -> None:
    run_id = await api.a_run()
    dataset = {"name": "d", "digest": "1", "source_type": "local", "source": "{}"}
    tags = [{"key": "mlflow.data.context", "value": "training"}]
    await api.post("runs/log-inputs", run_id=run_id, datasets=[{"dataset": dataset, "tags": tags}])
    inputs = (await api.get("runs/get", run_id=run_id))["run"]["inputs"]["dataset_inputs"]
    assert inputs == [{"tags": tags, "dataset": dataset}]
    summaries = await api.post("experiments/search-datasets", experiment_ids=["0"])
    assert summaries["dataset_summaries"] == [{"experiment_id": "0", "name": "d", "digest": "1", "context": "training"}]


async def test_what_is_not_built_says_so_and_what_is_not_there_too(api: Any) -> None:
    for path in ("prompt-optimization/jobs", "workspaces", "gateway/endpoints/list"):
        response = await api.call("POST", path, api="api/3.0/mlflow/", json={})
        assert (response.status_code, response.json()["error_code"]) == (501, "NOT_IMPLEMENTED")
        assert path in response.json()["message"]
    assert (await api.refused("POST", "runs/no-such-thing"))[:2] == (404, "ENDPOINT_NOT_FOUND")
