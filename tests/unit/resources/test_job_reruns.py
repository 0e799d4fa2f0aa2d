"""What of a pipeline with loops runs again."""

from __future__ import annotations

from typing import Any

import pytest

from lazulite.core.errors import ApiError
from lazulite.model.job_status import JobState
from lazulite.resources import job_reruns
from lazulite.store import resources
from lazulite.testing.engine_world import WORKSPACE, EngineWorld

NODES: dict[str, Any] = {
    "body": {},
    "while": {
        "type": "do_while",
        "body": "${{parent.jobs.body}}",
        "mapping": {},
        "limits": {"max_iteration_count": 3},
    },
    "each": {},
    "every": {"type": "parallel_for", "body": "${{parent.jobs.each}}", "items": "[{}, {}, {}]"},
    "last": {},
}
NEEDS = {"body": ["while"], "while": [], "each": ["every"], "every": ["body"], "last": ["every", "each"]}


def fresh(world: EngineWorld, start: str | None) -> list[str]:
    """What runs again of a pipeline all of whose steps have run."""
    made = world.submit("p", jobType="Pipeline", jobs=NODES)
    resolved = {"nodes": {name: {"needs": needs} for name, needs in NEEDS.items()}}
    world.change(made.id, resolved=resolved)
    job = world.get(made.id).with_(state=JobState.COMPLETED.value)

    def write(c: Any) -> None:
        for at, step in enumerate([*(f"{b}[{n}]" for b in ("body", "each") for n in range(3)), "last"]):
            child = resources.new(f"{WORKSPACE}/jobs/child-{at}", job.type, {"node": step, "attempt": 1})
            resources.insert(c, child.with_(parent=job.key), by="test")

    world.database.write_sync(write)
    found: list[str] = world.database.read_sync(lambda c: job_reruns.document(c, job, start))["rerun"]["fresh"]
    return found


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (None, []),
        ("last", ["last"]),
        ("each", ["each", "last"]),
        ("each[1]", ["each[1]", "last"]),
        ("body[1]", ["body[1]", "body[2]", "each", "every", "last"]),
        ("while", ["body", "each", "every", "last", "while"]),
    ],
)
def test_from_a_node_or_a_step_of_a_loop(world: EngineWorld, start: str | None, expected: list[str]) -> None:
    assert fresh(world, start) == expected


def test_a_step_of_no_node(world: EngineWorld) -> None:
    with pytest.raises(ApiError, match="has no node 'bdy'; it has body, each, every"):
        fresh(world, "bdy[1]")


@pytest.mark.parametrize(
    ("start", "why"),
    [
        ("each[7]", r"'each' of 'p' had no step 'each\[7\]'; it had each\[0\] to each\[2\]"),
        ("last[0]", r"had no step 'last\[0\]'; it was in no loop"),
        ("last/1", "'last' of 'p' is no pipeline and runs again whole: leave out '/1'"),
    ],
)
def test_a_step_that_there_was_not(world: EngineWorld, start: str, why: str) -> None:
    with pytest.raises(ApiError, match=why):
        fresh(world, start)


def test_a_step_is_fresh_by_itself_or_with_its_node() -> None:
    rerun = {"fresh": ["a[1]", "b"]}
    found = {step for step in ("a", "a[0]", "a[1]", "b", "b[0]") if job_reruns.is_fresh(rerun, step)}
    assert found == {"a[1]", "b", "b[0]"}


@pytest.mark.parametrize("kind", ["parallel", "transfer"])
def test_a_step_that_needs_its_pipeline_does_not_run_alone(world: EngineWorld, kind: str) -> None:
    made = world.submit("child")
    world.change(made.id, resolved={kind: {}}, node="copy", parent="p")
    job = world.get(made.id).with_(state=JobState.COMPLETED.value)
    with pytest.raises(ApiError, match="runs only as the step 'copy' of 'p': run that again from this step"):
        world.database.read_sync(lambda c: job_reruns.document(c, job, None))
