from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from tests.postgres_fixture import Postgres

from lazulite.core.errors import ApiError
from lazulite.core.trouble import trouble
from lazulite.store import resources
from lazulite.store.database import Database, DatabaseUnusable

TYPE = "Microsoft.MachineLearningServices/workspaces/data"
WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/W"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    yield found
    found.close()


def a_resource(name: str, **more: object) -> resources.Resource:
    return resources.new(f"{WORKSPACE}/data/{name}", TYPE, {"properties": {"n": name}}, **more)


async def test_many_writers_share_commits_and_each_is_answered(database: Database) -> None:
    async def insert(number: int) -> resources.Resource:
        return await database.write(lambda c: resources.insert(c, a_resource(f"d{number}"), by="me"))

    stored = await asyncio.gather(*(insert(n) for n in range(300)))
    assert len({r.sequence for r in stored}) == 300
    found = await database.read(lambda c: resources.children(c, WORKSPACE, TYPE))
    assert len(found) == 300
    assert [r.sequence for r in found] == sorted(r.sequence for r in found)


async def test_a_failing_write_undoes_itself_alone(database: Database) -> None:
    def fails(connection: Connection) -> None:
        resources.insert(connection, a_resource("undone"), by="me")
        raise RuntimeError("on purpose")

    good = database.write(lambda c: resources.insert(c, a_resource("kept"), by="me"))
    bad = database.write(fails)
    also = database.write(lambda c: resources.insert(c, a_resource("also"), by="me"))
    results = await asyncio.gather(good, bad, also, return_exceptions=True)
    assert isinstance(results[1], RuntimeError)
    names = {r.name for r in await database.read(lambda c: resources.children(c, WORKSPACE, TYPE))}
    assert names == {"kept", "also"}


async def test_the_second_of_a_name_is_refused(database: Database) -> None:
    await database.write(lambda c: resources.insert(c, a_resource("Same"), by="me"))
    with pytest.raises(resources.AlreadyExists):
        await database.write(lambda c: resources.insert(c, a_resource("sAME"), by="me"))


async def test_a_stale_etag_writes_nothing(database: Database) -> None:
    first = await database.write(lambda c: resources.insert(c, a_resource("x"), by="me"))
    second = await database.write(lambda c: resources.update(c, first.with_(state="A"), etag=first.etag))
    with pytest.raises(resources.VersionConflict):
        await database.write(lambda c: resources.update(c, first.with_(state="B"), etag=first.etag))
    found = await database.read(lambda c: resources.get(c, first.id))
    assert found is not None
    assert (found.state, found.etag, found.generation) == ("A", second.etag, 1)


async def test_subscribers_hear_of_commits_only(database: Database) -> None:
    heard: list[frozenset[str]] = []
    database.subscribe(heard.append)
    await database.write(lambda c: resources.insert(c, a_resource("told"), by="me"))

    def fails(connection: Connection) -> None:
        resources.insert(connection, a_resource("untold"), by="me")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.write(fails)
    await database.write(lambda c: None)
    assert frozenset().union(*heard) == {f"{WORKSPACE}/data/told".lower()}


async def test_delete_takes_what_lies_below_and_nothing_beside(database: Database) -> None:
    for name in ("a", "a/versions/1", "ab", "a_c"):
        await database.write(lambda c, name=name: resources.insert(c, a_resource(name), by="me"))
    assert await database.write(lambda c: resources.delete(c, f"{WORKSPACE}/data/a")) == 2
    assert await database.read(lambda c: resources.exists(c, f"{WORKSPACE}/data/ab"))
    assert await database.read(lambda c: resources.exists(c, f"{WORKSPACE}/data/a_c"))


async def test_pages_in_both_directions(database: Database) -> None:
    for number in range(5):
        resource = a_resource(f"d{number}", archived=number == 2)
        await database.write(lambda c, resource=resource: resources.insert(c, resource, by="me"))
    newest = await database.read(lambda c: resources.children(c, WORKSPACE, TYPE, newest_first=True, limit=2))
    assert [r.name for r in newest] == ["d4", "d3"]
    after = newest[-1].sequence
    rest = await database.read(
        lambda c: resources.children(c, WORKSPACE, TYPE, newest_first=True, after=after, archived=False)
    )
    assert [r.name for r in rest] == ["d1", "d0"]


async def test_writes_see_one_another_whoever_submits_them(database: Database) -> None:
    """What a write has read cannot change before it commits: on either database."""

    def count(c: Connection) -> int:
        found = resources.get(c, f"{WORKSPACE}/data/counter")
        if found is None:
            found = resources.insert(c, a_resource("counter", label="0"), by="me")
        value = int(found.label or 0) + 1
        resources.update(c, found.with_(label=str(value)))
        return value

    values = await asyncio.gather(*(database.write(count) for _ in range(100)))
    assert sorted(values) == list(range(1, 101))


def test_a_reader_sees_one_moment(database: Database) -> None:
    def twice(c: Connection) -> tuple[bool, bool]:
        before = resources.exists(c, f"{WORKSPACE}/data/late")
        database.write_sync(lambda w: resources.insert(w, a_resource("late"), by="me"))
        return before, resources.exists(c, f"{WORKSPACE}/data/late")

    assert database.read_sync(twice) == (False, False)
    assert database.read_sync(lambda c: resources.exists(c, f"{WORKSPACE}/data/late"))


