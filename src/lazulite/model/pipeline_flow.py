"""Control nodes of a pipeline: choices (`if_else`) and loops (`do_while`, `parallel_for`), taken apart. Pure.

A control node runs nothing itself. A choice opens one of two blocks of nodes; a loop runs another node of the pipeline,
its body, several times, each time as a step of its own: `body[0]`, `body[1]` and so on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lazulite.core.errors import validation
from lazulite.core.numbers import whole_number
from lazulite.model import pipeline_graph as graph
from lazulite.model.pipeline_graph import InputOf, Json, OutputOf

#: Azure's own.
MAX_ITERATIONS = 1000
MAX_ITEMS = 10_000

_NODE = re.compile(r"\$\{\{\s*parent\.jobs\.([\w\-]+)\s*\}\}")
_PORT = re.compile(r"\$\{\{\s*parent\.jobs\.(?P<node>[\w\-]+)\.(?:inputs|outputs)\.(?P<port>[\w.\-]+)\s*\}\}")
_STEP = re.compile(r"(.*)\[(\d+)\]")

#: Where the value of a condition or of items comes from.
Source = InputOf | OutputOf


@dataclass(frozen=True, slots=True)
class Choice:
    """`if_else`: the nodes of `yes` run where the condition holds, those of `no` where it does not."""

    name: str
    condition: bool | Source
    yes: tuple[str, ...]
    no: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """`do_while`: the body runs until its output `condition` is false; `mapping` leads inputs from earlier outputs."""

    name: str
    body: str
    condition: str | None
    mapping: Mapping[str, str]
    limit: int


@dataclass(frozen=True, slots=True)
class Spread:
    """`parallel_for`: the body runs once for each item, at most `concurrency` at a time."""

    name: str
    body: str
    items: tuple[Json, ...] | Source
    concurrency: int | None


Control = Choice | Loop | Spread


@dataclass(frozen=True, slots=True)
class Flow:
    """The control nodes of a pipeline; `bodies` are the loops by their body, `gates` what choices say of each node."""

    controls: Mapping[str, Control] = field(default_factory=dict)
    bodies: Mapping[str, Loop | Spread] = field(default_factory=dict)
    gates: Mapping[str, tuple[tuple[str, bool], ...]] = field(default_factory=dict)

    def orders(self, name: str) -> set[str]:
        """The control nodes that must have come to a decision before a node."""
        found = {choice for choice, _ in self.gates.get(name, ())}
        return found | {self.bodies[name].name} if name in self.bodies else found

    def ran_by(self, name: str) -> set[str]:
        """The body of a loop: the loop refers to it without waiting for it."""
        control = self.controls.get(name)
        return {control.body} if isinstance(control, Loop | Spread) else set()

    def producers(self, node: str) -> set[str]:
        """The nodes to wait for where an output of `node` is taken: with a loop over items, its body as well."""
        control = self.controls.get(node)
        return {node, control.body} if isinstance(control, Spread) else {node}


def read(nodes: Mapping[str, Any], target: str = "properties.jobs") -> Flow:
    """Raises ApiError 400 naming the node and the field."""
    controls = {
        name: READERS[graph.node_type(sent)](name, sent, f"{target}.{name}")
        for name, sent in nodes.items()
        if isinstance(sent, dict) and graph.node_type(sent) in READERS
    }
    bodies: dict[str, Loop | Spread] = {}
    gates: dict[str, tuple[tuple[str, bool], ...]] = {}
    for control in controls.values():
        if isinstance(control, Choice):
            for names, wanted in ((control.yes, True), (control.no, False)):
                for name in names:
                    gates[name] = (*gates.get(name, ()), (control.name, wanted))
            continue
        if control.body in bodies:
            text = f"The loops '{bodies[control.body].name}' and '{control.name}' both have the body '{control.body}'."
            raise validation(text, f"{target}.{control.name}.body")
        bodies[control.body] = control
    return Flow(controls, bodies, gates)


def step(body: str, iteration: int) -> str:
    """The name of an iteration's step."""
    return f"{body}[{iteration}]"


def node_of(name: str) -> tuple[str, int | None]:
    """The node of a step, and its iteration where it is one of a loop."""
    found = _STEP.fullmatch(name)
    return (found[1], int(found[2])) if found else (name, None)


