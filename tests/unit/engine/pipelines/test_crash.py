"""A server that dies again and again during a pipeline: every step has one job, none is lost, none runs twice."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.long import size
from tests.unit.engine.test_crash import Crash, CrashingBackend, CrashingDatabase, Tripwire, gets_on

from lazulite.core.arm_id import PROVIDER
from lazulite.engine.pipelines import children
from lazulite.model.job_status import JobState
from lazulite.store import resources
from lazulite.testing.engine_world import WORKSPACE, EngineWorld

COMPONENT = f"{WORKSPACE}/components/step/versions/1"
SPEC = {
    "type": "command",
    "command": "echo ${{inputs.text}}",
    "environment": f"{WORKSPACE}/environments/bare/versions/1",
    "is_deterministic": False,
    "inputs": {"text": {"type": "string"}, "data": {"type": "uri_folder", "optional": True}},
    "outputs": {"made": {"type": "uri_folder"}},
}


def pipeline(world: EngineWorld, name: str, needs: dict[str, list[str]], **settings: Any) -> resources.Resource:
    """A pipeline job as the control plane would store it; each node takes the output of those it needs."""
    component = resources.new(
        COMPONENT, f"{PROVIDER}/workspaces/components/versions", {"properties": {"componentSpec": SPEC}}
    )
    jobs, pinned = {}, {}
    for node, wanted in needs.items():
        inputs: dict[str, Any] = {"text": {"job_input_type": "literal", "value": node}}
        if wanted:
            inputs["data"] = {"job_input_type": "literal", "value": f"${{{{parent.jobs.{wanted[0]}.outputs.made}}}}"}
        jobs[node] = {"type": "command", "componentId": COMPONENT, "inputs": inputs, "outputs": {}}
        pinned[node] = {
            "type": "command",
            "component": COMPONENT,
            "environment": SPEC["environment"],
            "code": None,
            "compute": None,
            "needs": wanted,
            "soft": [],
        }
    made = world.submit(name, jobType="Pipeline", jobs=jobs, inputs={}, outputs={}, settings=settings)

    def write(c: Any) -> None:
        if resources.get(c, COMPONENT) is None:
            resources.insert(c, component, by="test")
        resources.update(c, made.with_(spec={**made.spec, "resolved": {"compute": None, "nodes": pinned}}), by="test")

    world.database.write_sync(write)
    return world.get(made.id)


async def live(world: EngineWorld, rounds: int) -> None:
    await world.engine.attach()
    for _ in range(rounds):
        await world.settle()
        world.clock.pass_by(10)


async def kill_until_it_ends(world: EngineWorld, chance: random.Random, fewest: int, most: int) -> None:
    """Run the pipeline `p`, the engine killed after so many calls by chance and made anew, three times at least."""
    kills = 0
    while not world.status("p").terminal:
        wire = Tripwire(chance.randint(fewest, most))
        database: Any = CrashingDatabase(world.database, wire)
        world.new_engine(database, CrashingBackend(world.fake, wire))
        try:
            await live(world, 40)
        except Crash:
            kills += 1
    assert kills >= 3


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_killed_at_random(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    nodes = [f"n{number}" for number in range(size(40, 200))]
    needs = {
        node: sorted(chance.sample(nodes[max(0, at - 20) : at], k=min(at, chance.randint(0, 3))))
        for at, node in enumerate(nodes)
    }
    world = EngineWorld(tmp_path, settings={"node_limit": None})
    world.fake._played = gets_on
    job = pipeline(world, "p", needs)
    await kill_until_it_ends(world, chance, 20, size(120, 600))
    assert world.status("p").state is JobState.COMPLETED
    states = world.database.read_sync(lambda c: children.states(c, job.key))
    assert states == {children.name_of(job, node, 1): JobState.COMPLETED for node in nodes}
    assert max(Counter(key.job for key in world.fake.starts).values()) == 1
    assert world.fake.runs == {}
    world.database.close()


async def test_a_lost_step_runs_again(tmp_path: Path) -> None:
    world = EngineWorld(tmp_path)
    job = pipeline(world, "p", {"a": [], "b": ["a"]})
    await world.settle()
    first = children.name_of(job, "a", 1)
    from lazulite.model.run_plan import RunPhase

    world.fake.advance(first, RunPhase.RUNNING)
    await world.settle()
    world.fake.lose(first)
    await world.settle()
    world.clock.pass_by(10)
    await world.settle()
    assert world.status(first).error.code == "AgentLost"  # type: ignore[union-attr]
    second = children.name_of(job, "a", 2)
    world.fake.finish(second)
    world.clock.pass_by(10)
    await world.settle()
    world.fake.finish(children.name_of(job, "b", 1))
    world.clock.pass_by(10)
    await world.settle()
    assert world.status("p").state is JobState.COMPLETED
    world.database.close()
