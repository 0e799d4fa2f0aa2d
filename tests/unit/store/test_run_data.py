"""What is logged to runs, in the store."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from lazulite.core.arm_id import workspace_id
from lazulite.store import run_data, runs
from lazulite.store.database import Database
from lazulite.store.run_data import DatasetInput, LoggedPoint

WS = workspace_id("s", "g", "w")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    yield found
    found.close()


@pytest.fixture
def run(database: Database) -> runs.Run:
    return database.write_sync(lambda c: runs.create(c, WS, "r", name="r", user="ada"))


def log(database: Database, run: runs.Run, *points: LoggedPoint) -> None:
    database.write_sync(lambda c: run_data.log_points(c, run.number, run.experiment_number, points))


def test_the_latest_point_is_the_one_of_the_highest_step(database: Database, run: runs.Run) -> None:
    log(database, run, LoggedPoint("a", 1.0, 10, 5), LoggedPoint("a", 2.0, 20, 3))
    log(database, run, LoggedPoint("a", 9.0, 30, 4))
    assert database.read_sync(lambda c: runs.latest_metrics(c, WS, ["r"])) == {"r": {"a": runs.Point(1.0, 10, 5)}}


def test_a_batch_sent_again_changes_nothing(database: Database, run: runs.Run) -> None:
    points = [LoggedPoint("a", float(n), n, n) for n in range(3)]
    log(database, run, *points)
    log(database, run, *points)
    assert database.read_sync(lambda c: run_data.history(c, run.number, "a")) == points


def test_nan_and_infinity_come_back(database: Database, run: runs.Run) -> None:
    log(
        database,
        run,
        LoggedPoint("a", math.nan, 1, 1),
        LoggedPoint("a", math.inf, 2, 2),
        LoggedPoint("b", -math.inf, 1, 1),
    )
    values = [p.value for p in database.read_sync(lambda c: run_data.history(c, run.number, "a"))]
    assert math.isnan(values[0])
    assert values[1] == math.inf
    latest = database.read_sync(lambda c: run_data.latest_of(c, [run.number]))[run.number]
    assert {p.key: p.value for p in latest} == {"a": math.inf, "b": -math.inf}


def test_history_goes_on_after_the_last_point_seen(database: Database, run: runs.Run) -> None:
    log(database, run, *(LoggedPoint("a", float(n), 7, n) for n in range(5)))
    page = database.read_sync(lambda c: run_data.history(c, run.number, "a", after=(1, 7, 1.0, False), limit=2))
    assert [p.step for p in page] == [2, 3]


def test_values_at_steps_take_the_next_step_there_is(database: Database, run: runs.Run) -> None:
    log(database, run, *(LoggedPoint("a", float(n), 1, n) for n in (0, 10, 20, 30)))
    assert database.read_sync(lambda c: run_data.steps_of(c, run.number, "a", 5, 25)) == (10, 20)
    found = database.read_sync(lambda c: run_data.at_steps(c, run.number, "a", [5, 15, 21], 25))
    assert [p.step for p in found] == [10, 20]


def test_a_chart_costs_as_many_seeks_as_it_has_steps(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'seeks.db'}")
    run = database.write_sync(lambda c: runs.create(c, WS, "r", name="r", user="ada"))
    log(database, run, *(LoggedPoint("a", float(n), 1, n) for n in range(20_000)))
    thousands = 0

    def thousand_instructions() -> int:
        nonlocal thousands
        thousands += 1
        return 0

    def chart(c: Connection) -> list[LoggedPoint]:
        driver: Any = c.connection.driver_connection
        driver.set_progress_handler(thousand_instructions, 1000)
        return run_data.at_steps(c, run.number, "a", range(0, 20_000, 2000), 19_999)

    assert len(database.read_sync(chart)) == 10
    assert thousands <= 2, "SQLite looks at every point"
    database.close()


def test_parameters_are_written_once(database: Database, run: runs.Run) -> None:
    database.write_sync(lambda c: run_data.log_params(c, run.number, {"lr": "1"}))
    database.write_sync(lambda c: run_data.log_params(c, run.number, {"lr": "1", "k": "v"}))
    with pytest.raises(run_data.ParamConflict) as caught:
        database.write_sync(lambda c: run_data.log_params(c, run.number, {"lr": "2", "new": "x"}))
    assert caught.value.conflicts == [("lr", "1", "2")]
    assert database.read_sync(lambda c: runs.params(c, WS, ["r"])) == {"r": {"lr": "1", "k": "v"}}


def test_a_dataset_read_twice_is_one(database: Database, run: runs.Run) -> None:
    item = DatasetInput("d", "x", "local", "{}", None, None, {"mlflow.data.context": "training"})
    for _ in range(2):
        database.write_sync(lambda c: run_data.add_dataset(c, run.number, run.experiment_number, item))
    assert database.read_sync(lambda c: run_data.datasets_of(c, [run.number])) == {run.number: [item]}
    listed = database.read_sync(lambda c: run_data.datasets_in(c, [run.experiment_number], 10))
    assert listed == [(run.experiment_number, "d", "x", "training")]
