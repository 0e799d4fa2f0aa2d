"""Artifact addresses: what the azureml-mlflow plugin asks run history for before it reads or writes blobs itself.

An artifact is `<origin>/<container>/<path>` in the workspace's artifact datastore; a run's origin and container are
`ExperimentRun` and `dcid.<run>`. The answers carry addresses of the blob gateway that grant access to one file each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from lazulite.core import arm_id
from lazulite.core.arm_id import PROVIDER
from lazulite.core.clock import now_iso
from lazulite.core.errors import ApiError, bad_request, not_found
from lazulite.core.principal import Principal, job_refusal
from lazulite.core.web import WORKSPACE, JsonResponse, Route, json_body, principal, workspace_id
from lazulite.resources import job_rights, places, references
from lazulite.resources.places import Location
from lazulite.store import logged_models, run_reach, runs
from lazulite.store.artifacts import ARTIFACT_DATASTORE, RUN_CONTAINER, RUN_ORIGIN, ArtifactStore
from lazulite.store.database import Database
from lazulite.store.locations import StorageLocator

Json = dict[str, Any]

_READ = f"{PROVIDER}/workspaces/experiments/runs/read"
_WRITE = f"{PROVIDER}/workspaces/experiments/runs/write"
#: Origins that clients may name beside a run's: files uploaded to be registered, and models that no run made.
_ORIGINS = {origin.lower(): origin for origin in (RUN_ORIGIN, "LocalUpload", "LoggedModels")}
_MOST = 5000


@dataclass(frozen=True, slots=True)
class _Container:
    workspace: str
    origin: str
    container: str

    @property
    def folder(self) -> str:
        return f"{self.origin}/{self.container}"


class Uploads(StorageLocator, Protocol):
    async def claim_upload(self, job: str, account: str, container: str, folder: str) -> bool:
        """Whether a folder is that job's to upload a new asset into."""


def routes(database: Database, artifacts: ArtifactStore, uploads: Uploads) -> list[Route]:
    """Run history's artifact calls by experiment name and id, and the artifact service's for any origin."""
    service = _Artifacts(database, artifacts, uploads)
    roots = [
        f"/history/v1.0{WORKSPACE}/{collection}/{{experiment}}/runs/{{run}}/artifacts"
        for collection in ("experiments", "experimentids")
    ]
    roots += [f"/artifact/{version}{WORKSPACE}/artifacts/{{origin}}/{{container}}" for version in ("v1.0", "v2.0")]
    table: tuple[tuple[str, str, str, Callable[[Request], Awaitable[Response]]], ...] = (
        ("GET", "", _READ, service.list_below),
        ("GET", "/path", _READ, service.list_below),
        ("GET", "/metadata", _READ, service.metadata),
        ("GET", "/contentinfo", _READ, service.content_info),
        ("GET", "/artifacturi", _READ, service.artifact_uri),
        ("GET", "/prefix/contentinfo", _READ, service.prefix_content_info),
        ("POST", "/batch/metadata", _WRITE, service.create),
    )
    return [
        Route(method, root + path, permission, handler, f"Artifacts.{handler.__name__}")
        for root in roots
        for method, path, permission, handler in table
    ]


