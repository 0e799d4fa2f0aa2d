"""Answers of the control plane that no client of ours asks for every day."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection
from tests.unit.server.served import Served, serving

from lazulite.core.arm_id import PROVIDER
from lazulite.server.compose import DEFAULT_WORKSPACE as WS
from lazulite.store import resources


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as made:
        yield made


async def test_a_list_below_what_is_not_there(served: Served) -> None:
    """404 without the workspace, and empty without the asset, which the SDK then names itself."""
    nowhere = WS.replace("mlw-default", "nowhere")
    for path in ("data", "models", "jobs", "computes", "datastores", "data/nope/versions"):
        answer = await served.client.get(f"{nowhere}/{path}")
        assert answer.status_code == 404, answer.text
        assert "nowhere" in answer.json()["error"]["message"]
    for collection in ("data", "models", "environments", "components", "codes"):
        answer = await served.client.get(f"{WS}/{collection}/nope/versions")
        assert (answer.status_code, answer.json()["value"]) == (200, [])


async def test_views_of_a_list(served: Served) -> None:
    curated = (await served.client.get(f"{WS}/environments")).json()["value"][0]["name"]
    for view, count in (("ActiveOnly", 1), ("ArchivedOnly", 0), ("EnabledOnly", 1), ("DisabledOnly", 0)):
        answer = await served.client.get(f"{WS}/environments/{curated}/versions", params={"listViewType": view})
        assert (answer.status_code, len(answer.json()["value"])) == (200, count)


async def test_a_container_takes_no_wrong_types(served: Served) -> None:
    for properties in ({"dataType": 5}, {"tags": {"a": []}}, {"isArchived": "no"}, {"description": []}):
        answer = await served.client.put(f"{WS}/data/d", json={"properties": properties})
        assert answer.status_code == 400, answer.text
    assert (await served.client.put(f"{WS}/data/d", json={"properties": {"dataType": "uri_file"}})).status_code == 201


async def test_a_patch_names_its_operation_and_an_operation_ends_once(served: Served) -> None:
    compute = f"{WS}/computes/one"
    body = {"location": "local", "properties": {"computeType": "AmlCompute", "properties": {}}}
    assert (await served.client.put(compute, json=body)).status_code == 201
    answer = await served.client.patch(
        compute, json={"properties": {"properties": {"scaleSettings": {"maxNodeCount": 2}}}}
    )
    assert answer.status_code == 200, answer.text
    polled = [(await served.client.get(answer.headers["Azure-AsyncOperation"])).json() for _ in range(2)]
    assert polled[0]["status"] == "Succeeded"
    assert polled[0]["endTime"] == polled[1]["endTime"]


async def test_an_operation_on_what_was_deleted_is_over_and_says_nothing_of_its_namesake(served: Served) -> None:
    compute = f"{WS}/computes/two"
    body = {"location": "local", "properties": {"computeType": "ComputeInstance", "properties": {}}}
    first = await served.client.put(compute, json=body)
    operation = first.headers["Azure-AsyncOperation"]
    assert (await served.client.get(operation)).json()["status"] == "InProgress"
    assert (await served.client.delete(compute)).status_code == 200
    assert (await served.client.put(compute, json=body)).status_code == 201
    assert (await served.client.get(operation)).json()["status"] == "Succeeded"


async def test_rows_below_go_with_their_history(served: Served) -> None:
    row = resources.new(f"{WS}/computes/one", f"{PROVIDER}/workspaces/computes", {"properties": {}})
    write = served.platform.database.write

    def fill(c: Connection) -> None:
        resources.insert(c, row, by="t")
        resources.record(c, row.id, "written")

    await write(fill)
    assert (await served.client.delete(WS)).status_code == 200
    assert await served.platform.database.read(lambda c: resources.history(c, row.id)) == []
