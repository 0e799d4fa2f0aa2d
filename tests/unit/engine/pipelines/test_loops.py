"""Choices and loops through the whole engine: killed at random, failing, cancelled, run again."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.unit.engine.pipelines.test_crash import kill_until_it_ends, live
from tests.unit.engine.pipelines.test_unfold import needs_of, ref
from tests.unit.engine.test_crash import gets_on

from lazulite.core.arm_id import PROVIDER
from lazulite.engine.pipelines import children
from lazulite.model.job_status import JobState
from lazulite.store import resources
from lazulite.testing.engine_world import ACCOUNT, WORKSPACE, EngineWorld

COMPONENT = f"{WORKSPACE}/components/step/versions/1"
STORE = "azureml://datastores/workspaceblobstore/paths"
ENVIRONMENT = f"{WORKSPACE}/environments/bare/versions/1"
SPEC = {
    "type": "command",
    "command": "echo ${{inputs.n}}",
    "environment": ENVIRONMENT,
    "is_deterministic": False,
    "inputs": {"n": {"type": "integer", "default": "0"}, "table": {"type": "mltable", "optional": True}},
    "outputs": {"again": {"type": "boolean"}, "next": {"type": "integer"}, "made": {"type": "uri_folder"}},
}
NODES: dict[str, Any] = {
    "start": {},
    "body": {"inputs": {"n": {"value": ref("jobs.start.outputs.next")}}},
    "while": {
        "type": "do_while",
        "body": ref("jobs.body"),
        "condition": "again",
        "mapping": {"next": "n"},
        "limits": {"max_iteration_count": 9},
    },
    "choice": {"type": "if_else", "condition": ref("jobs.body.outputs.again"), "true_block": ref("jobs.never")},
    "never": {},
    "each": {},
    "every": {
        "type": "parallel_for",
        "body": ref("jobs.each"),
        "items": json.dumps([{"n": n} for n in range(5)]),
        "max_concurrency": 2,
        "outputs": {"made": {"value": ref("outputs.all")}, "next": {"value": ref("outputs.numbers")}},
    },
    "last": {
        "inputs": {"table": {"value": ref("jobs.every.outputs.made")}, "n": {"value": ref("jobs.body.outputs.next")}}
    },
}
STEPS = ["start", "body[0]", "body[1]", "body[2]", *(f"each[{n}]" for n in range(5)), "last"]


def pipeline(world: EngineWorld, nodes: dict[str, Any], **properties: Any) -> resources.Resource:
    """A pipeline job as the control plane would store it; every node that is no control node runs one component."""
    kinds = {name: sent.get("type", "command") for name, sent in nodes.items()}
    jobs = {
        n: {"type": kinds[n], **({} if kinds[n] != "command" else {"componentId": COMPONENT}), **nodes[n]}
        for n in nodes
    }
    pinned = {
        name: {
            "type": kinds[name],
            "component": COMPONENT,
            "environment": ENVIRONMENT,
            "code": None,
            "compute": None,
            "needs": sorted(needs.nodes),
            "soft": [],
        }
        for name, needs in needs_of(nodes).items()
    }
    made = world.submit("p", **{"jobType": "Pipeline", "jobs": jobs, "inputs": {}, "outputs": {}, **properties})

    def write(c: Any) -> None:
        component = f"{PROVIDER}/workspaces/components/versions"
        resources.insert(c, resources.new(COMPONENT, component, {"properties": {"componentSpec": SPEC}}), by="test")
        resources.update(c, made.with_(spec={**made.spec, "resolved": {"compute": None, "nodes": pinned}}), by="test")

    world.database.write_sync(write)
    return world.get(made.id)


def will_write(world: EngineWorld, job: resources.Resource, step: str, again: str = "false", number: str = "1") -> None:
    """What a step is going to leave, as its name is known before it is made."""
    folder = world.storage.root / ACCOUNT / "blobs" / "azureml" / children.name_of(job, step, 1)
    (folder / "made").mkdir(parents=True)
    (folder / "made" / "a.txt").write_text(step)
    (folder / "again").write_text(again)
    (folder / "next").write_text(number)


def prepared(world: EngineWorld, **properties: Any) -> resources.Resource:
    outputs = {"all": {"jobOutputType": "mltable"}, "numbers": {"jobOutputType": "uri_file"}}
    job = pipeline(world, NODES, outputs=outputs, **properties)
    for at, step in enumerate(STEPS):
        will_write(world, job, step, "true" if step in ("body[0]", "body[1]") else "false", str(at))
    return job


def states(world: EngineWorld, job: resources.Resource, steps: list[str]) -> dict[str, JobState]:
    found = world.database.read_sync(lambda c: children.states(c, job.key))
    names = {children.name_of(job, step, 1): step for step in steps}
    return {names[name]: state for name, state in found.items()}


def inputs(world: EngineWorld, job: resources.Resource, step: str) -> dict[str, Any]:
    found: dict[str, Any] = world.get(f"{WORKSPACE}/jobs/{children.name_of(job, step, 1)}").properties["inputs"]
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_killed_at_random(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    world = EngineWorld(tmp_path)
    world.fake._played = gets_on
    job = prepared(world)
    await kill_until_it_ends(world, chance, 15, 80)
    status = world.status("p")
    assert status.state is JobState.COMPLETED
    assert states(world, job, STEPS) == dict.fromkeys(STEPS, JobState.COMPLETED)
    assert max(Counter(key.job for key in world.fake.starts).values()) == 1
    assert status.properties == {"lazulite.skipped": "never"}
    assert [inputs(world, job, f"body[{n}]")["n"]["value"] for n in range(3)] == ["0", "1", "2"]
    assert [inputs(world, job, f"each[{n}]")["n"]["value"] for n in range(5)] == ["0", "1", "2", "3", "4"]
    assert inputs(world, job, "last")["n"]["value"] == "3"
    assert status.outputs["numbers"].value == "[4, 5, 6, 7, 8]"
    table = world.storage.root / ACCOUNT / "blobs/azureml/p/every.made"
    assert [(table / str(n) / "a.txt").read_text() for n in range(5)] == [f"each[{n}]" for n in range(5)]
    assert (table / "MLTable").read_text().endswith("- folder: ./3\n- folder: ./4\n")
    world.database.close()


async def test_no_more_items_at_a_time_than_allowed(tmp_path: Path) -> None:
    world = EngineWorld(tmp_path)
    job = prepared(world)
    await world.settle()
    assert set(states(world, job, STEPS)) == {"start", "each[0]", "each[1]"}
    world.fake.finish(children.name_of(job, "each[1]", 1))
    world.clock.pass_by(10)
    await world.settle()
    assert set(states(world, job, STEPS)) == {"start", "each[0]", "each[1]", "each[2]"}
    await world.close()


async def test_a_failed_step_ends_the_loop(tmp_path: Path) -> None:
    world = EngineWorld(tmp_path)
    job = prepared(world, settings={"continue_on_step_failure": True})
    await world.settle()
    world.fake.finish(children.name_of(job, "each[0]", 1), exit_code=1, message="boom")
    world.fake._played = gets_on
    await live(world, 40)
    status = world.status("p")
    assert status.state is JobState.FAILED
    assert status.error is not None
    assert status.error.message == "1 of 10 steps did not complete. 'each[0]': boom"
    assert "last" not in states(world, job, STEPS)
    await world.close()


async def test_cancel_in_a_loop(tmp_path: Path) -> None:
    world = EngineWorld(tmp_path)
    job = prepared(world)
    await world.settle()
    world.cancel("p")
    for _ in range(5):
        world.clock.pass_by(10)
        await world.settle()
    assert world.status("p").state is JobState.CANCELED
    assert set(states(world, job, STEPS).values()) == {JobState.CANCELED}
    await world.close()


async def test_a_condition_that_cannot_be_read_fails_the_pipeline(tmp_path: Path) -> None:
    world = EngineWorld(tmp_path)
    nodes = {"choice": {"type": "if_else", "condition": ref("inputs.flag"), "true_block": ref("jobs.a")}, "a": {}}
    pipeline(world, nodes, inputs={"flag": {"jobInputType": "literal", "value": "perhaps"}})
    await world.settle()
    error = world.status("p").error
    assert error is not None
    assert "The condition of 'choice' is 'perhaps' and must be true or false." in error.message
    assert error.details[0]["target"] == "choice"
    await world.close()


async def test_what_a_loop_gives_comes_before_data_that_was_pinned(tmp_path: Path) -> None:
    world = EngineWorld(tmp_path)
    own = {"inputs": {"table": {"job_input_type": "mltable", "path": "azureml:iris@latest"}}}
    loop = {"type": "do_while", "body": ref("jobs.body"), "mapping": {"made": "table"}}
    items = json.dumps([{"table": {"job_input_type": "mltable", "uri": f"{STORE}/b"}}, {"table": None}])
    nodes = {
        "body": own,
        "while": {**loop, "limits": {"max_iteration_count": 2}},
        "each": own,
        "every": {"type": "parallel_for", "body": ref("jobs.each"), "items": items},
    }
    job = pipeline(world, nodes)
    for step in ("body[0]", "body[1]", "each[0]", "each[1]"):
        will_write(world, job, step)
    pins = {node: {**pinned} for node, pinned in job.spec["resolved"]["nodes"].items()}
    for node in ("body", "each"):
        pins[node]["data"] = {"table": f"{STORE}/iris"}
    world.change(job.id, resolved={**job.spec["resolved"], "nodes": pins})
    world.fake._played = gets_on
    await live(world, 20)
    made = world.status(children.name_of(job, "body[0]", 1)).outputs["made"].uri
    for step, uri in (
        ("body[0]", f"{STORE}/iris"),
        ("body[1]", made),
        ("each[0]", f"{STORE}/b"),
        ("each[1]", f"{STORE}/iris"),
    ):
        assert inputs(world, job, step)["table"] == {"jobInputType": "mltable", "uri": uri}, step
    await world.close()


async def test_a_value_that_does_not_fit_the_input_it_is_for(tmp_path: Path) -> None:
    world = EngineWorld(tmp_path)
    nodes = {"a": {}, "b": {"inputs": {"n": {"value": ref("jobs.a.outputs.again")}}}}
    job = pipeline(world, nodes)
    will_write(world, job, "a")
    world.fake._played = gets_on
    await live(world, 10)
    error = world.status("p").error
    assert error is not None
    assert "Input 'n' of the node 'b' is 'false' and must be a whole number" in error.message
    await world.close()
