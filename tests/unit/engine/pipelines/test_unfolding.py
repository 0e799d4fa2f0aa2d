"""`Unfolding` comes to what the plain reading of the whole graph comes to, and pays for what changed alone."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from tests.unit.engine.pipelines import plain
from tests.unit.engine.pipelines.test_unfold import ref

from lazulite.core.errors import ApiError
from lazulite.engine.pipelines import unfold
from lazulite.engine.pipelines.progress import Needs
from lazulite.engine.pipelines.unfold import Unfolding
from lazulite.model import pipeline_flow as flow
from lazulite.model import pipeline_graph as graph
from lazulite.model.job_status import TERMINAL, JobState
from lazulite.model.pipeline_flow import Source, Spread

S = JobState
ENDS = (*[S.COMPLETED] * 5, S.FAILED, S.CANCELED)


def random_nodes(chance: random.Random, size: int) -> dict[str, Any]:
    """Choices and loops over nodes that come later, in and beside each other."""
    nodes: dict[str, Any] = {f"n{n}": {} for n in range(size)}
    taken: set[str] = set()
    several: set[str] = set()
    for n in range(size - 1):
        name, what = f"n{n}", chance.random()
        free = [f"n{m}" for m in range(n + 1, size) if f"n{m}" not in taken]
        if name in taken or not free:
            continue
        if what < 0.25:
            earlier = [f"n{m}" for m in range(n) if "type" not in nodes[f"n{m}"] and f"n{m}" not in several]
            yes, *no = chance.sample(free, chance.randint(1, min(3, len(free))))
            condition = ref(f"jobs.{chance.choice(earlier)}.outputs.x") if earlier else True
            nodes[name] = {"type": "if_else", "true_block": ref(f"jobs.{yes}")}
            nodes[name]["condition"] = chance.choice([True, False, ref("inputs.yes"), condition, condition])
            nodes[name]["false_block"] = [ref(f"jobs.{other}") for other in no]
        elif what < 0.5:
            body = chance.choice(free)
            taken.add(body)
            nodes[name] = {"body": ref(f"jobs.{body}")}
            if chance.random() < 0.5:
                several.add(body)
                known = json.dumps([{"a": k} for k in range(chance.randint(1, 5))])
                nodes[name] |= {"type": "parallel_for", "items": chance.choice([known, known, ref("inputs.items")])}
                nodes[name] |= {"max_concurrency": chance.choice([1, 2, 9])} if chance.random() < 0.7 else {}
            else:
                limits = {"max_iteration_count": chance.randint(1, 5)}
                nodes[name] |= {"type": "do_while", "condition": "go", "mapping": {}, "limits": limits}
    return nodes


def random_needs(chance: random.Random, nodes: dict[str, Any], what: flow.Flow) -> dict[str, Needs]:
    """As they are pinned at submission: after what decides of them, and after nodes that have outputs."""
    found: dict[str, Needs] = {}
    for at, name in enumerate(nodes):
        earlier = list(nodes)[:at]
        several = {loop.body for loop in what.controls.values() if isinstance(loop, Spread)}
        none = {control.name for control in what.controls.values() if not isinstance(control, Spread)}
        sources = [other for other in earlier if other not in none | several]
        wanted = chance.sample(sources, k=min(len(sources), chance.choice([0, 0, 1, 2])))
        soft = {other for other in wanted if name not in what.controls and chance.random() < 0.3}
        hard = {producer for other in wanted for producer in what.producers(other)} | what.orders(name)
        hard |= graph.needs(nodes[name])
        hard = {other for other in hard if other in earlier}  # a body may come after who takes from its loop
        found[name] = Needs(frozenset(hard | soft), frozenset(soft - what.orders(name)))
    return found


class Played:
    """A pipeline whose jobs end as chance has it, some of them lost."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        nodes = random_nodes(self.chance, 14)
        self.what = flow.read(nodes)
        self.needs = random_needs(self.chance, nodes, self.what)
        self.states: dict[str, JobState] = {}
        self.values: dict[Any, str] = {}

    def look(self, source: Source, step: str | None) -> str:
        if (source, step) not in self.values:
            if source.name == "items":
                text = json.dumps([{"a": k} for k in range(self.chance.randint(0, 3))])
            else:
                text = self.chance.choice(["true", "false", "True", "false", "maybe"])
            self.values[source, step] = text
        return self.values[source, step]

    def change(self, unfolding: Unfolding) -> None:
        """Some jobs go on."""
        for name, state in list(self.states.items()):
            if state in TERMINAL or self.chance.random() < 0.5:
                continue
            self.states[name] = S.RUNNING if state is S.NOT_STARTED else self.chance.choice(ENDS)
            unfolding.learn(name, self.states[name])
            if self.states[name] is S.FAILED and self.chance.random() < 0.5:  # its machine was lost
                del self.states[name]
                unfolding.learn(name, None)


