"""Runs in the store: one truth for jobs and MLflow clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from lazulite.core.arm_id import workspace_id
from lazulite.store import experiments, ownership, run_tables, runs
from lazulite.store.database import Database

WS = workspace_id("s", "g", "W")
OTHER = workspace_id("s", "g", "other")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    yield found
    found.close()


def a_run(database: Database, run_id: str = "train", workspace: str = WS, **more: Any) -> runs.Run:
    values: dict[str, Any] = {"name": run_id, "user": "ada", **more}
    return database.write_sync(lambda c: runs.create(c, workspace, run_id, **values))


def test_a_run_is_read_back_as_it_was_made(database: Database) -> None:
    made = a_run(database, "Train_1", experiment_name="e", tags={"model": "lr"}, status="SCHEDULED", job=True)
    read = database.read_sync(lambda c: runs.get(c, WS.upper(), "train_1"))
    assert read == made
    assert (made.run_id, made.experiment_name, made.status, made.job) == ("Train_1", "e", "SCHEDULED", True)
    tags = {"model": "lr", "mlflow.rootRunId": "Train_1"}
    assert database.read_sync(lambda c: runs.tags(c, WS, ["Train_1"])) == {"Train_1": tags}


def test_without_an_experiment_a_run_lies_in_default(database: Database) -> None:
    run = a_run(database)
    assert (run.experiment_id, run.experiment_name) == ("0", "Default")
    assert a_run(database, "second").experiment_number == run.experiment_number


def test_the_default_experiment_is_there_before_any_run(database: Database) -> None:
    for found in (
        database.read_sync(lambda c: experiments.get(c, WS, "0")),
        database.read_sync(lambda c: experiments.by_name(c, WS, "Default")),
    ):
        assert found is not None
        assert (found.id, found.name, found.lifecycle) == ("0", "Default", "active")


def test_workspaces_do_not_see_each_other(database: Database) -> None:
    mine = a_run(database, experiment_name="e")
    a_run(database, workspace=OTHER, experiment_name="e", tags={"a": "b"})
    assert database.read_sync(lambda c: runs.tags(c, WS, ["train"])) == {"train": {}}
    assert database.read_sync(lambda c: experiments.get(c, OTHER, mine.experiment_id)) is None
    database.write_sync(lambda c: ownership.delete_workspace(c, OTHER))
    assert database.read_sync(lambda c: runs.get(c, OTHER, "train")) is None
    assert database.read_sync(lambda c: runs.get(c, WS, "train")) == mine


def test_the_same_id_twice_is_refused(database: Database) -> None:
    a_run(database, "train")
    with pytest.raises(runs.RunExists):
        a_run(database, "TRAIN")


def test_an_unknown_experiment_is_refused(database: Database) -> None:
    for unknown in ("77", "abc", "-1", "9" * 40):
        with pytest.raises(runs.NoSuchExperiment):
            a_run(database, experiment_id=unknown)


def test_a_terminal_status_ends_the_run_once(database: Database) -> None:
    a_run(database)
    database.write_sync(lambda c: runs.set_status(c, WS, "train", "FINISHED", end_ms=5))
    database.write_sync(lambda c: runs.set_status(c, WS, "train", "FAILED"))
    found = database.read_sync(lambda c: runs.get(c, WS, "train"))
    assert found is not None
    assert (found.status, found.end_ms) == ("FAILED", 5)
    with pytest.raises(runs.NoSuchRun):
        database.write_sync(lambda c: runs.set_status(c, WS, "nope", "FAILED"))


def test_name_and_parent_are_tags_too(database: Database) -> None:
    a_run(database, "parent")
    run = a_run(database, "child", tags={"mlflow.runName": "fancy", "mlflow.parentRunId": "parent"})
    assert (run.name, run.parent) == ("fancy", "parent")
    database.write_sync(lambda c: runs.set_tags(c, WS, "child", {"mlflow.runName": "plain", "k": "v"}))
    assert [r.name for r in database.read_sync(lambda c: runs.children(c, WS, "parent"))] == ["plain"]
    assert database.read_sync(lambda c: runs.tags(c, WS, ["child"])) == {"child": {"k": "v"}}


def test_all_runs_of_a_job_name_its_root(database: Database) -> None:
    a_run(database, "sweep", job=True, tags={"k": "v", "mlflow.rootRunId": "another"})
    a_run(database, "trial", job=True, parent="sweep", root="sweep")
    a_run(database, "fold", tags={"mlflow.parentRunId": "trial"})
    a_run(database, "alone")
    a_run(database, "below", parent="alone")
    found = database.read_sync(lambda c: runs.tags(c, WS, ["sweep", "trial", "fold", "alone", "below"]))
    root = {"mlflow.rootRunId": "sweep"}
    assert found == {"sweep": {"k": "v", **root}, "trial": root, "fold": root, "alone": {}, "below": {}}


def test_replacing_tags_keeps_those_of_clients(database: Database) -> None:
    a_run(database, tags={"old": "1", "both": "1", "mlflow.source.name": "x"})
    database.write_sync(lambda c: runs.replace_tags(c, WS, "train", {"both": "2", "new": "3"}))
    found = database.read_sync(lambda c: runs.tags(c, WS, ["train"]))["train"]
    assert found == {"both": "2", "new": "3", "mlflow.source.name": "x"}


def test_runs_of_clients_are_listed_newest_first_in_pages(database: Database) -> None:
    for name in ("one", "two", "three"):
        a_run(database, name)
    a_run(database, "job", job=True)
    first = database.read_sync(lambda c: runs.list_clients_runs(c, WS, limit=2))
    rest = database.read_sync(lambda c: runs.list_clients_runs(c, WS, cursor=first[-1].number))
    assert [run.run_id for run in first + rest] == ["three", "two", "one"]


def test_within_follows_parents_and_makers(database: Database) -> None:
    a_run(database, "job")
    child = a_run(database, "child", parent="job")
    grandchild = a_run(database, "grandchild", created_in="child")
    stranger = a_run(database, "stranger", parent="stranger")
    assert all(database.read_sync(lambda c, r=r: runs.is_within(c, WS, r, "job")) for r in (child, grandchild))
    assert not database.read_sync(lambda c: runs.is_within(c, WS, stranger, "job"))


def test_deleting_a_run_leaves_nothing_of_it(database: Database) -> None:
    run = a_run(database, tags={"a": "b"})
    assert database.write_sync(lambda c: ownership.delete_runs(c, WS, ["Train"])) == ["train"]
    count = sa.select(sa.func.count()).select_from(run_tables.run_tags).where(run_tables.run_tags.c.run == run.number)
    assert database.read_sync(lambda c: c.scalar(count)) == 0
    assert not database.write_sync(lambda c: ownership.delete_runs(c, WS, ["train"]))


def test_a_deleted_experiment_comes_back_when_a_job_names_it(database: Database) -> None:
    run = a_run(database, experiment_name="e")
    found = database.read_sync(lambda c: experiments.by_name(c, WS, "e"))
    assert found is not None
    database.write_sync(lambda c: experiments.set_lifecycle(c, found, "deleted"))
    again = a_run(database, "again", experiment_name="e")
    assert again.experiment_id == run.experiment_id
    found = database.read_sync(lambda c: experiments.by_name(c, WS, "e"))
    assert found is not None
    assert found.lifecycle == "active"
