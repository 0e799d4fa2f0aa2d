from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from lazulite.store import schema
from lazulite.store.database import Database


def test_a_database_is_made_once_and_opened_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    Database(url).close()
    again = Database(url)
    assert again.read_sync(lambda c: c.scalar(sa.text("select version from schema_version"))) == schema.VERSION
    again.close()


@pytest.mark.parametrize(
    "change", ["update schema_version set version = 99", "drop table schema_version"], ids=["newer", "older"]
)
def test_tables_of_another_version_are_refused(tmp_path: Path, change: str) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    first = Database(url)
    first.write_sync(lambda c: c.execute(sa.text(change)))
    first.close()
    with pytest.raises(schema.WrongSchema, match="new home"):
        Database(url)
