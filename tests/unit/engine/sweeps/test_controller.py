from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.engine.test_crash import Crash, CrashingBackend, CrashingDatabase, Tripwire

from lazulite.backends.fake import FakeRun
from lazulite.engine.sweeps.log import FILE
from lazulite.model.job_status import JobState
from lazulite.model.run_plan import RunOutcome, RunPhase
from lazulite.store import resources, run_data, runs
from lazulite.testing.engine_world import WORKSPACE, EngineWorld

Submit = Callable[..., None]


@pytest.fixture
def submit(world: EngineWorld) -> Submit:
    return submitter(world)


@pytest.fixture
def crash_world(tmp_path: Path) -> Iterator[EngineWorld]:
    made = EngineWorld(tmp_path)
    yield made
    made.database.close()


def submitter(world: EngineWorld) -> Submit:
    def submit(name: str, **changes: Any) -> None:
        limits = {"maxTotalTrials": 5, "maxConcurrentTrials": 2, **changes.pop("limits", {})}
        document = {
            "jobType": "Sweep",
            "trial": {
                "command": "train ${{search_space.x}}",
                "environmentId": f"{WORKSPACE}/environments/bare/versions/1",
            },
            "searchSpace": {"x": ["uniform", [0, 1]]},
            "samplingAlgorithm": {"samplingAlgorithmType": "Random"},
            "objective": {"goal": "maximize", "primaryMetric": "m"},
            "limits": limits,
            **changes,
        }
        world.submit(name, **document)

    return submit


def log_metric(world: EngineWorld, job: str, value: float, step: int = 0) -> None:
    def write(c: Any) -> None:
        run = runs.get(c, WORKSPACE, job)
        assert run is not None
        run_data.log_points(c, run.number, run.experiment_number, [run_data.LoggedPoint("m", value, step + 1, step)])

    world.database.write_sync(write)


def trials(world: EngineWorld, sweep: str) -> dict[str, JobState]:
    rows = world.database.read_sync(
        lambda c: resources.children(c, f"{WORKSPACE}/jobs/{sweep}", world.get(f"{WORKSPACE}/jobs/{sweep}").type)
    )
    return {row.name: JobState(str(row.state)) for row in rows}


def log(world: EngineWorld, sweep: str) -> list[str]:
    return next(world.root.rglob(f"dcid.{sweep}/{FILE}")).read_text().splitlines()


async def live(world: EngineWorld, play: Callable[[str], None], rounds: int = 30) -> None:
    for _ in range(rounds):
        await world.settle()
        for run in [run for run in world.fake.runs.values() if run.outcome is None]:
            play(run.key.job)
        world.clock.pass_by(1)
    await world.settle()


async def test_trials_run_two_at_a_time_and_the_best_is_named(world: EngineWorld, submit: Submit) -> None:
    submit("s")
    await world.settle()
    assert trials(world, "s") == {"s_0": JobState.PREPARING, "s_1": JobState.PREPARING}
    assert world.status("s").state is JobState.RUNNING
    most = []

    def play(job: str) -> None:
        most.append(len([r for r in world.fake.runs.values() if r.outcome is None]))
        log_metric(world, job, 10.0 - abs(3 - int(job[-1])))
        world.fake.finish(job)

    await live(world, play)
    status = world.status("s")
    assert world.states("s") == ["Queued", "Preparing", "Running", "Completed"]
    assert max(most) == 2
    assert set(trials(world, "s").values()) == {JobState.COMPLETED}
    assert (status.properties["best_child_run_id"], status.properties["score"]) == ("s_3", "10.0")
    assert world.run("s").status == "FINISHED"
    assert world.run("s_3").parent == "s"
    plan = next(key for key in world.fake.starts if key.job == "s_3")
    assert plan.attempt == 1
    lines = log(world, "s")
    assert len(lines) == 1 + 5 + 5 + 1
    assert lines[0].endswith("early termination: none.")


async def test_parameters_are_logged_beside_those_of_the_script(world: EngineWorld, submit: Submit) -> None:
    submit("s", searchSpace={"x": ["choice", [[1]]], "y": ["choice", [[2]]]}, limits={"maxTotalTrials": 2})

    def play(job: str) -> None:
        def write(c: Any) -> None:
            run = runs.get(c, WORKSPACE, job)
            assert run is not None
            run_data.log_params(c, run.number, {"x": "1.0"})

        world.database.write_sync(write)
        world.fake.finish(job)

    await live(world, play, rounds=5)
    logged = world.database.read_sync(lambda c: runs.params(c, WORKSPACE, ["s_0"]))
    assert logged == {"s_0": {"x": "1.0", "y": "2"}}
    assert world.status("s").notes == ["No trial logged a number as the primary metric 'm', so none is the best."]
    assert log(world, "s")[-1].endswith("as the primary metric 'm', so none is the best.")


