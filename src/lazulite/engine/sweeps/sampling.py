"""Where the next trial lies in the search space.

Random, Sobol and grid points follow from the seed and the trial's number alone. Bayesian ones come from Optuna's TPE
over the trials so far: its study lives in memory and is made again from the stored trials after a restart.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

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
        from lazulite.engine.sweeps.bayesian import Bayesian  # only here: it takes a second to import Optuna

        return Bayesian(settings, known)
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
