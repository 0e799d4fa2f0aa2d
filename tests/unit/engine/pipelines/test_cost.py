"""What a step of a pipeline costs does not rise with the number of steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.long import size
from tests.unit.engine.pipelines.test_crash import pipeline

from lazulite.model.job_status import JobState
from lazulite.store.database import Database
from lazulite.testing.at_once import AtOnce, at_once
from lazulite.testing.engine_world import EngineWorld


async def cost(root: Path, needs: dict[str, list[str]]) -> float:
    """Thousands of instructions of SQLite's virtual machine a step: every row that is looked at counts."""
    root.mkdir()
    ticks = [0]

    def tick() -> int:
        ticks[0] += 1
        return 0

    database = Database(f"sqlite:///{root / 'db.sqlite'}")
    sa.event.listen(database.engine, "checkout", lambda c, *_: c.set_progress_handler(tick, 100))
    world = EngineWorld(root, database=database, backend=AtOnce(at_once), settings={"node_limit": 16})
    pipeline(world, "p", needs)
    ticks[0] = 0
    await world.engine.attach()
    await world.settle()
    spent = ticks[0]
    assert world.status("p").state is JobState.COMPLETED
    await world.close()
    return spent / 10 / len(needs)


@pytest.mark.long
@pytest.mark.parametrize("width", [1, 1000], ids=["chain", "fan-out"])
async def test_the_cost_of_a_step(tmp_path: Path, width: int) -> None:
    def shape(size: int) -> dict[str, list[str]]:
        return {f"n{n}": [f"n{n - width}"] if n >= width else [] for n in range(size)}

    few, many = await cost(tmp_path / "few", shape(20)), await cost(tmp_path / "many", shape(size(60, 120)))
    assert many < 1.2 * few
