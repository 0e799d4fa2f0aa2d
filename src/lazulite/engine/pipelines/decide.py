"""What is next for a pipeline, given its graph and how its nodes stand. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lazulite.model.job_status import TERMINAL, JobState

#: Jobs that one pass makes; the rest follows in the next.
BATCH = 200
#: Jobs of a pipeline that are not over at a time: more would only wait, and be looked at while they do.
WINDOW = 1000


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


def decide(
    graph: Mapping[str, Needs],
    states: Mapping[str, JobState],
    *,
    cancel: bool,
    keep_going: bool,
    batch: int = BATCH,
    window: int = WINDOW,
) -> Step:
    """The next step. `states` are those of the nodes that have a job; `keep_going` after a failure."""
    failed = any(state is JobState.FAILED or state is JobState.CANCELED for state in states.values())
    active = sum(state not in TERMINAL for state in states.values())
    if cancel:
        return Step(stop=active > 0, ending=None if active else JobState.CANCELED)
    if failed and not keep_going:
        return Step(stop=active > 0, ending=None if active else _ending(states))
    ready = [name for name, needs in graph.items() if name not in states and _is_ready(needs, states)]
    ready = ready[: max(0, window - active)]
    if ready:
        return Step(create=tuple(ready[:batch]), more=len(ready) > batch)
    if active:
        return Step()
    return Step(ending=_ending(states))


def _is_ready(needs: Needs, states: Mapping[str, JobState]) -> bool:
    for name in needs.nodes:
        state = states.get(name)
        if state is JobState.COMPLETED or (name in needs.soft and state in TERMINAL):
            continue
        return False
    return True


def _ending(states: Mapping[str, JobState]) -> JobState:
    """A pipeline whose node was cancelled by hand has failed: its outputs are not there."""
    good = all(state is JobState.COMPLETED for state in states.values())
    return JobState.COMPLETED if good else JobState.FAILED
