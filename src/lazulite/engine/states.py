"""Which state of a job may follow which. Every write of a job's status passes through `advance`."""

from __future__ import annotations

import msgspec

from lazulite.model.job_status import TERMINAL, JobState, JobStatus, Passage

S = JobState
_ENDINGS = {S.FAILED, S.CANCELED, S.CANCEL_REQUESTED}

#: The way of a job that meets no trouble. Provisioning and Starting are passed only where they take time.
LINE = (S.NOT_STARTED, S.QUEUED, S.PROVISIONING, S.PREPARING, S.STARTING, S.RUNNING, S.FINALIZING, S.COMPLETED)

#: Going back to Queued is a re-queueing: the nodes were taken away, or the agent never came up.
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    S.NOT_STARTED: frozenset({S.QUEUED, *_ENDINGS}),
    S.QUEUED: frozenset({S.PROVISIONING, S.PREPARING, *_ENDINGS}),
    S.PROVISIONING: frozenset({S.QUEUED, S.PREPARING, *_ENDINGS}),
    S.PREPARING: frozenset({S.QUEUED, S.STARTING, S.RUNNING, S.FINALIZING, S.COMPLETED, *_ENDINGS}),
    S.STARTING: frozenset({S.QUEUED, S.RUNNING, S.FINALIZING, S.COMPLETED, *_ENDINGS}),
    S.RUNNING: frozenset({S.QUEUED, S.FINALIZING, S.COMPLETED, *_ENDINGS}),
    S.FINALIZING: frozenset({S.QUEUED, S.COMPLETED, *_ENDINGS}),
    S.CANCEL_REQUESTED: frozenset({S.COMPLETED, S.FAILED, S.CANCELED}),
    S.COMPLETED: frozenset(),
    S.FAILED: frozenset(),
    S.CANCELED: frozenset(),
}


class IllegalTransition(Exception):
    """A state was to follow one that it may not follow: a programming error, never a user's."""


def check(before: JobState, after: JobState) -> None:
    """Raises IllegalTransition. Staying in a state is always allowed."""
    if before is not after and after not in TRANSITIONS[before]:
        raise IllegalTransition(f"{before} -> {after}")


def advance(status: JobStatus, state: JobState, at: str) -> JobStatus:
    """`status` in a new state, entered at `at`; unchanged where it is in that state. Raises IllegalTransition."""
    if status.state is state:
        return status
    check(status.state, state)
    changes: dict[str, object] = {"state": state, "states": [*status.states, Passage(state, at)]}
    if state is S.RUNNING:
        changes["start_time"] = at
    if state in TERMINAL:
        changes["end_time"] = at
    return msgspec.structs.replace(status, **changes)


def is_before(state: JobState, other: JobState) -> bool:
    """Whether `state` comes before `other` on the untroubled way."""
    return state in LINE and other in LINE and LINE.index(state) < LINE.index(other)