def items(text: str) -> tuple[Json, ...]:
    """What a loop runs over, from JSON: a list or an object of objects. Raises ValueError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON ({error})") from None
    if isinstance(found, dict):
        found = list(found.values())
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ValueError("must be a list or an object of objects, each with inputs of the body")
    if len(found) > MAX_ITEMS:
        raise ValueError(f"has {len(found)} items and may have {MAX_ITEMS}")
    if any(item.keys() != found[0].keys() for item in found):
        raise ValueError("must have the same inputs in each item")
    return tuple(found)


def given(sent: Json, more: Mapping[str, Any]) -> Json:
    """A node with further inputs."""
    return {**sent, "inputs": {**(sent.get("inputs") or {}), **more}}


def item_inputs(item: Json) -> Json:
    """The inputs of an item as a node has them; those without a value are left out."""
    given = {name: value for name, value in item.items() if value is not None}
    return {name: value if isinstance(value, dict) else {"value": _text(value)} for name, value in given.items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _choice(name: str, sent: Json, target: str) -> Choice:
    yes, no = _block(name, sent, "true_block", target), _block(name, sent, "false_block", target)
    if not yes and not no:
        raise validation(f"The node '{name}' needs nodes in true_block or false_block.", f"{target}.true_block")
    both = sorted(set(yes) & set(no))
    if both:
        raise validation(f"The node '{name}' has '{both[0]}' in both of its blocks.", f"{target}.false_block")
    return Choice(name, _condition(name, sent.get("condition"), target), yes, no)


def _condition(name: str, value: Any, target: str) -> bool | Source:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    found = graph.whole(value)
    if isinstance(found, InputOf | OutputOf):
        return found
    text = f"The condition of the node '{name}' is '{value}' and must be true, false or one reference such as "
    raise validation(f"{text}${{{{parent.jobs.<node>.outputs.<output>}}}}.", f"{target}.condition")


def _block(name: str, sent: Json, which: str, target: str) -> tuple[str, ...]:
    value = graph.field(sent, which)
    found = []
    for one in value if isinstance(value, list) else [value] if value else []:
        match = _NODE.fullmatch(one.strip()) if isinstance(one, str) else None
        if match is None:
            text = f"{which} of the node '{name}' has '{one}' and must name nodes as ${{{{parent.jobs.<node>}}}}."
            raise validation(text, f"{target}.{which}")
        found.append(match[1])
    return tuple(dict.fromkeys(found))


def _loop(name: str, sent: Json, target: str) -> Loop:
    body = _body(name, sent, target)
    sent_mapping = sent.get("mapping") or {}
    if not isinstance(sent_mapping, dict):
        raise validation(f"mapping of the loop '{name}' must be an object of outputs and inputs.", f"{target}.mapping")
    mapping: dict[str, str] = {}
    for output, ports in sent_mapping.items():
        for port in ports if isinstance(ports, list) else [ports]:
            into = _port(name, body, port, f"{target}.mapping")
            if into in mapping:
                text = f"The loop '{name}' leads both '{mapping[into]}' and '{output}' to the input '{into}'."
                raise validation(text, f"{target}.mapping")
            mapping[into] = _port(name, body, output, f"{target}.mapping")
    condition = sent.get("condition")
    limits = sent.get("limits") or {}
    limit = graph.field(limits, "max_iteration_count") if isinstance(limits, dict) else None
    iterations = whole_number(limit, 1, MAX_ITERATIONS)
    if iterations is None:
        text = f"limits.max_iteration_count of the loop '{name}' is {limit!r} and must be from 1 to {MAX_ITERATIONS}."
        raise validation(text, f"{target}.limits.max_iteration_count")
    ends = None if condition is None else _port(name, body, condition, f"{target}.condition")
    return Loop(name, body, ends, mapping, iterations)


def _spread(name: str, sent: Json, target: str) -> Spread:
    most = graph.field(sent, "max_concurrency")
    if most is not None and whole_number(most, 1) is None:
        text = f"max_concurrency of the loop '{name}' is {most!r} and must be a whole number from 1."
        raise validation(text, f"{target}.max_concurrency")
    return Spread(name, _body(name, sent, target), _items(name, sent, target), whole_number(most, 1))


def _items(name: str, sent: Json, target: str) -> tuple[Json, ...] | Source:
    value = sent.get("items")
    if value is None:
        raise validation(f"The loop '{name}' needs items, what its body runs over.", f"{target}.items")
    found = graph.whole(value)
    if isinstance(found, InputOf | OutputOf):
        return found
    try:
        known = items(value if isinstance(value, str) else json.dumps(value))
    except ValueError as error:
        raise validation(f"items of the loop '{name}' {error}.", f"{target}.items") from None
    if not known:
        raise validation(f"The loop '{name}' has no items.", f"{target}.items")
    return known


def _body(name: str, sent: Json, target: str) -> str:
    value = sent.get("body")
    found = _NODE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        text = f"The loop '{name}' needs body, the node that it runs, as ${{{{parent.jobs.<node>}}}}."
        raise validation(text, f"{target}.body")
    return found[1]


def _port(name: str, body: str, value: Any, target: str) -> str:
    """An input or output of the body, by its name or as a reference."""
    text = str(value).strip()
    found = _PORT.fullmatch(text)
    if found is None and "${{" not in text:
        return text
    if found is None or found["node"] != body:
        raise validation(f"The loop '{name}' has '{text}', which is no input or output of its body '{body}'.", target)
    return found["port"]


READERS: dict[str, Callable[[str, Json, str], Control]] = {
    "if_else": _choice,
    "do_while": _loop,
    "parallel_for": _spread,
}
