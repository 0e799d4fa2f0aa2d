"""Jobs: what a submission must hold, what is pinned when it is accepted, and how a job is shown.

A job is a run: its tags, experiment and times are the run's, so MLflow and the SDK see one truth. A run that an
MLflow client made has no row here and is shown as a job all the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core import arm_id, names
from lazulite.core.clock import iso, utc_now
from lazulite.core.errors import conflict, not_implemented, validation
from lazulite.model import asset_reference, job_status, wire
from lazulite.model.job_status import JobState
from lazulite.resources import job_reruns, job_rules, pipeline_rules, places, resubmission, sweep_rules
from lazulite.resources.declaration import Action, Answer, Call, Reading, ResourceType, Verb, Write
from lazulite.store import archive, erasures, ownership, resources, runs
from lazulite.store.artifacts import run_folder
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Json, Resource
from lazulite.store.tables import resources as table

#: What checks a job of each kind and pins what it refers to; a kind without an entry is refused with 501.
CHECKS: dict[str, Callable[[Write], Json]] = {
    "Command": job_rules.check_command_job,
    "Pipeline": pipeline_rules.check_pipeline_job,
    "Sweep": sweep_rules.check_sweep_job,
}
_KNOWN = ("Command", "Pipeline", "Sweep", "AutoML", "Spark", "FineTuning", "Distillation", "Labeling")
_CHUNK = 500
_NOTE = "mlflow.note.content"  # where MLflow keeps a run's description
#: A node takes about a kilobyte: room for pipelines far beyond 30,000 of them.
_MAX_BODY = 256 * 1024 * 1024
#: What a client may still change once a job is submitted.
_MUTABLE = ("displayName", "description", "tags", "properties", "isArchived")
_PREFIX = "Microsoft.MachineLearningServices/workspaces/jobs"
_RUN_STATES = {
    "SCHEDULED": "Queued",
    "RUNNING": "Running",
    "FINISHED": "Completed",
    "FAILED": "Failed",
    "KILLED": "Canceled",
}


def prepare(write: Write) -> None:
    if write.existing is not None:
        _change(write)
        return
    properties = write.properties
    kind = properties.get("jobType")
    if kind not in _KNOWN:
        raise validation(f"jobType is '{kind}' and must be one of {', '.join(_KNOWN)}.", "properties.jobType")
    check = CHECKS.get(kind)
    if check is None:
        raise not_implemented(f"Jobs.create_or_update of a {kind} job")
    resolved = check(write)
    for name in ("tags", "properties"):
        properties[name] = properties.get(name) or {}
    properties["experimentName"] = properties.get("experimentName") or "Default"
    properties["displayName"] = properties.get("displayName") or write.name
    properties["isArchived"] = bool(properties.get("isArchived", False))
    write.body |= {"resolved": resolved, "submittedBy": write.principal.id}
    write.status = {
        "state": JobState.NOT_STARTED,
        "states": [{"state": JobState.NOT_STARTED, "at": iso(utc_now())}],
        "notes": not_started(properties.get("services")),
    }
    write.state = JobState.NOT_STARTED
    _check_erased(write)
    if runs.get(write.connection, write.workspace, write.name) is not None:
        raise conflict(
            f"There is a run '{write.name}' in this workspace already; a job needs a name of its own.", "name"
        )
    runs.create(
        write.connection,
        write.workspace,
        write.name,
        experiment_name=properties["experimentName"],
        name=properties["displayName"],
        user=write.principal.name,
        tags=_run_tags(properties),
        status="SCHEDULED",
        job=True,
    )


def _check_erased(write: Write) -> None:
    """Raises ApiError 409 where files of a job that had this name are still there."""
    deleted = erasures.pending(write.connection, write.id)
    if deleted or erasures.pending_at(write.connection, write.workspace, run_folder(write.name)):
        raise conflict(
            f"A job '{write.name}' was deleted and its files are being erased. Try again in a moment.",
            "name",
            code="JobBeingDeleted",
        )


def view(reading: Reading, resource: Resource) -> Json:
    """The properties as sent with status, services, the run's tags, and where outputs lie once they do."""
    return views(reading, [resource])[0]


def views(reading: Reading, rows: Sequence[Resource]) -> list[Json]:
    """`view` of jobs of one workspace."""
    if not rows:
        return []
    connection, workspace, names = reading.connection, arm_id.workspace_of(rows[0].id), [row.name for row in rows]
    found = {run.run_id.lower(): run for run in runs.get_many(connection, workspace, names).values()}
    tags = runs.tags(connection, workspace, names)
    return [_view(reading, row, found.get(row.name.lower()), tags.get(row.name, {})) for row in rows]


