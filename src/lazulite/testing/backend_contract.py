"""What every backend must do, as tests. Subclass `BackendContract`, give it `backend` and `restarted`, and run pytest.

class TestMine(BackendContract):
    @pytest.fixture
    async def backend(self, tmp_path):
        made = MyBackend(tmp_path)
        yield made
        await made.close()

    def restarted(self, backend):
        return MyBackend(backend.root)

    def lose(self, backend, handle):
        os.kill(...)  # what stands beside the run; or `starts_processes = False` where nothing does
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from uv import find_uv_bin

from lazulite.backends.base import Backend, Handle, Observation, RunKey
from lazulite.model.run_plan import EnvironmentPlan, RunOutcome, RunPhase, RunPlan, RunSecrets

WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
ENDS, FAILS, GOES_ON = "exit 0", "exit 3", "sleep 300"
#: Processes in the background, one of them a daemon, that each write the time to a file again and again.
LEAVES = """
writes() {{ while :; do date +%s%N > {folder}/$1; sleep 0.02; done; }}
(writes below & writes beside; true) &
(setsid bash -c "$(declare -f writes); writes daemon" &)
sleep 300
"""
WRITERS = ("below", "beside", "daemon")
LIMIT_S = 60.0


class BackendContract:
    """Runs execute `exit 0`, `exit 3` or `sleep 300` in a bare environment."""

    #: Whether runs are processes of this machine. Say how to `lose` one, then.
    starts_processes = True

    def restarted(self, backend: Backend) -> Backend:
        """Another backend over the same runs, as a server makes it after a restart."""
        raise NotImplementedError

    def lose(self, backend: Backend, handle: Handle) -> None:
        """Kill what stands beside the run and answers for it, as a crash would."""
        raise NotImplementedError

    @pytest.fixture
    def plan(self, tmp_path: Path) -> Callable[[str], RunPlan]:
        environment = EnvironmentPlan(
            key="bare",
            name="bare:1",
            python=sys.version[:4],
            interpreter=getattr(sys, "_base_executable", sys.executable),
        )

        def make(command: str) -> RunPlan:
            return RunPlan(
                job="j",
                command=command,
                environment=environment,
                environments_root=str(tmp_path / "environments"),
                artifacts=str(tmp_path / "artifacts"),
                uv=find_uv_bin(),
                grace_s=0.5,
            )

        return make

    async def test_a_run_ends_with_its_exit_code(self, backend: Backend, plan: Callable[[str], RunPlan]) -> None:
        for number, (command, outcome, code) in enumerate(
            [(ENDS, RunOutcome.COMPLETED, 0), (FAILS, RunOutcome.FAILED, 3)], 1
        ):
            handle = await backend.start(a_run(attempt=number), plan(command), RunSecrets())
            ended = await until(backend, handle, lambda seen: seen.outcome is not None)
            assert (ended.phase, ended.outcome, ended.exit_code) == (RunPhase.DONE, outcome, code)
            assert (ended.error is None) == (code == 0)
            assert not ended.alive
            assert RunPhase.RUNNING.value in ended.times

    async def test_starting_again_gives_the_same_run(self, backend: Backend, plan: Callable[[str], RunPlan]) -> None:
        first = await backend.start(a_run(), plan(GOES_ON), RunSecrets())
        await until(backend, first, running)
        again = await self.restarted(backend).start(a_run(), plan(ENDS), RunSecrets())
        assert again == first
        assert (await backend.inspect(again)).outcome is None
        await end(backend, first)
        assert await backend.start(a_run(), plan(ENDS), RunSecrets()) == first
        assert (await backend.inspect(first)).outcome is RunOutcome.CANCELED

    async def test_a_handle_is_json_and_enough_after_a_restart(
        self, backend: Backend, plan: Callable[[str], RunPlan]
    ) -> None:
        handle = await backend.start(a_run(), plan(GOES_ON), RunSecrets())
        await until(backend, handle, running)
        later = self.restarted(backend)
        stored = json.loads(json.dumps(handle))
        assert (await later.inspect(stored)).phase is RunPhase.RUNNING
        await end(later, stored)

    async def test_a_run_whose_handle_was_not_stored_is_found(
        self, backend: Backend, plan: Callable[[str], RunPlan]
    ) -> None:
        assert await backend.find(a_run()) is None
        handle = await backend.start(a_run(), plan(GOES_ON), RunSecrets())
        assert await self.restarted(backend).find(a_run()) == handle
        assert await backend.find(a_run(attempt=2)) is None
        await end(backend, handle)

    async def test_attempts_are_runs_of_their_own(self, backend: Backend, plan: Callable[[str], RunPlan]) -> None:
        first = await backend.start(a_run(), plan(FAILS), RunSecrets())
        await until(backend, first, lambda seen: seen.outcome is not None)
        second = await backend.start(a_run(attempt=2), plan(ENDS), RunSecrets())
        assert (await until(backend, second, lambda seen: seen.outcome is not None)).outcome is RunOutcome.COMPLETED
        assert (await backend.inspect(first)).outcome is RunOutcome.FAILED

    async def test_stop_may_be_repeated(self, backend: Backend, plan: Callable[[str], RunPlan]) -> None:
        handle = await backend.start(a_run(), plan(GOES_ON), RunSecrets())
        await backend.stop(handle, 0.5)
        await backend.stop(handle, 0.5)
        ended = await until(backend, handle, lambda seen: seen.outcome is not None)
        assert ended.outcome is RunOutcome.CANCELED
        await backend.stop(handle, 0.5)
        assert (await backend.inspect(handle)).outcome is RunOutcome.CANCELED

    async def test_a_time_of_grace_that_is_asked_for_counts(
        self, backend: Backend, plan: Callable[[str], RunPlan]
    ) -> None:
        patient = msgspec.structs.replace(plan(f"trap '' TERM; {GOES_ON} & wait; wait"), grace_s=LIMIT_S)
        handle = await backend.start(a_run(), patient, RunSecrets())
        await until(backend, handle, running)
        began = time.monotonic()
        await backend.stop(handle, 0.1)
        ended = await until(backend, handle, lambda seen: seen.outcome is not None)
        assert ended.outcome is RunOutcome.CANCELED
        assert time.monotonic() - began < LIMIT_S / 2

    async def test_nothing_goes_on_of_a_run_that_was_lost(
        self, backend: Backend, plan: Callable[[str], RunPlan], tmp_path: Path
    ) -> None:
        if not self.starts_processes:
            pytest.skip("this backend starts no processes")
        handle = await backend.start(a_run(), plan(LEAVES.format(folder=tmp_path)), RunSecrets())
        deadline = time.monotonic() + LIMIT_S
        while not all((tmp_path / name).exists() for name in WRITERS):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        self.lose(backend, handle)
        ended = await until(self.restarted(backend), handle, lambda seen: seen.outcome is not None)
        assert (ended.outcome, ended.alive) == (RunOutcome.FAILED, False)
        before = [(tmp_path / name).stat().st_mtime_ns for name in WRITERS]
        await asyncio.sleep(0.1)
        assert [(tmp_path / name).stat().st_mtime_ns for name in WRITERS] == before

    async def test_what_is_forgotten_is_gone(self, backend: Backend, plan: Callable[[str], RunPlan]) -> None:
        handle = await backend.start(a_run(), plan(ENDS), RunSecrets())
        await until(backend, handle, lambda seen: seen.outcome is not None)
        await backend.forget(handle)
        assert await backend.find(a_run()) is None
        await backend.forget(handle)
        await backend.stop(handle, 0.5)
        gone = await backend.inspect(handle)
        assert (gone.phase, gone.alive) == (None, False)

    async def test_retain_ends_what_nobody_owns(self, backend: Backend, plan: Callable[[str], RunPlan]) -> None:
        kept = await backend.start(a_run("kept"), plan(GOES_ON), RunSecrets())
        lost = await backend.start(a_run("lost"), plan(GOES_ON), RunSecrets())
        for handle in (kept, lost):
            await until(backend, handle, running)
        later = self.restarted(backend)
        deadline = time.monotonic() + LIMIT_S
        while await later.find(a_run("lost")) is not None:
            assert time.monotonic() < deadline
            await later.retain([a_run("kept")])
            await asyncio.sleep(0.05)
        assert (await later.inspect(kept)).phase is RunPhase.RUNNING
        await end(later, kept)

    async def test_watchers_are_told_when_a_run_gets_on(self, backend: Backend, plan: Callable[[str], RunPlan]) -> None:
        told: list[str] = []
        backend.watch(told.append)
        handle = await backend.start(a_run(), plan(GOES_ON), RunSecrets())
        await until(backend, handle, running)
        told.clear()
        await backend.stop(handle, 0.5)
        deadline = time.monotonic() + LIMIT_S
        while a_run().job_key not in told:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


def a_run(job: str = "j", attempt: int = 1) -> RunKey:
    return RunKey(WORKSPACE, job, f"{WORKSPACE}/jobs/{job}".lower(), attempt)


def running(seen: Observation) -> bool:
    assert seen.outcome is None, seen.error
    return seen.phase is RunPhase.RUNNING


async def until(backend: Backend, handle: Handle, reached: Callable[[Observation], bool]) -> Observation:
    """Look until it is so."""
    deadline = time.monotonic() + LIMIT_S
    while not reached(seen := await backend.inspect(handle)):
        assert time.monotonic() < deadline, seen
        await asyncio.sleep(0.02)
    return seen


async def end(backend: Backend, handle: Handle) -> None:
    await backend.stop(handle, 0.5)
    await until(backend, handle, lambda seen: seen.outcome is not None)
