"""Computes and jobs as stored, read as the pools and demands of an allocation, and a pool's status written. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from lazulite.core import arm_id
from lazulite.core.clock import iso, parse_duration, parse_iso
from lazulite.engine.allocation import Demand, Node, Pool
from lazulite.model.job_status import JobStatus
from lazulite.store.resources import Json, Resource

_PRIORITY = {"low": 1, "medium": 2, "high": 3, "1": 1, "2": 2, "3": 3}
_MANY = 1_000_000


def pool(compute: Resource, now: float, cores_of: Callable[[str], int]) -> Pool:
    """A compute as its jobs see it."""
    kind = str(compute.properties.get("computeType", ""))
    inner = compute.properties.get("properties") or {}
    if kind.lower() == "amlcompute":
        return _cluster(compute, inner, now)
    if kind.lower() == "computeinstance":
        running = compute.status.get("state") == "Running"
        slots = max(1, cores_of(str(inner.get("vmSize", ""))))
        return Pool(compute.key, compute.name, "instance", slots=slots, running=running)
    return Pool(compute.key, compute.name, "attached", slots=_MANY)


def _cluster(compute: Resource, inner: Json, now: float) -> Pool:
    scale = inner.get("scaleSettings") or {}
    most = int(scale.get("maxNodeCount") or 0)
    return Pool(
        id=compute.key,
        name=compute.name,
        kind="cluster",
        nodes=tuple(_node(document, now) for document in compute.status.get("nodes", [])),
        low_priority=str(inner.get("vmPriority", "")).lower() == "lowpriority",
        least=min(int(scale.get("minNodeCount") or 0), most),
        most=most,
        idle_s=_duration(scale.get("nodeIdleTimeBeforeScaleDown")),
        preempted=frozenset(compute.spec.get("preempted") or ()),
        born=int(compute.status.get("nodesEver", 0)),
    )


def demand(job: Resource, status: JobStatus) -> Demand:
    """What an active job asks for. Where it holds nodes, it is bound to the compute it got them from."""
    queue = job.properties.get("queueSettings") or {}
    return Demand(
        job=job.key,
        pool=status.compute if status.nodes is not None else compute_key(job),
        count=node_count(job),
        priority=_PRIORITY.get(str(queue.get("priority", "2")).lower(), 2),
        sequence=job.sequence,
        low_priority=str(queue.get("jobTier", "")).lower() == "spot",
        nodes=None if status.nodes is None else tuple(status.nodes),
        evicted=status.evict is not None,
        root=f"{arm_id.workspace_of(job.id)}/jobs/{job.spec.get('rootRun') or job.name}".lower(),
    )


def compute_key(job: Resource) -> str | None:
    """The key of the compute a job names; None for serverless."""
    resolved = job.spec.get("resolved") or {}
    named = resolved["compute"] if "compute" in resolved else job.properties.get("computeId")
    if not named or str(named).lower() in ("serverless", "azureml:serverless"):
        return None
    text = str(named).removeprefix("azureml:")
    if "/" not in text:
        text = f"{arm_id.workspace_of(job.id)}/computes/{text}"
    return arm_id.key("/" + text.strip("/"))


def node_count(job: Resource) -> int:
    """How many nodes a job runs on at once."""
    resources = job.properties.get("resources") or {}
    return max(1, int(resources.get("instanceCount") or 1))


def cluster_status(before: Json, pool: Pool, jobs: dict[str, str], now: float) -> Json:
    """The status of a cluster after an allocation; `jobs` are names by resource key."""
    old = {document["nodeId"]: document for document in before.get("nodes", [])}
    nodes = [_node_document(node, old.get(node.id), n, jobs) for n, node in enumerate(pool.nodes)]
    counts = {f"{state}NodeCount": 0 for state in ("idle", "running", "preparing", "leaving", "preempted", "unusable")}
    for node in pool.nodes:
        counts[f"{node.state}NodeCount"] += 1
    steady = counts["preparingNodeCount"] + counts["leavingNodeCount"] + counts["preemptedNodeCount"] == 0
    status: Json = {
        **before,
        "state": "Succeeded",
        "nodes": nodes,
        "nodesEver": pool.born,
        "allocationState": "Steady" if steady else "Resizing",
        "currentNodeCount": len(nodes) - counts["preparingNodeCount"],
        "targetNodeCount": len(nodes) - counts["leavingNodeCount"] - counts["preemptedNodeCount"],
        "nodeStateCounts": counts,
    }
    if status != before:
        status["allocationStateTransitionTime"] = _time(now)
    return status


def instance_status(
    before: Json, desired: str, restart: Any, busy: bool, now: float, boot_s: float
) -> tuple[Json, float | None]:
    """The status of a compute instance, and after how many seconds time changes it further.

    `desired` is Started or Stopped, `restart` any mark that changes with every restart asked for; a `busy` instance
    stops only when its jobs have left.
    """
    state = str(before.get("state") or "Creating")
    restart = restart or before.get("restart")
    since = parse_iso(before["since"]).timestamp() if "since" in before else now
    if before and restart != before.get("restart") and state == "Running":
        state, since = "Stopping", now
    for _ in range(4):
        following = _instance_step(state, desired, busy, now >= since + boot_s)
        if following == state:
            break
        state, since = following, now
        if boot_s > 0:
            break
    left = since + boot_s - now if state in ("Creating", "Starting", "Restarting") else None
    kept = before.get("restart") if state == "Stopping" and desired != "Stopped" else restart
    status = {**before, "state": state, "since": _time(since), "restart": kept, "nodes": []}
    return status, None if left is None else max(0.01, left)


def _instance_step(state: str, desired: str, busy: bool, booted: bool) -> str:
    match state:
        case "Creating" | "Starting":
            return "Running" if booted else state
        case "Running":
            return "Stopping" if desired == "Stopped" else state
        case "Stopping":
            return state if busy else "Stopped"
        case "Stopped":
            return "Starting" if desired != "Stopped" else state
    return "Running"


def _node(document: Json, now: float) -> Node:
    try:
        since = parse_iso(document["since"]).timestamp()
    except (KeyError, ValueError):
        since = now
    return Node(document["nodeId"], document["state"], since, document.get("jobKey"))


def _node_document(node: Node, before: Json | None, number: int, jobs: dict[str, str]) -> Json:
    used = before or {"privateIpAddress": f"10.0.0.{4 + number % 250}", "port": 50000 + number}
    return {
        "nodeId": node.id,
        "state": node.state,
        "since": before["since"] if before and before["state"] == node.state else _time(node.since),
        "job": jobs.get(node.job or "", _last(node.job)),
        "jobKey": node.job,
        "privateIpAddress": used["privateIpAddress"],
        "port": used["port"],
    }


def _last(key: str | None) -> str | None:
    return key.rsplit("/", 1)[-1] if key else None


def _duration(text: Any) -> float:
    try:
        return parse_duration(str(text))
    except ValueError:
        return 120.0  # what Azure takes where none is given


def _time(seconds: float) -> str:
    return iso(dt.datetime.fromtimestamp(seconds, dt.UTC))