def _view(reading: Reading, resource: Resource, run: runs.Run | None, found: dict[str, str]) -> Json:
    workspace = arm_id.workspace_of(resource.id)
    status = job_status.read(resource.status)
    properties = _without_registry_code(dict(resource.properties))
    if run is not None:
        properties["tags"] = {k: v for k, v in found.items() if not k.startswith("mlflow.")}
        properties["displayName"], properties["experimentName"] = run.name, run.experiment_name
        properties["description"] = found.get(_NOTE, properties.get("description"))
    properties["properties"] = {**(properties.get("properties") or {}), **status.properties}
    properties["status"] = status.state
    properties["isArchived"] = resource.archived
    properties["services"] = {**_user_services(properties), **services(reading, workspace, resource.name)}
    properties["outputs"] = _outputs(properties.get("outputs") or {}, status)
    if properties.get("jobs"):  # the SDK sends no job again that has a component beside its nodes
        properties["componentId"] = None
    return properties


def _without_registry_code(properties: Json) -> Json:
    # The SDK refuses to read a job that shows one; its component says whose code runs.
    if asset_reference.of_registry(str(properties.get("codeId"))):
        properties["codeId"] = None
    trial = properties.get("trial")
    return {**properties, "trial": _without_registry_code(dict(trial))} if isinstance(trial, dict) else properties


def services(reading: Reading, workspace: str, name: str) -> Json:
    """The Tracking and Studio entries; the SDK appends `&tid=` to Studio's endpoint, so it holds a `?`."""
    blank: Json = {"port": None, "status": None, "errorMessage": None, "properties": None, "nodes": None}
    return {
        "Tracking": {
            "jobServiceType": "Tracking",
            "endpoint": f"{reading.services.links_url}/mlflow/rest{workspace}",
            **blank,
        },
        "Studio": {
            "jobServiceType": "Studio",
            "endpoint": f"{reading.services.http_url}/runs/{name}?wsid={workspace}",
            **blank,
        },
    }


def remove(call: Call) -> None:
    if call.resource.state not in job_status.TERMINAL:
        raise conflict(
            f"Job '{call.resource.name}' is {call.resource.state}: cancel it before deleting it.",
            "status",
            code="JobNotTerminal",
        )
    forget(call.connection, call.services.storage, call.resource)


def forget(connection: Connection, storage: StorageLocator, job: Resource) -> None:
    """Remove a job's run, with the jobs and runs it was the parent of, and have their files erased.

    What they made of data stays, as on Azure, and so does what assets and logged models name.
    """
    workspace, jobs = arm_id.workspace_of(job.id), [job.name]
    for child in _below(connection, job.key):
        resources.delete(connection, child)
        jobs.append(child.rsplit("/", 1)[1])
    place = places.artifacts(connection, workspace, storage, job.name, "")
    for run in ownership.delete_runs(connection, workspace, jobs):
        if place.account is not None:
            erasures.note(connection, job.id, place.account, place.container, run_folder(run), workspace)


def _below(connection: Connection, key: str) -> list[str]:
    """The ids of the jobs that a job is the parent of, to any depth."""
    found, above = list[str](), [key]
    while above:
        query = sa.select(table.c.id).where(table.c.parent.in_(above[:_CHUNK]), table.c.type == TYPE.type.lower())
        ids = list(connection.scalars(query))
        found += ids
        above = above[_CHUNK:] + [arm_id.key(id_) for id_ in ids]
    return found


def cancel(call: Call) -> Answer:
    """Ask for the end; the engine brings it about."""
    if call.resource.state in job_status.TERMINAL:
        return Answer(200)
    spec = {**call.resource.spec, "desired": "Canceled"}
    resources.update(call.connection, call.resource.with_(spec=spec), by=call.principal.name)
    resources.record(call.connection, call.resource.id, "cancel", {"by": call.principal.id})
    return Answer(202, None, tuple(job_status.TERMINAL))


def rerun(call: Call) -> Answer:
    """`{"from": node}`: a new job of the same content; the steps of a pipeline before that node are taken over."""
    start = call.body.get("from")
    if start is not None and not isinstance(start, str):
        raise validation("'from' must be the name of a node.", "from")
    body = job_reruns.document(call.connection, call.resource, start)
    again = body.pop("rerun", None)
    id_ = f"{arm_id.workspace_of(call.resource.id)}/jobs/{job_reruns.new_name(call.resource)}"
    write = Write(call.connection, call.services, call.principal, {}, id_, body)
    prepare(write)
    if again is not None:
        write.body["rerun"] = again
    made = resources.new(id_, TYPE.type, write.body, status=write.status or {}, state=write.state, label=write.label)
    stored = resources.insert(call.connection, made, by=call.principal.name)
    resources.record(call.connection, stored.id, "rerun", {"of": call.resource.name, "by": call.principal.id})
    return Answer(201, {"id": stored.id, "name": stored.name, "type": _PREFIX, "properties": view(call, stored)})


class ClientRuns:
    """Runs that MLflow clients made, as jobs."""

    def get(self, reading: Reading, id_: str) -> Json | None:
        if "/jobs/" not in id_.lower():
            return None
        run = runs.get(reading.connection, arm_id.workspace_of(id_), arm_id.parse(id_).name)
        return None if run is None or run.job else _as_jobs(reading, arm_id.workspace_of(id_), [run])[0]

    def list(
        self, reading: Reading, parent: str, collection_type: str, archived: bool | None, after: int | None, limit: int
    ) -> list[tuple[Json, int]]:
        """Those that lie below no other run, newest first."""
        lifecycle = None if archived is None else ("deleted" if archived else "active")
        found = runs.list_clients_runs(reading.connection, parent, cursor=after, limit=limit, lifecycle=lifecycle)
        return list(zip(_as_jobs(reading, parent, found), (run.number for run in found), strict=True))


