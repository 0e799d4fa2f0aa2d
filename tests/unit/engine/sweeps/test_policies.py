from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from lazulite.engine.sweeps.policies import best_value, evaluate
from lazulite.model.sweep import Policy

NAN = float("nan")


def stopped(
    policy: Policy, histories: Mapping[int, Sequence[float]], running: list[int], *, maximize: bool = True
) -> set[int]:
    return set(evaluate(policy, maximize, histories, running, {}).stops)


def test_bandit_by_factor_is_as_documented() -> None:
    policy = Policy("bandit", slack_factor=0.2)  # the best is 0.8: 0.8 / 1.2 = 0.667 is borne
    assert stopped(policy, {0: [0.8], 1: [0.66], 2: [0.67]}, [0, 1, 2]) == {1}
    assert stopped(policy, {0: [0.5], 1: [0.61], 2: [0.59]}, [0, 1, 2], maximize=False) == {1}


def test_bandit_by_amount_is_as_documented() -> None:
    policy = Policy("bandit", slack_amount=0.2)
    assert stopped(policy, {0: [0.8], 1: [0.59], 2: [0.61]}, [0, 1, 2]) == {1}


def test_bandit_spares_the_best_also_where_it_is_negative() -> None:
    policy = Policy("bandit", slack_factor=0.1)
    assert stopped(policy, {0: [-1.0], 1: [-1.05], 2: [-2.0]}, [0, 1, 2]) == {2}
    assert stopped(policy, {0: [-1.0], 1: [-0.95], 2: [0.0]}, [0, 1, 2], maximize=False) == {2}


def test_bandit_compares_up_to_the_same_interval_with_trials_that_are_over_too() -> None:
    policy = Policy("bandit", slack_amount=0.1)
    assert stopped(policy, {0: [0.2, 0.9], 1: [0.15]}, [1]) == set()
    assert stopped(policy, {0: [0.5, 0.9], 1: [0.15]}, [1]) == {1}


def test_median_stopping_compares_the_best_with_the_median_of_averages() -> None:
    policy = Policy("medianstopping")
    histories = {0: [0.5, 0.7], 1: [0.6, 0.8], 2: [0.3, 0.55], 3: [0.1, 0.2]}  # averages .6 .7 .425 .15, median .5125
    assert stopped(policy, histories, [2, 3]) == {3}
    assert stopped(policy, {0: [0.1]}, [0]) == set()


def test_median_stopping_bears_endless_values_and_sums() -> None:
    policy = Policy("medianstopping")
    lost = {2: [float("inf"), float("-inf")], 3: [1.7e308, 1.7e308]}  # averages of no number, both the worst there is
    assert stopped(policy, {0: [0.5, 0.7], 1: [0.6, 0.8], 4: [0.7, 0.9], **lost}, [0, 1, 2, 3], maximize=False) == {3}


def test_truncation_ends_the_worst_share_of_those_that_run() -> None:
    policy = Policy("truncationselection", percentage=40)
    histories = {0: [0.1], 1: [0.2], 2: [0.3], 3: [0.4], 4: [0.5], 5: [0.05]}
    assert stopped(policy, histories, [0, 1, 2, 3, 4]) == {0, 1}
    assert stopped(policy, histories, [3, 4]) == set()
    assert stopped(policy, {0: [1.0], 1: [1.0], 2: [1.0]}, [0, 1, 2]) == set()


def test_intervals_and_delay_say_when_each_trial_is_judged_once() -> None:
    policy = Policy("bandit", interval=2, delay=4, slack_amount=0.1)
    histories = {0: [1.0] * 9, 1: [0.0] * 3}
    assert stopped(policy, histories, [0, 1]) == set()
    later = {0: [1.0] * 9, 1: [0.0] * 5}
    first = evaluate(policy, True, later, [0, 1], {1: 2})
    assert (set(first.stops), first.evaluated) == ({1}, {0: 8, 1: 4})
    assert evaluate(policy, True, later, [0, 1], first.evaluated).stops == {}


def test_a_trial_without_values_or_with_none_that_is_a_number() -> None:
    policy = Policy("bandit", slack_amount=0.1)
    assert stopped(policy, {0: [], 1: [NAN], 2: [0.3]}, [0, 1, 2]) == {1}
    assert stopped(policy, {0: [NAN]}, [0]) == set()


@pytest.mark.parametrize(
    ("values", "highest", "lowest"), [([1.0, NAN, 3.0], 3.0, 1.0), ([NAN], None, None), ([], None, None)]
)
def test_the_best_value(values: list[float], highest: float | None, lowest: float | None) -> None:
    assert (best_value(values, True), best_value(values, False)) == (highest, lowest)
