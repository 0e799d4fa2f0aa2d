from __future__ import annotations

import math
from typing import Any

import pytest

from lazulite.core.errors import ApiError
from lazulite.model.search_space import Dimension, parse


def value(distribution: list[Any], at: float) -> Any:
    return parse({"x": distribution}).values({"x": at})["x"]


@pytest.mark.parametrize(
    ("distribution", "at", "expected"),
    [
        (["uniform", [2, 4]], 0.25, 2.5),
        (["loguniform", [0, 2]], 0.5, math.e),
        (["quniform", [10, 30, 5]], 0.6, 20),
        (["quniform", [0, 1, 0.1]], 0.3, 0.3),
        (["qloguniform", [0, 5, 2]], 1.0, 148),
        (["normal", [10, 3]], 0.5, 10.0),
        (["lognormal", [1, 2]], 0.5, math.e),
        (["qnormal", [10.3, 3, 2]], 0.5, 10),
        (["qlognormal", [3, 1, 5]], 0.5, 20),
        (["randint", [4]], 0.99, 3),
        (["randint", [4]], 1.0, 3),
    ],
)
def test_every_distribution_of_numbers(distribution: list[Any], at: float, expected: Any) -> None:
    found = value(distribution, at)
    assert found == pytest.approx(expected)
    assert type(found) is type(expected)


def test_extremes_are_what_has_to_fit() -> None:
    space = {"a": ["choice", [[1, 99]]], "b": ["quniform", [1, 9, 2]], "c": ["normal", [0, 1]], "d": ["randint", [4]]}
    assert list(parse(space).extremes()) == [("a", 1), ("a", 99), ("b", 0), ("b", 8), ("d", 0), ("d", 3)]


def test_the_ends_of_a_normal_distribution_are_numbers() -> None:
    assert math.isfinite(value(["normal", [0, 1]], 0.0))
    assert math.isfinite(value(["normal", [0, 1]], 1.0))


def test_logbase() -> None:
    assert parse({"x": ["loguniform", [-2, 2]]}, base=10).values({"x": 0.75})["x"] == pytest.approx(10)


def test_choice_of_anything_also_of_objects_with_distributions_of_their_own() -> None:
    space = parse({"model": ["choice", [["tree", {"name": "net", "lr": ["uniform", [0, 1]], "sizes": [1, 2]}]]]})
    assert list(space.dimensions()) == [Dimension("model", 2), Dimension("model/1/lr", None)]
    assert space.values({"model": 0}) == {"model": "tree"}
    assert space.values({"model": 1, "model/1/lr": 0.5}) == {"model": {"name": "net", "lr": 0.5, "sizes": [1, 2]}}
    asked: list[str] = []

    def pick(dimension: Dimension) -> int:
        asked.append(dimension.name)
        return 0

    assert space.draw(pick)[0] == {"model": 0}
    assert asked == ["model"]


def test_grid_has_every_combination_once() -> None:
    space = parse(
        {"a": ["choice", [["x", {"k": ["randint", [2]]}]]], "b": ["quniform", [1, 2, 0.5]], "c": ["randint", [2]]}
    )
    assert space.grid_size() == 3 * 3 * 2
    found = [space.grid_values(index) for index in range(18)]
    assert len({str(values) for values in found}) == 18
    assert found[0] == {"a": "x", "b": 1.0, "c": 0}
    assert found[-1] == {"a": {"k": 1}, "b": 2.0, "c": 1}


@pytest.mark.parametrize("kind", ["uniform", "loguniform", "normal", "lognormal"])
def test_grid_of_a_continuous_distribution_has_no_size(kind: str) -> None:
    assert parse({"a": ["choice", [[1]]], "b": [kind, [1, 2]]}).grid_size() is None


@pytest.mark.parametrize(
    ("space", "target", "says"),
    [
        (None, "properties.searchSpace", "needs searchSpace"),
        ({}, "properties.searchSpace", "at least one"),
        ({"x": 3}, "properties.searchSpace.x", "must be a distribution"),
        ({"x": ["unifrom", [0, 1]]}, "properties.searchSpace.x", "Did you mean 'uniform'"),
        ({"x": ["uniform", [0]]}, "properties.searchSpace.x", "takes min_value, max_value, each a number"),
        ({"x": ["uniform", [None, 1]]}, "properties.searchSpace.x", "each a number"),
        ({"x": ["randint", [10**400]]}, "properties.searchSpace.x", "takes upper, each a number"),
        ({"x": ["uniform", [1, 1]]}, "properties.searchSpace.x", "must be less than"),
        ({"x": ["quniform", [0, 1, 0]]}, "properties.searchSpace.x", "q is 0"),
        ({"x": ["normal", [0, -1]]}, "properties.searchSpace.x", "sigma is -1"),
        ({"x": ["randint", [0]]}, "properties.searchSpace.x", "upper is 0"),
        ({"x": ["choice", [[]]]}, "properties.searchSpace.x", "at least one value"),
        ({"x": ["choice", [[1, {"k": ["normal", [0, 0]]}]]]}, "properties.searchSpace.x[1].k", "sigma is 0"),
        ({"x": ["loguniform", [1, 1000]]}, "properties.searchSpace.x", "takes the logarithms"),
        (
            {"x": ["lognormal", [1000, 1]]},
            "properties.searchSpace.x",
            "lognormal of mu 1000, sigma 1 draws what is no number",
        ),
        ({"x": ["qlognormal", [0, 200, 1]]}, "properties.searchSpace.x", "takes the logarithms"),
        ({"x": ["normal", [0, 1e308]]}, "properties.searchSpace.x", "no number a computer holds.$"),
        ({"x": ["quniform", [0, 1e308, 1e-10]]}, "properties.searchSpace.x", "no number a computer holds.$"),
    ],
)
def test_refusals_name_the_entry(space: Any, target: str, says: str) -> None:
    with pytest.raises(ApiError, match=says.replace("(", r"\(")) as refusal:
        parse(space)
    assert (refusal.value.status, refusal.value.target) == (400, target)
