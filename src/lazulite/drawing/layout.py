"""Where the nodes of a graph go: in layers from top to bottom, with few crossings and straight edges. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Point = tuple[float, float]
Size = tuple[float, float]
_SWEEPS = 24
_BEND = 14.0  # the room of an edge that passes a layer
_ROW = 5  # so many nodes that no edge joins stand side by side, however few there are
_STIFFNESS = 8.0  # how much rather long edges are straight than short ones


@dataclass(frozen=True, slots=True)
class Placed:
    """Upper left corners, and each edge as the points that it goes through: straight down inside a layer, where the points
    lie above each other, and to the side between two layers alone."""

    places: dict[str, Point]
    edges: dict[tuple[str, str], list[Point]]
    size: Size


@dataclass(slots=True)
class _Net:
    """The graph with a bend in each layer that an edge passes. Nodes are numbers: `0 …` of the names, then bends."""

    widths: list[float]
    layers: list[list[int]]
    up: list[list[int]] = field(default_factory=list)
    down: list[list[int]] = field(default_factory=list)
    bends: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    real: int = 0


def place(sizes: Mapping[str, Size], edges: Iterable[tuple[str, str]], gap: Size = (28.0, 44.0)) -> Placed:
    """Place nodes of these sizes, which are in order: edges to a node from a later one are left out."""
    if not sizes:
        return Placed({}, {}, (0.0, 0.0))
    names = list(sizes)
    number = {name: index for index, name in enumerate(names)}
    pairs = sorted({(number[a], number[b]) for a, b in edges if number[a] < number[b]})
    if not pairs and len(names) > _ROW:
        return _rows(sizes, gap)
    net = _net([sizes[name][0] for name in names], pairs)
    _arrange(net)
    centres = _centres(net, gap[0])
    heights = [max((sizes[names[one]][1] for one in layer if one < net.real), default=0.0) for layer in net.layers]
    tops = [sum(heights[:index]) + gap[1] * index for index in range(len(heights))]
    bottoms = [top + height for top, height in zip(tops, heights, strict=True)]
    layer_of = {one: index for index, layer in enumerate(net.layers) for one in layer}
    left = min(centre - width / 2 for centre, width in zip(centres, net.widths, strict=True))
    right = max(centre + width / 2 for centre, width in zip(centres, net.widths, strict=True))
    places = {
        name: (
            centres[one] - sizes[name][0] / 2 - left,
            tops[layer_of[one]] + (heights[layer_of[one]] - sizes[name][1]) / 2,
        )
        for name, one in number.items()
    }
    ports = _ports(net, pairs, centres)
    drawn: dict[tuple[str, str], list[Point]] = {}
    for a, b in pairs:
        out, into = ports[a, b]
        points = [(out - left, places[names[a]][1] + sizes[names[a]][1]), (out - left, bottoms[layer_of[a]])]
        for bend in net.bends[a, b]:
            x = centres[bend] - left
            points += [(x, tops[layer_of[bend]]), (x, bottoms[layer_of[bend]])]
        drawn[names[a], names[b]] = [*points, (into - left, tops[layer_of[b]]), (into - left, places[names[b]][1])]
    return Placed(places, drawn, (right - left, tops[-1] + heights[-1]))


def _rows(sizes: Mapping[str, Size], gap: Size) -> Placed:
    """Nodes that no edge joins, in their order, in rows and columns about twice as wide as high."""
    names, columns = list(sizes), max(_ROW, math.ceil(math.sqrt(2 * len(sizes))))
    rows = [names[start : start + columns] for start in range(0, len(names), columns)]
    widths = [max(sizes[name][0] for name in names[column::columns]) for column in range(columns)]
    heights = [max(sizes[name][1] for name in row) for row in rows]
    places = {
        name: (sum(widths[:column]) + gap[0] * column, sum(heights[:index]) + gap[0] * index)
        for index, row in enumerate(rows)
        for column, name in enumerate(row)
    }
    return Placed(places, {}, (sum(widths) + gap[0] * (columns - 1), sum(heights) + gap[0] * (len(rows) - 1)))


def _net(widths: list[float], pairs: Sequence[tuple[int, int]]) -> _Net:
    layer_of = _layers(len(widths), pairs)
    net = _Net(list(widths), [[] for _ in range(max(layer_of) + 1)], real=len(widths))
    net.up, net.down = [[] for _ in widths], [[] for _ in widths]
    for one, layer in enumerate(layer_of):
        net.layers[layer].append(one)
    for a, b in pairs:
        before = a
        net.bends[a, b] = []
        for layer in range(layer_of[a] + 1, layer_of[b]):
            bend = len(net.widths)
            net.widths.append(_BEND)
            net.layers[layer].append(bend)
            net.bends[a, b].append(bend)
            net.up.append([before])
            net.down.append([])
            net.down[before].append(bend)
            before = bend
        net.down[before].append(b)
        net.up[b].append(before)
    return net


def _layers(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Each node right below the lowest that it needs; one that needs nothing right above its first user."""
    layer_of = [0] * count
    for a, b in sorted(pairs, key=lambda pair: pair[1]):
        layer_of[b] = max(layer_of[b], layer_of[a] + 1)
    needing = {b for _, b in pairs}
    for one in range(count):
        users = [layer_of[b] for a, b in pairs if a == one]
        if one not in needing and users:
            layer_of[one] = min(users) - 1
    lowest = min(layer_of)
    return [layer - lowest for layer in layer_of]


