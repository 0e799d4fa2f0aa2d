"""Whose rights decide about an account is kept in memory until something of that changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lazulite.server.storage_access import StorageAccess
from lazulite.store.database import changed
from lazulite.testing.engine_world import ACCOUNT, EngineWorld


@pytest.fixture
def world(tmp_path: Path) -> Iterator[EngineWorld]:
    made = EngineWorld(tmp_path)
    yield made
    made.database.close()


@pytest.mark.parametrize(("key", "kept"), [("computes", True), ("/erasures/7", True), ("/subscriptions/s", False)])
async def test_only_changes_of_accounts_and_what_stands_on_them_are_looked_at(
    world: EngineWorld, key: str, kept: bool
) -> None:
    unused: Any = None
    access = StorageAccess(unused, world.database, unused, "t")
    before = await access._scopes_of(ACCOUNT)
    world.database.write_sync(lambda c: changed(c, [key]))
    assert (await access._scopes_of(ACCOUNT) is before) is kept
