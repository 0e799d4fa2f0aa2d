import pytest
from tests.unit.drawing.documents import Server, node, step

from lazulite.drawing import state
from lazulite.drawing.fold import MOST, fold
from lazulite.drawing.state import Graph


def read(nodes: dict[str, dict[str, object]], **states: str) -> Graph:
    steps = [step(name, states.get(name, "Completed"), "boom" if name in states else "") for name in nodes]
    return state.read(Server({"p": nodes}, {"p": steps}), "p").graph


def fan(width: int) -> dict[str, dict[str, object]]:
    middle = {f"n{number}": node("first") for number in range(width)}
    return {"first": node(component="a"), **middle, "last": node(*middle, component="z")}


def test_a_graph_that_a_person_takes_in_is_left_as_it_is() -> None:
    graph = read(fan(MOST - 2))
    assert list(fold(graph).nodes) == list(graph.nodes)


def test_a_fan_out_is_one_node() -> None:
    graph = fold(read(fan(1000), n17="Failed", n400="Failed"))
    assert list(graph.nodes) == ["first", "n0 … n999", "last"]
    group = graph.nodes["n0 … n999"]
    assert (group.count, group.tally(), group.state) == (1000, {"Failed": 2, "Completed": 998}, "Failed")
    assert [one.name for one in group.members[:2]] == ["n17", "n400"]
    assert [edge.node for edge in graph.nodes["last"].needs] == ["n0 … n999"]
    assert [edge.node for edge in group.needs] == ["first"]


def test_a_chain_of_the_same_is_one_node() -> None:
    graph = fold(read({f"n{n}": node(*([f"n{n - 1}"] if n else [])) for n in range(300)}))
    assert [one.count for one in graph.nodes.values()] == [300]


def test_chains_side_by_side_keep_their_stages() -> None:
    nodes = {}
    for number in range(50):
        nodes[f"load{number}"] = node(component="load")
        nodes[f"train{number}"] = node(f"load{number}", component="train")
    graph = fold(read(nodes))
    assert {name: one.count for name, one in graph.nodes.items()} == {"load0 … load49": 50, "train0 … train49": 50}


def tangled(count: int) -> dict[str, dict[str, object]]:
    """Many components, in which each takes from some before it."""
    return {
        f"n{n}": node(*(f"n{n - 1 - (n * 7 + k * 13) % 10}" for k in range(3) if n > 10), component=f"c{n % 60}")
        for n in range(count)
    }


@pytest.mark.parametrize("count", [100, 2000])
def test_whatever_it_is_few_nodes_are_left_and_none_is_lost(count: int) -> None:
    graph = read(tangled(count))
    before = [list(one.needs) for one in graph.nodes.values()]
    folded = fold(graph)
    assert 3 <= len(folded.nodes) <= MOST
    assert sum(one.count for one in folded.nodes.values()) == count
    assert all(edge.node in folded.nodes for one in folded.nodes.values() for edge in one.needs)
    assert [list(one.needs) for one in graph.nodes.values()] == before, "the graph itself was changed"


def test_groups_come_after_those_they_need() -> None:
    folded = fold(read(tangled(500)))
    seen: set[str] = set()
    for name, one in folded.nodes.items():
        assert {edge.node for edge in one.needs} <= seen
        seen.add(name)
