"""The only file that knows every room: it makes each one and hands it what it needs."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from lazulite.api import crud, identity, locations, lro, management, not_built, write
from lazulite.api import registries as registries_api
from lazulite.api.context import ApiContext
from lazulite.api.imports import Imports
from lazulite.backends.local.backend import LocalBackend
from lazulite.core.command_line import RESOURCE_GROUP, SUBSCRIPTION, WORKSPACE
from lazulite.core.extras import install_command
from lazulite.core.principal import Principal
from lazulite.core.version import VERSION
from lazulite.core.web import PUBLIC, JsonResponse, Route
from lazulite.dataplane import artifacts as history_artifacts
from lazulite.dataplane import assets, history
from lazulite.dataplane.history import DataplaneContext
from lazulite.engine.engine import Engine
from lazulite.engine.settings import EngineSettings
from lazulite.identity import roles
from lazulite.identity.claims import LONGEST_OF_JOB_S, Claims
from lazulite.identity.directory import Directory
from lazulite.identity.tokens import TokenIssuer, load_key, write_private
from lazulite.resources import catalogue, datastores, registries, storage_accounts, vm_sizes, workspaces
from lazulite.resources.declaration import Services
from lazulite.server import debug_plans, graph_page, job_page, mlflow_pages, pages, sign_in
from lazulite.server import isolation as isolations
from lazulite.server import limits as limitings
from lazulite.server import runtime as runtimes
from lazulite.server.accounts import StorageAccounts
from lazulite.server.app import Application
from lazulite.server.artifacts import Artifacts
from lazulite.server.home import Keys, prepare, user_key
from lazulite.server.isolation import Isolation
from lazulite.server.limits import Limiting
from lazulite.server.router import Router
from lazulite.server.runtime import Runtime
from lazulite.server.sessions import Sessions
from lazulite.server.settings import Settings, SettingsError
from lazulite.server.storage_access import StorageAccess
from lazulite.storage import BlobGateway, BlobStore, FolderStore
from lazulite.store import resources
from lazulite.store.database import Database
from lazulite.store.resources import Resource
from lazulite.tracking import routes as tracking
from lazulite.tracking.call import TrackingContext
from lazulite.tracking.webhook_delivery import WebhookCourier, WebhookSender
from lazulite.vault.sealed import SealedSecrets

DEFAULT_WORKSPACE = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}"
    f"/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}"
)
_DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Platform:
    """A composed server: the ASGI application, and what must be started and closed around it."""

    application: Application
    engine: Engine
    database: Database
    isolation: Isolation
    limiting: Limiting
    runtime: Runtime
    courier: WebhookCourier
    imports: Imports

    async def start(self) -> None:
        await self.engine.start()
        await self.courier.start()
        await self.imports.start()

    async def stop(self) -> None:
        await self.imports.stop()
        await self.courier.stop()
        await self.engine.stop()
        self.database.close()


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where clients reach the server."""

    https_url: str
    http_url: str
    bundle: str


