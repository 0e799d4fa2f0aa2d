from __future__ import annotations

import itertools

import msgspec
import pytest

from lazulite.backends.base import Observation
from lazulite.engine.jobs import decide as steps
from lazulite.engine.jobs.decide import Finish, Launch, Place, Record, Relaunch, Rest, Stop, decide
from lazulite.engine.states import TRANSITIONS, check
from lazulite.model import job_status
from lazulite.model.job_status import TERMINAL, Eviction, JobState, JobStatus
from lazulite.model.run_plan import RunError, RunOutcome, RunPhase

NOW = "2026-01-01T00:00:00.000000Z"
HANDLE = {"id": 1}
REQUEUE = Eviction("Preempted", "taken away", requeue=True)
DELETED = Eviction("ComputeDeleted", "gone")


def a_status(state: JobState = JobState.RUNNING, **more: object) -> JobStatus:
    return msgspec.structs.replace(JobStatus(state=state, nodes=["n"], handle=HANDLE), **more)


def seen(phase: RunPhase | None, **more: object) -> Observation:
    return Observation(phase, **more)  # type: ignore[arg-type]


def test_a_waiting_job_asks_for_a_place_and_a_placed_one_is_launched() -> None:
    assert decide(a_status(JobState.QUEUED, nodes=None, handle=None), False, None, NOW) == Place()
    assert decide(a_status(JobState.QUEUED, handle=None), False, None, NOW) == Launch()


def test_a_job_that_has_not_begun_is_cancelled_at_once() -> None:
    for nodes in (None, ["n"]):
        action = decide(a_status(JobState.QUEUED, nodes=nodes, handle=None), True, None, NOW)
        assert isinstance(action, Finish)
        assert action.status.state is JobState.CANCELED


def test_a_run_that_gets_on_moves_the_job() -> None:
    action = decide(a_status(JobState.PREPARING), False, seen(RunPhase.RUNNING), NOW)
    assert isinstance(action, Record)
    assert (action.status.state, action.status.start_time) == (JobState.RUNNING, NOW)


def test_nothing_new_is_nothing_to_write() -> None:
    assert decide(a_status(), False, seen(RunPhase.RUNNING), NOW) == Rest(steps.LOOK_S)


def test_cancel_is_asked_for_at_every_look_until_the_run_has_ended() -> None:
    first = decide(a_status(), True, seen(RunPhase.RUNNING), NOW)
    assert isinstance(first, Stop)
    assert first.status.state is JobState.CANCEL_REQUESTED
    assert isinstance(decide(first.status, True, seen(RunPhase.RUNNING), NOW), Stop)
    ended = decide(first.status, True, seen(RunPhase.DONE, alive=False, outcome=RunOutcome.CANCELED), NOW)
    assert isinstance(ended, Finish)
    assert ended.status.state is JobState.CANCELED


def test_a_job_that_completed_before_the_cancel_reached_it_is_completed() -> None:
    action = decide(
        a_status(JobState.CANCEL_REQUESTED),
        True,
        seen(RunPhase.DONE, alive=False, outcome=RunOutcome.COMPLETED, exit_code=0),
        NOW,
    )
    assert isinstance(action, Finish)
    assert action.status.state is JobState.COMPLETED


def test_a_preempted_run_is_stopped_and_then_queued_as_the_next_attempt() -> None:
    evicted = a_status(evict=REQUEUE)
    assert isinstance(decide(evicted, False, seen(RunPhase.RUNNING), NOW), Stop)
    action = decide(evicted, False, seen(RunPhase.DONE, alive=False, outcome=RunOutcome.CANCELED), NOW)
    assert isinstance(action, Record)
    after = action.status
    assert (after.state, after.attempt, after.nodes, after.handle, after.evict) == (
        JobState.QUEUED,
        2,
        None,
        None,
        None,
    )


def test_a_job_whose_compute_is_gone_fails_once_its_run_has_ended() -> None:
    action = decide(a_status(evict=DELETED), False, seen(RunPhase.DONE, alive=False, outcome=RunOutcome.CANCELED), NOW)
    assert isinstance(action, Finish)
    assert action.status.error is not None
    assert action.status.error.code == "ComputeDeleted"


def test_a_run_that_never_began_is_started_again_a_few_times() -> None:
    status = a_status(JobState.PREPARING)
    for count in range(1, steps.MAX_LAUNCHES):
        action = decide(status, False, seen(None, alive=False), NOW)
        assert isinstance(action, Relaunch)
        status = action.status
        assert status.launches == count
    assert isinstance(decide(status, False, seen(None, alive=False), NOW), Finish)


def test_a_run_that_had_begun_is_never_started_again_even_when_its_traces_are_gone() -> None:
    for phase in (RunPhase.RUNNING, None):
        action = decide(a_status(start_time=NOW), False, seen(phase, alive=False), NOW)
        assert isinstance(action, Finish)
        assert action.status.error is not None
        assert action.status.error.code == "AgentLost"


def test_a_failure_carries_the_agents_words_and_exit_code() -> None:
    error = RunError(code="UserError/CommandFailed", message="exit code 2")
    action = decide(
        a_status(), False, seen(RunPhase.DONE, alive=False, outcome=RunOutcome.FAILED, exit_code=2, error=error), NOW
    )
    assert isinstance(action, Finish)
    assert action.status.error == job_status.JobError("UserError/CommandFailed", "exit code 2")
    assert action.status.exit_code == 2


@pytest.mark.parametrize("state", list(JobState))
def test_every_situation_has_a_legal_next_step(state: JobState) -> None:
    """All states with all observations: no exception, and each status to be written may follow the one before."""
    observations = [None] + [
        Observation(phase, alive, outcome, times={phase.value: NOW} if phase else {})
        for phase in (None, *RunPhase)
        for alive in (True, False)
        for outcome in (None, *RunOutcome)
        if (outcome is not None) == (phase is RunPhase.DONE) and not (alive and phase in (None, RunPhase.DONE))
    ]
    evictions = (None, REQUEUE, DELETED)
    for cancel, evict, observation in itertools.product((False, True), evictions, observations):
        handle = None if observation is None else HANDLE
        before = a_status(state, evict=evict, handle=handle)
        if state is JobState.NOT_STARTED and handle is not None:
            continue  # no place yet, so no run
        action = decide(before, cancel, observation, NOW)
        if state in TERMINAL:
            assert action == Rest()
            continue
        written = getattr(action, "status", before)
        at = before.state
        for passage in written.states:
            check(at, passage.state)
            at = passage.state
        assert isinstance(action, Finish) == written.terminal


def test_terminal_states_are_final() -> None:
    assert all(not TRANSITIONS[state] for state in TERMINAL)
    assert all(TRANSITIONS[state] for state in JobState if state not in TERMINAL)
