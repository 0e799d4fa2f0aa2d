"""What is next for a pipeline, kept up with what changes, at the cost of the change and not of the graph. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

from lazulite.model.job_status import TERMINAL, JobState

#: Jobs that one pass makes; the rest follows in the next.
BATCH = 200
#: Jobs of a pipeline that are not over at a time: more would only wait, and be looked at while they do.
WINDOW = 1000

#: Of a node, and within its loop.
Place = tuple[int, int]
_BAD = (JobState.FAILED, JobState.CANCELED)


@dataclass(frozen=True, slots=True)
class Needs:
    """The nodes that a node waits for. Those in `soft` may fail: only optional inputs come from them."""

    nodes: frozenset[str]
    soft: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """`create`: nodes whose jobs are to be made. `stop`: what runs is to be cancelled. `ending`: it is over, that way.

    `more` says that further nodes wait only for a next pass.
    """

    create: tuple[str, ...] = ()
    stop: bool = False
    ending: JobState | None = None
    more: bool = False


class Progress:
    """The steps of a pipeline, and the states of their jobs as they were learnt."""

    def __init__(self, graph: Mapping[str, Needs] | None = None) -> None:
        self._needs: dict[str, Needs] = {}
        self._place: dict[str, Place] = {}
        self._users: dict[str, list[str]] = {}
        self._unmet: dict[str, int] = {}
        self._ready: list[tuple[Place, str]] = []  # a heap; what stands in it may have a job by now
        self._states: dict[str, JobState] = {}
        self._active = 0
        self._bad = 0
        for at, (name, needs) in enumerate((graph or {}).items()):
            self.add(name, needs, (at, 0))

    def add(self, name: str, needs: Needs, place: Place) -> None:
        """A further step; those that are ready begin in the order of their places."""
        self._needs[name] = needs
        self._place[name] = place
        self._unmet[name] = sum(not is_met(needs, other, self._states.get(other)) for other in needs.nodes)
        for other in needs.nodes:
            self._users.setdefault(other, []).append(name)
        self._offer(name)

    def skip(self, name: str) -> None:
        """There will be no such step: those that can do without it wait for it no more."""
        if self._needs.pop(name, None) is not None:
            del self._unmet[name]
        for user in self._users.pop(name, ()):
            if user in self._needs and name in self._needs[user].soft:
                self._unmet[user] -= 1
                self._offer(user)

    def learn(self, name: str, state: JobState | None) -> None:
        """A step's job is in that state; None where it has no job, or none that counts."""
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
                if user not in self._needs:
                    continue
                needs = self._needs[user]
                self._unmet[user] += is_met(needs, name, before) - is_met(needs, name, state)
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
            if name not in self._states and self._unmet.get(name) == 0 and name not in create[-1:]:
                create.append(name)
        if create:
            return Step(create=tuple(create), more=bool(self._ready) and len(create) < room)
        if self._active:
            return Step()
        return Step(ending=JobState.FAILED if self._bad else JobState.COMPLETED)

    def _offer(self, name: str) -> None:
        if self._unmet.get(name) == 0 and name not in self._states:
            heapq.heappush(self._ready, (self._place[name], name))


def is_met(needs: Needs, name: str, state: JobState | None) -> bool:
    """Whether a node waits no more for another one that it needs, which is in that state."""
    return state is JobState.COMPLETED or (name in needs.soft and state in TERMINAL)


def _is_active(state: JobState | None) -> bool:
    return state is not None and state not in TERMINAL
