"""Run history: how the SDK follows a job, changes its tags and finds its outputs."""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import quote

from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import ApiError, bad_request, nearest, not_found
from lazulite.core.numbers import whole_number
from lazulite.core.principal import Principal
from lazulite.core.web import WORKSPACE, JsonResponse, Route, json_body, principal, workspace_id
from lazulite.dataplane import run_documents
from lazulite.model import job_status, labels
from lazulite.resources import jobs
from lazulite.resources.declaration import Services, Write
from lazulite.store import resources, run_reach, runs
from lazulite.store.artifacts import ArtifactStore
from lazulite.store.database import Database
from lazulite.store.resources import Json

_BASE = "/history/v1.0" + WORKSPACE
_READ = f"{PROVIDER}/workspaces/experiments/runs/read"
_WRITE = f"{PROVIDER}/workspaces/experiments/runs/write"
#: Folders of a run whose files are logs.
_LOGS = ("user_logs", "system_logs", "azureml-logs", "logs")
_REMEMBERED = 10_000
#: Children of a run that are read at a time.
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class DataplaneContext:
    database: Database
    services: Services
    artifacts: ArtifactStore


def routes(context: DataplaneContext) -> list[Route]:
    history = _History(context)
    result = [
        Route("GET", _BASE + "/runs/{run}/details", _READ, history.details, "RunHistory.details"),
        Route("GET", _BASE + "/runs/{run}", _READ, history.get, "RunHistory.get"),
        Route("GET", _BASE + "/runs/{run}/children", _READ, history.children, "RunHistory.children"),
        Route("GET", _BASE + "/runs/{run}/serviceinstances/{node}", _READ, history.services, "RunHistory.services"),
        Route("POST", _BASE + "/rundata", _READ, history.run_data, "RunHistory.run_data"),
    ]
    for prefix in ("/experiments/{experiment}", "/experimentids/{experiment}"):
        path = _BASE + prefix + "/runs/{run}"
        result += [
            Route("GET", path, _READ, history.get, "RunHistory.get_in_experiment"),
            Route("PATCH", path, _WRITE, history.patch, "RunHistory.patch"),
            Route("GET", path + "/details", _READ, history.details, "RunHistory.details_in_experiment"),
            Route("GET", path + "/children", _READ, history.children, "RunHistory.children_in_experiment"),
        ]
    # Components of mldesigner make this address of the tracking one, which they take to be Azure's.
    tracking = "/mlflow/rest" + WORKSPACE + "/experimentids/{experiment}/runs/{run}"
    result.append(Route("PATCH", tracking, _WRITE, history.patch, "RunHistory.patch_beside_tracking"))
    return result