async def test_a_policy_ends_a_trial_while_it_runs(world: EngineWorld, submit: Submit) -> None:
    submit("s", earlyTermination={"policyType": "Bandit", "slackAmount": 0.1, "evaluationInterval": 2})
    await world.settle()
    for step in range(2):
        log_metric(world, "s_0", 0.9, step)
        log_metric(world, "s_1", 0.1, step)
    world.clock.pass_by(2)
    await world.settle()
    assert trials(world, "s")["s_1"] is JobState.CANCELED
    assert trials(world, "s")["s_0"] is not JobState.CANCELED
    assert "s_2" in trials(world, "s")
    assert any("bandit at interval 2: 0.1 is worse than 0.8" in line for line in log(world, "s"))


async def test_the_timeout_cancels_what_runs(world: EngineWorld, submit: Submit) -> None:
    submit("s", limits={"timeout": "PT1M"})
    await world.settle()
    log_metric(world, "s_0", 0.5)
    world.fake.finish("s_0")
    await world.settle()
    world.clock.pass_by(61)
    await world.settle()
    status = world.status("s")
    assert (status.state, status.notes) == (JobState.CANCELED, ["The sweep's timeout of 60 s is over."])
    assert list(trials(world, "s").values()).count(JobState.CANCELED) == 2
    assert status.properties["best_child_run_id"] == "s_0"


async def test_cancelling_goes_through_the_trials(world: EngineWorld, submit: Submit) -> None:
    submit("s")
    await world.settle()
    world.cancel("s")
    await world.settle()
    assert world.states("s")[-2:] == ["CancelRequested", "Canceled"]
    assert set(trials(world, "s").values()) == {JobState.CANCELED}


async def test_all_trials_failing_fails_it_with_the_first_ones_reason(world: EngineWorld, submit: Submit) -> None:
    submit("s", limits={"maxTotalTrials": 3})
    await live(world, lambda job: world.fake.finish(job, 1, f"{job} broke"), rounds=6)
    error = world.status("s").error
    assert error is not None
    assert error.message == "All 3 trials of the sweep failed. The first: s_0 broke"


async def test_a_name_that_is_taken_fails_the_sweep_and_leaves_nothing_running(
    world: EngineWorld, submit: Submit
) -> None:
    world.submit("s_2")
    submit("s")
    await live(world, world.fake.finish, rounds=6)
    error = world.status("s").error
    assert error is not None
    assert "s_2" in error.message
    assert not [run for run in world.fake.runs.values() if run.outcome is None]


async def test_a_job_that_looks_like_a_trial_is_no_matter(world: EngineWorld, submit: Submit) -> None:
    world.submit("other_0")
    world.submit("other")
    await live(world, world.fake.finish, rounds=3)
    assert world.status("other_0").state is JobState.COMPLETED


@pytest.mark.parametrize("algorithm", ["Random", "Bayesian"])
async def test_a_crash_anywhere_loses_no_trial_and_runs_none_twice(crash_world: EngineWorld, algorithm: str) -> None:
    """The server dies at each lasting step in turn, again and again until the sweep is over."""
    world = crash_world

    def gets_on(run: FakeRun) -> None:
        if run.key.job.startswith("s"):
            log_metric(world, run.key.job, float(run.key.job[-1]))
        run.phase, run.outcome, run.alive, run.exit_code = RunPhase.DONE, RunOutcome.COMPLETED, False, 0
        run.times[run.phase.value] = max(run.times.values())

    world.fake._played = gets_on
    policy = {"policyType": "MedianStopping"}
    crashes = 0
    for distance in (14, 17, 23, 31, 47, 80):
        name = f"s{distance}"
        submitter(world)(
            name, samplingAlgorithm={"samplingAlgorithmType": algorithm, "seed": 1}, earlyTermination=policy
        )
        for crash in range(400):
            wire = Tripwire(distance + crash % 5)
            database: Any = CrashingDatabase(world.database, wire)
            world.new_engine(database, CrashingBackend(world.fake, wire))
            try:
                await world.engine.attach()
                await world.settle()
            except Crash:
                crashes += 1
                world.clock.pass_by(1)
                continue
            if world.status(name).terminal:
                break
            world.clock.pass_by(10)
        assert world.states(name)[-1] == "Completed", distance
        assert trials(world, name) == {f"{name}_{n}": JobState.COMPLETED for n in range(5)}, distance
        starts = [key.job for key in world.fake.starts if key.job.startswith(f"{name}_")]
        assert sorted(starts) == [f"{name}_{n}" for n in range(5)], distance
        assert world.status(name).properties["best_child_run_id"] == f"{name}_4"
        lines = log(world, name)
        assert len(lines) == len(set(lines)) == 12, distance
    assert crashes > 20
    assert world.fake.runs == {}
