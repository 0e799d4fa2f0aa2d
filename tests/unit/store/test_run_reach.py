"""Which runs the token of a job may write to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.engine import Connection

from lazulite.core.arm_id import PROVIDER, workspace_id
from lazulite.store import resources, run_reach, runs
from lazulite.store.database import Database

WS = workspace_id("s", "g", "W")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    yield found
    found.close()


def a_job(database: Database, name: str, below: str | None = None, tags: dict[str, str] | None = None) -> None:
    def write(c: Connection) -> None:
        row = resources.new(f"{WS}/jobs/{name}", f"{PROVIDER}/workspaces/jobs", {})
        resources.insert(c, row.with_(parent=f"{WS}/jobs/{below}".lower()) if below else row, by="ada")
        runs.create(c, WS, name, name=name, user="ada", parent=below, tags=tags, job=True)

    database.write_sync(write)


def reached(database: Database, job: str, names: tuple[str, ...]) -> list[str]:
    def read(c: Connection) -> list[str]:
        found = runs.get_many(c, WS, names)
        return [name for name in names if run_reach.may_write(c, WS, found[name], job)]

    return database.read_sync(read)


def test_a_step_writes_to_the_pipelines_it_is_in_and_not_to_its_siblings(database: Database) -> None:
    for name, below in (("Root", None), ("inner", "Root"), ("step", "inner"), ("sibling", "Root"), ("other", None)):
        a_job(database, name, below)
    everything = ("Root", "inner", "step", "sibling", "other")
    assert reached(database, "step", everything) == ["Root", "inner", "step"]
    assert reached(database, "Root", everything) == ["Root", "inner", "step", "sibling"]


def test_a_job_does_not_reach_what_it_calls_its_parent(database: Database) -> None:
    a_job(database, "other")
    a_job(database, "own", tags={runs.PARENT_TAG: "other"})
    assert reached(database, "own", ("other", "own")) == ["own"]
