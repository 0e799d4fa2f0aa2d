import random
from itertools import combinations, pairwise

import pytest

from lazulite.drawing import layout
from lazulite.drawing.layout import Placed

SIZE = (100.0, 40.0)


def placed(count: int, edges: list[tuple[str, str]], size: tuple[float, float] = SIZE) -> Placed:
    return layout.place({str(n): size for n in range(count)}, edges)


def test_nothing_takes_no_room() -> None:
    assert layout.place({}, []).size == (0.0, 0.0)


def test_a_chain_is_a_straight_line_down() -> None:
    found = placed(3, [("0", "1"), ("1", "2")])
    assert [x for x, _ in found.places.values()] == pytest.approx([0, 0, 0])
    assert [y for _, y in found.places.values()] == [0, 84, 168]
    assert found.size == pytest.approx((100, 208))


def test_a_node_stands_in_the_middle_below_those_it_needs() -> None:
    found = placed(3, [("0", "2"), ("1", "2")])
    left, right, below = (found.places[str(n)][0] for n in range(3))
    assert below == pytest.approx((left + right) / 2)


def test_crossings_that_need_not_be_are_taken_out() -> None:
    found = placed(6, [("0", "5"), ("1", "4"), ("2", "3")])
    order = sorted(range(3), key=lambda n: found.places[str(n)][0])
    below = sorted(range(3, 6), key=lambda n: found.places[str(n)][0])
    assert [5 - n for n in order] == below


def test_a_source_stands_right_above_its_first_user() -> None:
    found = placed(4, [("0", "1"), ("1", "3"), ("2", "3")])
    assert found.places["2"][1] == found.places["1"][1]


def test_an_edge_over_layers_goes_around_the_nodes_in_between() -> None:
    found = placed(3, [("0", "1"), ("1", "2"), ("0", "2")])
    points = found.edges["0", "2"]
    (x, top), (same, bottom) = points[2], points[3]
    assert x == same
    assert (top, bottom) == (84, 124)
    left = found.places["1"][0]
    assert not left < x < left + SIZE[0]


def test_beside_a_tall_node_edges_go_straight_down() -> None:
    sizes = {"top": SIZE, "tall": (100.0, 400.0), "low": SIZE, "end": SIZE}
    found = layout.place(sizes, [("top", "tall"), ("top", "low"), ("low", "end"), ("tall", "end")])
    for edge in found.edges.values():
        for (x, y), (to_x, to_y) in pairwise(edge):
            inside = any(y < top + 399 and to_y > top + 1 for top in [found.places["tall"][1]])
            assert not inside or x == to_x


def test_edges_that_lead_back_are_left_out() -> None:
    assert placed(2, [("1", "0")]).edges == {}


@pytest.mark.parametrize("seed", range(12))
def test_no_two_nodes_overlap_and_all_lie_inside(seed: int) -> None:
    chance = random.Random(seed)
    sizes = {str(n): (chance.uniform(20, 200), chance.uniform(20, 90)) for n in range(30)}
    edges = [(str(a), str(b)) for a, b in combinations(range(30), 2) if chance.random() < 0.08]
    found = layout.place(sizes, edges)
    boxes = [(*found.places[name], *sizes[name]) for name in sizes]
    for x, y, width, height in boxes:
        assert -0.01 <= x <= found.size[0] - width + 0.01
        assert -0.01 <= y <= found.size[1] - height + 0.01
    for (x, y, width, height), (other_x, other_y, other_width, other_height) in combinations(boxes, 2):
        apart = (
            x + width <= other_x or other_x + other_width <= x or y + height <= other_y or other_y + other_height <= y
        )
        assert apart
    for a, b in edges:
        assert found.places[a][1] + sizes[a][1] <= found.places[b][1]


def test_nodes_that_no_edge_joins_stand_in_rows_without_touching() -> None:
    sizes = {str(n): (100.0 + 10 * (n % 3), 40.0 + 5 * (n % 4)) for n in range(23)}
    found = layout.place(sizes, [])
    boxes = [(x, y, x + sizes[name][0], y + sizes[name][1]) for name, (x, y) in found.places.items()]
    assert all(a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1] for a, b in combinations(boxes, 2))
    assert (max(box[2] for box in boxes), max(box[3] for box in boxes)) == pytest.approx(found.size)
    assert found.size[0] < 1100  # of 3,200 in a row
    order = sorted(found.places, key=lambda name: (found.places[name][1], found.places[name][0]))
    assert order == list(sizes)
