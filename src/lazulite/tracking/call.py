"""What a handler gets: the request's fields, who calls, and the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from lazulite.core import web
from lazulite.core.numbers import whole_number
from lazulite.core.principal import Principal, job_refusal
from lazulite.core.web import JsonResponse
from lazulite.store import experiments as experiment_store
from lazulite.store import run_reach
from lazulite.store import runs as run_store
from lazulite.store.artifacts import RUN_CONTAINER, RUN_ORIGIN, ArtifactStore, run_folder
from lazulite.store.database import Database
from lazulite.store.experiments import Experiment
from lazulite.store.locations import StorageLocator
from lazulite.store.runs import Run
from lazulite.tracking.errors import error, invalid, no_such_experiment, no_such_run
from lazulite.tracking.fields import Fields
from lazulite.tracking.webhook_delivery import WebhookSender

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TrackingContext:
    """What the room needs. `authority` is the host[:port] under which clients reach the server."""

    database: Database
    artifacts: ArtifactStore
    authority: str
    webhooks: WebhookSender
    storage: StorageLocator


@dataclass(frozen=True, slots=True)
class Surface:
    """One of the two ways in. `plugin` says that the azureml-mlflow plugin calls, which has its own artifact URIs."""

    prefix: str
    plugin: bool


@dataclass(frozen=True)
class Call:
    context: TrackingContext
    surface: Surface
    request: Request
    fields: Fields
    also: Callable[[Connection, Any], None] | None = None  # what a write does beside, in its transaction

    @cached_property
    def workspace(self) -> str:
        """The ARM id of the workspace the path names."""
        return web.workspace_id(self.request)

    @property
    def principal(self) -> Principal:
        return web.principal(self.request)

    async def read(self, function: Callable[[Connection], T]) -> T:
        return await self.context.database.read(function)

    async def write(self, function: Callable[[Connection], T]) -> T:
        also = self.also
        if also is None:
            return await self.context.database.write(function)

        def both(c: Connection) -> T:
            result = function(c)
            also(c, result)
            return result

        return await self.context.database.write(both)

    def run(self, c: Connection, run_id: str) -> Run:
        """Raises ApiError 404."""
        run = run_store.get(c, self.workspace, run_id)
        if run is None:
            raise no_such_run(run_id)
        return run

    def run_to_write(self, c: Connection, run_id: str, *, lifecycle: str | None = "active") -> Run:
        """A run that the caller may change, in that lifecycle stage. Raises ApiError 404, 403 and 400.

        A job may be archived while it runs: what it logs is kept.
        """
        run = self.run(c, run_id)
        self.check_reach(c, run)
        if lifecycle is not None and run.lifecycle != lifecycle and not run.job:
            raise invalid(f"The run {run_id} must be in the '{lifecycle}' state.\nCurrent state is {run.lifecycle}.")
        return run

    def check_reach(self, c: Connection, run: Run) -> None:
        """A job's token does not write to the runs of strangers. Raises ApiError 403."""
        own = self.principal.run
        if own is not None and not run_reach.may_write(c, self.workspace, run, own):
            raise error("PERMISSION_DENIED", run_reach.refusal(run, own))

    def check_not_a_job(self, operation: str) -> None:
        """Refuse what a job's token must not do. Raises ApiError 403."""
        if self.principal.run is not None:
            raise error("PERMISSION_DENIED", job_refusal(self.principal.run, operation))

    def experiment(self, c: Connection, experiment_id: str, *, write: bool = False) -> Experiment:
        """Raises ApiError 404, and 400 where the id could not be one."""
        check_experiment_id(experiment_id)
        found = experiment_store.get(c, self.workspace, experiment_id, write=write)
        if found is None:
            raise no_such_experiment(experiment_id)
        return found

    def artifact_uri(self, experiment_id: str, folder: str) -> str:
        """Where this client finds the files of a folder of the artifact container."""
        origin, _, rest = folder.partition("/")
        container, _, rest = rest.partition("/")
        if origin != RUN_ORIGIN:
            if self.surface.plugin:
                return f"azureml://artifacts/{folder}"
            return f"mlflow-artifacts:/{experiment_id}/models/{container}/artifacts"
        path = f"{container.removeprefix(RUN_CONTAINER)}/artifacts" + (f"/{rest}" if rest else "")
        if not self.surface.plugin:
            return f"mlflow-artifacts:/{experiment_id}/{path}"
        root = f"azureml://{self.context.authority}{self.surface.prefix}{self.workspace}"
        return f"{root}/experiments/{experiment_id}/runs/{path}"

    def run_artifact_uri(self, run: Run) -> str:
        return run.artifact_uri or self.artifact_uri(run.experiment_id, run_folder(run.run_id))


def check_experiment_id(experiment_id: str) -> None:
    """Raises ApiError 400."""
    if whole_number(experiment_id) is None:
        raise invalid(f"Invalid experiment ID '{experiment_id[:100]}'. Experiment ID must be a valid integer.")


Handler = Callable[[Call], Awaitable[Any]]


def endpoint(context: TrackingContext, surface: Surface, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """The function of a route: reads the fields, calls `handler`, and writes what it returns as JSON."""

    async def serve(request: Request) -> Response:
        result = await handler(Call(context, surface, request, await _fields(request)))
        return result if isinstance(result, Response) else JsonResponse(result or {})

    return serve


def raw(context: TrackingContext, surface: Surface, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """`endpoint` for handlers that read the body themselves."""

    async def serve(request: Request) -> Response:
        result = await handler(Call(context, surface, request, Fields({})))
        return result if isinstance(result, Response) else JsonResponse(result or {})

    return serve


_REPEATED = frozenset({"experiment_ids", "run_ids", "order_by", "stages", "trace_ids"})


async def _fields(request: Request) -> Fields:
    if request.method == "GET":
        query = request.query_params
        return Fields({name: query.getlist(name) if name in _REPEATED else query[name] for name in query})
    return Fields({**request.path_params, **await web.json_body(request, required=False)})
