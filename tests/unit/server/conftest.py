from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.unit.server.job_world import BASE, store_pipeline

from lazulite.server import mlflow_pages
from lazulite.server.compose import Addresses, Platform, compose
from lazulite.server.home import Keys, prepare
from lazulite.server.settings import Settings


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return prepare(Settings(tmp_path / "home", isolation="process"))


@pytest.fixture
async def platform(tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Platform]:
    monkeypatch.setattr(mlflow_pages, "folder", lambda: None)
    settings = Settings(tmp_path / "home", isolation="process")
    made = await compose(settings, keys, Addresses("https://localhost:8443", BASE, ""))
    made.database.write_sync(store_pipeline)
    yield made
    made.database.close()


@pytest.fixture
async def browser(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(platform.application), base_url=BASE) as made:
        yield made
