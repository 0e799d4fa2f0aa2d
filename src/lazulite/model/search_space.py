"""What a sweep draws its trials' values from. Pure: a point of the space in, values out.

A point has, for each dimension, the number of an option or a number between 0 and 1 that the distribution's inverse
makes a value of. So every way of sampling works on the same plain cube, whatever the distributions are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from lazulite.core.errors import nearest, validation

#: Name of a dimension -> the option's number (an int) or where in the distribution (a float from 0 to 1).
Point = dict[str, int | float]
Values = dict[str, Any]

_EDGE = 1e-12
#: Distributions, and what they are told: a bound or a scale each.
_ARGUMENTS = {
    "uniform": ("min_value", "max_value"),
    "loguniform": ("min_value", "max_value"),
    "quniform": ("min_value", "max_value", "q"),
    "qloguniform": ("min_value", "max_value", "q"),
    "normal": ("mu", "sigma"),
    "lognormal": ("mu", "sigma"),
    "qnormal": ("mu", "sigma", "q"),
    "qlognormal": ("mu", "sigma", "q"),
    "randint": ("upper",),
}
DISTRIBUTIONS = ("choice", *_ARGUMENTS)


@dataclass(frozen=True, slots=True)
class Dimension:
    """One thing to draw: one of `size` options, or where that is None, a number between 0 and 1."""

    name: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Numbers:
    """A distribution of numbers. `base` is what those on a logarithmic scale are exponents of."""

    kind: str
    arguments: tuple[float, ...]
    base: float = math.e

    def value(self, at: float) -> int | float:
        """The value below which a share `at` of the distribution lies."""
        first, *more = self.arguments
        if self.kind == "randint":
            return min(int(at * first), int(first) - 1)
        if "normal" in self.kind:
            drawn = NormalDist(first, more[0]).inv_cdf(min(max(at, _EDGE), 1 - _EDGE))
        else:
            drawn = first + at * (more[0] - first)
        if "log" in self.kind:
            drawn = self.base**drawn
        return _rounded(drawn, self.arguments[2]) if self.kind.startswith("q") else drawn

    def extremes(self) -> tuple[int | float, ...]:
        """The least and the greatest value; none where there is no end of them."""
        return () if "normal" in self.kind else (self.value(0.0), self.value(1.0))

    def grid(self) -> int | None:
        """How many values there are, or None where they are not finite in number."""
        if self.kind == "randint":
            return int(self.arguments[0])
        if self.kind == "quniform":
            low, high, q = self.arguments
            return round(high / q) - round(low / q) + 1
        return None

    def grid_value(self, index: int) -> int | float:
        if self.kind == "randint":
            return index
        low, _, q = self.arguments
        return _rounded((round(low / q) + index) * q, q)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these; an option that is a space is drawn from in turn and gives an object."""

    options: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Space:
    """Named distributions and, within options of a choice, plain values."""

    entries: tuple[tuple[str, Any], ...]

    def dimensions(self, prefix: str = "") -> Iterator[Dimension]:
        """Everything that may have to be drawn, those below an option included."""
        for name, entry in self.entries:
            if isinstance(entry, Numbers):
                yield Dimension(prefix + name, None)
            elif isinstance(entry, Choice):
                yield Dimension(prefix + name, len(entry.options))
                for number, option in enumerate(entry.options):
                    if isinstance(option, Space):
                        yield from option.dimensions(f"{prefix}{name}/{number}/")

    def draw(self, pick: Callable[[Dimension], int | float]) -> tuple[Point, Values]:
        """A point and its values; `pick` is asked for those dimensions alone that matter to it."""
        point: Point = {}
        return point, self._draw(pick, "", point)

    def extremes(self) -> Iterator[tuple[str, Any]]:
        """By name, the values that have to fit for all to fit: every option, and the ends of each distribution."""
        for name, entry in self.entries:
            if isinstance(entry, Numbers):
                yield from ((name, value) for value in entry.extremes())
            elif isinstance(entry, Choice):
                yield from ((name, option) for option in entry.options if not isinstance(option, Space))

    def values(self, point: Mapping[str, int | float]) -> Values:
        """The values of a point. Raises KeyError where it lacks a dimension."""
        return self.draw(lambda dimension: point[dimension.name])[1]

    def grid_size(self) -> int | None:
        """How many combinations there are, or None where a distribution is continuous."""
        size = 1
        for _, entry in self.entries:
            found = _grid_size(entry)
            if found is None:
                return None
            size *= found
        return size

    def grid_values(self, index: int) -> Values:
        """The combination of that number; the last entry turns fastest."""
        found: Values = {}
        for name, entry in reversed(self.entries):
            size = _grid_size(entry) or 1
            index, own = divmod(index, size)
            found[name] = _grid_value(entry, own)
        return {name: found[name] for name, _ in self.entries}

    def _draw(self, pick: Callable[[Dimension], int | float], prefix: str, point: Point) -> Values:
        values: Values = {}
        for name, entry in self.entries:
            full = prefix + name
            if isinstance(entry, Numbers):
                point[full] = at = float(pick(Dimension(full, None)))
                values[name] = entry.value(at)
            elif isinstance(entry, Choice):
                point[full] = number = int(pick(Dimension(full, len(entry.options))))
                option = entry.options[number]
                values[name] = option._draw(pick, f"{full}/{number}/", point) if isinstance(option, Space) else option
            else:
                values[name] = entry
        return values


