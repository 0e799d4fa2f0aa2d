"""`killed_engine.py ROOT`: an engine over the world in ROOT, until every job is over. To be killed at any moment."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from lazulite.backends.local import LocalBackend
from lazulite.core.clock import utc_now
from lazulite.engine import Engine
from lazulite.engine.jobs.controller import active_runs
from lazulite.testing.engine_world import BareEnvironments, EngineWorld, PlainTokens


async def main(root: Path) -> None:
    world = EngineWorld(root)
    engine = Engine(
        world.database,
        [LocalBackend(root / "runs")],
        world.settings,
        world.storage,
        PlainTokens(),
        utc_now,
        environments=BareEnvironments(sys.executable),
        sweep_s=1.0,
    )
    await engine.start()
    while await world.database.read(active_runs):  # noqa: ASYNC110  (the engine tells nobody that it is done)
        await asyncio.sleep(0.05)
    await engine.stop()
    world.database.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
