"""Bayesian sampling: Optuna's TPE over the trials so far."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from lazulite.engine.sweeps.sampling import Known
from lazulite.model.search_space import Dimension, Point, Values
from lazulite.model.sweep import SweepSettings

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Bayesian:
    """A sampler whose study lives in memory; a draw hangs on the trials so far and its number alone."""

    def __init__(self, settings: SweepSettings, known: Iterable[Known]) -> None:
        self._settings = settings
        self._numbers: dict[int, int] = {}  # our number of a trial -> the study's
        self._study: Any = optuna.create_study(direction="maximize" if settings.maximize else "minimize")
        self._distributions = {dimension.name: _distribution(dimension) for dimension in settings.space.dimensions()}
        every = {name: self._distributions[name] for name, _ in settings.space.entries}
        self._common = {name: one for name, one in every.items() if not one.single()}
        for trial in sorted(known, key=lambda one: one.number):
            self._remember(trial)

    def draw(self, number: int) -> tuple[Point, Values]:
        # A seed for each number: the draw depends on what is known, not on how long this process has lived.
        seed = random.Random(f"{self._settings.seed}/{number}").getrandbits(31)  # noqa: S311
        self._study.sampler = _Tpe(seed, self._common)
        trial = self._study.ask()
        self._numbers[number] = trial.number

        def pick(dimension: Dimension) -> int | float:
            if dimension.size is None:
                return float(trial.suggest_float(dimension.name, 0.0, 1.0))
            return int(trial.suggest_categorical(dimension.name, list(range(dimension.size))))

        return self._settings.space.draw(pick)

    def tell(self, number: int, score: float | None) -> None:
        state = TrialState.FAIL if score is None else TrialState.COMPLETE
        self._study.tell(self._numbers[number], score, state=state)

    def _remember(self, trial: Known) -> None:
        over = TrialState.FAIL if trial.score is None else TrialState.COMPLETE
        self._numbers[trial.number] = len(self._study.get_trials(deepcopy=False))
        self._study.add_trial(
            optuna.trial.create_trial(
                state=over if trial.over else TrialState.RUNNING,
                value=trial.score if trial.over else None,
                params=trial.point,
                distributions={name: self._distributions[name] for name in trial.point},
            )
        )


class _Tpe(optuna.samplers.TPESampler):
    """Told what to draw together, which Optuna would find out by comparing all trials at every draw."""

    def __init__(self, seed: int, common: dict[str, Any]) -> None:
        super().__init__(seed=seed, multivariate=True, constant_liar=True)
        self._common = common

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return self._common


def _distribution(dimension: Dimension) -> Any:
    if dimension.size is None:
        return FloatDistribution(0.0, 1.0)
    return CategoricalDistribution(list(range(dimension.size)))
