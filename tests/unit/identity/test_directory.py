"""What everybody may do, beside what the roles of each allow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy.engine import Connection

from lazulite.core.principal import Principal
from lazulite.identity.directory import Directory
from lazulite.identity.roles import REGISTRY_READER
from lazulite.store.database import Database
from lazulite.store.tables import principals

_ML = "Microsoft.MachineLearningServices"
OPEN = f"/subscriptions/s/resourceGroups/g/providers/{_ML}/registries/azureml"
WORKSPACE = f"/subscriptions/s/resourceGroups/g/providers/{_ML}/workspaces/w"
USER = Principal("u", "u", "User")
JOB = Principal("u", "job", "Job", run="r", workspace=WORKSPACE)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'db.sqlite'}")
    yield made
    made.close()


@pytest.fixture
def directory(database: Database) -> Directory:
    return Directory(database, {OPEN: REGISTRY_READER})


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


async def test_what_was_read_earlier_does_not_come_back_by_being_loaded_later(
    directory: Directory, database: Database
) -> None:
    gone, secret = await directory.create("gone", "Reader", "/")
    has_read, go_on = threading.Event(), threading.Event()

    class Slow:
        """A connection that stops once it has read."""

        def __init__(self, connection: Connection) -> None:
            self.connection = connection

        def execute(self, statement: Any) -> list[Any]:
            rows = list(self.connection.execute(statement))
            has_read.set()
            assert go_on.wait(30)
            return rows

    slow: Any = lambda connection: directory._load(cast(Any, Slow(connection)))  # noqa: E731
    earlier = threading.Thread(target=database.read_sync, args=(slow,))
    earlier.start()
    assert has_read.wait(30)
    database.write_sync(lambda c: c.execute(principals.delete().where(principals.c.id == gone.id)))
    later = threading.Thread(target=directory.reload)
    later.start()
    later.join(0.2)  # it is over by then, or waits for the earlier one
    go_on.set()
    for thread in (earlier, later):
        thread.join(30)
    assert directory.get(gone.id) is None
    assert directory.authenticate(secret) is None
