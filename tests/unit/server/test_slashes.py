"""A slash inside of a name (`%2F`) leads no route to another id than the one whose rights were asked for."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.unit.server.two_groups import WS_A, WS_B, A, Caller, TwoGroups, two_groups

from lazulite.core.arm_id import PROVIDER
from lazulite.core.web import Route
from lazulite.server.app import _TEXTS
from lazulite.store import resources

SUBSCRIPTION, GROUP = A.split("/")[2], A.rsplit("/", 1)[1]
REAL = {"subscription": SUBSCRIPTION, "group": GROUP, "workspace": "ws-a"}
JOB = f"{WS_A}/jobs/j"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[TwoGroups]:
    async with two_groups(tmp_path / "home") as made:
        yield made


def stored(world: TwoGroups) -> list[Any]:
    """Every row with all that it holds."""
    return world.platform.database.read_sync(
        lambda c: [tuple(row) for row in c.exec_driver_sql("select * from resources order by key")]
    )


def group_of(id_: str) -> str:
    """The path of a "group" whose name is the rest of an id below the real one."""
    lead, rest = id_.split("/resourceGroups/")
    return f"{lead}/resourceGroups/{quote(rest, safe='')}"


def with_slashes(route: Route) -> dict[str, str]:
    """By parameter, the route's path with a slash in that one alone."""
    names = re.findall(r"{(\w+)}", route.path)
    return {
        slashed: _filled(route.path, {**REAL, slashed: f"{REAL.get(slashed, 'x')}%2Fjobs%2Fj"}) for slashed in names
    }


def _filled(path: str, values: dict[str, str]) -> str:
    return re.sub(r"{(\w+)(:path)?}", lambda found: values.get(found[1], "x"), path)


async def test_no_route_takes_a_name_with_a_slash(world: TwoGroups) -> None:
    before, tried, routes = stored(world), 0, world.platform.application.routes
    for route in routes:
        for parameter, path in with_slashes(route).items():
            if parameter in _TEXTS:
                continue
            answer = await world.owner.send(route.method, path, {"location": "x", "properties": {}})
            said = (route.method, path, answer.status_code)
            assert answer.status_code == 404, said
            assert route.method == "HEAD" or "a name has no slash" in answer.text, said
            tried += 1
    assert stored(world) == before
    assert tried > len(routes)


async def test_a_refusal_has_the_shape_of_its_route(world: TwoGroups) -> None:
    answer = await world.owner.send("GET", f"{WS_A}/models/m/versions/1%2F2")
    assert answer.json()["error"]["target"] == "version"
    answer = await world.owner.send("GET", f"/mlflow/rest{WS_A}/api/2.0/mlflow/logged-models/a%2Fb")
    assert "no slash" in answer.json()["message"]
    assert answer.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"


async def test_names_that_hold_slashes_are_taken_as_they_are(world: TwoGroups) -> None:
    history = f"/history/v1.0{WS_A}/experiments/a%2Fb/runs/none"
    assert "no slash" not in (await world.owner.send("GET", history)).text
    file = f"/mlflow/rest{WS_A}/api/2.0/mlflow-artifacts/artifacts/0/none/artifacts/a%2Fb.txt"
    assert "no slash" not in (await world.owner.send("GET", file)).text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "GET"])
@pytest.mark.parametrize("id_", [JOB, WS_A])
async def test_a_contributor_of_a_workspace_reaches_nothing_of_it_as_a_group(
    world: TwoGroups, method: str, id_: str
) -> None:
    world.platform.database.write_sync(
        lambda c: resources.insert(
            c, resources.new(JOB, f"{PROVIDER}/workspaces/jobs", {"submittedBy": "owner", "properties": {}}), by="owner"
        )
    )
    inside: Caller = await world.principal("Contributor", WS_A)
    before = stored(world)
    answer = await inside.send(method, group_of(id_), {"location": "x", "submittedBy": "me"})
    assert (answer.status_code, answer.json()["error"]["target"]) == (404, "group"), answer.text
    assert stored(world) == before


async def test_a_group_does_not_take_the_place_of_anything_else(world: TwoGroups) -> None:
    path = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/taken"
    world.platform.database.write_sync(
        lambda c: resources.insert(c, resources.new(path, "Example/things", {"kept": True}), by="owner")
    )
    before = stored(world)
    for method in ("PUT", "DELETE"):
        answer = await world.owner.send(method, path, {"location": "x"})
        assert answer.status_code == 409, answer.text
    assert stored(world) == before


async def test_a_workspace_elsewhere_is_not_reached_through_a_name(world: TwoGroups) -> None:
    below = quote(f"ws-a/../../../../../rg-b/{WS_B}", safe="")
    answer = await world.alice.send("GET", f"{A}/providers/{PROVIDER}/workspaces/{below}")
    assert answer.status_code == 404
