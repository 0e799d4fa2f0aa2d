"""What follows from a job's end, in the same transaction as its terminal status: its outputs become assets."""

from __future__ import annotations

import msgspec
from sqlalchemy.engine import Connection

from lazulite.core import arm_id, names
from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import ApiError
from lazulite.core.numbers import whole_number
from lazulite.engine.jobs.plan import asset_kind, asset_name
from lazulite.model.job_status import JobOutput, JobState, JobStatus
from lazulite.store import resources
from lazulite.store.resources import Json, Resource


def register_outputs(connection: Connection, job: Resource, status: JobStatus, location: str) -> JobStatus:
    """Make the assets of a job that completed; return its status with their ids. Does nothing for other endings."""
    if status.state is not JobState.COMPLETED or not status.outputs:
        return status
    workspace_id = arm_id.workspace_of(job.id)
    workspace = resources.get(connection, workspace_id)
    guid = workspace.properties.get("workspaceId") if workspace else None
    outputs, notes = {}, list(status.notes)
    for name, output in status.outputs.items():
        kind = asset_kind(output.type)
        own = asset_name(job.name, name, output.type)
        _register(connection, job, f"{workspace_id}/{kind}/{own}", "1", output, anonymous=True)
        asset_id = f"azureml://locations/{location}/workspaces/{guid}/{kind}/{own}/versions/1"
        outputs[name] = msgspec.structs.replace(output, asset_id=asset_id)
        notes += _register_named(connection, job, workspace_id, name, output)
    return msgspec.structs.replace(status, outputs=outputs, notes=notes)


def _register_named(
    connection: Connection, job: Resource, workspace_id: str, output_name: str, output: JobOutput
) -> list[str]:
    """The asset that the job's author named for the output; returns a note where that version is taken."""
    given = (job.properties.get("outputs") or {}).get(output_name) or {}
    name = given.get("assetName")
    if not name:
        return []
    try:
        names.RESOURCE.check(str(name))
        names.VERSION.check(str(given.get("assetVersion") or "1"))
    except ApiError as error:
        return [f"The output '{output_name}' was not registered: {error.message}"]
    container = f"{workspace_id}/{asset_kind(output.type)}/{name}"
    version = str(given.get("assetVersion") or _next_version(connection, container, asset_kind(output.type)))
    try:
        _register(connection, job, container, version, output, anonymous=False)
    except resources.AlreadyExists:
        return [f"The output '{output_name}' was not registered as '{name}': there is a version '{version}' already."]
    return []


def _register(
    connection: Connection, job: Resource, container: str, version: str, output: JobOutput, *, anonymous: bool
) -> None:
    collection = f"{PROVIDER}/workspaces/{asset_kind(output.type)}"
    if resources.get(connection, container) is None:
        spec: Json = {"properties": {"description": None, "tags": {}, "properties": {}, "isArchived": False}}
        label = resources.ANONYMOUS if anonymous else None
        resources.insert(connection, resources.new(container, collection, spec, label=label), by=job.created_by)
    properties: Json = {
        "description": None,
        "tags": {},
        "properties": {"azureml.job": job.name},
        "isArchived": False,
        "isAnonymous": anonymous,
    }
    if asset_kind(output.type) == "models":
        properties |= {"modelUri": output.uri, "modelType": output.type, "jobName": job.name, "flavors": {}}
    else:
        properties |= {"dataUri": output.uri, "dataType": output.type}
    new = resources.new(f"{container}/versions/{version}", f"{collection}/versions", {"properties": properties})
    earlier = resources.get(connection, new.id) if anonymous else None
    if earlier is not None:  # of a job of the same name that was deleted
        resources.update(connection, earlier.with_(spec=new.spec), by=job.created_by)
        return
    resources.insert(connection, new, by=job.created_by)


def _next_version(connection: Connection, container: str, kind: str) -> int:
    versions = resources.children(connection, container, f"{PROVIDER}/workspaces/{kind}/versions")
    return 1 + max((whole_number(version.name) or 0 for version in versions), default=0)
