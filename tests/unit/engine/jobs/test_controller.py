"""Jobs through the whole engine, with a fake backend and a manual clock."""

from __future__ import annotations

from lazulite.model.job_status import JobState
from lazulite.model.run_plan import RunPhase
from lazulite.store import ownership, resources
from lazulite.testing.engine_world import WORKSPACE, EngineWorld


async def test_a_serverless_job_passes_through_azures_states_and_its_run_follows(world: EngineWorld) -> None:
    world.submit("j")
    await world.settle()
    assert world.status("j").state is JobState.PREPARING
    assert world.run("j").status == "SCHEDULED"
    world.clock.pass_by(2)
    world.fake.advance("j", RunPhase.RUNNING)
    world.clock.pass_by(5)
    await world.settle()
    assert world.run("j").status == "RUNNING"
    world.fake.finish("j")
    await world.settle()
    assert world.states("j") == ["Queued", "Preparing", "Running", "Completed"]
    status = world.status("j")
    assert status.exit_code == 0
    assert status.start_time is not None
    assert status.end_time is not None
    assert status.start_time < status.end_time
    run = world.run("j")
    assert (run.status, run.end_ms) == ("FINISHED", int(world.clock.seconds * 1000))
    assert [key.job for key in world.fake.forgotten] == ["j"]


async def test_states_that_were_passed_between_two_looks_are_told_with_their_times(world: EngineWorld) -> None:
    world.submit("j")
    await world.settle()
    for phase in (RunPhase.RUNNING, RunPhase.FINALIZING):
        world.clock.pass_by(1)
        world.fake.advance("j", phase)
    world.clock.pass_by(1)
    world.fake.finish("j")
    world.clock.pass_by(60)
    await world.settle()
    assert world.states("j") == ["Queued", "Preparing", "Running", "Finalizing", "Completed"]
    times = [passage.at for passage in world.status("j").states]
    assert times == sorted(times)


async def test_a_failing_command_fails_the_job_with_what_the_agent_says(world: EngineWorld) -> None:
    world.submit("j")
    await world.settle()
    world.fake.finish("j", exit_code=3, message="exit code 3: boom")
    await world.settle()
    status = world.status("j")
    assert status.state is JobState.FAILED
    assert status.exit_code == 3
    assert status.error is not None
    assert status.error.message == "exit code 3: boom"
    assert world.run("j").status == "FAILED"


async def test_cancel_ends_a_running_job(world: EngineWorld) -> None:
    world.submit("j")
    await world.settle()
    world.fake.advance("j", RunPhase.RUNNING)
    await world.settle()
    world.cancel("j")
    await world.settle()
    assert world.states("j") == ["Queued", "Preparing", "Running", "CancelRequested", "Canceled"]
    assert world.run("j").status == "KILLED"


async def test_cancel_ends_a_queued_job_without_starting_it(world: EngineWorld) -> None:
    world.compute("c", most=1)
    world.submit("first", computeId="c")
    world.submit("second", computeId="c")
    await world.settle()
    assert world.status("second").state is JobState.QUEUED
    world.cancel("second")
    await world.settle()
    assert world.status("second").state is JobState.CANCELED
    assert [key.job for key in world.fake.starts] == ["first"]


async def test_an_environment_that_is_gone_fails_the_job_and_frees_its_node(world: EngineWorld) -> None:
    world.compute("c", most=1)
    world.submit("j", computeId="c", environmentId=f"{WORKSPACE}/environments/bare/versions/9")
    await world.settle()
    error = world.status("j").error
    assert world.status("j").state is JobState.FAILED
    assert error is not None
    assert "no version" in error.message
    assert world.nodes("c") == [("idle", None)]


async def test_a_lost_agent_fails_a_job_that_had_begun(world: EngineWorld) -> None:
    world.submit("j")
    await world.settle()
    world.fake.advance("j", RunPhase.RUNNING)
    world.fake.lose("j")
    await world.settle()
    error = world.status("j").error
    assert error is not None
    assert error.code == "AgentLost"


async def test_a_backend_that_refuses_is_asked_again_and_then_the_job_fails(world: EngineWorld) -> None:
    world.fake.refusals = 2
    world.submit("j")
    for _ in range(3):
        await world.settle()
        world.clock.pass_by(30)
    assert world.status("j").state is JobState.PREPARING
    world.fake.refusals = 99
    world.submit("k")
    for _ in range(6):
        await world.settle()
        world.clock.pass_by(30)
    error = world.status("k").error
    assert error is not None
    assert error.code == "LaunchFailed"


