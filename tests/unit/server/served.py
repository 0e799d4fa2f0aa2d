"""The composed server without its engine and sockets, and a client that its owner's token opens every door to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from lazulite.server.compose import Addresses, Platform, compose
from lazulite.server.home import prepare
from lazulite.server.settings import Settings


@dataclass(frozen=True)
class Served:
    platform: Platform
    client: httpx.AsyncClient


@asynccontextmanager
async def serving(home: Path) -> AsyncIterator[Served]:
    settings = Settings(home)
    keys = prepare(settings)
    made = await compose(settings, keys, Addresses("https://localhost:1", "http://localhost:1", ""))
    transport = httpx.ASGITransport(made.application)
    async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
        query = {"resource": "https://management.azure.com"}
        answer = await client.get("/msi/token", params=query, headers={"X-IDENTITY-HEADER": keys.user})
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield Served(made, client)
    made.database.close()
