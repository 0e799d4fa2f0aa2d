from __future__ import annotations

from typing import Any

import pytest

from lazulite.engine.sweeps.sampling import Known, sampler
from lazulite.model import sweep
from lazulite.model.search_space import Values

SPACE = {"x": ["uniform", [-5, 5]], "kind": ["choice", [["a", "b", {"name": "c", "q": ["normal", [0, 1]]}]]]}


def settings(algorithm: str, space: dict[str, Any] | None = None, seed: int = 1) -> sweep.SweepSettings:
    sampling = {"samplingAlgorithmType": algorithm, "seed": seed}
    if algorithm == "sobol":
        sampling = {"samplingAlgorithmType": "random", "rule": "sobol", "seed": seed}
    return sweep.read(
        "s",
        {
            "searchSpace": space or SPACE,
            "samplingAlgorithm": sampling,
            "objective": {"goal": "minimize", "primaryMetric": "m"},
        },
    )


def loss(values: Values) -> float:
    return float(values["x"] - 2) ** 2


@pytest.mark.parametrize("algorithm", ["random", "sobol", "bayesian"])
def test_a_sampler_made_again_goes_on_as_the_one_before(algorithm: str) -> None:
    first = sampler(settings(algorithm), [])
    drawn, known = [], []
    for number in range(24):
        point, values = first.draw(number)
        drawn.append(values)
        first.tell(number, loss(values))
        known.append(Known(number, point, True, loss(values)))
    for made in (1, 15, 23):
        again = sampler(settings(algorithm), known[:made])
        assert again.draw(made)[1] == drawn[made], made


@pytest.mark.parametrize("algorithm", ["random", "sobol"])
def test_another_seed_draws_otherwise(algorithm: str) -> None:
    assert sampler(settings(algorithm), []).draw(0) != sampler(settings(algorithm, seed=2), []).draw(0)


def test_sobol_points_are_spread_evenly() -> None:
    space = {"x": ["uniform", [0, 1]], "y": ["randint", [8]]}
    drawn = [sampler(settings("sobol", space), []).draw(number)[1] for number in range(16)]
    assert sorted(int(values["x"] * 16) for values in drawn) == list(range(16))
    assert sorted(values["y"] for values in drawn) == sorted([*range(8)] * 2)


def test_grid_goes_through_every_combination() -> None:
    grid = sampler(settings("grid", {"x": ["choice", [[1, 2]]], "y": ["choice", [["a", "b"]]]}), [])
    assert [grid.draw(number)[1] for number in range(4)] == [
        {"x": 1, "y": "a"},
        {"x": 1, "y": "b"},
        {"x": 2, "y": "a"},
        {"x": 2, "y": "b"},
    ]


def test_bayesian_sampling_learns_where_the_good_values_are() -> None:
    learning = sampler(settings("bayesian", {"x": ["uniform", [-5, 5]]}), [])
    drawn = []
    for number in range(50):
        drawn.append(learning.draw(number)[1])
        learning.tell(number, loss(drawn[-1]))
    early, late = drawn[:10], drawn[40:]
    assert sum(map(loss, late)) < sum(map(loss, early)) / 2
    assert min(map(loss, drawn)) < 0.1


def test_bayesian_sampling_bears_failed_running_and_conditional_trials() -> None:
    known = [Known(0, {"x": 0.1, "kind": 0}, True, None), Known(1, {"x": 0.2, "kind": 2, "kind/2/q": 0.5})]
    made = sampler(settings("bayesian"), known)
    made.tell(1, 3.0)
    point, values = made.draw(2)
    assert set(values) == {"x", "kind"}
    assert 0 <= point["x"] <= 1
