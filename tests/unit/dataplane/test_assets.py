"""Where ids of assets lead: in the workspace at hand, in another one, in a registry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from lazulite.core import arm_id
from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import ApiError
from lazulite.core.principal import Principal
from lazulite.dataplane.assets import resolved
from lazulite.resources.declaration import Reading, Services
from lazulite.store import resources
from lazulite.testing.engine_world import WORKSPACE, EngineWorld

OTHER = arm_id.workspace_id("00000000-0000-0000-0000-000000000001", "rg", "other")
SHARED = arm_id.registry_id("00000000-0000-0000-0000-000000000002", "rg", "shared")


class Only:
    """Allows nothing but one action at one place."""

    def __init__(self, action: str, scope: str) -> None:
        self.allowed = (f"{PROVIDER}/{action}", scope)

    def allows(self, principal: Principal, action: str, scope: str) -> bool:
        return (action, scope) == self.allowed


@pytest.fixture
def world(tmp_path: Path) -> Iterator[EngineWorld]:
    made = EngineWorld(tmp_path)
    for home, kind, address in (
        (WORKSPACE, "workspaces", "azureml://datastores/d/paths/here"),
        (OTHER, "workspaces", "azureml://datastores/d/paths/other"),
        (SHARED, "registries", "https://localhost/blob/shared"),
    ):
        properties = {"modelUri": address, "modelType": "mlflow_model"}
        row = resources.new(
            f"{home}/models/m/versions/1", f"{PROVIDER}/{kind}/models/versions", {"properties": properties}
        )
        made.database.write_sync(lambda c, row=row: resources.insert(c, row, by="test"))
    registry = resources.new(SHARED, f"{PROVIDER}/registries", {"properties": {}}, label="shared")
    made.database.write_sync(lambda c: resources.insert(c, registry, by="test"))
    yield made
    made.database.close()


def look(world: EngineWorld, asset: str, access: Only) -> Any:
    services = Services("http://t", "http://t", "local", "t", cast(Any, None), cast(Any, None), access)
    nobody = Reading(cast(Any, None), services, Principal("u", "u", "User"))
    return world.database.read_sync(lambda c: resolved(replace(nobody, connection=c), WORKSPACE, asset))


@pytest.mark.parametrize(
    ("asset", "path"),
    [
        ("azureml://locations/local/workspaces/guid/models/m/versions/1", "/workspaces/w/datastores/d/paths/here"),
        (f"{OTHER}/models/m/versions/1", "/workspaces/other/datastores/d/paths/other"),
        ("azureml://registries/shared/models/m/versions/1", "https://localhost/blob/shared"),
    ],
)
def test_an_asset_is_looked_for_where_its_id_says(world: EngineWorld, asset: str, path: str) -> None:
    home = {"/workspaces/o": OTHER, "https://local": SHARED}.get(path[:13], "")
    action = "registries/assets/read" if home == SHARED else "workspaces/models/versions/read"
    found = look(world, asset, Only(action, home))
    assert found["path"].endswith(path)
    assert found["type"] == "mlflow_model"


@pytest.mark.parametrize("asset", [f"{OTHER}/models/m/versions/1", "azureml://registries/shared/models/m/versions/1"])
def test_what_lies_elsewhere_needs_a_right_there(world: EngineWorld, asset: str) -> None:
    with pytest.raises(ApiError) as caught:
        look(world, asset, Only("none", "/"))
    assert caught.value.status == 403


def test_what_is_not_there_is_left_out(world: EngineWorld) -> None:
    assert look(world, "azureml://registries/none/models/m/versions/1", Only("none", "/")) is None
    assert look(world, f"{WORKSPACE}/models/m/versions/2", Only("none", "/")) is None
