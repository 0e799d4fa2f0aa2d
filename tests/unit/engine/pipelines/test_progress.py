"""`Progress` says what `decide` says, and pays for what changed alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

import pytest
from tests.unit.engine.pipelines.plain import decide

from lazulite.engine.pipelines.progress import BATCH, Needs, Progress, Step
from lazulite.model.job_status import JobState

S = JobState
ENDS = (JobState.COMPLETED, JobState.COMPLETED, JobState.COMPLETED, JobState.FAILED, JobState.CANCELED)


def random_graph(chance: random.Random, size: int) -> dict[str, Needs]:
    graph = {}
    for number in range(size):
        wanted = chance.sample(range(number), k=min(number, chance.randint(0, 3)))
        soft = [other for other in wanted if chance.random() < 0.2]
        graph[f"n{number}"] = Needs(frozenset(f"n{n}" for n in wanted), frozenset(f"n{n}" for n in soft))
    return graph


@pytest.mark.parametrize("seed", range(40))
def test_the_same_as_decide(seed: int) -> None:
    chance = random.Random(seed)
    graph = random_graph(chance, 30)
    keep_going, cancel_at = chance.random() < 0.5, chance.choice([None, None, 12])
    progress, states = Progress(graph), dict[str, JobState]()
    for look in range(500):
        rules = {"cancel": cancel_at is not None and look >= cancel_at, "keep_going": keep_going}
        step = progress.next(**rules, batch=4, window=6)
        assert step == decide(graph, states, **rules, batch=4, window=6), look
        if step.ending is not None:
            return
        for name in step.create:
            states[name] = JobState.NOT_STARTED
            progress.learn(name, JobState.NOT_STARTED)
        for name, state in list(states.items()):
            if state in (JobState.NOT_STARTED, JobState.RUNNING) and chance.random() < 0.4:
                states[name] = JobState.RUNNING if state is JobState.NOT_STARTED else chance.choice(ENDS)
                progress.learn(name, states[name])
                if states[name] is JobState.FAILED and chance.random() < 0.3:  # its machine was lost
                    del states[name]
                    progress.learn(name, None)
    raise AssertionError("it comes to no end")


class Counting(Mapping[str, Needs]):
    """A graph that counts how often its nodes are looked at."""

    def __init__(self, graph: dict[str, Needs]) -> None:
        self._graph = graph
        self.looks = 0

    def __getitem__(self, name: str) -> Needs:
        self.looks += 1
        return self._graph[name]

    def __iter__(self) -> Iterator[str]:
        for name in self._graph:
            self.looks += 1
            yield name

    def __len__(self) -> int:
        return len(self._graph)


@pytest.mark.parametrize("width", [1, 50, 3000])
def test_each_node_is_looked_at_some_times_however_many_there_are(width: int) -> None:
    size = 3000
    graph = Counting({f"n{n}": Needs(frozenset({f"n{n - width}"} if n >= width else ())) for n in range(size)})
    progress = Progress(graph)
    waiting: list[str] = []
    while (step := progress.next(cancel=False, keep_going=False)).ending is None:
        for name in step.create:
            progress.learn(name, JobState.NOT_STARTED)
        waiting += step.create
        progress.learn(waiting.pop(0), JobState.COMPLETED)
    assert step.ending is JobState.COMPLETED
    assert graph.looks < 10 * size


GRAPH = {
    "a": Needs(frozenset()),
    "b": Needs(frozenset("a")),
    "c": Needs(frozenset("a")),
    "d": Needs(frozenset("bc"), soft=frozenset("c")),
}


def following(
    graph: dict[str, Needs], states: dict[str, JobState], *, cancel: bool, keep_going: bool, batch: int = BATCH
) -> Step:
    progress = Progress(graph)
    for name, state in states.items():
        progress.learn(name, state)
    return progress.next(cancel=cancel, keep_going=keep_going, batch=batch)


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
    assert following(GRAPH, states, cancel=False, keep_going=False) == expected


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
    assert following(GRAPH, states, cancel=False, keep_going=True) == expected


def test_cancel() -> None:
    assert following(GRAPH, {}, cancel=True, keep_going=True) == Step(ending=S.CANCELED)
    assert following(GRAPH, {"a": S.RUNNING}, cancel=True, keep_going=True) == Step(stop=True)
    assert following(GRAPH, {"a": S.CANCELED}, cancel=True, keep_going=True) == Step(ending=S.CANCELED)


def test_a_wide_pipeline_is_made_in_batches() -> None:
    wide = {str(n): Needs(frozenset()) for n in range(5)}
    assert following(wide, {}, cancel=False, keep_going=False, batch=3) == Step(create=("0", "1", "2"), more=True)
    done = dict.fromkeys("012", S.RUNNING)
    assert following(wide, done, cancel=False, keep_going=False, batch=3) == Step(create=("3", "4"))