async def compose(settings: Settings, keys: Keys, addresses: Addresses) -> Platform:
    """Make every room of the server for the ports it was given, and the first workspace where there is none."""
    # What refuses to start comes first; then the machine is probed while the rest is made.
    database = Database(settings.database)
    store = _store(settings)
    probing = asyncio.gather(isolations.probe(settings), limitings.probe(settings), runtimes.probe(settings))
    secrets = SealedSecrets(keys.master)
    authority = addresses.https_url.split("://", 1)[1]
    accounts = StorageAccounts(database, secrets, store, authority)
    artifacts = Artifacts(database, accounts, store, keys.tenant)
    directory = Directory(database, {registries.AZUREML_ID: roles.REGISTRY_READER})
    services = Services(
        addresses.https_url,
        addresses.http_url,
        settings.location,
        keys.tenant,
        secrets,
        accounts,
        directory,
        in_containers=settings.runtime == "container",
    )
    issuer = TokenIssuer(
        load_key(settings.secrets_root / "signing_key.pem"),
        issuer=addresses.https_url,
        tenant=keys.tenant,
        lifetime_s=settings.token_lifetime_seconds,
    )
    claims = Claims(issuer, directory, database)
    context = ApiContext(database, services, directory)
    await _first_start(context, directory, keys)
    await _ensure_containers(context)
    isolation, limiting, runtime = await probing
    engine = Engine(
        database,
        [LocalBackend(settings.runs_root, limiting.groups)],
        _engine_settings(settings, addresses, isolation, limiting, runtime),
        accounts,
        _JobTokens(issuer),
    )
    storage = BlobGateway(
        accounts,
        store,
        identities=StorageAccess(claims, database, accounts, keys.tenant),
        authority=addresses.https_url,
        tenant=keys.tenant,
    )
    sender = WebhookSender(secrets, private=settings.webhook_private_addresses)
    mlflow = TrackingContext(database, artifacts, authority, sender, accounts)
    routes = [debug_plans.route(database, engine, claims)]
    imports = Imports(context)
    routes += registries_api.routes(context, imports)
    routes += _routes(context, claims, settings, mlflow, accounts, _health(isolation, limiting, runtime, settings))
    sessions = Sessions(keys.master, directory)
    built = _mlflow_pages(settings)
    home = "" if settings.home == Path.home() / ".lazulite" else str(settings.home)
    unsigned = sign_in.SignInPage(home, mlflow=built is not None)
    routes += sign_in.routes(sessions, directory, database, unsigned)
    routes += mlflow_pages.routes(built, database, directory, unsigned)
    routes += job_page.routes(database, artifacts, settings.location, unsigned)
    routes.append(graph_page.route(database, settings.location, unsigned))
    hosts = frozenset({"localhost", "127.0.0.1", "::1", settings.public_host.lower()})
    application = Application(Router(routes), storage, claims, directory, hosts, settings.max_body_bytes, sessions)
    courier = WebhookCourier(database, sender)
    return Platform(application, engine, database, isolation, limiting, runtime, courier, imports)


def _routes(
    context: ApiContext,
    claims: Claims,
    settings: Settings,
    mlflow: TrackingContext,
    accounts: StorageAccounts,
    health: Route,
) -> list[Route]:
    artifacts = mlflow.artifacts
    dataplane = DataplaneContext(context.database, context.services, artifacts)
    return [
        *identity.routes(context, claims, lambda key: write_private(user_key(settings), key.encode())),
        *management.routes(context),
        *lro.routes(context),
        *locations.routes(context),
        *(route for type_ in catalogue.ALL for route in crud.routes(context, type_)),
        *not_built.routes(),
        *history.routes(dataplane),
        *assets.routes(dataplane),
        *history_artifacts.routes(context.database, artifacts, accounts),
        *tracking.routes(mlflow),
        *pages.routes(),
        health,
    ]


async def all_routes(home: Path) -> list[Route]:
    """Every route of a server that lives in `home`; nothing is started."""
    settings = Settings(home)
    platform = await compose(settings, prepare(settings), Addresses("https://localhost:0", "http://localhost:0", ""))
    platform.database.close()
    return platform.application.routes


def _store(settings: Settings) -> BlobStore:
    if not settings.storage_url:
        return FolderStore(settings.storage_root)
    # The client of object stores is an extra.
    try:
        from obstore.store import from_url
    except ImportError:
        raise SettingsError(f"storage_url needs an extra of Lazulite: {install_command('object-storage')}") from None
    from lazulite.storage.obstore_store import ObstoreStore

    plain = settings.storage_options.get("endpoint", "").startswith("http://")
    # Which options there are depends on the kind of store, and the URL says the kind.
    options: dict[str, Any] = {"config": dict(settings.storage_options)}
    if plain:
        options["client_options"] = {"allow_http": True}
    return ObstoreStore(from_url(settings.storage_url, **options))