@pytest.mark.parametrize("seed", range(300))
def test_the_same_as_the_plain_reading(seed: int) -> None:
    played = Played(seed)
    chance = played.chance
    unfolding, keep_going = Unfolding(played.needs, played.what), chance.random() < 0.6
    for look in range(500):
        unfolding.settle(played.look)
        assert unfolding.settled
        found = unfolding.found
        wanted = plain.unfold(unfold.order(played.needs), played.needs, played.what, played.states, played.look)
        assert list(found.skipped) == list(dict.fromkeys([*found.skipped, *wanted.skipped])), look
        assert found.needs.keys() == wanted.needs.keys(), look
        for name in ("states", "errors", "last", "gathered", "items", "chosen"):
            assert getattr(found, name) == getattr(wanted, name), (look, name)
        rules = {"cancel": False, "keep_going": keep_going}
        step = unfolding.progress.next(**rules, batch=3, window=5)
        assert step == plain.decide(wanted.needs, wanted.states, **rules, batch=3, window=5), look
        if step.ending is not None:
            return
        for name in step.create:
            played.states[name] = S.NOT_STARTED
            unfolding.learn(name, S.NOT_STARTED)
        played.change(unfolding)
    raise AssertionError("it comes to no end")


SHAPES: dict[str, Any] = {
    "a loop over items": {
        "each": {},
        "every": {"type": "parallel_for", "body": ref("jobs.each"), "max_concurrency": 4},
    },
    "a loop": {
        "body": {},
        "while": {"type": "do_while", "body": ref("jobs.body"), "condition": "go", "mapping": {}},
    },
    "a choice in a chain": {"if": {"type": "if_else", "condition": True, "true_block": ref("jobs.yes")}, "yes": {}},
}


def evaluations(monkeypatch: pytest.MonkeyPatch, shape: str, size: int) -> int:
    """How often a node is looked at in a pipeline of so many steps."""
    nodes = json.loads(json.dumps(SHAPES[shape]))
    if "every" in nodes:
        nodes["every"]["items"] = json.dumps([{"a": n} for n in range(size)])
    elif "while" in nodes:
        nodes["while"]["limits"] = {"max_iteration_count": size}
    else:
        nodes |= {f"n{n}": {} for n in range(size)}
    what = flow.read(nodes)
    needs = {name: Needs(frozenset(what.orders(name))) for name in nodes}
    needs |= {f"n{n}": Needs(frozenset({f"n{n - 1}"})) for n in range(1, size) if f"n{n}" in nodes}
    looks = 0
    evaluate = Unfolding._evaluate

    def counted(self: Unfolding, name: str, look: Any) -> None:
        nonlocal looks
        looks += 1
        evaluate(self, name, look)

    monkeypatch.setattr(Unfolding, "_evaluate", counted)
    unfolding = Unfolding(needs, what)
    while True:
        unfolding.settle(lambda source, step: "true")
        step = unfolding.progress.next(cancel=False, keep_going=False)
        if step.ending is not None:
            assert step.ending is S.COMPLETED
            return looks
        for state in (S.NOT_STARTED, S.RUNNING, S.COMPLETED):
            for name in step.create:
                unfolding.learn(name, state)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_change_costs_the_same_in_a_large_pipeline(monkeypatch: pytest.MonkeyPatch, shape: str) -> None:
    assert evaluations(monkeypatch, shape, 900) <= 2 * 900 + 10


def test_a_value_that_cannot_be_read_is_told_once() -> None:
    nodes = {"if": {"type": "if_else", "condition": ref("inputs.x"), "true_block": ref("jobs.yes")}, "yes": {}}
    what = flow.read(nodes)

    def look(source: Source, step: str | None) -> str:
        raise ApiError(400, "ValueMissing", "There is no value.")

    unfolding = Unfolding({"if": Needs(frozenset()), "yes": Needs(frozenset({"if"}))}, what)
    unfolding.settle(look)
    assert unfolding.news() == [("if", "There is no value.", True)]
    assert unfolding.news() == []
    assert unfolding.progress.next(cancel=False, keep_going=True).ending is S.FAILED
