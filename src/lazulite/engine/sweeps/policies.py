"""Early termination: which running trials do badly enough to be ended. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from lazulite.model.sweep import Policy

_FEWEST = 2
Histories = Mapping[int, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`stops` has why, by trial; `evaluated` the last interval at which each running trial was looked at."""

    stops: dict[int, str]
    evaluated: dict[int, int]


def evaluate(
    policy: Policy, maximize: bool, histories: Histories, running: Sequence[int], evaluated: Mapping[int, int]
) -> Evaluation:
    """Judge each running trial at its newest interval that is due, once.

    `histories` has the values of the primary metric of every trial in the order they were logged; the n-th of them is
    interval n. Trials are due at multiples of the policy's interval from its delay on.
    """
    better = {trial: [_upwards(value, maximize) for value in values] for trial, values in histories.items()}
    looked, stops = {}, {}
    for trial in running:
        before = evaluated.get(trial, 0)
        count = len(better.get(trial, ()))
        at = count - count % policy.interval
        looked[trial] = max(before, at)
        if at > before and at >= policy.delay:
            reason = _judge(policy, maximize, better, running, trial, at)
            if reason is not None:
                stops[trial] = reason
    return Evaluation(stops, looked)


def best_value(values: Sequence[float], maximize: bool) -> float | None:
    """The best of the values, without those that are no number; None where there is none."""
    numbers = [value for value in values if value == value]
    if not numbers:
        return None
    return max(numbers) if maximize else min(numbers)


def _judge(
    policy: Policy, maximize: bool, better: Histories, running: Sequence[int], trial: int, at: int
) -> str | None:
    own = max(better[trial][:at])
    if policy.kind == "bandit":
        best = max(max(values[:at]) for values in better.values() if values)
        limit = best - (policy.slack_amount or _slack(best, policy.slack_factor, maximize))
        return _reason("bandit", own, limit, at, maximize) if own < limit else None
    if policy.kind == "medianstopping":
        averages = [_average(values[:at]) for values in better.values() if len(values) >= at]
        middle = median(averages)
        worse = len(averages) >= _FEWEST and own < middle
        return _reason("median stopping", own, middle, at, maximize) if worse else None
    others = sorted(max(better[other][:at]) for other in running if len(better.get(other, ())) > 0)
    cut = len(others) * policy.percentage // 100
    if cut == 0 or own > others[cut - 1] or own == others[-1]:
        return None
    return _reason("truncation selection", own, others[cut - 1], at, maximize)


def _average(values: Sequence[float]) -> float:
    """The average, the worst there is where endless or very great values have none."""
    try:
        return fmean(values)
    except (OverflowError, ValueError):
        return float("-inf")


def _slack(best: float, factor: float, maximize: bool) -> float:
    """How far from the best is borne: best/(1+factor) where more is better, best*(1+factor) where less is."""
    return abs(best) * (factor / (1 + factor) if maximize else factor)


def _reason(policy: str, own: float, limit: float, at: int, maximize: bool) -> str:
    sign = 1 if maximize else -1
    return f"{policy} at interval {at}: {sign * own:.6g} is worse than {sign * limit:.6g}"


def _upwards(value: float, maximize: bool) -> float:
    """The value turned so that more is better; what is no number is worst."""
    if value != value:
        return float("-inf")
    return value if maximize else -value
