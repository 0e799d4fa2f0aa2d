from __future__ import annotations

from typing import Any

import pytest

from lazulite.engine.sweeps.decide import Trial, best, decide
from lazulite.model import sweep
from lazulite.model.job_status import JobState

RUNNING, COMPLETED, FAILED, CANCELED = JobState.RUNNING, JobState.COMPLETED, JobState.FAILED, JobState.CANCELED


def settings(**limits: Any) -> sweep.SweepSettings:
    return sweep.read(
        "s",
        {
            "searchSpace": {"x": ["uniform", [0, 1]]},
            "objective": {"goal": "Maximize", "primaryMetric": "m"},
            "limits": {"maxTotalTrials": 5, "maxConcurrentTrials": 2, **limits},
        },
    )


def trials(*states: JobState) -> list[Trial]:
    return [Trial(number, state) for number, state in enumerate(states)]


@pytest.mark.parametrize(
    ("states", "created", "start"),
    [
        ([], 0, [0, 1]),
        ([RUNNING], 1, [1]),
        ([RUNNING, RUNNING], 2, []),
        ([COMPLETED, RUNNING], 2, [2]),
        ([COMPLETED, FAILED, CANCELED], 3, [3, 4]),
        ([COMPLETED, COMPLETED, COMPLETED, COMPLETED, RUNNING], 5, []),
        ([RUNNING, RUNNING, RUNNING], 3, []),
    ],
)
def test_as_many_trials_are_started_as_there_is_room_for(
    states: list[JobState], created: int, start: list[int]
) -> None:
    decision = decide(settings(), trials(*states), created)
    assert (list(decision.start), decision.ending) == (start, None)


def test_the_machine_may_bear_fewer_at_once() -> None:
    assert list(decide(settings(maxConcurrentTrials=5), [], 0, most_at_once=3).start) == [0, 1, 2]


def test_a_deleted_trial_is_not_made_again() -> None:
    assert list(decide(settings(), [Trial(1, RUNNING)], 2).start) == [2]


def test_it_completes_where_a_trial_did_and_fails_where_all_failed() -> None:
    assert decide(settings(), trials(*[FAILED] * 4, COMPLETED), 5).ending is COMPLETED
    assert decide(settings(), trials(*[CANCELED] * 5), 5).ending is COMPLETED
    assert decide(settings(), trials(*[FAILED] * 5), 5).ending is FAILED


@pytest.mark.parametrize("given", [{"cancel": True}, {"elapsed_s": 60.0}])
def test_a_cancel_and_the_timeout_end_the_trials_first_and_the_sweep_then(given: dict[str, Any]) -> None:
    limited = settings(timeout="PT1M")
    first = decide(limited, trials(COMPLETED, RUNNING), 2, **given)
    assert (list(first.start), list(first.stop), first.ending) == ([], [1], None)
    assert decide(limited, trials(COMPLETED, CANCELED), 2, **given).ending is CANCELED
    assert decide(limited, [], 0, **given).ending is CANCELED


def test_before_the_timeout_it_goes_on() -> None:
    assert list(decide(settings(timeout="PT1M"), trials(RUNNING), 1, elapsed_s=59.9).start) == [1]


def test_what_the_policy_says_concerns_running_trials_only() -> None:
    decision = decide(settings(), trials(COMPLETED, RUNNING), 2, stops={0: "late", 1: "bad"})
    assert (dict(decision.stop), list(decision.start)) == ({1: "bad"}, [2])


def test_the_best_is_of_those_that_completed_or_else_ended_early_or_else_failed() -> None:
    done = [Trial(0, COMPLETED, 0.5), Trial(1, CANCELED, 0.9), Trial(2, COMPLETED, 0.7), Trial(3, FAILED, 1.0)]
    assert best(done, maximize=True) == done[2]
    assert best(done, maximize=False) == done[0]
    assert best(done[1:2], maximize=True) == done[1]
    assert best([Trial(0, COMPLETED), Trial(1, FAILED, 1.0)], maximize=True) == Trial(1, FAILED, 1.0)
    assert best([Trial(0, COMPLETED), Trial(1, FAILED), Trial(2, RUNNING, 1.0)], maximize=True) is None
