"""A whole server in process, with two resource groups whose people have no rights in each other's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from lazulite.core.arm_id import PROVIDER
from lazulite.core.command_line import SUBSCRIPTION
from lazulite.server import mlflow_pages
from lazulite.server.compose import Addresses, Platform, compose
from lazulite.server.home import prepare
from lazulite.server.settings import Settings

HTTP, HTTPS = "http://localhost:8080", "https://localhost:8443"
A = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-a"
B = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-b"
WS_A = f"{A}/providers/{PROVIDER}/workspaces/ws-a"
WS_B = f"{B}/providers/{PROVIDER}/workspaces/ws-b"


@dataclass
class Caller:
    """Requests with one principal's token."""

    client: httpx.AsyncClient
    token: str

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        given = {"content": body} if isinstance(body, bytes) else {"json": body}
        return await self.client.request(method, path, headers=headers, **given)  # type: ignore[arg-type]

    async def put(self, path: str, properties: Any, **envelope: Any) -> httpx.Response:
        return await self.send("PUT", path, {"properties": properties, **envelope})

    async def properties(self, path: str) -> dict[str, Any]:
        answer = await self.send("GET", path)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["properties"])


@dataclass
class TwoGroups:
    """`owner` may do all, `alice` is Contributor of rg-a alone; ws-a and ws-b stand in rg-a and rg-b."""

    platform: Platform
    client: httpx.AsyncClient
    home: Path
    owner: Caller
    alice: Caller

    async def principal(self, role: str, scope: str) -> Caller:
        body = {"name": f"{role} of {scope}", "role": role, "scope": scope}
        made = (await self.owner.send("POST", "/lazulite/principals", body)).json()
        form = {"grant_type": "client_credentials", "client_id": made["id"], "client_secret": made["secret"]}
        answer = await self.client.post("/adfs/oauth2/token", data=form)
        return Caller(self.client, answer.json()["access_token"])

    def rows(self) -> set[str]:
        """The keys of all that is stored."""
        return self.platform.database.read_sync(lambda c: {key for (key,) in c.exec_driver_sql(_KEYS)})


_KEYS = "select key from resources"


@asynccontextmanager
async def two_groups(home: Path) -> AsyncIterator[TwoGroups]:
    settings = Settings(home, isolation="process")
    keys = prepare(settings)
    folder, mlflow_pages.folder = mlflow_pages.folder, lambda: None
    try:
        platform = await compose(settings, keys, Addresses(HTTPS, HTTP, ""))
    finally:
        mlflow_pages.folder = folder
    transport = httpx.ASGITransport(platform.application)
    async with httpx.AsyncClient(transport=transport, base_url=HTTP) as client:
        answer = await client.get("/msi/token?resource=x", headers={"X-IDENTITY-HEADER": keys.user})
        owner = Caller(client, answer.json()["access_token"])
        for group, workspace in ((A, WS_A), (B, WS_B)):
            assert (await owner.send("PUT", group, {"location": "local"})).status_code == 201
            assert (await owner.put(workspace, {})).status_code == 200
        world = TwoGroups(platform, client, home, owner, owner)
        world.alice = await world.principal("Contributor", A)
        yield world
    platform.database.close()
