"""What is alike, drawn once: thousands of steps become the few groups that they are. Pure."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import replace

from lazulite.drawing.state import Edge, Graph, Node, rank, total
from lazulite.drawing.words import in_order

#: As many nodes as a person takes in; a graph that has no more is left as it is.
MOST = 40
_SHOWN = 3
_FEWEST = 3
Groups = dict[str, Hashable]


def fold(graph: Graph, most: int = MOST) -> Graph:
    """The graph with at most `most` nodes, those inside it likewise. Names of groups: `n0 … n99`.

    Nodes that run the same and stand at the same place are grouped first, then such groups that follow each other,
    then all that run the same, and in the end whole layers.
    """
    inside = max(8, most // 2)
    opened = {name: replace(node, inner=fold(node.inner, inside)) for name, node in graph.nodes.items() if node.inner}
    graph = Graph({**graph.nodes, **opened})
    for grouping in (_same_place, _same_layer, _same_component):
        if len(graph.nodes) <= most:
            return graph
        smaller = _chains(_merge(graph, grouping(graph)))
        # Where all wait for each other, one group for everything would say nothing: layers say more.
        if grouping is not _same_component or len(smaller.nodes) >= _FEWEST:
            graph = smaller
    return _merge(graph, _layers(graph, most)) if len(graph.nodes) > most else graph


def _same_place(graph: Graph) -> Groups:
    """By what a node runs, and by what all before it and after it run."""
    numbers: dict[Hashable, int] = {}

    def walk(names: list[str], around: Mapping[str, list[str]]) -> dict[str, int]:
        found: dict[str, int] = {}
        for name in names:
            key = (_what(graph.nodes[name]), frozenset(found[other] for other in around[name]))
            found[name] = numbers.setdefault(key, len(numbers))
        return found

    before = _before(graph)
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for name, others in before.items():
        for other in others:
            after[other].append(name)
    names = list(graph.nodes)
    up, down = walk(names, before), walk(names[::-1], after)
    return {name: (up[name], down[name]) for name in names}


def _same_layer(graph: Graph) -> Groups:
    layers = layers_of(graph)
    return {name: (_what(node), layers[name]) for name, node in graph.nodes.items()}


def _same_component(graph: Graph) -> Groups:
    """By what a node runs, where groups that would wait for each other become one."""
    groups: Groups = {name: _what(node) for name, node in graph.nodes.items()}
    layers = layers_of(graph)
    found: dict[Hashable, tuple[int, int]] = {}
    for name, key in groups.items():
        low, high = found.get(key, (layers[name], layers[name]))
        found[key] = (min(low, layers[name]), max(high, layers[name]))
    # Groups over the same layers may wait for each other: they are drawn as one.
    joined: dict[Hashable, Hashable] = {}
    last: tuple[Hashable, int] | None = None
    for key, (low, high) in sorted(found.items(), key=lambda pair: pair[1]):
        if last is not None and low < last[1]:
            joined[key], last = last[0], (last[0], max(high, last[1]))
        else:
            joined[key], last = key, (key, high)
    return {name: joined[key] for name, key in groups.items()}


def _layers(graph: Graph, most: int) -> Groups:
    """By how deep a node lies, several layers together where there are too many."""
    layers = layers_of(graph)
    each = -(-(max(layers.values()) + 1) // most)
    return {name: layer // each for name, layer in layers.items()}


def layers_of(graph: Graph) -> dict[str, int]:
    """How many nodes at most stand before each, one after another. The nodes must be in order."""
    found: dict[str, int] = {}
    for name, others in _before(graph).items():
        found[name] = max((found[other] + 1 for other in others), default=0)
    return found


def _before(graph: Graph) -> dict[str, list[str]]:
    """The nodes that each waits for; without those that would make a circle."""
    seen: set[str] = set()
    found: dict[str, list[str]] = {}
    for name, node in graph.nodes.items():
        found[name] = [other for other in dict.fromkeys(edge.node for edge in node.needs) if other in seen]
        seen.add(name)
    return found


def _what(node: Node) -> Hashable:
    """The same for nodes that may be drawn as one; what is opened is drawn by itself."""
    return (node.kind, node.alike) if node.inner is None and node.kind != "if_else" else (node.kind, node.name)


def _chains(graph: Graph) -> Graph:
    """Groups that run the same and follow each other, and nothing else, are one."""
    users: dict[str, set[str]] = {name: set() for name in graph.nodes}
    for name, others in _before(graph).items():
        for other in others:
            users[other].add(name)
    groups: Groups = {}
    for name, others in _before(graph).items():
        only = others[0] if len(others) == 1 and len(users[others[0]]) == 1 else None
        alike = only is not None and _what(graph.nodes[only]) == _what(graph.nodes[name])
        groups[name] = groups[only] if alike and only is not None else name
    return _merge(graph, groups)


def _merge(graph: Graph, groups: Groups) -> Graph:
    if len(set(groups.values())) == len(graph.nodes):
        return graph
    members: dict[Hashable, list[Node]] = {}
    for name, node in graph.nodes.items():
        members.setdefault(groups[name], []).append(node)
    made = {key: replace(one[0]) if len(one) == 1 else _group(one) for key, one in members.items()}
    name_of = {name: made[key].name for name, key in groups.items()}
    for node in made.values():
        edges: dict[tuple[str, bool], Edge] = {}
        for edge in node.needs:
            other = name_of.get(edge.node, edge.node)
            if other != node.name:
                before = edges.get((other, edge.control))
                label = edge.label if before is None or before.label == edge.label else ""
                edges[other, edge.control] = Edge(other, label, edge.control)
        node.needs = list(edges.values())
    return Graph(_in_order({node.name: node for node in made.values()}))


def _group(nodes: list[Node]) -> Node:
    alike = len({_what(node) for node in nodes}) == 1
    members = sorted((m for n in nodes for m in (n.members or [n])), key=lambda m: rank(m.state))
    states = total(nodes)
    ends = [node.ended for node in nodes]
    return Node(
        _name(nodes),
        nodes[0].kind if alike else "steps",
        nodes[0].component if alike else "",
        nodes[0].alike if alike else "",
        next(iter(states)),
        began=min((node.began for node in nodes if node.began), default=None),
        ended=max((end for end in ends if end), default=None) if all(ends) else None,
        needs=[edge for node in nodes for edge in node.needs],
        count=sum(node.count for node in nodes),
        states=states,
        members=members[:_SHOWN],
        error=next((member.error for member in members if member.error), ""),
    )


def _name(nodes: list[Node]) -> str:
    """`n0 … n99`: the first and the last, by their numbers where they have some."""
    names = sorted({part for node in nodes for part in node.name.removesuffix(" …").split(" … ")}, key=in_order)
    alike = names[0][:1] == names[-1][:1] or re.fullmatch("[0-9]+", names[0] + names[-1]) is not None
    return f"{names[0]} … {names[-1]}" if alike else f"{names[0]} …"


def _in_order(nodes: dict[str, Node]) -> dict[str, Node]:
    """Each after those it needs. A group that waits for itself by way of others goes first."""
    left = {name: {edge.node for edge in node.needs if edge.node in nodes} for name, node in nodes.items()}
    users: dict[str, list[str]] = {}
    for name, others in left.items():
        for other in others:
            users.setdefault(other, []).append(name)
    free = [name for name in left if not left[name]][::-1]
    done: dict[str, Node] = {}
    while left:
        name = free.pop() if free else min(left, key=lambda one: len(left[one]))
        if left.pop(name, None) is None:
            continue
        done[name] = nodes[name]
        for user in users.get(name, ()):
            if user in left:
                left[user].discard(name)
                if not left[user]:
                    free.append(user)
    return done
