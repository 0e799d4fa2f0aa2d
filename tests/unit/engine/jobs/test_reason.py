"""The log of jobs that end before their process begins, through the whole engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from lazulite.core.errors import ApiError
from lazulite.engine.jobs.decide import failed
from lazulite.engine.jobs.facts import Facts
from lazulite.engine.jobs.record import save
from lazulite.model import job_status
from lazulite.model.job_status import JobState
from lazulite.model.run_plan import EnvironmentPlan, RunPhase
from lazulite.testing.engine_world import ACCOUNT, WORKSPACE, BareEnvironments, EngineWorld

BUILD, OWN = "azureml-logs/20_image_build_log.txt", "user_logs/std_log.txt"


class Unresolvable(BareEnvironments):
    async def plan(self, facts: Facts) -> EnvironmentPlan:
        raise ApiError(400, "EnvironmentUnresolvable", "There is no package 'pandsa': correct it.")


def artifacts(world: EngineWorld, job: str) -> Path:
    found = world.storage.local_path(ACCOUNT, "azureml", f"ExperimentRun/dcid.{job}")
    assert found is not None
    return found


def logs(world: EngineWorld, job: str) -> dict[str, str]:
    root = artifacts(world, job)
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


async def test_an_environment_that_cannot_be_resolved_is_told_in_the_build_log(world: EngineWorld) -> None:
    world.environments = Unresolvable()
    world.new_engine()
    world.submit("j")
    await world.settle()
    assert world.status("j").state is JobState.FAILED
    ((name, text),) = logs(world, "j").items()
    assert name == BUILD
    assert "before its command was started (EnvironmentUnresolvable):\nThere is no package 'pandsa'" in text


async def test_what_is_gone_by_the_time_of_the_launch_is_told_in_the_jobs_log(world: EngineWorld) -> None:
    world.submit("j", environmentId=f"{WORKSPACE}/environments/bare/versions/9")
    world.submit("k", inputs={"d": {"jobInputType": "uri_file", "uri": "azureml://datastores/gone/paths/x"}})
    await world.settle()
    for job, named in (("j", "bare"), ("k", "gone")):
        ((name, text),) = logs(world, job).items()
        assert name == OWN
        assert named in text


async def test_a_compute_that_is_gone_is_told_too(world: EngineWorld) -> None:
    world.compute("c", most=1)
    world.submit("first", computeId="c")
    world.submit("second", computeId="c")
    await world.settle()
    world.remove(world.compute_id("c"))
    await world.settle()
    error = world.status("second").error
    assert error is not None
    assert error.message in logs(world, "second")[OWN]


async def test_a_job_that_is_canceled_in_the_queue_says_so(world: EngineWorld) -> None:
    world.compute("c", most=1)
    world.submit("first", computeId="c")
    world.submit("second", computeId="c")
    await world.settle()
    world.cancel("second")
    await world.settle()
    assert "was canceled before its command was started" in logs(world, "second")[OWN]


async def test_a_start_that_the_backend_refuses_is_told(world: EngineWorld) -> None:
    world.fake.refusals = 99
    world.submit("j")
    for _ in range(6):
        await world.settle()
        world.clock.pass_by(30)
    assert "(LaunchFailed)" in logs(world, "j")[OWN]


async def test_the_trials_of_a_sweep_and_the_steps_of_a_pipeline_tell_too(world: EngineWorld) -> None:
    world.environments = Unresolvable()
    world.new_engine()
    world.submit(
        "sweep",
        jobType="Sweep",
        trial={"command": "x", "environmentId": f"{WORKSPACE}/environments/bare/versions/1"},
        searchSpace={"x": ["uniform", [0, 1]]},
        samplingAlgorithm={"samplingAlgorithmType": "Random"},
        objective={"goal": "maximize", "primaryMetric": "m"},
        limits={"maxTotalTrials": 1, "maxConcurrentTrials": 1},
    )
    await world.settle()
    assert "pandsa" in logs(world, "sweep_0")[BUILD]


async def test_an_end_that_another_controller_writes_is_told_as_well(world: EngineWorld) -> None:
    """As of a step that fails at its birth, for what its inputs lead to."""
    job = world.submit("step")
    ending = failed(job_status.read(job.status), "InputNotFound", "There is nothing at 'x'.", "2026-01-01T00:00:00Z")
    world.database.write_sync(lambda c: save(c, job, ending))
    await world.settle()
    assert "(InputNotFound):\nThere is nothing at 'x'." in logs(world, "step")[OWN]


@pytest.mark.parametrize("phase", [RunPhase.PREPARING, RunPhase.RUNNING])
async def test_what_an_agent_has_written_is_left_alone(world: EngineWorld, phase: RunPhase) -> None:
    world.submit("j")
    await world.settle()
    own = artifacts(world, "j") / "user_logs" / "std_log_process_0.txt"
    own.parent.mkdir(parents=True)
    own.write_text("said")
    world.fake.advance("j", phase)
    world.fake.finish("j", exit_code=3, message="boom")
    await world.settle()
    assert world.status("j").state is JobState.FAILED
    assert logs(world, "j") == {"user_logs/std_log_process_0.txt": "said"}
