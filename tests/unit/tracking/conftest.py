"""The tracking room behind the server's router, with files in memory and the caller named by the token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from lazulite.core.arm_id import workspace_id
from lazulite.core.errors import ApiError
from lazulite.core.principal import Principal
from lazulite.core.web import Route
from lazulite.server.router import Router
from lazulite.store.artifacts import ARTIFACT_DATASTORE, Content, Entry, NoSuchArtifact
from lazulite.store.database import Database
from lazulite.tracking.call import TrackingContext
from lazulite.tracking.errors import error, render
from lazulite.tracking.routes import routes
from lazulite.tracking.webhook_delivery import WebhookSender
from lazulite.vault.sealed import SealedSecrets

WS = workspace_id("sub", "rg", "ws")


@dataclass
class MemoryArtifacts:
    """An ArtifactStore of one dictionary: (workspace, datastore, name) -> bytes."""

    files: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    blocks: dict[str, bytes] = field(default_factory=dict)
    url: str = "https://localhost"

    async def list(
        self, workspace_id: str, prefix: str, *, datastore: str = ARTIFACT_DATASTORE, recursive: bool = False
    ) -> list[Entry]:
        lead = f"{prefix.strip('/')}/" if prefix else ""
        found: dict[str, Entry] = {}
        for (workspace, store, name), data in self.files.items():
            if (workspace, store) == (workspace_id.lower(), datastore) and name.startswith(lead):
                rest = name[len(lead) :]
                if recursive or "/" not in rest:
                    found[name] = Entry(name, len(data))
                else:
                    folder = lead + rest.split("/", 1)[0]
                    found[folder] = Entry(folder, None)
        return list(found.values())

    async def read(
        self,
        workspace_id: str,
        name: str,
        *,
        datastore: str = ARTIFACT_DATASTORE,
        offset: int = 0,
        length: int | None = None,
    ) -> Content:
        data = self.files.get((workspace_id.lower(), datastore, name))
        if data is None:
            raise NoSuchArtifact(name)

        async def chunks() -> AsyncIterator[bytes]:
            yield data[offset : None if length is None else offset + length]

        return Content(len(data), chunks())

    async def size(self, workspace_id: str, name: str, *, datastore: str = ARTIFACT_DATASTORE) -> int | None:
        data = self.files.get((workspace_id.lower(), datastore, name))
        return None if data is None else len(data)

    async def write(self, workspace_id: str, name: str, chunks: AsyncIterator[bytes]) -> None:
        self.files[workspace_id.lower(), ARTIFACT_DATASTORE, name] = b"".join([chunk async for chunk in chunks])

    async def delete(self, workspace_id: str, name: str) -> None:
        if self.files.pop((workspace_id.lower(), ARTIFACT_DATASTORE, name), None) is None:
            raise NoSuchArtifact(name)

    async def commit(self, workspace_id: str, name: str, blocks: Sequence[str]) -> None:
        if missing := [block for block in blocks if block not in self.blocks]:
            raise NoSuchArtifact(missing[0])
        data = b"".join(self.blocks[block] for block in blocks)
        self.files[workspace_id.lower(), ARTIFACT_DATASTORE, name] = data

    async def sas_url(self, workspace_id: str, name: str, permissions: str, caller: Principal) -> str:
        return f"{self.url}/blob/{name}?sp={permissions}"


class OwnAccounts:
    """A StorageLocator that knows the account `own`, whose blobs lie nowhere on this machine."""

    def own_account(self, account_name: str) -> str | None:
        return "own" if account_name == "own" else None

    def local_path(self, account: str, container: str, blob_path: str) -> None:
        return None

    def sas_url(self, account: str, container: str, blob_path: str, permissions: str, hours: float) -> str:
        return f"https://own/{container}/{blob_path}?sp={permissions}"


class Harness:
    """An ASGI app of these routes. `Bearer ada` calls as ada, `Bearer job:<run>` with the token of that job."""

    def __init__(self, found: list[Route]) -> None:
        self._router = Router(found)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        match = self._router.match(scope["method"], scope["raw_path"].decode().split("?", 1)[0])
        request = Request(scope, receive)
        if match is None or match.route is None:
            response = render(error("ENDPOINT_NOT_FOUND", "no route"))
        else:
            scope["path_params"] = match.params
            token = request.headers.get("authorization", "Bearer ada").removeprefix("Bearer ")
            run = token.removeprefix("job:") if token.startswith("job:") else None
            scope["lazulite.principal"] = Principal(
                token, token, "Job" if run else "User", run=run, workspace=WS if run else None
            )
            try:
                response = await match.route.handler(request)
            except ApiError as refused:
                response = match.route.errors(refused)
        await response(scope, receive, send)


@dataclass
class Api:
    """A client of one workspace: `await api.post("runs/create", experiment_id="0")`."""

    http: httpx.AsyncClient
    surface: str = "rest"
    token: str = "ada"
    workspace: str = WS

    def as_job(self, run_id: str) -> Api:
        return Api(self.http, self.surface, f"job:{run_id}", self.workspace)

    def on(self, surface: str) -> Api:
        return Api(self.http, surface, self.token, self.workspace)

    async def call(self, method: str, path: str, api: str = "api/2.0/mlflow/", **more: Any) -> httpx.Response:
        url = f"/mlflow/{self.surface}{self.workspace}/{api}{path}"
        return await self.http.request(method, url, headers={"Authorization": f"Bearer {self.token}"}, **more)

    async def post(self, path: str, /, **body: Any) -> Any:
        return await self._ok("POST", path, json=body)

    async def patch(self, path: str, /, **body: Any) -> Any:
        return await self._ok("PATCH", path, json=body)

    async def delete(self, path: str, /, **body: Any) -> Any:
        return await self._ok("DELETE", path, json=body)

    async def get(self, path: str, /, **query: Any) -> Any:
        return await self._ok("GET", path, params=query)

    async def refused(self, method: str, path: str, /, **body: Any) -> tuple[int, str, str]:
        """(status, error_code, message) of a request that must be refused."""
        more = {"params": body} if method == "GET" else {"json": body}
        response = await self.call(method, path, **more)
        assert response.status_code >= 400, response.text
        found = response.json()
        return response.status_code, found["error_code"], found["message"]

    async def a_run(self, experiment_id: str = "0", **more: Any) -> str:
        made = await self.post("runs/create", experiment_id=experiment_id, start_time=1, **more)
        return str(made["run"]["info"]["run_id"])

    async def _ok(self, method: str, path: str, **more: Any) -> Any:
        response = await self.call(method, path, **more)
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    yield found
    found.close()


@pytest.fixture
def artifacts() -> MemoryArtifacts:
    return MemoryArtifacts()


@pytest.fixture
def sender() -> WebhookSender:
    return WebhookSender(SealedSecrets(bytes(32)))


@pytest.fixture
async def api(database: Database, artifacts: MemoryArtifacts, sender: WebhookSender) -> AsyncIterator[Api]:
    harness = Harness(routes(TrackingContext(database, artifacts, "localhost:8443", sender, OwnAccounts())))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(harness), base_url="http://test") as http:
        yield Api(http)