async def test_outputs_of_a_completed_job_become_assets(world: EngineWorld) -> None:
    outputs = {
        "scores": {"jobOutputType": "uri_folder", "assetName": "my-scores"},
        "model": {"jobOutputType": "mlflow_model", "assetName": "my-model", "assetVersion": "7"},
    }
    world.submit("j", outputs=outputs)
    await world.settle()
    world.fake.finish("j")
    await world.settle()
    found = world.status("j").outputs
    assert found["scores"].uri.endswith("/datastores/workspaceblobstore/paths/azureml/j/scores/")
    assert found["scores"].asset_id is not None
    assert found["scores"].asset_id.endswith("/data/azureml_j_output_data_scores/versions/1")
    scores = world.get(f"{WORKSPACE}/data/my-scores/versions/1")
    assert scores.properties["dataUri"] == found["scores"].uri
    model = world.get(f"{WORKSPACE}/models/my-model/versions/7")
    assert (model.properties["modelType"], model.properties["jobName"]) == ("mlflow_model", "j")


async def test_outputs_of_a_failed_job_do_not_become_assets(world: EngineWorld) -> None:
    world.submit("j", outputs={"scores": {"jobOutputType": "uri_folder", "assetName": "my-scores"}})
    await world.settle()
    world.fake.finish("j", exit_code=1)
    await world.settle()
    name = f"{WORKSPACE}/data/my-scores/versions/1"
    assert world.database.read_sync(lambda c: resources.get(c, name)) is None


async def test_a_change_by_the_user_between_reading_and_writing_loses_nothing(world: EngineWorld) -> None:
    world.submit("j")
    original = world.fake.start

    async def start_while_the_user_edits(run, plan, secrets):  # type: ignore[no-untyped-def]
        world.change(f"{WORKSPACE}/jobs/j", edited=True)
        world.fake.start = original  # type: ignore[method-assign]
        return await original(run, plan, secrets)

    world.fake.start = start_while_the_user_edits  # type: ignore[method-assign]
    await world.settle()
    world.clock.pass_by(1)
    await world.settle()
    assert world.get(f"{WORKSPACE}/jobs/j").spec["edited"] is True
    assert world.status("j").state is JobState.PREPARING
    assert len(world.fake.starts) == 1


async def test_a_job_whose_row_is_deleted_is_stopped_and_forgotten(world: EngineWorld) -> None:
    world.submit("j")
    await world.settle()
    world.remove(f"{WORKSPACE}/jobs/j")
    await world.settle()
    world.clock.pass_by(2)
    await world.settle()
    assert world.fake.runs == {}


async def test_a_job_that_nothing_can_be_made_of_fails_and_is_not_stuck(world: EngineWorld) -> None:
    world.submit("j", limits={"timeout": "for ever"})
    await world.settle()
    error = world.status("j").error
    assert error is not None
    assert error.code == "InternalError"
    assert "for ever" in error.message


async def test_outputs_replace_those_of_a_deleted_job_of_the_same_name(world: EngineWorld) -> None:
    for datastore in ("workspaceblobstore", "workspaceartifactstore"):
        world.submit("j", outputs={"o": {"uri": f"azureml://datastores/{datastore}/paths/x/"}})
        await world.settle()
        world.fake.finish("j")
        await world.settle()
        assert world.status("j").state is JobState.COMPLETED
        made = world.get(f"{WORKSPACE}/data/azureml_j_output_data_o/versions/1")
        assert f"/datastores/{datastore}/" in made.properties["dataUri"]
        world.remove(f"{WORKSPACE}/jobs/j")
        world.database.write_sync(lambda c: ownership.delete_runs(c, WORKSPACE, ["j"]))


async def test_an_asset_version_that_is_taken_is_left_alone_and_noted(world: EngineWorld) -> None:
    for name in ("a", "b"):
        world.submit(name, outputs={"o": {"assetName": "scores", "assetVersion": "1"}})
        await world.settle()
        world.fake.finish(name)
        await world.settle()
    assert world.get(f"{WORKSPACE}/data/scores/versions/1").properties["properties"] == {"azureml.job": "a"}
    assert "there is a version '1' already" in world.status("b").notes[0]