class _History:
    def __init__(self, context: DataplaneContext) -> None:
        self._context = context
        self._followed: OrderedDict[str, None] = OrderedDict()

    async def details(self, request: Request) -> Response:
        workspace, name = workspace_id(request), request.path_params["run"]
        found = await self._context.database.read(lambda c: self._load(c, workspace, name))
        document = run_documents.details(found)
        document["status"] = self._shown_status(found)
        document["logFiles"] = await self._log_files(workspace, found.run.run_id, principal(request))
        return JsonResponse(document)

    async def get(self, request: Request) -> Response:
        workspace, name = workspace_id(request), request.path_params["run"]
        found = await self._context.database.read(lambda c: self._load(c, workspace, name))
        return JsonResponse(run_documents.run(found, self._context.services.location))

    async def children(self, request: Request) -> Response:
        workspace, name = workspace_id(request), request.path_params["run"]

        limit, after = _page(request)

        def load(connection: Connection) -> tuple[list[Json], str | None]:
            self._load(connection, workspace, name)
            below = runs.children(connection, workspace, name, after=after, limit=limit and limit + 1)
            token = str(below[limit - 1].number) if limit is not None and len(below) > limit else None
            found = load_many(connection, workspace, below[:limit])
            return [run_documents.run(one, self._context.services.location) for one in found], token

        value, token = await self._context.database.read(load)
        address = f"{self._context.services.base_url}{quote(request.url.path)}?$top={limit}&$continuationtoken={token}"
        return JsonResponse({"value": value, "continuationToken": token, "nextLink": address if token else None})

    async def services(self, request: Request) -> Response:
        """Interactive endpoints of a run's node; a local run has none but its address in the job."""
        workspace, name = workspace_id(request), request.path_params["run"]
        await self._context.database.read(lambda c: self._load(c, workspace, name))
        return JsonResponse({"instances": {}})

    async def run_data(self, request: Request) -> Response:
        body = await json_body(request)
        name = body.get("runId")
        if not isinstance(name, str):
            raise bad_request("runId is missing: the name of the job.", "runId")
        workspace = workspace_id(request)
        found = await self._context.database.read(lambda c: self._load(c, workspace, name))
        metadata = run_documents.run(found, self._context.services.location)
        return JsonResponse(
            {"runMetadata": metadata, "runDefinition": {}, "jobSpecification": None, "systemSettings": {}}
        )

    async def patch(self, request: Request) -> Response:
        body = await json_body(request)
        workspace, name = workspace_id(request), request.path_params["run"]
        by = principal(request)

        def change(connection: Connection) -> Json:
            found = self._load(connection, workspace, name)
            if by.run is not None and not run_reach.may_write(connection, workspace, found.run, by.run):
                raise ApiError(403, "AuthorizationFailed", run_reach.refusal(found.run, by.run))
            changes = {k: body[k] for k in ("displayName", "description") if body.get(k) is not None}
            if body.get("hidden") is not None:
                changes["isArchived"] = bool(body["hidden"])
            for field, before in (("tags", found.tags), ("properties", found.properties)):
                if isinstance(body.get(field), dict):
                    labels.check(body[field], before, labels.ASSET, field)
                    kept = {k: v for k, v in before.items() if not k.startswith("mlflow.")}
                    changes[field] = {**kept, **body[field]}
            if found.job is None:
                _change_client_run(connection, workspace, name, changes)
            else:
                write = Write(connection, self._context.services, by, {}, found.job.id, dict(found.job.spec), found.job)
                properties = jobs.change(write, changes)
                spec = {**found.job.spec, "properties": properties}
                stored = found.job.with_(spec=spec, archived=write.archived)
                resources.update(connection, stored, by=by.name)
            return run_documents.run(self._load(connection, workspace, name), self._context.services.location)

        return JsonResponse(await self._context.database.write(change))

    def _load(self, connection: Connection, workspace: str, name: str) -> run_documents.Found:
        run = runs.get(connection, workspace, name)
        if run is None:
            known = [
                r.name for r in resources.children(connection, workspace, jobs.TYPE.type, limit=200, newest_first=True)
            ]
            raise not_found(
                f"There is no run '{name}' in this workspace.{nearest(name, known)}", "runId", code="UserError"
            )
        job = resources.get(connection, f"{workspace}/jobs/{name}")
        tags = runs.tags(connection, workspace, [name]).get(name, {})
        return run_documents.Found(workspace, run, job, tags)

    def _shown_status(self, found: run_documents.Found) -> str:
        """The status, but `Finalizing` once for a run that ended before anybody looked.

        The SDK's stream prints logs only of a run it has seen in progress, and a local run is often over by then.
        """
        status = run_documents.status(found)
        key = f"{found.workspace}/{found.run.run_id}".lower()
        seen = key in self._followed
        self._followed[key] = None
        while len(self._followed) > _REMEMBERED:
            self._followed.popitem(last=False)
        ended = found.run.end_ms
        recent = ended is not None and dt.datetime.now(dt.UTC).timestamp() * 1000 - ended < 60_000
        if not seen and recent and found.job is not None and status in job_status.TERMINAL:
            return job_status.JobState.FINALIZING
        return status

    async def _log_files(self, workspace: str, run: str, caller: Principal) -> dict[str, str]:
        root = f"ExperimentRun/dcid.{run}/"
        files: dict[str, str] = {}
        for folder in _LOGS:
            for entry in await self._context.artifacts.list(workspace, root + folder, recursive=True):
                if entry.size is not None:
                    files[entry.name.removeprefix(root)] = await self._context.artifacts.sas_url(
                        workspace, entry.name, "r", caller
                    )
        return files


def load_many(connection: Connection, workspace: str, below: list[runs.Run]) -> list[run_documents.Found]:
    """These runs with their jobs and tags, in few queries."""
    found: list[run_documents.Found] = []
    for start in range(0, len(below), _CHUNK):
        some = below[start : start + _CHUNK]
        names = [run.run_id for run in some]
        rows = resources.get_many(connection, [f"{workspace}/jobs/{name}" for name in names])
        own, tags = {row.name: row for row in rows}, runs.tags(connection, workspace, names)
        found += [run_documents.Found(workspace, r, own.get(r.run_id), tags.get(r.run_id, {})) for r in some]
    return found


def _page(request: Request) -> tuple[int | None, int | None]:
    """How many to answer, and after which run's number. Raises ApiError 400.

    All of them where the client names no number: the SDK reads one answer and does not follow its nextLink.
    """
    query = {name.lower(): value for name, value in request.query_params.items()}
    numbers = []
    for name in ("$top", "$continuationtoken"):
        number = whole_number(query.get(name, "0"))
        if number is None:
            raise bad_request(f"{name} is '{query[name][:100]}' and must be a whole number.", name)
        numbers.append(number or None)
    return numbers[0], numbers[1]


def _change_client_run(connection: Connection, workspace: str, name: str, changes: Json) -> None:
    if changes.get("displayName"):
        runs.rename(connection, workspace, name, changes["displayName"])
    if changes.get("tags"):
        runs.set_tags(connection, workspace, name, {k: str(v) for k, v in changes["tags"].items()})
    if "isArchived" in changes:
        runs.set_lifecycle(connection, workspace, name, "deleted" if changes["isArchived"] else "active")
    if changes.get("description") is not None:
        runs.set_tags(connection, workspace, name, {"mlflow.note.content": str(changes["description"])})
