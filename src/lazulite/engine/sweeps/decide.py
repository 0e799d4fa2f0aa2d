"""What is next for a sweep, given its trials. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lazulite.model.job_status import TERMINAL, JobState
from lazulite.model.sweep import SweepSettings


@dataclass(frozen=True, slots=True)
class Trial:
    """`score` is the best value of the primary metric, None as long as the trial runs or where it logged none."""

    number: int
    state: JobState
    score: float | None = None

    @property
    def over(self) -> bool:
        return self.state in TERMINAL


@dataclass(frozen=True, slots=True)
class Decision:
    """Make these trials, ask for the end of those (with why), and end the sweep where `ending` says how."""

    start: range = range(0)
    stop: Mapping[int, str] = field(default_factory=dict)
    ending: JobState | None = None
    message: str = ""


def decide(
    settings: SweepSettings,
    trials: Sequence[Trial],
    created: int,
    *,
    cancel: bool = False,
    elapsed_s: float = 0.0,
    stops: Mapping[int, str] | None = None,
    most_at_once: int = 100,
) -> Decision:
    """The next step. `created` counts the trials ever made; `stops` is what the policy says of running ones."""
    active = [trial for trial in trials if not trial.over]
    late = settings.timeout_s is not None and elapsed_s >= settings.timeout_s
    if cancel or late:
        why = "the sweep was cancelled" if cancel else f"the sweep's timeout of {settings.timeout_s:g} s is over"
        if active:
            return Decision(stop={trial.number: why for trial in active})
        return Decision(ending=JobState.CANCELED, message="" if cancel else f"{why[0].upper()}{why[1:]}.")
    room = min(settings.concurrent, most_at_once) - len(active)
    start = range(created, max(created, min(settings.trials, created + room)))
    if start or active:
        return Decision(start, {number: why for number, why in (stops or {}).items() if _runs(active, number)})
    return _ended(trials)


def best(trials: Sequence[Trial], maximize: bool) -> Trial | None:
    """The trial with the best score: of those that completed, else of those ended early, else of those that failed.

    A trial that runs into its timeout has failed, and may have logged as much as any.
    """
    for state in (JobState.COMPLETED, JobState.CANCELED, JobState.FAILED):
        scored = [(trial.score, trial) for trial in trials if trial.score is not None and trial.state is state]
        if scored:
            pick = max if maximize else min
            return pick(scored, key=lambda one: one[0])[1]
    return None


def _ended(trials: Sequence[Trial]) -> Decision:
    failed = [trial for trial in trials if trial.state is JobState.FAILED]
    if trials and len(failed) == len(trials):
        return Decision(ending=JobState.FAILED, message=f"All {len(trials)} trials of the sweep failed.")
    return Decision(ending=JobState.COMPLETED)


def _runs(active: Sequence[Trial], number: int) -> bool:
    return any(trial.number == number for trial in active)
