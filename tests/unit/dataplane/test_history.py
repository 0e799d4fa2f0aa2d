"""Run history: the children of a run come in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from tests.unit.tracking.conftest import WS, Harness, MemoryArtifacts

from lazulite.dataplane import history
from lazulite.dataplane.history import DataplaneContext
from lazulite.resources.declaration import Services
from lazulite.store import runs
from lazulite.store.database import Database

CHILDREN = f"/history/v1.0{WS}/runs/parent/children"
COUNT = 250


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    database = Database(f"sqlite:///{tmp_path}/t.db")

    def fill(c: Any) -> None:
        runs.create(c, WS, "parent", name="parent", user="ada")
        for number in range(COUNT):
            runs.create(c, WS, f"c{number}", name="c", user="ada", tags={"at": str(number)}, parent="parent")

    await database.write(fill)
    services = Services("http://test", "http://test", "local", "t", cast(Any, None), cast(Any, None), cast(Any, None))
    harness = Harness(history.routes(DataplaneContext(database, services, cast(Any, MemoryArtifacts()))))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(harness), base_url="http://test") as client:
        yield client
    database.close()


async def test_children_come_in_pages_that_lead_to_one_another(http: httpx.AsyncClient) -> None:
    url: str | None = f"{CHILDREN}?$top=100"
    found, pages = [], 0
    while url:
        page = (await http.get(url)).raise_for_status().json()
        found += page["value"]
        url, pages = page["nextLink"], pages + 1
    assert [child["runId"] for child in found] == [f"c{number}" for number in range(COUNT)]
    assert [child["tags"] for child in found] == [{"at": str(number)} for number in range(COUNT)]
    assert pages == 3


async def test_all_children_where_no_number_is_named(http: httpx.AsyncClient) -> None:
    page = (await http.get(CHILDREN)).json()
    assert (len(page["value"]), page["nextLink"], page["continuationToken"]) == (COUNT, None, None)


async def test_as_many_children_as_are_asked_for(http: httpx.AsyncClient) -> None:
    page = (await http.get(CHILDREN, params={"$top": "7"})).json()
    assert len(page["value"]) == 7
    assert (await http.get(CHILDREN, params={"$top": "all"})).status_code == 400
