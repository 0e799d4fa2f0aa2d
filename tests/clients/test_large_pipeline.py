"""A pipeline whose document and children are many: accepted, looked at while it runs, cancelled."""

from __future__ import annotations

import time
from typing import Any

import pytest
from azure.ai.ml import MLClient
from tests.clients.raw_requests import Bad, send
from tests.clients.test_stepping_in import lazulite
from tests.server_fixture import WORKSPACE_ID, RunningServer

pytestmark = pytest.mark.clients
_ENVIRONMENT = f"{WORKSPACE_ID}/environments/bare/versions/1"
_COMPONENT = f"{WORKSPACE_ID}/components/large/versions/1"
_JOB = f"{WORKSPACE_ID}/jobs/large"
_RUN = f"/history/v1.0{WORKSPACE_ID}/runs/large"
_NODES = 300
_PADDING = "x" * 60_000  # beyond what other requests may send


def test_a_large_pipeline(server: RunningServer, ml_client: MLClient) -> None:
    node = {"type": "command", "componentId": _COMPONENT, "inputs": {}, "outputs": {}, "description": _PADDING}
    spec = {"type": "command", "command": "sleep 60", "environment": f"azureml:{_ENVIRONMENT}"}
    put(server, _ENVIRONMENT, {"image": "library/python:3.11"})
    put(server, _COMPONENT, {"componentSpec": spec})
    put(server, _JOB, {"jobType": "Pipeline", "jobs": {f"n{number}": node for number in range(_NODES)}})
    try:
        until(lambda: pages(server) == [100, 100, 100])
        assert len(list(ml_client.jobs.list(parent_job_name="large"))) == _NODES
        assert len(list(ml_client.jobs.list(parent_job_name="large", max_results=7))) == 7
        job = ml_client.jobs.get("large")
        assert job.status == "Running"
        assert len(job.jobs) == _NODES
        drawn = lazulite(server, "job", "graph", "large").stdout
        assert f"n0 … n{_NODES - 1}  ×{_NODES}" in drawn, drawn
    finally:
        send(server, Bad("", "POST", f"{_JOB}/cancel", {}))
    until(lambda: send(server, Bad("", "GET", _RUN))[1]["status"] == "Canceled")
    children = list(ml_client.jobs.list(parent_job_name="large"))
    assert {child.status for child in children} == {"Canceled"}
    assert len({child.display_name for child in children}) == len(children)


def pages(server: RunningServer) -> list[int]:
    found, path = [], f"{_RUN}/children?$top=100"
    while path:
        page = send(server, Bad("", "GET", path))[1]
        found.append(len(page["value"]))
        path = (page["nextLink"] or "").removeprefix(server.https_url)
    return found


def put(server: RunningServer, path: str, properties: dict[str, Any]) -> None:
    status, answer = send(server, Bad("", "PUT", path, {"properties": properties}))
    assert status in (200, 201), answer


def until(condition: Any) -> None:
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.2)
