"""A very large pipeline by the real engine over a database on the disk; only its runs are played, over at once."""

from __future__ import annotations

import asyncio
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.unit.engine.pipelines.test_crash import pipeline

from lazulite.engine import Engine
from lazulite.store.tables import resources as table
from lazulite.testing.at_once import AtOnce, at_once
from lazulite.testing.engine_world import EngineWorld, PlainTokens

#: How many steps can run side by side: each takes from the one so many before it.
WIDTH = 100
_STATE = sa.select(table.c.state).where(table.c.name == "large")


@dataclass(frozen=True, slots=True)
class Found:
    """From the submission to the end."""

    seconds: float
    cpu_s: float
    peak_mib: int


def run(folder: Path, steps: int) -> Found:
    folder.mkdir()
    return asyncio.run(_run(folder, steps))


async def _run(folder: Path, steps: int) -> Found:
    world = EngineWorld(folder, settings={"node_limit": 16})
    engine = Engine(
        world.database,
        [AtOnce(at_once)],
        world.settings,
        world.storage,
        PlainTokens(),
        environments=world.environments,
    )
    await engine.start()
    pipeline(world, "large", {f"n{n}": [f"n{n - WIDTH}"] if n >= WIDTH else [] for n in range(steps)})
    began, cpu = time.perf_counter(), time.process_time()
    while (state := world.database.read_sync(_state)) not in ("Completed", "Failed"):  # noqa: ASYNC110  as a client would
        await asyncio.sleep(0.2)
    found = Found(
        time.perf_counter() - began,
        time.process_time() - cpu,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )
    await engine.stop()
    world.database.close()
    if state != "Completed":
        raise RuntimeError(f"the large pipeline is {state}")
    return found


def _state(c: Any) -> Any:
    return c.scalar(_STATE)
