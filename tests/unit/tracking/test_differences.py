"""The same wrong requests get the same answers as from MLflow's own server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .mlflow_requests import DIFFERENT, SAME, Case

CASES = [*SAME, *(case for case, _, _ in DIFFERENT)]


@pytest.fixture
async def names(api: Any) -> dict[str, str]:
    made = [(await api.post("experiments/create", name=name))["experiment_id"] for name in ("kept", "gone")]
    found = {"$e": made[0], "$d": made[1], "$0": "0" * 32, "$n": "model"}
    found |= {"$r": await api.a_run(made[0]), "$g": await api.a_run(made[0]), "$rd": await api.a_run(made[1])}
    await api.post("runs/delete", run_id=found["$g"])
    await api.post("experiments/delete", experiment_id=found["$d"])
    await api.post("runs/log-parameter", run_id=found["$r"], key="p", value="1")
    await api.post("registered-models/create", name="model")
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[1]}-{json.dumps(case[2])[:60]}")
async def test_a_wrong_request(api: Any, names: dict[str, str], case: Case) -> None:
    method, path, body, status, code = case
    sent = filled(body, names)
    response = await api.call(method, path, **({"params": sent} if method == "GET" else {"json": sent}))
    answer = response.json().get("error_code", "") if response.status_code >= 400 else ""
    assert (response.status_code, answer) == (status, code or answer), response.text


def filled(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, dict):
        return {key: filled(item, names) for key, item in value.items()}
    return [filled(item, names) for item in value] if isinstance(value, list) else value
