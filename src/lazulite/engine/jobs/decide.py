"""What is next for a job, given all that is known about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from lazulite.backends.base import Observation
from lazulite.engine.states import advance, is_before
from lazulite.model.job_status import Eviction, JobError, JobState, JobStatus
from lazulite.model.run_plan import RunOutcome, RunPhase

#: Seconds until a running job is looked at without a hint.
LOOK_S = 5.0
#: Vain starts of one attempt after which the job fails.
MAX_LAUNCHES = 5

_STATE_OF = {
    RunPhase.PREPARING: JobState.PREPARING,
    RunPhase.RUNNING: JobState.RUNNING,
    RunPhase.FINALIZING: JobState.FINALIZING,
}


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do; look again after so many seconds."""

    again: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The job needs a place to run: the pool of computes gives it one."""


@dataclass(frozen=True, slots=True)
class Launch:
    """The job has a place: make the plan and start it."""


@dataclass(frozen=True, slots=True)
class Record:
    """Store this status. With `release` the places of computes may have changed hands."""

    status: JobStatus
    release: bool = False
    again: float | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Store this status, then ask the backend to end the run."""

    status: JobStatus


@dataclass(frozen=True, slots=True)
class Relaunch:
    """Store this status (a vain start more), then start the same attempt again."""

    status: JobStatus


@dataclass(frozen=True, slots=True)
class Finish:
    """Store this terminal status with what follows from it, then forget the run."""

    status: JobStatus


Action = Rest | Place | Launch | Record | Stop | Relaunch | Finish


def decide(status: JobStatus, cancel: bool, observation: Observation | None, now: str) -> Action:
    """The next step. `observation` is of `status.handle`, None without one; `now` is ISO 8601."""
    if status.terminal:
        return Rest()
    if status.handle is None or observation is None:
        return _without_run(status, cancel, now)
    if observation.outcome is not None:
        return _ended(status, cancel, observation, now)
    if not observation.alive:
        return _lost(status, cancel, observation, now)
    return _alive(status, cancel, observation, now)


def failed(status: JobStatus, code: str, message: str, now: str) -> JobStatus:
    """The terminal status of a job that failed before or without a run of its own."""
    return msgspec.structs.replace(advance(status, JobState.FAILED, now), error=JobError(code, message), evict=None)


def requeued(status: JobStatus, note: str, now: str) -> JobStatus:
    """Back into the queue, as the next attempt."""
    return msgspec.structs.replace(
        advance(status, JobState.QUEUED, now),
        attempt=status.attempt + 1,
        launches=0,
        nodes=None,
        handle=None,
        evict=None,
        activity=None,
        notes=[*status.notes, note],
    )


def _without_run(status: JobStatus, cancel: bool, now: str) -> Action:
    if cancel:
        return Finish(advance(status, JobState.CANCELED, now))
    if status.evict is not None:
        return _evicted(status, status.evict, now)
    return Place() if status.nodes is None else Launch()


def _evicted(status: JobStatus, evict: Eviction, now: str) -> Action:
    if evict.requeue and status.state is not JobState.CANCEL_REQUESTED:
        return Record(requeued(status, evict.message, now), release=True)
    return Finish(failed(status, evict.code, evict.message, now))


def _alive(status: JobStatus, cancel: bool, observation: Observation, now: str) -> Action:
    if cancel:
        # The request is repeated at every look: a stop that was lost in a crash is asked for again.
        return Stop(advance(status, JobState.CANCEL_REQUESTED, now))
    if status.evict is not None:
        return Stop(status)
    seen = msgspec.structs.replace(_passed(status, observation, now), activity=observation.activity)
    return Rest(LOOK_S) if seen == status else Record(seen, again=LOOK_S)


def _passed(status: JobStatus, observation: Observation, now: str) -> JobStatus:
    """`status` brought up to where the run is, through the phases it has been in."""
    for phase, state in _STATE_OF.items():
        been = phase in (RunPhase.PREPARING, observation.phase) or phase.value in observation.times
        if been and is_before(status.state, state):
            status = advance(status, state, observation.times.get(phase.value, now))
        if phase is observation.phase:
            break
    return status


def _ended(status: JobStatus, cancel: bool, observation: Observation, now: str) -> Action:
    at = observation.times.get(RunPhase.DONE.value, now)
    if observation.outcome is RunOutcome.CANCELED and not cancel and status.evict is not None:
        return _evicted(status, status.evict, now)
    status = msgspec.structs.replace(
        _passed(status, observation, now), exit_code=observation.exit_code, evict=None, activity=None
    )
    status = msgspec.structs.replace(status, notes=[*status.notes, *observation.notes])
    if observation.outcome is RunOutcome.COMPLETED:
        return Finish(advance(status, JobState.COMPLETED, at))
    if observation.outcome is RunOutcome.CANCELED:
        return Finish(advance(status, JobState.CANCELED, at))
    error = observation.error
    code, message = (error.code, error.message) if error else ("JobFailed", "The job failed without saying why.")
    return Finish(failed(status, code, message, at))


def _lost(status: JobStatus, cancel: bool, observation: Observation, now: str) -> Action:
    if cancel:
        return Finish(advance(status, JobState.CANCELED, now))
    if status.evict is not None:
        return _evicted(status, status.evict, now)
    if observation.phase is not None or status.start_time is not None:
        message = (
            "The agent beside the job is gone without a last word: the machine was restarted, the agent was killed (often "
            "for want of memory), or the run's folder was deleted. What ran of the job was ended. The logs up to then are "
            "kept; submit the job again."
        )
        return Finish(failed(_passed(status, observation, now), "AgentLost", message, now))
    if status.launches + 1 >= MAX_LAUNCHES:
        message = f"The job could not be started: its agent did not come up in {MAX_LAUNCHES} attempts."
        return Finish(failed(status, "LaunchFailed", message, now))
    return Relaunch(msgspec.structs.replace(status, launches=status.launches + 1))
