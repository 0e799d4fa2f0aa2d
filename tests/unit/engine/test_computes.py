"""Clusters and instances through the whole engine, with a fake backend and a manual clock."""

from __future__ import annotations

from lazulite.model.job_status import JobState
from lazulite.model.run_plan import RunPhase
from lazulite.testing.engine_world import EngineWorld


async def test_a_cluster_grows_from_zero_runs_the_job_and_shrinks_again(world: EngineWorld) -> None:
    world.compute("c", most=2, idle="PT60S")
    world.submit("j", computeId="c")
    await world.settle()
    assert world.nodes("c") == [("running", "j")]
    assert world.get(world.compute_id("c")).status["currentNodeCount"] == 1
    world.fake.finish("j")
    await world.settle()
    assert world.nodes("c") == [("idle", None)]
    world.clock.pass_by(61)
    await world.settle()
    assert world.nodes("c") == []


async def test_a_node_takes_its_time_to_boot(tmp_path) -> None:  # type: ignore[no-untyped-def]
    world = EngineWorld(tmp_path, settings={"node_boot_seconds": 30.0})
    world.compute("c")
    world.submit("j", computeId="c")
    await world.settle()
    assert world.nodes("c") == [("preparing", None)]
    assert world.get(world.compute_id("c")).status["allocationState"] == "Resizing"
    assert world.status("j").state is JobState.QUEUED
    assert "coming up" in (world.status("j").activity or "")
    world.clock.pass_by(30)
    await world.engine.loop.settle()  # no sweep: the controller said when to look again
    await world.settle()
    assert world.nodes("c") == [("running", "j")]
    assert world.status("j").state is JobState.PREPARING
    await world.close()


async def test_jobs_wait_for_their_turn(world: EngineWorld) -> None:
    world.compute("c", most=1)
    for name in ("a", "b"):
        world.submit(name, computeId="c")
    await world.settle()
    assert [key.job for key in world.fake.starts] == ["a"]
    world.fake.finish("a")
    await world.settle()
    assert [key.job for key in world.fake.starts] == ["a", "b"]


async def test_a_preempted_node_sends_its_job_back_and_it_runs_again(world: EngineWorld) -> None:
    world.compute("c", most=1, vmPriority="LowPriority")
    world.submit("j", computeId="c")
    await world.settle()
    world.fake.advance("j", RunPhase.RUNNING)
    await world.settle()
    node = world.get(world.compute_id("c")).status["nodes"][0]["nodeId"]
    world.change(world.compute_id("c"), preempted=[node])
    await world.settle()
    status = world.status("j")
    assert status.attempt == 2
    assert world.states("j") == ["Queued", "Preparing", "Running", "Queued", "Preparing"]
    assert node not in (status.nodes or [])
    assert [key.attempt for key in world.fake.starts] == [1, 2]
    assert world.run("j").status == "SCHEDULED"


async def test_deleting_a_compute_fails_the_jobs_that_wait_for_it_and_ends_those_on_it(world: EngineWorld) -> None:
    world.compute("c", most=1)
    for name in ("runs", "waits"):
        world.submit(name, computeId="c")
    await world.settle()
    world.remove(world.compute_id("c"))
    await world.settle()
    for name, code in (("runs", "ComputeDeleted"), ("waits", "ComputeNotFound")):
        error = world.status(name).error
        assert world.status(name).state is JobState.FAILED
        assert error is not None
        assert error.code == code
    assert world.fake.runs == {}


async def test_an_instance_starts_stops_and_restarts(world: EngineWorld) -> None:
    world.compute("ci", "ComputeInstance")
    await world.settle()
    assert world.get(world.compute_id("ci")).state == "Running"
    world.submit("j", computeId="ci")
    await world.settle()
    world.change(world.compute_id("ci"), desired="Stopped")
    await world.settle()
    assert world.get(world.compute_id("ci")).state == "Stopped"
    error = world.status("j").error
    assert error is not None
    assert error.code == "ComputeStopped"
    world.submit("k", computeId="ci")
    await world.settle()
    assert world.status("k").state is JobState.QUEUED
    assert "start it" in (world.status("k").activity or "")
    world.change(world.compute_id("ci"), desired="Started")
    await world.settle()
    assert world.status("k").state is JobState.PREPARING
    world.change(world.compute_id("ci"), restarts=1)
    await world.settle()
    assert world.get(world.compute_id("ci")).state == "Running"
    assert world.status("k").state is JobState.FAILED


async def test_a_booting_instance_passes_through_its_states(tmp_path) -> None:  # type: ignore[no-untyped-def]
    world = EngineWorld(tmp_path, settings={"node_boot_seconds": 30.0})
    world.compute("ci", "ComputeInstance")
    await world.settle()
    assert world.get(world.compute_id("ci")).state == "Creating"
    world.clock.pass_by(30)
    await world.engine.loop.settle()
    assert world.get(world.compute_id("ci")).state == "Running"
    await world.close()


async def test_attached_computes_run_on_this_machine_and_say_so(world: EngineWorld) -> None:
    world.compute("k8s", "Kubernetes")
    world.submit("j", computeId="k8s")
    await world.settle()
    assert world.status("j").state is JobState.PREPARING
    assert "attached as Kubernetes" in world.status("j").notes[0]


async def test_a_flood_of_serverless_jobs_waits_at_the_limit_of_the_machine(tmp_path) -> None:  # type: ignore[no-untyped-def]
    world = EngineWorld(tmp_path, settings={"node_limit": 2})
    for number in range(4):
        world.submit(f"j{number}")
    await world.settle()
    assert len(world.fake.starts) == 2
    assert "this machine runs at a time" in (world.status("j3").activity or "")
    world.fake.finish("j0")
    await world.settle()
    assert [key.job for key in world.fake.starts] == ["j0", "j1", "j2"]
    await world.close()


async def test_a_dedicated_job_takes_the_place_of_a_low_priority_one_which_runs_again_later(tmp_path) -> None:  # type: ignore[no-untyped-def]
    world = EngineWorld(tmp_path, settings={"node_limit": 1})
    world.compute("low", vmPriority="LowPriority")
    world.compute("ded")
    world.submit("l", computeId="low")
    await world.settle()
    world.submit("d", computeId="ded")
    await world.settle()
    assert world.status("d").state is JobState.PREPARING
    assert (world.status("l").state, world.status("l").attempt) == (JobState.QUEUED, 2)
    world.fake.finish("d")
    await world.settle()
    world.fake.finish("l")
    await world.settle()
    assert world.status("l").state is JobState.COMPLETED
    await world.close()