def parse(document: Any, *, base: float = math.e, target: str = "properties.searchSpace") -> Space:
    """Read `{"lr": ["uniform", [0.01, 0.9]]}`. Raises ApiError 400 naming the entry and what is wrong with it."""
    if not isinstance(document, dict) or not document:
        raise validation("A sweep needs searchSpace: an object of at least one named distribution.", target)
    return Space(tuple((name, _distribution(entry, base, f"{target}.{name}")) for name, entry in document.items()))


def _distribution(entry: Any, base: float, target: str) -> Numbers | Choice:
    shape = 'a distribution: ["name", [arguments]], such as ["uniform", [0.01, 0.9]]'
    if (
        not isinstance(entry, list)
        or len(entry) != 2
        or not isinstance(entry[0], str)
        or not isinstance(entry[1], list)
    ):
        raise validation(f"{target.rsplit('.', 1)[-1]} must be {shape}.", target)
    kind, arguments = entry[0].lower(), entry[1]
    if kind == "choice":
        return _choice(arguments, base, target)
    if kind not in _ARGUMENTS:
        known = ", ".join(DISTRIBUTIONS)
        raise validation(f"'{kind}' is no distribution: there are {known}.{nearest(kind, DISTRIBUTIONS)}", target)
    names = _ARGUMENTS[kind]
    if len(arguments) != len(names) or not all(_is_number(a) for a in arguments):
        raise validation(f"{kind} takes {', '.join(names)}, each a number; sent is {arguments}.", target)
    _check(kind, dict(zip(names, arguments, strict=True)), base, target)
    return Numbers(kind, tuple(arguments), base)


def _choice(arguments: list[Any], base: float, target: str) -> Choice:
    options = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list) else arguments
    if not options:
        raise validation("choice needs at least one value.", target)
    return Choice(tuple(_option(option, base, f"{target}[{n}]") for n, option in enumerate(options)))


def _option(option: Any, base: float, target: str) -> Any:
    """An object may hold distributions of its own; other lists in it are plain values."""
    if not isinstance(option, dict):
        return option
    return Space(
        tuple(
            (name, _distribution(value, base, f"{target}.{name}") if _looks_like_one(value) else value)
            for name, value in option.items()
        )
    )


def _looks_like_one(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and value[0].lower() in DISTRIBUTIONS
        and isinstance(value[1], list)
    )


def _check(kind: str, given: dict[str, float], base: float, target: str) -> None:
    if "min_value" in given and given["min_value"] >= given["max_value"]:
        raise validation(
            f"min_value is {given['min_value']} and must be less than max_value, {given['max_value']}.", target
        )
    if given.get("sigma", 1) <= 0:
        raise validation(f"sigma is {given['sigma']} and must be greater than 0.", target)
    if given.get("q", 1) <= 0:
        raise validation(f"q is {given['q']} and must be greater than 0.", target)
    upper = given.get("upper", 1)
    if upper < 1 or upper != int(upper):
        raise validation(f"upper is {upper} and must be a whole number from 1.", target)
    if not _ends_are_numbers(Numbers(kind, tuple(given.values()), base)):
        told = ", ".join(f"{name} {value}" for name, value in given.items())
        why = f"; {kind} takes the logarithms, to the base {base:.4g}, of what it draws" if "log" in kind else ""
        raise validation(f"{kind} of {told} draws what is no number a computer holds{why}.", target)


def _ends_are_numbers(numbers: Numbers) -> bool:
    try:
        return all(math.isfinite(numbers.value(at)) for at in (0.0, 1.0))
    except OverflowError:
        return False


def _grid_size(entry: Any) -> int | None:
    if isinstance(entry, Numbers):
        return entry.grid()
    if not isinstance(entry, Choice):
        return 1
    sizes = [option.grid_size() if isinstance(option, Space) else 1 for option in entry.options]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _grid_value(entry: Any, index: int) -> Any:
    if isinstance(entry, Numbers):
        return entry.grid_value(index)
    if not isinstance(entry, Choice):
        return entry
    for option in entry.options:
        size = option.grid_size() if isinstance(option, Space) else 1
        if index < (size or 1):
            return option.grid_values(index) if isinstance(option, Space) else option
        index -= size or 1
    raise IndexError(index)


def _rounded(value: float, q: float) -> int | float:
    """The nearest multiple of q; whole where q is, so that a program that wants a whole number gets one."""
    steps = round(value / q)
    if q == int(q):
        return steps * int(q)
    # As many places as q has: 0.1 * 3 is to read 0.3.
    return round(steps * q, 12)


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False
