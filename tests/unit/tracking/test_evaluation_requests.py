"""The same requests get the same answers as from MLflow's own server."""

from __future__ import annotations

import json
from typing import Any

from . import evaluation_requests, review_requests, webhook_requests
from .conftest import Api
from .test_evaluation_datasets import v3
from .test_trace_metrics import a_trace

RECORDED = (*evaluation_requests.SAME, *review_requests.SAME, *webhook_requests.SAME)


async def test_requests_are_answered_as_by_mlflow(api: Api) -> None:
    names = await _names(api)
    wrong = []
    for method, path, body, status, code in RECORDED:
        sent = _filled(body, names)
        version, path_below = str(_filled(path, names)).split("/mlflow/", 1)
        more = {"params": sent} if method == "GET" else {"json": sent}
        response = await api.call(method, path_below, api=f"api/{version}/mlflow/", **more)
        answer = response.json().get("error_code", "") if response.status_code >= 400 else ""
        if (response.status_code, answer) != (status, code):
            wrong.append((method, path, json.dumps(body)[:80], response.status_code, answer, "not", status, code))
    assert wrong == []


async def _names(api: Api) -> dict[str, str]:
    experiment = (await api.post("experiments/create", name="e"))["experiment_id"]
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    dataset = (await v3(api, "POST", "datasets/create", name="d"))["dataset"]["dataset_id"]
    queue = await v3(api, "POST", "review-queues/create", experiment_id=experiment, name="qq", queue_type="CUSTOM")
    events = [{"entity": "MODEL_VERSION", "action": "CREATED"}]
    webhook = await api.post("webhooks", name="h", url="https://8.8.8.8/x", events=events)
    return {
        "$e": experiment,
        "$t": await a_trace(api, 0, 1000, trace_location=place),
        "$d": dataset,
        "$q": queue["review_queue"]["queue_id"],
        "$w": webhook["webhook"]["webhook_id"],
    }


def _filled(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        for name, found in names.items():
            value = value.replace(name, found)
        return value
    if isinstance(value, dict):
        return {key: _filled(item, names) for key, item in value.items()}
    return [_filled(item, names) for item in value] if isinstance(value, list) else value