def _arrange(net: _Net) -> None:
    """Order each layer by where its neighbours are, up and down again and again, and keep the best."""
    best, fewest = [list(layer) for layer in net.layers], _crossings(net)
    for sweep in range(_SWEEPS):
        if fewest == 0:
            break
        around = net.up if sweep % 2 == 0 else net.down
        for layer in net.layers if sweep % 2 == 0 else net.layers[::-1]:
            place_of = {one: index for other in net.layers for index, one in enumerate(other)}
            mean = {
                one: sum(place_of[other] for other in around[one]) / len(around[one]) if around[one] else place_of[one]
                for one in layer
            }
            layer.sort(key=lambda one: mean[one])
        crossings = _crossings(net)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in net.layers], crossings
    net.layers = best


def _crossings(net: _Net) -> int:
    found = 0
    for layer, below in zip(net.layers, net.layers[1:], strict=False):
        place_of = {one: index for index, one in enumerate(below)}
        ends = [index for one in layer for index in sorted(place_of[other] for other in net.down[one])]
        # How many pairs are out of order: counted where each is put into those before it.
        seen = [0] * (len(below) + 1)
        for count, end in enumerate(ends):
            found += count - _up_to(seen, end + 1)
            _count(seen, end + 1)
    return found


def _up_to(tree: list[int], index: int) -> int:
    found = 0
    while index > 0:
        found += tree[index]
        index -= index & -index
    return found


def _count(tree: list[int], index: int) -> None:
    while index < len(tree):
        tree[index] += 1
        index += index & -index


def _centres(net: _Net, gap: float) -> list[float]:
    """Each node as close to the middle of its neighbours as the others of its layer let it."""
    centres = [0.0] * len(net.widths)
    for layer in net.layers:
        _settle(net, layer, dict.fromkeys(layer, 0.0), centres, gap)
    for sweep in range(_SWEEPS):
        last = sweep >= _SWEEPS - 4
        for layer in net.layers if sweep % 2 == 0 else net.layers[::-1]:
            wanted = {}
            for one in layer:
                around = [*net.up[one], *net.down[one]] if last else net.up[one] if sweep % 2 == 0 else net.down[one]
                wanted[one] = sum(centres[other] for other in around) / len(around) if around else centres[one]
            _settle(net, layer, wanted, centres, gap)
    return centres


def _settle(net: _Net, layer: list[int], wanted: Mapping[int, float], centres: list[float], gap: float) -> None:
    """The places in order and apart that are closest to those wanted: neighbours that would overlap move as one block."""
    offset, before = 0.0, None
    blocks: list[tuple[float, float, list[tuple[int, float]]]] = []  # where it begins, its weight, what is in it
    for one in layer:
        if before is not None:
            offset += (net.widths[before] + net.widths[one]) / 2 + gap
        before = one
        weight = 1.0 if one < net.real else _STIFFNESS
        block = (wanted[one] - offset, weight, [(one, offset)])
        while blocks and blocks[-1][0] > block[0]:
            other = blocks.pop()
            weight = other[1] + block[1]
            block = ((other[0] * other[1] + block[0] * block[1]) / weight, weight, [*other[2], *block[2]])
        blocks.append(block)
    for begin, _, inside in blocks:
        for one, at in inside:
            centres[one] = begin + at


def _ports(
    net: _Net, pairs: Sequence[tuple[int, int]], centres: Sequence[float]
) -> dict[tuple[int, int], tuple[float, float]]:
    """Where each edge leaves its first node and comes to its second: side by side, in the order of the other ends."""
    leaving: dict[int, list[tuple[int, int]]] = {}
    coming: dict[int, list[tuple[int, int]]] = {}
    for pair in pairs:
        leaving.setdefault(pair[0], []).append(pair)
        coming.setdefault(pair[1], []).append(pair)
    out: dict[tuple[int, int], float] = {}
    into: dict[tuple[int, int], float] = {}
    for one, some in leaving.items():
        some.sort(key=lambda pair: centres[(net.bends[pair] or [pair[1]])[0]])
        out |= dict(zip(some, _spread(centres[one], net.widths[one], len(some)), strict=True))
    for one, some in coming.items():
        some.sort(key=lambda pair: centres[(net.bends[pair] or [pair[0]])[-1]])
        into |= dict(zip(some, _spread(centres[one], net.widths[one], len(some)), strict=True))
    return {pair: (out[pair], into[pair]) for pair in pairs}


def _spread(centre: float, width: float, count: int) -> list[float]:
    step = min(18.0, width * 0.7 / max(1, count - 1))
    return [centre + step * (index - (count - 1) / 2) for index in range(count)]
