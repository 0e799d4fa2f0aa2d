from __future__ import annotations

import pytest

from lazulite.engine.states import IllegalTransition, advance, is_before
from lazulite.model.job_status import JobState, JobStatus


def test_advance_notes_when_a_state_was_entered() -> None:
    status = advance(JobStatus(state=JobState.PREPARING), JobState.RUNNING, "t1")
    assert (status.state, status.start_time, status.end_time) == (JobState.RUNNING, "t1", None)
    ended = advance(status, JobState.COMPLETED, "t2")
    assert [(p.state, p.at) for p in ended.states] == [(JobState.RUNNING, "t1"), (JobState.COMPLETED, "t2")]
    assert ended.end_time == "t2"


def test_entering_the_same_state_again_changes_nothing() -> None:
    status = JobStatus(state=JobState.RUNNING)
    assert advance(status, JobState.RUNNING, "later") is status


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (JobState.COMPLETED, JobState.RUNNING),
        (JobState.CANCELED, JobState.QUEUED),
        (JobState.QUEUED, JobState.RUNNING),
        (JobState.CANCEL_REQUESTED, JobState.RUNNING),
    ],
)
def test_what_may_not_follow_is_refused(before: JobState, after: JobState) -> None:
    with pytest.raises(IllegalTransition):
        advance(JobStatus(state=before), after, "t")


def test_order_on_the_untroubled_way() -> None:
    assert is_before(JobState.QUEUED, JobState.RUNNING)
    assert not is_before(JobState.FINALIZING, JobState.RUNNING)
    assert not is_before(JobState.CANCEL_REQUESTED, JobState.RUNNING)
