"""Documents of a pipeline as a server gives them out, made of little."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

NOW = dt.datetime(2026, 5, 1, 12, 5, tzinfo=dt.UTC)
_BEGAN = "2026-05-01T12:00:00Z"
_ENDED = "2026-05-01T12:00:30Z"
_OVER = ("Completed", "Failed", "Canceled")


def node(*needs: str, component: str = "step", **more: Any) -> dict[str, Any]:
    """A node that takes the output `made` of each of `needs`."""
    inputs = {f"i{n}": {"value": f"${{{{parent.jobs.{other}.outputs.made}}}}"} for n, other in enumerate(needs)}
    return {"type": "command", "componentId": f"/c/components/{component}/versions/1", "inputs": inputs, **more}


def run(name: str, status: str = "Completed", error: str = "", **properties: str) -> dict[str, Any]:
    return {
        "runId": name,
        "displayName": name,
        "experimentName": "prices",
        "runType": "azureml.scriptrun",
        "status": status,
        "startTimeUtc": _BEGAN,
        "endTimeUtc": _ENDED if status in _OVER else None,
        "properties": properties,
        "error": {"error": {"message": error}} if error else None,
    }


@dataclass
class Server:
    """A `Source`: pipelines by name, and the runs of their steps by node."""

    pipelines: dict[str, dict[str, Any]]
    steps: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    status: str = "Completed"
    properties: dict[str, str] = field(default_factory=dict)
    error: str = ""
    asked: list[str] = field(default_factory=list)

    def job(self, name: str) -> dict[str, Any]:
        self.asked.append(name)
        return {
            "jobType": "Pipeline",
            "jobs": self.pipelines[name],
            "status": self.status,
            "properties": self.properties,
        }

    def run(self, name: str) -> dict[str, Any]:
        return {**run(name, self.status, self.error), "runType": "azureml.PipelineRun"}

    def children(self, name: str) -> Iterable[dict[str, Any]]:
        return self.steps.get(name, [])


def step(node_name: str, status: str = "Completed", error: str = "", **properties: str) -> dict[str, Any]:
    return run(f"run-{node_name}", status, error, **{"azureml.nodeid": node_name, **properties})


def pipeline_step(node_name: str, status: str = "Completed") -> dict[str, Any]:
    return {**step(node_name, status), "runType": "azureml.PipelineRun"}