def test_a_database_is_one_servers(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lazulite.store.database._LOCK_WAIT", "50ms")
    with postgres.database() as url:
        first = Database(url)
        with pytest.raises(DatabaseUnusable, match="another server"):
            Database(url)
        first.close()
        Database(url).close()


def test_a_lost_connection_is_made_again(postgres: Postgres) -> None:
    with postgres.database() as url:
        name = sa.make_url(url).database
        database = Database(url)
        database.read_sync(lambda c: None)
        postgres.run(f"alter database {name} with allow_connections false")
        postgres.run(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
        for _ in range(2):  # the write under way when it was lost, and one that cannot connect
            with pytest.raises(sa.exc.OperationalError):
                database.write_sync(lambda c: resources.insert(c, a_resource("lost"), by="me"))
        postgres.run(f"alter database {name} with allow_connections true")
        database.write_sync(lambda c: resources.insert(c, a_resource("after"), by="me"))
        found = database.read_sync(lambda c: resources.children(c, WORKSPACE, TYPE))
        assert [r.name for r in found] == ["after"]
        database.close()


async def test_what_a_database_cannot_hold_is_a_bad_request_of_one_caller(postgres: Postgres) -> None:
    with postgres.emptied() as url:
        database = Database(url)
        good = database.write(lambda c: resources.insert(c, a_resource("good"), by="me"))
        bad = database.write(lambda c: resources.insert(c, a_resource("bad", label="a\0b"), by="me"))
        results = await asyncio.gather(good, bad, return_exceptions=True)
        assert isinstance(results[0], resources.Resource)
        assert isinstance(results[1], ApiError)
        assert (results[1].status, "NUL" in results[1].message) == (400, True)
        with pytest.raises(ApiError):
            database.read_sync(lambda c: c.scalar(sa.select(sa.literal("a").regexp_match("(?P<a>b)"))))
        database.close()


def test_what_cannot_be_reached_is_said() -> None:
    with pytest.raises(DatabaseUnusable, match="database_url"):
        Database("nonsense://x")
    with pytest.raises(DatabaseUnusable, match=r"\*\*\*.*cannot be used") as caught:
        Database("postgresql+psycopg://me:secret@/x?host=/nowhere")
    assert "secret" not in str(caught.value)


async def test_a_lock_of_another_program_is_waited_for_and_then_told(tmp_path: Path) -> None:
    path = tmp_path / "locked.db"
    database = Database(f"sqlite:///{path}", busy_s=0.3)
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("begin immediate")
    began = time.monotonic()
    with pytest.raises(sa.exc.OperationalError) as caught:
        # It reads first: a transaction that takes its lock only then is not made to wait.
        await database.write(lambda c: resources.insert(c, a_resource("a")))
    assert time.monotonic() - began >= 0.3
    found = trouble(caught.value)
    assert found is not None
    assert (found.status, found.code, found.headers) == (503, "DatabaseLocked", {"Retry-After": "5"})
    threading.Timer(0.1, lambda: holder.execute("rollback")).start()
    assert await database.write(lambda c: c.scalar(sa.text("select 1"))) == 1
    holder.close()
    database.close()


def test_closing_ends_what_runs(database_url: str) -> None:
    database = Database(database_url)
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
    reading = ThreadPoolExecutor(1).submit(database.read_sync, lambda c: c.scalar(sa.text(endless)))
    while not database._reading_now:
        time.sleep(0.01)
    began = time.monotonic()
    database.close()
    with pytest.raises(sa.exc.OperationalError) as caught:
        reading.result(timeout=10)
    assert time.monotonic() - began < 5
    found = trouble(caught.value)
    assert found is not None
    assert found.code == "ServerBusy"


async def test_a_read_that_takes_too_long_is_ended_and_the_next_is_answered(database_url: str) -> None:
    database = Database(database_url, read_s=0.2)
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
    try:
        with pytest.raises(ApiError, match="Ask for less") as refused:
            await database.read(lambda c: c.scalar(sa.text(endless)))
        assert (refused.value.status, refused.value.code) == (400, "QueryTooExpensive")
        assert await database.read(lambda c: c.scalar(sa.text("select 1"))) == 1
    finally:
        database.close()


@pytest.mark.parametrize("number", [-(2**63) - 1, 2**64, 10**30])
async def test_a_number_beyond_64_bits_is_refused_alone(database: Database, number: int) -> None:
    good = database.write(lambda c: resources.insert(c, a_resource("kept"), by="me"))
    bad = a_resource("bad", generation=number)
    refused = database.write(lambda c: resources.insert(c, bad, by="me"))
    results = await asyncio.gather(good, refused, return_exceptions=True)
    assert isinstance(results[0], resources.Resource)
    assert isinstance(results[1], ApiError)
    assert results[1].status == 400
    with pytest.raises(ApiError):
        await database.read(lambda c: resources.children(c, WORKSPACE, TYPE, after=number))
