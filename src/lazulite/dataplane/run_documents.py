"""A run as run history writes it down."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lazulite.core.clock import iso
from lazulite.model import job_status
from lazulite.model.job_status import JobStatus
from lazulite.store.resources import Json, Resource
from lazulite.store.runs import Run

_STATES = {
    "SCHEDULED": "Queued",
    "RUNNING": "Running",
    "FINISHED": "Completed",
    "FAILED": "Failed",
    "KILLED": "Canceled",
}
#: Clients look for models with a call that the newest SDK cannot make; they find a folder as well.
_MODELS = dict.fromkeys(("custom_model", "mlflow_model", "triton_model"), "uri_folder")
_RUN_TYPES = {"Pipeline": "azureml.PipelineRun", "Sweep": "hyperdrive"}


@dataclass(frozen=True)
class Found:
    """A run, the job it belongs to (None for a run an MLflow client made) and its tags."""

    workspace: str
    run: Run
    job: Resource | None
    tags: dict[str, str]

    @cached_property
    def status(self) -> JobStatus | None:
        return job_status.read(self.job.status) if self.job is not None else None

    @property
    def properties(self) -> dict[str, Any]:
        if self.job is None or self.status is None:
            return {}
        return {**(self.job.properties.get("properties") or {}), **self.status.properties}


def status(found: Found) -> str:
    """Azure's word for where the run is."""
    if found.status is not None:
        return str(found.status.state)
    return _STATES.get(found.run.status, found.run.status)


def error(found: Found) -> Json | None:
    """Why it failed, in run history's shape."""
    failure = found.status.error if found.status else None
    if failure is None:
        return None
    inner: Json = {
        "code": "UserError",
        "message": failure.message,
        "messageFormat": None,
        "messageParameters": {},
        "referenceCode": failure.code,
        "detailsUri": None,
        "target": None,
        "details": failure.details,
        "innerError": {"code": failure.code, "innerError": None},
        "debugInfo": None,
        "additionalInfo": None,
    }
    return {"error": inner, "correlation": {}, "environment": "local", "location": "local", "componentName": "lazulite"}


def details(found: Found) -> Json:
    run = found.run
    notes = found.status.notes if found.status else []
    return {
        "runId": run.run_id,
        "target": _target(found),
        "status": status(found),
        "startTimeUtc": _moment(run.start_ms),
        "endTimeUtc": _moment(run.end_ms),
        "services": {},
        "properties": found.properties,
        "inputDatasets": [],
        "outputDatasets": [],
        "runDefinition": {},
        "logFiles": {},
        "revision": 1,
        "submittedBy": run.user,
        "error": error(found),
        "warnings": [{"source": "lazulite", "message": note} for note in notes] or None,
    }


def run(found: Found, location: str) -> Json:
    """The `Run` document; `outputs` name the assets that hold what the run made."""
    record = found.run
    outputs = found.status.outputs if found.status else {}
    return {
        "runNumber": record.number,
        "rootRunId": (found.job.spec.get("rootRun") if found.job else None) or record.parent or record.run_id,
        "runId": record.run_id,
        "runUuid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{found.workspace}/{record.run_id}".lower())),
        "parentRunId": record.parent,
        "status": status(found),
        "startTimeUtc": _moment(record.start_ms),
        "endTimeUtc": _moment(record.end_ms),
        "createdUtc": _moment(record.created_ms),
        "lastModifiedUtc": found.job.modified_at if found.job else _moment(record.end_ms or record.created_ms),
        "duration": _duration(record),
        "displayName": record.name,
        "name": record.name,
        "description": found.tags.get("mlflow.note.content"),
        "dataContainerId": f"dcid.{record.run_id}",
        "hidden": found.job.archived if found.job else record.lifecycle != "active",
        "runType": _run_type(found),
        "runTypeV2": {"orchestrator": None, "traits": [], "attribution": None, "computeType": None},
        "properties": found.properties,
        "tags": {k: v for k, v in found.tags.items() if not k.startswith("mlflow.")},
        "experimentId": record.experiment_id,
        "experimentName": record.experiment_name,
        "target": _target(found),
        "inputs": {},
        "outputs": {
            name: {
                "assetId": output.asset_id or default_asset_id(location, found, name),
                "type": _MODELS.get(output.type, output.type),
            }
            for name, output in outputs.items()
        },
        "inputDatasets": [],
        "outputDatasets": [],
        "runDefinition": {},
        "jobSpecification": None,
        "createdBy": {
            "userObjectId": found.job.spec.get("submittedBy") if found.job else None,
            "userName": record.user,
        },
        "error": error(found),
        "warnings": None,
        "uniqueChildRunComputeTargets": [],
        "settings": {},
        "services": {},
        "revision": 1,
        "token": None,
    }


def default_asset_id(location: str, found: Found, output: str) -> str:
    """The id under which a run's output is known where no asset was asked for."""
    workspace = found.workspace.rsplit("/", 1)[1]
    name = f"azureml_{found.run.run_id}_output_data_{output}"
    return f"azureml://locations/{location}/workspaces/{workspace}/data/{name}/versions/1"


def _run_type(found: Found) -> str:
    if found.job is None:
        return "azureml.mlflow"
    return _RUN_TYPES.get(str(found.job.properties.get("jobType")), "azureml.scriptrun")


def _target(found: Found) -> str | None:
    compute = found.job.spec.get("resolved", {}).get("compute") if found.job else None
    return compute.rsplit("/", 1)[1] if compute else ("serverless" if found.job else "local")


def _moment(ms: int | None) -> str | None:
    return None if ms is None else iso(dt.datetime.fromtimestamp(ms / 1000, dt.UTC))


def _duration(record: Run) -> str | None:
    if record.start_ms is None:
        return None
    end = record.end_ms or int(dt.datetime.now(dt.UTC).timestamp() * 1000)
    return str(dt.timedelta(milliseconds=max(0, end - record.start_ms)))
