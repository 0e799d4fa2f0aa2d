"""Choices and loops made plain, kept up with what changes: which steps there are by now, which nodes are skipped. Pure.

It asks nothing but the states of jobs and what `look` reads, so that a restarted server comes to the same decisions.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from lazulite.core.errors import ApiError
from lazulite.engine.pipelines.progress import Needs, Progress, is_met
from lazulite.model import pipeline_flow as flow
from lazulite.model.job_status import TERMINAL, JobState
from lazulite.model.pipeline_flow import Choice, Control, Flow, Loop, Source, Spread
from lazulite.model.pipeline_graph import Json, OutputOf

#: Reads the text of an input of the pipeline, or of an output of the step named. Raises ApiError where there is none.
Look = Callable[[Source, str | None], str]


@dataclass(slots=True)
class Unfolded:
    """`needs` and `states` are of steps, the states also of control nodes that decided and of loops that are over.

    `skipped` says why, `errors` what went wrong with a control node, `last` is the step that an output of a loop's
    body is taken from, `gathered` the steps of a loop over items, `items` what they run over.
    """

    needs: dict[str, Needs] = field(default_factory=dict)
    states: dict[str, JobState] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    last: dict[str, str] = field(default_factory=dict)
    gathered: dict[str, tuple[str, ...]] = field(default_factory=dict)
    items: dict[str, tuple[Json, ...]] = field(default_factory=dict)
    chosen: dict[str, bool] = field(default_factory=dict)


@dataclass(slots=True)
class _Items:
    """A loop over items: the steps that may not begin yet, and how many of the others wait, run and are over."""

    later: deque[str]
    waiting: int = 0
    active: int = 0
    over: int = 0
    good: int = 0

    def learn(self, before: JobState | None, state: JobState) -> None:
        self.waiting -= before is None
        self.active += (state not in TERMINAL) - (before is not None)
        self.over += state in TERMINAL
        self.good += state is JobState.COMPLETED


def order(needs: Mapping[str, Needs]) -> tuple[str, ...]:
    """Every node after those it needs; of a graph without circles."""
    found: dict[str, None] = {}
    for name in needs:
        waiting = [name]
        while waiting:
            missing = [other for other in needs[waiting[-1]].nodes if other not in found and other in needs]
            if missing:
                waiting += missing
            else:
                found.setdefault(waiting.pop())
    return tuple(found)


class Unfolding:
    """The nodes of a pipeline with choices and loops. `found` and `progress` are up to date once it has `settled`.

    What a node comes to is worked out again only where a node that it waits for was decided or skipped. All of it
    begins anew where a job that was over counts no more.
    """

    def __init__(self, needs: Mapping[str, Needs], what: Flow) -> None:
        self._needs = needs
        self._flow = what
        self._place = {name: place for place, name in enumerate(order(needs))}
        # The nodes that look at a node, and those of them that its end alone decides: control nodes, and the bodies of
        # loops over items, which may have no steps.
        self._after: dict[str, list[str]] = {}
        self._decided_by: dict[str, list[str]] = {}
        for name in self._place:
            for other in needs[name].nodes | what.orders(name):
                self._after.setdefault(other, []).append(name)
                if name in what.controls or isinstance(what.bodies.get(name), Spread):
                    self._decided_by.setdefault(other, []).append(name)
        self._jobs: dict[str, JobState] = {}
        self._begin()

    def learn(self, step: str, state: JobState | None) -> None:
        """A step's job is in that state; None where it has no job, or none that counts."""
        before = self._jobs.get(step)
        if state is before:
            return
        if state is None or before in TERMINAL:
            self._anew = True
        if state is None:
            del self._jobs[step]
            return
        self._jobs[step] = state
        if self._anew:
            return
        self.found.states[step] = state
        self.progress.learn(step, state)
        node, _ = flow.node_of(step)
        if node in self._flow.bodies:
            if node in self._spreads:
                self._spreads[node].learn(before, state)
            self._look_at([node] if state in TERMINAL else ())
        elif state in TERMINAL:
            self._look_at(self._decided_by.get(node, ()))

    @property
    def settled(self) -> bool:
        return not self._anew and not self._due

    def settle(self, look: Look) -> None:
        """Decide what can be decided by now."""
        if self._anew:
            self._begin()
        while self._due:
            self._evaluate(heapq.heappop(self._due)[1], look)

    def news(self) -> list[tuple[str, str, bool]]:
        """What was not told before: nodes that are skipped, with why, and control nodes that failed (True)."""
        told = list(self._news)
        self._news.clear()
        return told

    def _begin(self) -> None:
        self._anew = False
        self.found = Unfolded(states=dict(self._jobs))
        self.progress = Progress()
        for step, state in self._jobs.items():
            self.progress.learn(step, state)
        self._rounds: dict[str, int] = {}
        self._spreads: dict[str, _Items] = {}
        self._news: list[tuple[str, str, bool]] = []
        self._due = [(place, name) for name, place in self._place.items()]  # a heap

    def _look_at(self, names: Iterable[str]) -> None:
        for name in names:
            heapq.heappush(self._due, (self._place[name], name))

    def _evaluate(self, name: str, look: Look) -> None:
        found, needs = self.found, self._needs[name]
        if name in found.skipped or (name in found.states and name in self._flow.bodies):
            return
        reason = self._why_skipped(name, needs)
        if reason is not None:
            self._skip(name, reason)
            return
        gone = needs.soft & found.skipped.keys()
        own = Needs(needs.nodes - gone, needs.soft - gone) if gone else needs
        control, loop = self._flow.controls.get(name), self._flow.bodies.get(name)
        if control is not None:
            if name not in found.states:
                self._decide(control, own, look)
        elif not self._is_open(name):
            return
        elif isinstance(loop, Loop):
            self._iterate(loop, own, look)
        elif isinstance(loop, Spread):
            self._spread(loop, own)
        else:
            self._open(name, own)

    def _why_skipped(self, name: str, needs: Needs) -> str | None:
        found = self.found
        for choice, wanted in self._flow.gates.get(name, ()):
            if found.chosen.get(choice, wanted) != wanted:
                return f"the condition of '{choice}' is {str(not wanted).lower()}"
        for other in sorted((needs.nodes - needs.soft) | self._flow.orders(name)):
            if other in found.skipped:
                return f"'{other}' is skipped"
        return None

    def _skip(self, name: str, reason: str) -> None:
        found = self.found
        found.skipped[name] = reason
        self._news.append((name, reason, False))
        loop = self._flow.bodies.get(name)
        steps = found.gathered.pop(loop.name, ()) if isinstance(loop, Spread) else (flow.step(name, 0),)
        for step in (name, *(steps if loop is not None else ())):
            found.needs.pop(step, None)
            self.progress.skip(step)
        self._look_at(self._after.get(name, ()))

    def _is_open(self, name: str) -> bool:
        """Whether all choices and loops above a node have come to a decision."""
        return all(self.found.states.get(control) is JobState.COMPLETED for control in self._flow.orders(name))

    def _open(self, step: str, needs: Needs) -> None:
        if step not in self.found.needs:
            node, iteration = flow.node_of(step)
            self.found.needs[step] = needs
            self.progress.add(step, needs, (self._place[node], iteration or 0))

    def _come_to(self, name: str, state: JobState) -> None:
        """A control node decided or failed, or a loop is over."""
        self.found.states[name] = state
        self.progress.learn(name, state)
        self._look_at(self._after.get(name, ()))

    def _decide(self, control: Control, needs: Needs, look: Look) -> None:
        """A control node comes to its decision once what it needs is there."""
        found = self.found
        done = all(found.states.get(name) is JobState.COMPLETED for name in needs.nodes)
        if not done or not self._is_open(control.name):
            return
        try:
            if isinstance(control, Choice):
                found.chosen[control.name] = self._condition(control, look)
            elif isinstance(control, Spread):
                found.items[control.name] = self._items(control, look)
        except ApiError as error:
            self._fail(control.name, error.message)
            return
        self._come_to(control.name, JobState.COMPLETED)

    def _condition(self, choice: Choice, look: Look) -> bool:
        if isinstance(choice.condition, bool):
            return choice.condition
        return _is_true(choice.name, self._text(choice.condition, look))

    def _items(self, loop: Spread, look: Look) -> tuple[Json, ...]:
        if isinstance(loop.items, tuple):
            return loop.items
        try:
            return flow.items(self._text(loop.items, look))
        except ValueError as error:
            raise ApiError(400, "InvalidItems", f"items of the loop '{loop.name}' {error}.") from None

    def _text(self, source: Source, look: Look) -> str:
        return look(source, self.found.last.get(source.node, source.node) if isinstance(source, OutputOf) else None)

    def _iterate(self, loop: Loop, needs: Needs, look: Look) -> None:
        """The steps of a loop up to the one that is next, or its end."""
        found, at = self.found, self._rounds.get(loop.body, 0)
        self._open(flow.step(loop.body, 0), needs)
        while True:
            step = flow.step(loop.body, at)
            state = found.states.get(step)
            if state is JobState.COMPLETED:
                found.last[loop.body] = step
                if at + 1 < loop.limit and self._goes_on(loop, step, look):
                    at = self._rounds[loop.body] = at + 1
                    self._open(flow.step(loop.body, at), Needs(frozenset({step})))
                    continue
            if state in TERMINAL and loop.name not in found.errors:
                self._come_to(loop.body, state)
            return

    def _goes_on(self, loop: Loop, step: str, look: Look) -> bool:
        if loop.condition is None:
            return True
        try:
            return _is_true(loop.name, look(OutputOf(loop.body, loop.condition), step))
        except ApiError as error:
            self._fail(loop.name, error.message)
            return False

    def _spread(self, loop: Spread, needs: Needs) -> None:
        """The steps of a loop over items: those that were made, and as many more as may run beside them."""
        found, body = self.found, loop.body
        steps = found.gathered.get(loop.name)
        if steps is None:
            steps = found.gathered[loop.name] = tuple(flow.step(body, n) for n in range(len(found.items[loop.name])))
            self._spreads[body] = _Items(deque(step for step in steps if step not in found.states))
            for step in steps:
                if step in found.states:
                    self._spreads[body].waiting += 1
                    self._spreads[body].learn(None, found.states[step])
                    self._open(step, needs)
        of = self._spreads[body]
        while of.later and (loop.concurrency is None or of.active + of.waiting < loop.concurrency):
            of.waiting += 1
            self._open(of.later.popleft(), needs)
        if of.over == len(steps) and (steps or self._has_all(needs)):
            self._come_to(body, JobState.COMPLETED if of.good == of.over else JobState.FAILED)

    def _has_all(self, needs: Needs) -> bool:
        return all(is_met(needs, name, self.found.states.get(name)) for name in needs.nodes)

    def _fail(self, name: str, message: str) -> None:
        self.found.errors[name] = message
        self._news.append((name, message, True))
        self._come_to(name, JobState.FAILED)


def _is_true(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ApiError(
            400, "InvalidCondition", f"The condition of '{name}' is '{text[:80]}' and must be true or false."
        )
    return text.lower() == "true"