def change(write: Write, changes: Json) -> Json:
    """The properties with what a client may still change, changed; also in the run. Used by run history's PATCH."""
    existing = write.existing
    assert existing is not None
    properties: Json = {**existing.properties}
    for name in _MUTABLE:
        if changes.get(name) is not None:
            properties[name] = changes[name]
    for name in ("tags", "properties"):
        if not isinstance(properties.get(name) or {}, dict):
            raise validation(f"properties.{name} must be an object of texts.", f"properties.{name}")
    if runs.get(write.connection, write.workspace, existing.name) is not None:
        if changes.get("displayName"):
            runs.rename(write.connection, write.workspace, existing.name, str(changes["displayName"]))
        if changes.get("tags") is not None:
            tags = runs.tags(write.connection, write.workspace, [existing.name]).get(existing.name, {})
            kept = {k: v for k, v in tags.items() if k.startswith("mlflow.")}
            runs.replace_tags(write.connection, write.workspace, existing.name, {**kept, **_texts(changes["tags"])})
        if changes.get("description") is not None:
            runs.set_tags(write.connection, write.workspace, existing.name, {_NOTE: str(changes["description"])})
        if changes.get("isArchived") is not None:
            archive.set_run(write.connection, write.workspace, existing.name, bool(changes["isArchived"]))
    write.archived = existing.archived if changes.get("isArchived") is None else bool(changes["isArchived"])
    return properties


def _change(write: Write) -> None:
    existing = write.existing
    assert existing is not None
    resubmission.check(write)
    properties = change(write, write.properties)
    write.body = {**existing.spec, "properties": properties}


def not_started(services: Any) -> list[str]:
    """Said in the job's warnings: interactive services are kept and shown, and nothing stands behind them yet."""
    wanted = {
        name: str(service.get("jobServiceType") or name)
        for name, service in (services or {}).items()
        if isinstance(service, dict)
    }
    return [
        f"The service '{name}' ({kind}) is not started: interactive services are not built."
        for name, kind in wanted.items()
    ]


def _run_tags(properties: Json) -> dict[str, str]:
    tags = _texts(properties["tags"])
    if properties.get("description"):
        tags[_NOTE] = str(properties["description"])
    return tags


def _texts(tags: Any) -> dict[str, str]:
    if not isinstance(tags, dict):
        raise validation("properties.tags must be an object of texts.", "properties.tags")
    return {str(k): "" if v is None else str(v) for k, v in tags.items()}


def _user_services(properties: Json) -> Json:
    return {name: value for name, value in (properties.get("services") or {}).items() if value is not None}


def _outputs(declared: Json, status: job_status.JobStatus) -> Json:
    shown: Json = {}
    for name, output in declared.items():
        shown[name] = dict(output) if isinstance(output, dict) else {"jobOutputType": "uri_folder"}
        if name in status.outputs and status.terminal:
            shown[name]["uri"] = status.outputs[name].uri
    return shown


def _as_jobs(reading: Reading, workspace: str, found: list[runs.Run]) -> list[Json]:
    tags = runs.tags(reading.connection, workspace, [run.run_id for run in found])
    return [_as_job(reading, workspace, run, tags[run.run_id]) for run in found]


def _as_job(reading: Reading, workspace: str, run: runs.Run, tags: dict[str, str]) -> Json:
    created = iso(dt.datetime.fromtimestamp(run.created_ms / 1000, dt.UTC))
    return {
        "id": f"{workspace}/jobs/{run.run_id}",
        "name": run.run_id,
        "type": _PREFIX,
        "properties": {
            "jobType": "Command",
            "command": "",
            "environmentId": "",
            "displayName": run.name,
            "description": tags.get(_NOTE),
            "experimentName": run.experiment_name,
            "status": _RUN_STATES.get(run.status, run.status),
            "tags": {k: v for k, v in tags.items() if not k.startswith("mlflow.")},
            "properties": {"mlflow.source": "client"},
            "inputs": {},
            "outputs": {},
            "isArchived": run.lifecycle != "active",
            "services": services(reading, workspace, run.run_id),
        },
        "systemData": {
            "createdAt": created,
            "createdBy": run.user,
            "createdByType": "User",
            "lastModifiedAt": created,
            "lastModifiedBy": run.user,
            "lastModifiedByType": "User",
        },
    }


TYPE = ResourceType(
    collection="workspaces/jobs",
    operations="Jobs",
    wire=wire.Job,
    verbs=frozenset({Verb.LIST, Verb.GET, Verb.PUT, Verb.DELETE}),
    prepare=prepare,
    view=view,
    views=views,
    remove=remove,
    virtual=ClientRuns(),
    name_rule=names.JOB,
    newest_first=True,
    max_body=_MAX_BODY,
    actions=(Action("cancel", cancel, "cancel", writes=True), Action("rerun", rerun, "rerun", writes=True)),
)
