"""What is next for a pipeline, worked out of its whole graph at each look: what `Unfolding` and `Progress` come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lazulite.core.errors import ApiError
from lazulite.engine.pipelines.progress import BATCH, WINDOW, Needs, Step
from lazulite.engine.pipelines.unfold import Look, Unfolded
from lazulite.model import pipeline_flow as flow
from lazulite.model.job_status import TERMINAL, JobState
from lazulite.model.pipeline_flow import Choice, Control, Flow, Loop, Source, Spread
from lazulite.model.pipeline_graph import Json, OutputOf


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


def unfold(
    names: Iterable[str], needs: Mapping[str, Needs], what: Flow, states: Mapping[str, JobState], look: Look
) -> Unfolded:
    """`names` are in `order`, `states` those of the steps that have a job."""
    found = Unfolded(states=dict(states))
    for name in names:
        reason = _skipped(found, name, needs[name], what)
        if reason is not None:
            found.skipped[name] = reason
            continue
        own = _left(needs[name], found)
        if name in what.controls:
            _decide(found, what, what.controls[name], own, look)
        elif name not in what.bodies:
            if _is_open(found, what, name):
                found.needs[name] = own
        elif _is_open(found, what, name):
            loop = what.bodies[name]
            if isinstance(loop, Loop):
                _iterate(found, loop, own, look)
            else:
                _spread(found, loop, own)
    return found


def _skipped(found: Unfolded, name: str, needs: Needs, what: Flow) -> str | None:
    for choice, wanted in what.gates.get(name, ()):
        if found.chosen.get(choice, wanted) != wanted:
            return f"the condition of '{choice}' is {str(not wanted).lower()}"
    for other in sorted((needs.nodes - needs.soft) | what.orders(name)):
        if other in found.skipped:
            return f"'{other}' is skipped"
    return None


def _left(needs: Needs, found: Unfolded) -> Needs:
    """Without the optional ones that are skipped."""
    gone = needs.soft & found.skipped.keys()
    return Needs(needs.nodes - gone, needs.soft - gone) if gone else needs


def _is_open(found: Unfolded, what: Flow, name: str) -> bool:
    """Whether all choices and loops above a node have come to a decision."""
    return all(found.states.get(control) is JobState.COMPLETED for control in what.orders(name))


def _decide(found: Unfolded, what: Flow, control: Control, needs: Needs, look: Look) -> None:
    """A control node comes to its decision once what it needs is there."""
    done = all(found.states.get(name) is JobState.COMPLETED for name in needs.nodes)
    if not done or not _is_open(found, what, control.name):
        return
    try:
        if isinstance(control, Choice):
            found.chosen[control.name] = _condition(found, control, look)
        elif isinstance(control, Spread):
            found.items[control.name] = _items(found, control, look)
    except ApiError as error:
        _fail(found, control.name, error.message)
        return
    found.states[control.name] = JobState.COMPLETED


def _condition(found: Unfolded, choice: Choice, look: Look) -> bool:
    if isinstance(choice.condition, bool):
        return choice.condition
    return _is_true(choice.name, _text(found, choice.condition, look))


def _items(found: Unfolded, loop: Spread, look: Look) -> tuple[Json, ...]:
    if isinstance(loop.items, tuple):
        return loop.items
    try:
        return flow.items(_text(found, loop.items, look))
    except ValueError as error:
        raise ApiError(400, "InvalidItems", f"items of the loop '{loop.name}' {error}.") from None


def _text(found: Unfolded, source: Source, look: Look) -> str:
    return look(source, found.last.get(source.node, source.node) if isinstance(source, OutputOf) else None)


def _is_true(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ApiError(
            400, "InvalidCondition", f"The condition of '{name}' is '{text[:80]}' and must be true or false."
        )
    return text.lower() == "true"


def _iterate(found: Unfolded, loop: Loop, needs: Needs, look: Look) -> None:
    """The steps of a loop up to the one that is next, or its end."""
    for iteration in range(loop.limit):
        step = flow.step(loop.body, iteration)
        found.needs[step] = needs if iteration == 0 else Needs(frozenset({flow.step(loop.body, iteration - 1)}))
        state = found.states.get(step)
        if state is JobState.COMPLETED:
            found.last[loop.body] = step
            if iteration + 1 < loop.limit and _goes_on(found, loop, step, look):
                continue
        if state in TERMINAL and loop.name not in found.errors:
            found.states[loop.body] = state
        return


def _goes_on(found: Unfolded, loop: Loop, step: str, look: Look) -> bool:
    if loop.condition is None:
        return True
    try:
        return _is_true(loop.name, look(OutputOf(loop.body, loop.condition), step))
    except ApiError as error:
        _fail(found, loop.name, error.message)
        return False


def _spread(found: Unfolded, loop: Spread, needs: Needs) -> None:
    """The steps of a loop over items: those that were made, and as many more as may run beside them."""
    steps = tuple(flow.step(loop.body, number) for number in range(len(found.items[loop.name])))
    found.gathered[loop.name] = steps
    states = [found.states.get(step) for step in steps]
    active = sum(state is not None and state not in TERMINAL for state in states)
    free = len(steps) if loop.concurrency is None else loop.concurrency - active
    for step, state in zip(steps, states, strict=True):
        if state is None:
            free -= 1
        if state is not None or free >= 0:
            found.needs[step] = needs
    may_end = bool(steps) or _is_ready(needs, found.states)
    if may_end and all(state in TERMINAL for state in states):
        good = all(state is JobState.COMPLETED for state in states)
        found.states[loop.body] = JobState.COMPLETED if good else JobState.FAILED


def _fail(found: Unfolded, name: str, message: str) -> None:
    found.states[name] = JobState.FAILED
    found.errors[name] = message
