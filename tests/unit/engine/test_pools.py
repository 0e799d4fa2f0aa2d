from __future__ import annotations

import pytest

from lazulite.engine import pools
from lazulite.engine.allocation import Node, Pool
from lazulite.model.job_status import JobState, JobStatus
from lazulite.store import resources
from lazulite.testing.engine_world import WORKSPACE

NOW = 1000.0


def a_job(resolved: object = None, **properties: object) -> resources.Resource:
    spec = {"properties": properties} | ({"resolved": resolved} if resolved is not None else {})
    return resources.new(f"{WORKSPACE}/jobs/j", "t", spec)


@pytest.mark.parametrize("named", ["c", "azureml:c", f"{WORKSPACE}/computes/C", f"azureml:{WORKSPACE[1:]}/computes/c"])
def test_a_compute_by_any_of_its_names(named: str) -> None:
    assert pools.compute_key(a_job(computeId=named)) == f"{WORKSPACE}/computes/c".lower()


@pytest.mark.parametrize("named", [None, "", "serverless"])
def test_no_compute_is_serverless(named: str | None) -> None:
    assert pools.compute_key(a_job(computeId=named)) is None


def test_what_was_pinned_counts() -> None:
    assert pools.compute_key(a_job({"compute": None}, computeId="serverless-by-policy")) is None


def test_what_a_job_asks_for() -> None:
    job = a_job(queueSettings={"jobTier": "Spot", "priority": 3}, resources={"instanceCount": 4})
    demand = pools.demand(job, JobStatus(state=JobState.QUEUED))
    assert (demand.count, demand.priority, demand.low_priority, demand.nodes) == (4, 3, True, None)


def test_a_cluster_is_read_back_as_it_was_written() -> None:
    nodes = (Node("a", "running", NOW, "/jobs/j"), Node("b", "idle", NOW), Node("c", "preparing", NOW))
    status = pools.cluster_status({}, Pool("/c", "c", "cluster", nodes=nodes, born=7), {"/jobs/j": "J"}, NOW)
    assert (status["allocationState"], status["currentNodeCount"], status["targetNodeCount"]) == ("Resizing", 2, 3)
    assert [node["job"] for node in status["nodes"]] == ["J", None, None]
    properties = {"computeType": "AmlCompute", "properties": {"scaleSettings": {"maxNodeCount": 3}}}
    compute = resources.new(f"{WORKSPACE}/computes/c", "t", {"properties": properties}).with_(status=status)
    again = pools.pool(compute, NOW, lambda _: 4)
    assert (again.nodes, again.born) == (nodes, 7)
    assert pools.cluster_status(status, again, {"/jobs/j": "J"}, NOW + 5) == status


def test_an_instance_is_restarted_once_for_each_time_it_was_asked_for() -> None:
    status, _ = pools.instance_status({}, "Started", 0, False, NOW, 0)
    assert status["state"] == "Running"
    status, _ = pools.instance_status(status, "Started", 1, True, NOW, 0)
    assert status["state"] == "Stopping"
    status, _ = pools.instance_status(status, "Started", 1, False, NOW, 0)
    assert status["state"] == "Running"
    for mark in (1, None):
        assert pools.instance_status(status, "Started", mark, True, NOW, 0)[0] == status


def test_a_booting_instance_says_when_to_look_again() -> None:
    status, again = pools.instance_status({}, "Started", 0, False, NOW, 30)
    assert (status["state"], again) == ("Creating", 30)
    later, again = pools.instance_status(status, "Started", 0, False, NOW + 30, 30)
    assert (later["state"], again) == ("Running", None)
