"""The engine as the server sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

from lazulite.backends.base import Backend
from lazulite.core.clock import Clock, utc_now
from lazulite.engine.computes import ComputeController
from lazulite.engine.erasures import ErasureController
from lazulite.engine.jobs.controller import JobController, active_runs
from lazulite.engine.jobs.environment import EnvironmentPlanner, Environments
from lazulite.engine.jobs.plan import Planned
from lazulite.engine.loop import Loop
from lazulite.engine.pipelines.controller import PipelineController
from lazulite.engine.settings import EngineSettings, Tokens
from lazulite.engine.sweeps.controller import SweepController
from lazulite.store.database import Database
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Resource


class Engine:
    """Moves jobs and computes. The first of `backends` takes new jobs.

    One engine at a time may work on a database: whoever makes it holds the lock on the home.
    """

    def __init__(
        self,
        database: Database,
        backends: Sequence[Backend],
        settings: EngineSettings,
        storage: StorageLocator,
        tokens: Tokens,
        clock: Clock = utc_now,
        *,
        environments: EnvironmentPlanner | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sweep_s: float = 15.0,
    ) -> None:
        self._database = database
        self._warming: asyncio.Task[None] | None = None
        self._backends = list(backends)
        by_name = {backend.name: backend for backend in backends}
        self._environments = environments or Environments(storage, in_containers=settings.container is not None)
        self._jobs = jobs = JobController(
            database, by_name, settings, storage, tokens, self._environments, clock, self.wake
        )
        computes = ComputeController(database, settings, clock)
        sweeps = SweepController(database, settings, storage, clock)
        pipelines = PipelineController(database, settings, storage, clock, self.wake)
        erasures = ErasureController(database, storage, jobs.runs_below)
        self.loop = Loop([jobs, computes, sweeps, pipelines, erasures], monotonic=monotonic, sweep_s=sweep_s)
        database.subscribe(self.loop.hint)

    async def start(self) -> None:
        """Take up everything where it stands: runs that nobody owns are ended, those of jobs are attached to."""
        await self.attach()
        self.loop.start()
        self._warming = asyncio.create_task(self._environments.warm())

    async def attach(self) -> None:
        """The first half of `start`, without the loop."""
        keep = await self._database.read(active_runs)
        for backend in self._backends:
            backend.watch(lambda job_key: self.wake([job_key]))
            await backend.retain(keep)

    async def stop(self) -> None:
        """Let go of everything. Runs go on, and the next engine attaches to them."""
        await self.loop.stop()
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
        for backend in self._backends:
            await backend.close()

    async def plan(self, job: Resource, token: str) -> Planned:
        """What the agent of a command job would be told if it began now, with that token. Raises ApiError."""
        return await self._jobs.plan(job, token)

    def wake(self, keys: Iterable[str]) -> None:
        """Have a look at these resource keys soon. To be called in the event loop's thread."""
        self.loop.notice(keys)
