"""Many rows in one statement, the same on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from lazulite.store.bulk import upsert
from lazulite.store.database import Database
from lazulite.store.run_tables import latest_metrics, run_models, run_tags


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    yield found
    found.close()


def test_the_last_of_a_key_replaces(database: Database) -> None:
    write = upsert(run_tags, ["value"])
    database.write_sync(lambda c: write.run(c, [(1, "a", "old"), (1, "b", "%s ? :x"), (1, "a", "new")]))
    database.write_sync(lambda c: write.run(c, [(1, "a", "newest"), (2, "a", "")]))
    rows = database.read_sync(lambda c: c.execute(sa.select(run_tags).order_by(run_tags.c.run, run_tags.c.key)).all())
    assert [tuple(row) for row in rows] == [(1, "a", "newest"), (1, "b", "%s ? :x"), (2, "a", "")]


def test_the_first_of_a_key_stays(database: Database) -> None:
    write = upsert(run_models)
    database.write_sync(lambda c: write.run(c, [(1, "input", "m", 1), (1, "input", "m", 2)]))
    database.write_sync(lambda c: write.run(c, [(1, "input", "m", 3)]))
    assert database.read_sync(lambda c: list(c.scalars(sa.select(run_models.c.step)))) == [1]


def test_a_condition_on_what_is_there(database: Database) -> None:
    write = upsert(latest_metrics, ["step", "value"], "excluded.step >= latest_metrics.step")
    infinite = float("-inf")
    for step, value in ((5, 1.5), (4, 9.0), (6, infinite)):
        database.write_sync(lambda c, s=step, v=value: write.run(c, [(1, "m", s, 2**62, v, False, 1)]))
    row = database.read_sync(lambda c: c.execute(sa.select(latest_metrics)).one())
    assert (row.step, row.value, row.timestamp, row.is_nan) == (6, infinite, 2**62, False)
