"""What everybody may do, beside what the roles of each allow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lazulite.core.principal import Principal
from lazulite.identity.directory import Directory
from lazulite.identity.roles import REGISTRY_READER
from lazulite.store.database import Database

_ML = "Microsoft.MachineLearningServices"
OPEN = f"/subscriptions/s/resourceGroups/g/providers/{_ML}/registries/azureml"
WORKSPACE = f"/subscriptions/s/resourceGroups/g/providers/{_ML}/workspaces/w"
USER = Principal("u", "u", "User")
JOB = Principal("u", "job", "Job", run="r", workspace=WORKSPACE)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    database = Database(f"sqlite:///{tmp_path / 'db.sqlite'}")
    yield Directory(database, {OPEN: REGISTRY_READER})
    database.close()


@pytest.mark.parametrize("caller", [USER, JOB])
@pytest.mark.parametrize(
    ("action", "scope", "allowed"),
    [
        ("registries/read", OPEN, True),
        ("registries/assets/read", OPEN.upper(), True),
        ("registries/assets/write", OPEN, False),
        ("registries/delete", OPEN, False),
        ("registries/assets/read", OPEN + "2", False),
        ("registries/assets/read", OPEN.rsplit("/", 3)[0], False),
        ("registries/read", "/", False),
    ],
)
def test_a_role_that_everybody_holds(
    directory: Directory, caller: Principal, action: str, scope: str, allowed: bool
) -> None:
    assert directory.allows(caller, f"{_ML}/{action}", scope) is allowed
