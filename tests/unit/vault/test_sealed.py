from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from lazulite.store.database import Database
from lazulite.store.tables import secrets
from lazulite.vault.sealed import SealedSecrets

SCOPE = "/subscriptions/s/resourceGroups/g/providers/p/types/N"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(f"sqlite:///{tmp_path / 'x.db'}")
    yield found
    found.close()


def test_sealed_opened_replaced_forgotten(database: Database) -> None:
    sealed = SealedSecrets(b"k" * 32)
    database.write_sync(lambda c: sealed.put(c, SCOPE, "keys", {"key1": "first"}))
    database.write_sync(lambda c: sealed.put(c, SCOPE, "keys", {"key1": "second"}))
    assert database.read_sync(lambda c: sealed.get(c, SCOPE.lower(), "keys")) == {"key1": "second"}
    database.write_sync(lambda c: sealed.delete(c, SCOPE.rsplit("/", 2)[0]))
    assert database.read_sync(lambda c: sealed.get(c, SCOPE, "keys")) is None


def test_the_database_holds_no_plain_text(database: Database, tmp_path: Path) -> None:
    sealed = SealedSecrets(b"k" * 32)
    database.write_sync(lambda c: sealed.put(c, SCOPE, "keys", {"key1": "plainly-visible"}))
    assert all(b"plainly-visible" not in file.read_bytes() for file in tmp_path.iterdir())


def test_another_master_key_opens_nothing(database: Database) -> None:
    database.write_sync(lambda c: SealedSecrets(b"k" * 32).put(c, SCOPE, "keys", {"a": "b"}))
    with pytest.raises(ValueError, match="another master key"):
        database.read_sync(lambda c: SealedSecrets(b"x" * 32).get(c, SCOPE, "keys"))


def test_a_secret_moved_to_another_scope_does_not_open(database: Database) -> None:
    sealed = SealedSecrets(b"k" * 32)
    database.write_sync(lambda c: sealed.put(c, SCOPE, "keys", {"a": "b"}))
    database.write_sync(lambda c: c.execute(secrets.update().values(scope="/elsewhere")))
    assert database.read_sync(lambda c: c.scalar(sa.select(secrets.c.scope))) == "/elsewhere"
    with pytest.raises(ValueError, match="sealed"):
        database.read_sync(lambda c: sealed.get(c, "/elsewhere", "keys"))