class _Artifacts:
    def __init__(self, database: Database, artifacts: ArtifactStore, uploads: Uploads) -> None:
        self._database = database
        self._artifacts = artifacts
        self._uploads = uploads

    async def list_below(self, request: Request) -> Response:
        """Every file of the container, or below `path`."""
        where = await self._container(request)
        names = await self._names(where, request.query_params.get("path", ""))
        return _page([_artifact(where, name) for name in names])

    async def metadata(self, request: Request) -> Response:
        where = await self._container(request)
        return JsonResponse(_artifact(where, await self._existing(where, _path(request.query_params.get("path")))))

    async def content_info(self, request: Request) -> Response:
        """An address from which one file can be read."""
        where = await self._container(request)
        name = await self._existing(where, _path(request.query_params.get("path")))
        return JsonResponse(await self._information(request, where, name, "r"))

    async def artifact_uri(self, request: Request) -> Response:
        where = await self._container(request)
        name = await self._existing(where, _path(request.query_params.get("path")))
        return JsonResponse((await self._information(request, where, name, "r"))["contentUri"])

    async def prefix_content_info(self, request: Request) -> Response:
        """The same for every file below `path`."""
        where = await self._container(request)
        names = await self._names(where, request.query_params.get("path", ""))
        return _page([await self._information(request, where, name, "r") for name in names])

    async def create(self, request: Request) -> Response:
        """Addresses to which these files can be written; nothing is there until it is."""
        body = await json_body(request)
        where = await self._container(request, write=True)
        sent = body.get("paths")
        if not isinstance(sent, list) or not all(isinstance(one, dict) for one in sent):
            raise bad_request('The body must be {"paths": [{"path": ...}]}.', "paths")
        if len(sent) > _MOST:
            raise bad_request(f"One call makes at most {_MOST} artifacts, and this one {len(sent)}.", "paths")
        # Answered under the path as sent, which the client looks its answer up by.
        paths = {str(one.get("path")): _path(one.get("path")) for one in sent}
        return JsonResponse(
            {
                "artifacts": {sent_as: _artifact(where, path) for sent_as, path in paths.items()},
                "artifactContentInformation": {
                    sent_as: await self._information(request, where, path, "rcw") for sent_as, path in paths.items()
                },
                "errors": {},
            }
        )

    async def _container(self, request: Request, *, write: bool = False) -> _Container:
        """Whose artifacts the path names. Raises ApiError 404, and 403 where a job's token may not write."""
        workspace, params = workspace_id(request), request.path_params
        origin, container = params.get("origin", RUN_ORIGIN), params.get("container")
        run_id = params.get("run") or (container or "").removeprefix(RUN_CONTAINER)
        known = _ORIGINS.get(origin.lower())
        if known is None:
            raise not_found(f"There are no artifacts of origin '{origin}'; there are {', '.join(_ORIGINS.values())}.")
        if known != RUN_ORIGIN:
            found = _Container(workspace, known, _path(container))
            if write:
                await self._check_job(principal(request), found)
            return found
        run = await self._database.read(lambda c: self._run(c, request, workspace, run_id, write))
        return _Container(workspace, RUN_ORIGIN, f"{RUN_CONTAINER}{run.run_id}")

    async def _check_job(self, caller: Principal, where: _Container) -> None:
        """Raises ApiError 403 for a job where the folder is neither its own upload nor a model of its runs."""
        job = caller.run
        if job is None:
            return

        def look(c: Connection) -> tuple[bool, Location | None, str]:
            if where.origin == "LoggedModels":
                model = logged_models.get(c, where.workspace, where.container)
                run = runs.get(c, where.workspace, model.run_id) if model and model.run_id else None
                return run is not None and run_reach.may_write(c, where.workspace, run, job), None, ""
            store = references.datastore(c, where.workspace, ARTIFACT_DATASTORE)
            place = places.in_datastore(store, self._uploads, f"{where.folder}/-")
            account, container = place.account or "", place.container or ""
            kind, folder = job_rights.place(c, self._uploads, caller, account, container, place.path)
            return kind is job_rights.Place.OWN, place if kind is job_rights.Place.UPLOAD else None, folder

        allowed, place, folder = await self._database.read(look)
        if place is not None and place.account and place.container:
            holder = arm_id.key(f"{caller.workspace}/jobs/{job}")
            allowed = await self._uploads.claim_upload(holder, place.account, place.container, folder)
        if not allowed:
            refusal = job_refusal(job, f"write to '{where.folder}'")
            raise ApiError(403, "AuthorizationFailed", refusal, target="container")

    def _run(self, c: Connection, request: Request, workspace: str, run_id: str, write: bool) -> runs.Run:
        run = runs.get(c, workspace, run_id)
        if run is None:
            raise not_found(f"There is no run '{run_id}' in this workspace.", "runId", code="UserError")
        own = principal(request).run
        if write and own is not None and not run_reach.may_write(c, workspace, run, own):
            raise ApiError(403, "AuthorizationFailed", run_reach.refusal(run, own), target="runId")
        return run

    async def _names(self, where: _Container, path: str) -> list[str]:
        """The paths, from the container on, of the files below a folder, or of the one file it names."""
        prefix = f"{where.folder}/{_path(path)}" if path else where.folder
        found = [entry.name for entry in await self._artifacts.list(where.workspace, prefix, recursive=True)]
        return sorted(name.removeprefix(f"{where.folder}/") for name in found)

    async def _existing(self, where: _Container, path: str) -> str:
        folder, _, name = path.rpartition("/")
        prefix = f"{where.folder}/{folder}" if folder else where.folder
        siblings = await self._artifacts.list(where.workspace, prefix)
        if not any(e.size is not None and e.name == f"{prefix}/{name}" for e in siblings):
            raise not_found(f"There is no artifact '{path}' in '{where.folder}'.", "path", code="UserError")
        return path

    async def _information(self, request: Request, where: _Container, path: str, permissions: str) -> Json:
        name = f"{where.folder}/{path}"
        uri = await self._artifacts.sas_url(where.workspace, name, permissions, principal(request))
        return {"contentUri": uri, "origin": where.origin, "container": where.container, "path": path, "tags": {}}


def _artifact(where: _Container, path: str) -> Json:
    name = f"{where.folder}/{path}"
    return {
        "artifactId": name,
        "origin": where.origin,
        "container": where.container,
        "path": path,
        "etag": None,
        "createdTime": now_iso(),
        "dataPath": {"dataStoreName": ARTIFACT_DATASTORE, "relativePath": name},
        "tags": {},
    }


def _page(values: list[Json]) -> Response:
    return JsonResponse({"value": values, "continuationToken": None, "nextLink": None})


def _path(path: object) -> str:
    """A path in a container, without the slashes around it. Raises ApiError 400."""
    if not isinstance(path, str) or not path.strip("/"):
        raise bad_request("The path of the artifact is missing.", "path")
    parts = [part for part in path.split("/") if part]
    if any(part in (".", "..") for part in parts) or "\\" in path or "\0" in path:
        raise bad_request(f"'{path}' is no path of an artifact.", "path")
    return "/".join(parts)
