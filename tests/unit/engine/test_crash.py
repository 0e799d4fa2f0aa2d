"""The server dies at any await of the engine: before or after anything that lasts. Nothing is lost, stuck or run twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lazulite.backends.base import Handle, Observation, RunKey
from lazulite.backends.fake import FakeBackend, FakeRun
from lazulite.model.job_status import JobState
from lazulite.model.run_plan import RunOutcome, RunPhase, RunPlan, RunSecrets
from lazulite.store.database import Database
from lazulite.testing.engine_world import EngineWorld


class Crash(BaseException):
    """As kill -9: no handler of the engine sees it."""


class Tripwire:
    """Crashes at the n-th time it is touched; every lasting step touches it before and after."""

    def __init__(self, at: int) -> None:
        self.left = at

    def touch(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash


class CrashingDatabase:
    def __init__(self, inner: Database, wire: Tripwire) -> None:
        self._inner, self._wire = inner, wire

    async def write(self, function: Callable[[Any], Any]) -> Any:
        self._wire.touch()
        result = await self._inner.write(function)
        self._wire.touch()
        return result

    async def read(self, function: Callable[[Any], Any]) -> Any:
        self._wire.touch()
        return await self._inner.read(function)

    def subscribe(self, listener: Any) -> None:
        pass


class CrashingBackend:
    name = "fake"

    def __init__(self, inner: FakeBackend, wire: Tripwire) -> None:
        self._inner, self._wire = inner, wire
        self.capabilities = inner.capabilities

    async def start(self, run: RunKey, plan: RunPlan, secrets: RunSecrets) -> Handle:
        self._wire.touch()
        handle = await self._inner.start(run, plan, secrets)
        self._wire.touch()
        return handle

    async def find(self, run: RunKey) -> Handle | None:
        return await self._inner.find(run)

    async def inspect(self, handle: Handle) -> Observation:
        self._wire.touch()
        return await self._inner.inspect(handle)

    async def stop(self, handle: Handle, grace_s: float) -> None:
        self._wire.touch()
        await self._inner.stop(handle, grace_s)
        self._wire.touch()

    async def forget(self, handle: Handle) -> None:
        self._wire.touch()
        await self._inner.forget(handle)

    async def retain(self, runs: Any) -> None:
        await self._inner.retain(runs)

    def watch(self, changed: Any) -> None:
        pass

    async def close(self) -> None:
        pass


def gets_on(run: FakeRun) -> None:
    """One phase further at each look, to a good end."""
    following = {RunPhase.PREPARING: RunPhase.RUNNING, RunPhase.RUNNING: RunPhase.FINALIZING}
    at = max(run.times.values())
    if run.phase in following:
        run.phase = following[run.phase]
    else:
        run.phase, run.outcome, run.alive, run.exit_code = RunPhase.DONE, RunOutcome.COMPLETED, False, 0
    run.times[run.phase.value] = at


async def live_until_crash(world: EngineWorld, crash_at: int, rounds: int = 6) -> bool:
    """Run an engine that crashes at that point; say whether it did."""
    wire = Tripwire(crash_at)
    database: Any = CrashingDatabase(world.database, wire)
    world.new_engine(database, CrashingBackend(world.fake, wire))
    try:
        await run_rounds(world, rounds)
    except Crash:
        return True
    return False


async def run_rounds(world: EngineWorld, rounds: int = 6) -> None:
    await world.engine.attach()
    for _ in range(rounds):
        await world.settle()
        world.clock.pass_by(10)


async def crashes(world: EngineWorld, prepare: Callable[[str], Any], limit: int = 90) -> AsyncIterator[tuple[int, str]]:
    """A job for each point at which a crash can come, prepared and lived until then; ends at the first without one."""
    for point in range(1, limit):
        job = f"j{point}"
        world.new_engine()
        await prepare(job)
        if not await live_until_crash(world, point):
            assert point > 10, "the points must cover the life of a job"
            return
        yield point, job
    raise AssertionError(f"a job's life has more than {limit} points")


@pytest.fixture
def crash_world(tmp_path: Path) -> Iterator[EngineWorld]:
    world = EngineWorld(tmp_path)
    world.compute("c", most=1)
    yield world
    world.database.close()


def starts(world: EngineWorld, job: str) -> list[int]:
    return [key.attempt for key in world.fake.starts if key.job == job]


@pytest.mark.parametrize("compute", [None, "c"])
async def test_a_crash_anywhere_leaves_a_job_that_completes_and_ran_once(
    crash_world: EngineWorld, compute: str | None
) -> None:
    world = crash_world
    world.fake._played = gets_on

    async def prepare(job: str) -> None:
        world.submit(job, outputs={"o": {}}, **({"computeId": compute} if compute else {}))

    async for point, job in crashes(world, prepare):
        world.new_engine()
        await run_rounds(world)
        assert world.states(job) == ["Queued", "Preparing", "Running", "Finalizing", "Completed"], point
        assert starts(world, job) == [1], point
        assert world.fake.runs == {}, point


async def test_a_crash_anywhere_and_a_cancel_meanwhile_leave_nothing_running(crash_world: EngineWorld) -> None:
    world = crash_world
    world.fake._played = gets_on
    endings = set()

    async def prepare(job: str) -> None:
        world.submit(job, computeId="c")

    async for point, job in crashes(world, prepare):
        if not world.status(job).terminal:
            world.cancel(job)
        world.new_engine()
        await run_rounds(world)
        endings.add(world.status(job).state)
        assert world.status(job).terminal, point
        assert world.fake.runs == {}, point
        assert not [holder for _, holder in world.nodes("c") if holder], point
    assert endings == {JobState.CANCELED, JobState.COMPLETED}


async def test_a_run_that_ends_by_itself_after_a_crash_and_a_cancel_keeps_its_outputs(crash_world: EngineWorld) -> None:
    world, completed = crash_world, 0

    async def prepare(job: str) -> None:
        world.submit(job, outputs={"o": {}})

    async for point, job in crashes(world, prepare):
        world.cancel(job)
        for run in world.fake.runs.values():
            world.fake.finish(run.key.job)
        world.new_engine()
        await run_rounds(world)
        status = world.status(job)
        assert status.terminal, point
        if status.state is JobState.COMPLETED:
            completed += 1
            assert list(status.outputs) == ["o"], point
    assert completed > 1


async def test_a_crash_anywhere_during_a_cancel_still_cancels(crash_world: EngineWorld) -> None:
    world = crash_world

    async def prepare(job: str) -> None:
        world.submit(job)
        await world.settle()
        world.fake.advance(job, RunPhase.RUNNING)
        world.cancel(job)

    async for point, job in crashes(world, prepare):
        world.new_engine()
        await run_rounds(world, 4)
        assert world.status(job).state is JobState.CANCELED, point
        assert world.fake.runs == {}, point


async def test_a_crash_anywhere_during_a_preemption_runs_the_job_again_and_never_twice_at_a_time(
    crash_world: EngineWorld,
) -> None:
    world = crash_world

    async def prepare(job: str) -> None:
        for other in list(world.fake.runs.values()):  # the one that went on beyond its last crash
            world.fake.finish(other.key.job)
        await run_rounds(world, 2)
        world.submit(job, computeId="c")
        await world.settle()
        world.fake.advance(job, RunPhase.RUNNING)
        await world.settle()
        node = world.get(world.compute_id("c")).status["nodes"][0]["nodeId"]
        world.change(world.compute_id("c"), preempted=[node])

    async for point, job in crashes(world, prepare):
        world.new_engine()
        await run_rounds(world, 6)
        assert (world.status(job).attempt, starts(world, job)) == (2, [1, 2]), point
        world.fake.finish(job)
        await run_rounds(world, 3)
        assert world.status(job).state is JobState.COMPLETED, point
        assert world.fake.runs == {}, point
