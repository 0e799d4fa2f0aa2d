"""Where the next trial lies in the search space.

Random, Sobol and grid points follow from the seed and the trial's number alone. Bayesian ones come from Optuna's TPE
over the trials so far: its study lives in memory and is made again from the stored trials after a restart.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from lazulite.model.search_space import Dimension, Point, Space, Values
from lazulite.model.sweep import SweepSettings


@dataclass(frozen=True, slots=True)
class Known:
    """A trial that was drawn: where it lies, whether it is over, and its score where it has one."""

    number: int
    point: Point
    over: bool = False
    score: float | None = None


class Sampler(Protocol):
    def draw(self, number: int) -> tuple[Point, Values]:
        """The point of the trial of that number. Trials are drawn in the order of their numbers."""
        ...

    def tell(self, number: int, score: float | None) -> None:
        """That trial is over."""
        ...


def sampler(settings: SweepSettings, known: Iterable[Known]) -> Sampler:
    """A sampler that goes on after the trials `known`."""
    if settings.algorithm == "bayesian":
        return _Bayesian(settings, known)
    if settings.algorithm == "grid":
        return _Grid(settings.space)
    return _Sobol(settings) if settings.algorithm == "sobol" else _Random(settings)


class _Stateless:
    def tell(self, number: int, score: float | None) -> None:
        """Nothing is learnt."""


class _Grid(_Stateless):
    def __init__(self, space: Space) -> None:
        self._space = space

    def draw(self, number: int) -> tuple[Point, Values]:
        return {}, self._space.grid_values(number)


class _Random(_Stateless):
    def __init__(self, settings: SweepSettings) -> None:
        self._settings = settings

    def draw(self, number: int) -> tuple[Point, Values]:
        source = random.Random(f"{self._settings.seed}/{number}")  # noqa: S311  no secret hangs on it

        def pick(dimension: Dimension) -> int | float:
            return source.random() if dimension.size is None else source.randrange(dimension.size)

        return self._settings.space.draw(pick)


class _Sobol(_Stateless):
    def __init__(self, settings: SweepSettings) -> None:
        self._settings = settings
        self._dimensions = [dimension.name for dimension in settings.space.dimensions()]

    def draw(self, number: int) -> tuple[Point, Values]:
        from scipy.stats import qmc

        engine = qmc.Sobol(len(self._dimensions), scramble=True, rng=self._settings.seed)
        if number > 0:  # SciPy cannot go forward by nothing
            engine.fast_forward(number)
        drawn = dict(zip(self._dimensions, engine.random(1)[0].tolist(), strict=True))

        def pick(dimension: Dimension) -> int | float:
            at = float(drawn[dimension.name])
            return at if dimension.size is None else min(int(at * dimension.size), dimension.size - 1)

        return self._settings.space.draw(pick)


class _Bayesian:
    def __init__(self, settings: SweepSettings, known: Iterable[Known]) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._settings = settings
        self._numbers: dict[int, int] = {}  # our number of a trial -> the study's
        self._study: Any = optuna.create_study(direction="maximize" if settings.maximize else "minimize")
        self._distributions: dict[str, Any] = {
            dimension.name: _distribution(dimension) for dimension in settings.space.dimensions()
        }
        for trial in sorted(known, key=lambda one: one.number):
            self._remember(trial)

    def draw(self, number: int) -> tuple[Point, Values]:
        import optuna

        # A seed for each number: the draw depends on what is known, not on how long this process has lived.
        seed = random.Random(f"{self._settings.seed}/{number}").getrandbits(31)  # noqa: S311
        self._study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        trial = self._study.ask()
        self._numbers[number] = trial.number

        def pick(dimension: Dimension) -> int | float:
            if dimension.size is None:
                return float(trial.suggest_float(dimension.name, 0.0, 1.0))
            return int(trial.suggest_categorical(dimension.name, list(range(dimension.size))))

        return self._settings.space.draw(pick)

    def tell(self, number: int, score: float | None) -> None:
        import optuna

        state = optuna.trial.TrialState.FAIL if score is None else optuna.trial.TrialState.COMPLETE
        self._study.tell(self._numbers[number], score, state=state)

    def _remember(self, trial: Known) -> None:
        import optuna

        states = optuna.trial.TrialState
        state = states.RUNNING if not trial.over else (states.FAIL if trial.score is None else states.COMPLETE)
        self._numbers[trial.number] = len(self._study.get_trials(deepcopy=False))
        self._study.add_trial(
            optuna.trial.create_trial(
                state=state,
                value=trial.score if trial.over else None,
                params=trial.point,
                distributions={name: self._distributions[name] for name in trial.point},
            )
        )


def _distribution(dimension: Dimension) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if dimension.size is None:
        return FloatDistribution(0.0, 1.0)
    return CategoricalDistribution(list(range(dimension.size)))
