"""Steps that stand for a job that did the same before."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.engine.pipelines import test_crash

from lazulite.engine.jobs.record import JOBS
from lazulite.engine.pipelines import children
from lazulite.store import resources
from lazulite.testing.at_once import AtOnce, at_once
from lazulite.testing.engine_world import ACCOUNT, WORKSPACE, EngineWorld


async def test_however_often_a_step_is_reused_one_job_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_crash, "SPEC", {**test_crash.SPEC, "is_deterministic": True})
    world = EngineWorld(tmp_path, backend=AtOnce(at_once))
    await world.engine.attach()
    steps = []
    for name in ("first", "second", "third"):
        job = test_crash.pipeline(world, name, {"n": []})
        steps.append(children.name_of(job, "n", 1))
        (world.storage.root / ACCOUNT / "blobs/azureml" / steps[0] / "made").mkdir(parents=True, exist_ok=True)
        await world.settle()
    ran, *others = (world.get(f"{WORKSPACE}/jobs/{step}") for step in steps)
    assert ran.label is not None
    found = world.database.read_sync(lambda c: resources.labelled(c, WORKSPACE, JOBS, str(ran.label)))
    assert [row.name for row in found] == [ran.name]
    assert [row.spec["reusedFrom"] for row in others] == [ran.name, ran.name]
    runs = [world.run(row.name) for row in others]
    assert all(run.status == "FINISHED" and run.end_ms is not None for run in runs)
    await world.close()
