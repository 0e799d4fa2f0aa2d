"""How far a pipeline is, kept up with what changes: `decide` at the cost of the change, not of the graph. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from lazulite.engine.pipelines.decide import BATCH, WINDOW, Needs, Step
from lazulite.model.job_status import TERMINAL, JobState

_BAD = (JobState.FAILED, JobState.CANCELED)


class Progress:
    """The nodes of a graph without choices and loops. `next` says what `decide` would say of the states learnt."""

    def __init__(self, graph: Mapping[str, Needs]) -> None:
        self._graph = graph
        self._order = {name: place for place, name in enumerate(graph)}
        self._users: dict[str, list[str]] = {}
        self._unmet: dict[str, int] = {}
        self._ready: list[tuple[int, str]] = []  # a heap; what stands in it may have a job by now
        self._states: dict[str, JobState] = {}
        self._active = 0
        self._bad = 0
        for name, needs in graph.items():
            self._unmet[name] = len(needs.nodes)
            for other in needs.nodes:
                self._users.setdefault(other, []).append(name)
            self._offer(name)

    def learn(self, name: str, state: JobState | None) -> None:
        """A node's job is in that state; None where it has no job, or none that counts."""
        before = self._states.get(name)
        if state is before:
            return
        self._active += _is_active(state) - _is_active(before)
        self._bad += (state in _BAD) - (before in _BAD)
        if state is None:
            del self._states[name]
            self._offer(name)
        else:
            self._states[name] = state
        if state in TERMINAL or before in TERMINAL:
            for user in self._users.get(name, ()):
                needs = self._graph[user]
                self._unmet[user] += _is_met(needs, name, before) - _is_met(needs, name, state)
                self._offer(user)

    def next(self, *, cancel: bool, keep_going: bool, batch: int = BATCH, window: int = WINDOW) -> Step:
        """The next step. The nodes in `create` are not named again until they were learnt to be without a job."""
        if cancel:
            return Step(stop=self._active > 0, ending=None if self._active else JobState.CANCELED)
        if self._bad and not keep_going:
            return Step(stop=self._active > 0, ending=None if self._active else JobState.FAILED)
        create: list[str] = []
        room = max(0, window - self._active)
        while self._ready and len(create) < min(batch, room):
            name = heapq.heappop(self._ready)[1]
            if name not in self._states and self._unmet[name] == 0 and name not in create[-1:]:
                create.append(name)
        if create:
            return Step(create=tuple(create), more=bool(self._ready) and len(create) < room)
        if self._active:
            return Step()
        return Step(ending=JobState.FAILED if self._bad else JobState.COMPLETED)

    def _offer(self, name: str) -> None:
        if self._unmet[name] == 0 and name not in self._states:
            heapq.heappush(self._ready, (self._order[name], name))


def _is_active(state: JobState | None) -> bool:
    return state is not None and state not in TERMINAL


def _is_met(needs: Needs, name: str, state: JobState | None) -> bool:
    return state is JobState.COMPLETED or (name in needs.soft and state in TERMINAL)
