"""What is next for a pipeline."""

from __future__ import annotations

import pytest

from lazulite.engine.pipelines.decide import Needs, Step, decide
from lazulite.model.job_status import JobState

S = JobState
GRAPH = {
    "a": Needs(frozenset()),
    "b": Needs(frozenset("a")),
    "c": Needs(frozenset("a")),
    "d": Needs(frozenset("bc"), soft=frozenset("c")),
}


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({}, Step(create=("a",))),
        ({"a": S.RUNNING}, Step()),
        ({"a": S.COMPLETED}, Step(create=("b", "c"))),
        ({"a": S.COMPLETED, "b": S.RUNNING, "c": S.COMPLETED}, Step()),
        ({"a": S.COMPLETED, "b": S.COMPLETED, "c": S.COMPLETED}, Step(create=("d",))),
        (dict.fromkeys("abcd", S.COMPLETED), Step(ending=S.COMPLETED)),
        ({"a": S.FAILED}, Step(ending=S.FAILED)),
        ({"a": S.COMPLETED, "b": S.FAILED, "c": S.RUNNING}, Step(stop=True)),
        ({"a": S.COMPLETED, "b": S.FAILED, "c": S.CANCELED}, Step(ending=S.FAILED)),
    ],
)
def test_order_and_ending(states: dict[str, JobState], expected: Step) -> None:
    assert decide(GRAPH, states, cancel=False, keep_going=False) == expected


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"a": S.FAILED}, Step(ending=S.FAILED)),
        ({"a": S.COMPLETED, "b": S.FAILED, "c": S.RUNNING}, Step()),
        ({"a": S.COMPLETED, "b": S.COMPLETED, "c": S.FAILED}, Step(create=("d",))),
        ({"a": S.COMPLETED, "b": S.FAILED, "c": S.COMPLETED}, Step(ending=S.FAILED)),
    ],
)
def test_going_on_after_a_failure(states: dict[str, JobState], expected: Step) -> None:
    assert decide(GRAPH, states, cancel=False, keep_going=True) == expected


def test_cancel() -> None:
    assert decide(GRAPH, {}, cancel=True, keep_going=True) == Step(ending=S.CANCELED)
    assert decide(GRAPH, {"a": S.RUNNING}, cancel=True, keep_going=True) == Step(stop=True)
    assert decide(GRAPH, {"a": S.CANCELED}, cancel=True, keep_going=True) == Step(ending=S.CANCELED)


def test_a_wide_pipeline_is_made_in_batches() -> None:
    wide = {str(n): Needs(frozenset()) for n in range(5)}
    assert decide(wide, {}, cancel=False, keep_going=False, batch=3) == Step(create=("0", "1", "2"), more=True)
    done = dict.fromkeys("012", S.RUNNING)
    assert decide(wide, done, cancel=False, keep_going=False, batch=3) == Step(create=("3", "4"))