async def _first_start(context: ApiContext, directory: Directory, keys: Keys) -> None:
    """The user this home belongs to, the workspace every example can count on, and the registry `azureml`."""
    if directory.authenticate(keys.user) is None:
        await _make_owner(context, directory, keys)
    user = directory.authenticate(keys.user)
    assert user is not None
    if await context.database.read(lambda c: resources.get(c, DEFAULT_WORKSPACE)) is None:
        group = DEFAULT_WORKSPACE.split("/providers/")[0]
        await context.database.write(lambda c: management.ensure_group(c, group, context.services.location, user.name))
        body = {"location": context.services.location, "properties": {"friendlyName": "Default workspace"}}
        await write.put(context, workspaces.TYPE, DEFAULT_WORKSPACE, body, write.Origin(user))
    if await context.database.read(lambda c: resources.get(c, registries.AZUREML_ID)) is None:
        await write.put(context, registries.TYPE, registries.AZUREML_ID, {}, write.Origin(user))


async def _make_owner(context: ApiContext, directory: Directory, keys: Keys) -> None:
    if directory.get(keys.tenant) is not None:  # the file has another key since: it was replaced
        await directory.rotate(keys.tenant, keys.user)
        return
    owner, role = Principal(keys.tenant, "local user", "User"), roles.named("Owner")
    assert role is not None
    await context.database.write(lambda c: directory.add(c, owner, keys.user, role, "/"))
    directory.reload()


async def _ensure_containers(context: ApiContext) -> None:
    """A server killed between making a workspace and its containers makes them at its next start."""

    def read(connection: Connection) -> list[tuple[str, list[str], list[str]]]:
        found = resources.under(connection, "/subscriptions", workspaces.TYPE.type)
        places = [datastores.default_places(connection, row.id) for row in found]
        return [place for place in places if storage_accounts.named(connection, place[0]) is not None]

    for account, containers, shares in await context.database.read(read):
        await context.services.storage.ensure(account, containers, shares)


def _engine_settings(
    settings: Settings, addresses: Addresses, isolation: Isolation, limiting: Limiting, runtime: Runtime
) -> EngineSettings:
    return EngineSettings(
        home=settings.home,
        environments_root=settings.environments_root,
        base_url=addresses.https_url,
        http_url=addresses.http_url,
        cloud=identity.CLOUD,
        ca_bundle=addresses.bundle,
        location=settings.location,
        uv=_uv(),
        isolation=isolation.kind,
        bwrap_options=isolation.options,
        container=runtime.engine,
        hide=(str(settings.home), *isolation.hide),
        show=isolation.show,
        node_boot_seconds=settings.node_boot_seconds,
        url_mirror=settings.url_mirror,
        limits_of=limiting.of,
        cores_of=lambda name: found.vcpus if (found := vm_sizes.find(name)) else 4,
    )


def _mlflow_pages(settings: Settings) -> Path | None:
    if not settings.mlflow_pages:
        return mlflow_pages.folder()
    given = Path(settings.mlflow_pages).absolute()
    if not (given / "index.html").is_file():
        raise SettingsError(f"mlflow_pages is '{given}', where there is no index.html")
    return given


def _uv() -> str:
    found = shutil.which("uv")
    if found:
        return found
    import uv

    return str(uv.find_uv_bin())


class _JobTokens:
    def __init__(self, issuer: TokenIssuer) -> None:
        self._issuer = issuer

    def job_token(self, workspace: Resource, run_id: str, principal_id: str, limit_s: float | None) -> str:
        job = Principal(principal_id, f"job {run_id}", "Job", run=run_id, workspace=workspace.id, birth=workspace.birth)
        # MLflow reads the token once and never renews it. A job takes a while to prepare and to finish, too.
        lifetime = max(LONGEST_OF_JOB_S, int(limit_s or 0) + _DAY_S)
        return self._issuer.issue(job, "https://ml.azure.com", lifetime_s=lifetime)[0]


def _health(isolation: Isolation, limiting: Limiting, runtime: Runtime, settings: Settings) -> Route:
    async def health(_request: Request) -> Response:
        return JsonResponse(
            {
                "status": "healthy",
                "version": VERSION,
                "isolation": {"kind": isolation.kind, "detail": isolation.detail},
                "limits": limiting.detail,
                "runtime": {"kind": runtime.kind, "detail": runtime.detail},
                "storage": "folders" if not settings.storage_url else settings.storage_url.split("://")[0],
                "database": settings.database.split(":", 1)[0].split("+")[0],
            }
        )

    return Route("GET", "/healthz", PUBLIC, health, "Server.health")
