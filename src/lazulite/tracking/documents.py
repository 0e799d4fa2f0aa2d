"""Entities as MLflow's protobuf JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Connection

from lazulite.store import experiments as experiment_store
from lazulite.store import logged_models as model_store
from lazulite.store import run_data
from lazulite.store.experiments import Experiment
from lazulite.store.logged_models import LoggedModel
from lazulite.store.run_data import DatasetInput, LoggedPoint
from lazulite.store.runs import NAME_TAG, PARENT_TAG, Run
from lazulite.tracking.call import Call
from lazulite.tracking.fields import metric_value

Json = dict[str, Any]


def run_info(call: Call, run: Run) -> Json:
    info: Json = {
        "run_id": run.run_id,
        "run_uuid": run.run_id,
        "run_name": run.name,
        "experiment_id": run.experiment_id,
        "user_id": run.user,
        "status": run.status,
        "start_time": run.start_ms if run.start_ms is not None else run.created_ms,
        "artifact_uri": call.run_artifact_uri(run),
        "lifecycle_stage": run.lifecycle,
    }
    if run.end_ms is not None:
        info["end_time"] = run.end_ms
    return info


def run_documents(c: Connection, call: Call, found: Sequence[Run]) -> list[Json]:
    """Runs with all that was logged to them."""
    numbers = [run.number for run in found]
    tags, params = run_data.tags_of(c, numbers), run_data.params_of(c, numbers)
    metrics, models = run_data.latest_of(c, numbers), run_data.models_of(c, numbers)
    datasets = run_data.datasets_of(c, numbers)
    documents = []
    for run in found:
        of_run = models[run.number]
        documents.append(
            {
                "info": run_info(call, run),
                "data": {
                    "metrics": [metric(point) for point in metrics[run.number]],
                    "params": pairs(params[run.number]),
                    "tags": pairs(run_tags(run, tags[run.number])),
                },
                "inputs": {
                    "dataset_inputs": [_dataset_input(item) for item in datasets[run.number]],
                    "model_inputs": [{"model_id": m.model_id} for m in of_run if m.direction == "input"],
                },
                "outputs": {
                    "model_outputs": [
                        {"model_id": m.model_id, "step": m.step} for m in of_run if m.direction == "output"
                    ]
                },
            }
        )
    return documents


def run_tags(run: Run, stored: dict[str, str]) -> dict[str, str]:
    """The tags MLflow shows of a run: those stored, its name, and its parent where it has one."""
    tags = {**stored, NAME_TAG: run.name}
    if run.parent:
        tags[PARENT_TAG] = run.parent
    return tags


def metric(point: LoggedPoint) -> Json:
    return {
        "key": point.key,
        "value": metric_value(point.value),
        "timestamp": point.timestamp,
        "step": point.step,
    }


def pairs(values: dict[str, str]) -> list[Json]:
    return [{"key": key, "value": value} for key, value in values.items()]


def experiment_documents(c: Connection, call: Call, found: Sequence[Experiment]) -> list[Json]:
    tags = experiment_store.tags(c, [experiment.number for experiment in found])
    return [experiment_document(call, experiment, tags[experiment.number]) for experiment in found]


def experiment_document(call: Call, experiment: Experiment, tags: dict[str, str]) -> Json:
    location = experiment.artifact_location
    if location is None:
        location = f"mlflow-artifacts:/{experiment.id}"
        if call.surface.plugin:
            authority, prefix = call.context.authority, call.surface.prefix
            location = f"azureml://{authority}{prefix}{call.workspace}/experiments/{experiment.id}"
    return {
        "experiment_id": experiment.id,
        "name": experiment.name,
        "artifact_location": location,
        "lifecycle_stage": experiment.lifecycle,
        "creation_time": experiment.created_ms,
        "last_update_time": experiment.updated_ms,
        "tags": pairs(tags),
    }


def model_documents(c: Connection, call: Call, found: Sequence[LoggedModel]) -> list[Json]:
    numbers = [model.number for model in found]
    tags, params = model_store.tags_of(c, numbers), model_store.params_of(c, numbers)
    metrics = model_store.metrics_of(c, numbers)
    return [
        {
            "info": _model_info(call, model, tags[model.number]),
            "data": {
                "params": pairs(params[model.number]),
                "metrics": [
                    {
                        "key": point.key,
                        "value": metric_value(point.value),
                        "timestamp": point.timestamp,
                        "step": point.step,
                        "model_id": model.model_id,
                        "run_id": point.run_id,
                        **({"dataset_name": point.dataset_name} if point.dataset_name else {}),
                        **({"dataset_digest": point.dataset_digest} if point.dataset_digest else {}),
                    }
                    for point in metrics[model.number]
                ],
            },
        }
        for model in found
    ]


def _model_info(call: Call, model: LoggedModel, tags: dict[str, str]) -> Json:
    info: Json = {
        "model_id": model.model_id,
        "experiment_id": model.experiment_id,
        "name": model.name,
        "creation_timestamp_ms": model.created_ms,
        "last_updated_timestamp_ms": model.updated_ms,
        "artifact_uri": call.artifact_uri(model.experiment_id, model.path),
        "status": model.status,
        "tags": pairs(tags),
    }
    if model.run_id:
        info["source_run_id"] = model.run_id
    if model.model_type:
        info["model_type"] = model.model_type
    if model.status_message:
        info["status_message"] = model.status_message
    return info


def _dataset_input(item: DatasetInput) -> Json:
    dataset: Json = {
        "name": item.name,
        "digest": item.digest,
        "source_type": item.source_type,
        "source": item.source,
    }
    if item.schema is not None:
        dataset["schema"] = item.schema
    if item.profile is not None:
        dataset["profile"] = item.profile
    return {"tags": pairs(item.tags), "dataset": dataset}
