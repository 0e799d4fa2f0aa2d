"""Sharing: the version and the word that it is done are written together, so that a stop leaves both or neither."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lazulite.api import imports
from lazulite.api.context import ApiContext
from lazulite.api.imports import Imports
from lazulite.core import arm_id
from lazulite.core.arm_id import PROVIDER
from lazulite.resources.declaration import Services
from lazulite.store import resources
from lazulite.testing.engine_world import ACCOUNT, WORKSPACE, EngineWorld
from lazulite.vault.sealed import SealedSecrets

REGISTRY = arm_id.registry_id("00000000-0000-0000-0000-000000000001", "rg", "shared")
ROW = f"{REGISTRY}/imports/1"
COPY = f"{REGISTRY}/environments/e/versions/2"
GUID = "11111111-1111-1111-1111-111111111111"


class Everything:
    def allows(self, *asked: object) -> bool:
        return True


@pytest.fixture
def sharing(world: EngineWorld) -> Imports:
    """With an environment of a workspace that a stopped server was asked to share."""
    asked = {
        "sourceAssetId": f"azureml://locations/local/workspaces/{GUID}/environments/e/versions/1",
        "destinationName": "e",
        "destinationVersion": "2",
    }
    by = {"id": "me", "name": "me", "kind": "User"}

    def fill(c: Any) -> None:
        workspace = resources.get(c, WORKSPACE)
        assert workspace is not None
        properties = {**workspace.properties, "workspaceId": GUID}
        resources.update(c, workspace.with_(spec={**workspace.spec, "properties": properties}))
        for id_, type_, spec, state in (
            (REGISTRY, "registries", {"properties": {"storageAccount": ACCOUNT}}, None),
            (f"{WORKSPACE}/environments/e/versions/1", "workspaces/environments/versions", {"properties": {"image": "x"}}, None),
            (ROW, "registries/imports", {"body": {"properties": asked}, "by": by}, "InProgress"),
        ):  # fmt: skip
            resources.insert(c, resources.new(id_, f"{PROVIDER}/{type_}", spec, state=state), by="me")

    world.database.write_sync(fill)
    storage: Any = world.storage
    directory: Any = None
    secrets = SealedSecrets(b"0" * 32)
    services = Services("https://localhost", "http://localhost", "local", "t", secrets, storage, Everything())
    return Imports(ApiContext(world.database, services, directory))


def take_up(sharing: Imports) -> None:
    async def run() -> None:
        await sharing.start()
        await asyncio.gather(*sharing._tasks, return_exceptions=True)

    asyncio.run(run())


def outcome(world: EngineWorld) -> tuple[str | None, bool]:
    """The state of the sharing, and whether the version is there."""

    def look(c: Any) -> tuple[str | None, bool]:
        row = resources.get(c, ROW)
        assert row is not None
        return row.state, resources.exists(c, COPY)

    return world.database.read_sync(look)


def test_a_failure_at_the_end_leaves_nothing_half_done(
    world: EngineWorld, sharing: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: Any, **more: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(imports, "_end", killed)
        take_up(sharing)
    assert outcome(world) == ("InProgress", False)
    take_up(sharing)
    assert outcome(world) == ("Succeeded", True)
