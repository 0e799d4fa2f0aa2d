"""What is deleted is gone: the next job of that name begins with nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from tests.unit.engine.sweeps.test_controller import live, log, log_metric, submitter

from lazulite.model.job_status import JobState
from lazulite.store import erasures, ownership, resources, runs
from lazulite.store.tables import events
from lazulite.testing.engine_world import ACCOUNT, WORKSPACE, EngineWorld


def folder(world: EngineWorld, job: str) -> Path:
    return world.storage.root / ACCOUNT / "azureml" / "ExperimentRun" / f"dcid.{job}"


async def test_a_sweep_made_again_is_judged_by_its_own_trials(world: EngineWorld) -> None:
    submit = submitter(world)

    def playing(value: float) -> Callable[[str], None]:
        def play(job: str) -> None:
            log_metric(world, job, value - int(job[-1]))
            world.fake.finish(job)

        return play

    submit("s")
    await live(world, playing(10.0))
    assert world.status("s").properties["score"] == "10.0"
    world.delete("s")
    await world.settle()
    assert world.database.read_sync(lambda c: c.scalar(sa.select(sa.func.count()).select_from(events))) == 0
    assert not list(folder(world, "s").rglob("*.txt"))
    submit("s")
    await live(world, playing(3.0))
    status = world.status("s")
    assert (status.state, status.notes) == (JobState.COMPLETED, [])
    assert (status.properties["best_child_run_id"], status.properties["score"]) == ("s_0", "3.0")
    assert len(log(world, "s")) == 1 + 5 + 5 + 1


async def test_a_sweep_made_again_at_once_is_another(world: EngineWorld) -> None:
    """Deleted and made again between two looks of the engine, which remembers the first one."""
    submit = submitter(world)
    submit("s")
    await world.settle()
    world.delete("s")
    submit("s")
    await world.settle()
    assert world.status("s").state is JobState.RUNNING
    assert len(log(world, "s")) == 1 + 2


async def test_a_job_made_again_waits_for_the_end_of_the_run_before_it(world: EngineWorld) -> None:
    world.submit("j")
    await world.settle()
    first = world.fake.starts[-1]
    world.remove(f"{WORKSPACE}/jobs/j")
    world.database.write_sync(lambda c: ownership.delete_runs(c, WORKSPACE, ["j"]))
    world.submit("j")
    await world.settle()
    assert world.fake.forgotten == [first]
    assert world.status("j").state is JobState.PREPARING
    assert [start.row for start in world.fake.starts] == [first.row, world.get(f"{WORKSPACE}/jobs/j").sequence]


async def test_files_are_erased_when_nothing_writes_them_any_more(world: EngineWorld) -> None:
    world.submit("j")
    await world.settle()
    kept, gone = folder(world, "j") / "model" / "MLmodel", folder(world, "j") / "user_logs" / "std_log.txt"
    for file in (kept, gone):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    uri = "azureml://datastores/workspaceartifactstore/paths/ExperimentRun/dcid.j/model"
    model = resources.new(
        f"{WORKSPACE}/models/m/versions/1",
        "Microsoft.MachineLearningServices/workspaces/models/versions",
        {"properties": {"modelUri": uri}},
    )
    world.database.write_sync(lambda c: resources.insert(c, model, by="t"))
    world.delete("j")
    assert gone.exists()
    assert world.database.read_sync(lambda c: erasures.pending(c, f"{WORKSPACE}/jobs/j"))
    for _ in range(3):
        world.clock.pass_by(1)
        await world.settle()
    assert not gone.exists()
    assert kept.exists()
    assert world.database.read_sync(erasures.numbers) == []


async def test_a_restarted_engine_erases_what_was_noted(world: EngineWorld) -> None:
    log_file = folder(world, "j") / "user_logs" / "std_log.txt"
    log_file.parent.mkdir(parents=True)
    log_file.write_text("x")
    world.submit("j")
    world.delete("j")
    world.new_engine()
    await world.settle()
    assert not log_file.exists()


async def test_runs_that_a_job_made_go_with_it(world: EngineWorld) -> None:
    world.submit("j")
    world.database.write_sync(lambda c: runs.create(c, WORKSPACE, "nested", name="n", user="u", parent="j"))
    world.database.write_sync(lambda c: runs.create(c, WORKSPACE, "deep", name="n", user="u", parent="nested"))
    world.database.write_sync(lambda c: runs.create(c, WORKSPACE, "made", name="n", user="u", created_in="j"))
    world.delete("j")
    assert set(world.database.read_sync(lambda c: runs.get_many(c, WORKSPACE, ["j", "nested", "deep", "made"]))) == {
        "made"
    }
    assert world.run("made").created_in is None
