"""The graph of a pipeline: what its nodes refer to, in which order they can run, and how an input is bound. Pure.

Nodes lie in `properties.jobs` of a pipeline job, or in `jobs` of a pipeline component, with snake_case names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

#: Types of inputs and outputs whose value is a text rather than data.
PRIMITIVES = ("string", "number", "integer", "boolean", "enum")
#: Outputs that every job has: the artifacts of its run.
IMPLICIT_OUTPUTS = ("artifacts", "default")

_EXPRESSION = re.compile(r"\$\{\{\s*([^{}]*?)\s*\}\}")
_PARENT = re.compile(
    r"parent\.(?:inputs\.(?P<input>[\w.\-]+)|outputs\.(?P<written>[\w.\-]+)|jobs\.(?P<node>[\w\-]+)\.outputs\.(?P<output>[\w.\-]+))"
)


@dataclass(frozen=True, slots=True)
class InputOf:
    """`${{parent.inputs.<name>}}`."""

    name: str


@dataclass(frozen=True, slots=True)
class OutputOf:
    """`${{parent.jobs.<node>.outputs.<name>}}`."""

    node: str
    name: str


@dataclass(frozen=True, slots=True)
class WrittenTo:
    """`${{parent.outputs.<name>}}`."""

    name: str


Reference = InputOf | OutputOf | WrittenTo


def whole(value: Any) -> Reference | None:
    """The reference that a text consists of; None for every other value."""
    found = _EXPRESSION.fullmatch(value.strip()) if isinstance(value, str) else None
    return _reference(found[1]) if found else None


def references(value: Any) -> Iterator[Reference]:
    """Every reference in a JSON value, however deep."""
    if isinstance(value, str):
        for found in _EXPRESSION.finditer(value):
            reference = _reference(found[1])
            if reference is not None:
                yield reference
    elif isinstance(value, dict):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def fill(value: Any, look: Callable[[Reference], str | None]) -> Any:
    """A copy of a JSON value with the references in its texts replaced; those `look` answers with None stay."""
    if isinstance(value, str):
        return _EXPRESSION.sub(lambda m: _filled(m, look), value)
    if isinstance(value, dict):
        return {name: fill(item, look) for name, item in value.items()}
    if isinstance(value, list):
        return [fill(item, look) for item in value]
    return value


def field(document: Mapping[str, Any], name: str) -> Any:
    """A value by its snake_case name; clients also send it in camelCase."""
    if document.get(name) is not None:
        return document[name]
    head, *rest = name.split("_")
    return document.get(head + "".join(word.capitalize() for word in rest))


def component_of(node: Json) -> str | None:
    """The component that a node runs: its own, or that of its trial or task."""
    for place in (node, node.get("trial") or {}, node.get("task") or {}):
        found = field(place, "component_id") if isinstance(place, dict) else None
        if found:
            return str(found)
    return None


def with_pins(nodes: Json, pinned: Mapping[str, Json]) -> Json:
    """Nodes whose components and data are named as they were found, which means the same wherever it is read."""
    return {name: _with_pins(sent, pinned.get(name) or {}) for name, sent in nodes.items()}


def with_data(inputs: Json, pinned: Json) -> Json:
    """A node's inputs with the addresses that were settled when it was checked."""
    found = {**inputs}
    for name, uri in (pinned.get("data") or {}).items():
        found[name] = {**_without(inputs[name], ("uri", "path")), "uri": uri}
    return found


def _with_pins(node: Json, pinned: Json) -> Json:
    found = {**node, "inputs": with_data(node.get("inputs") or {}, pinned)} if pinned.get("data") else node
    component = pinned.get("component")
    if component is None:
        return found
    if component_of({**node, "trial": None, "task": None}) is not None:
        return {**_without(found, ("component_id", "componentId")), "componentId": component}
    for place in ("trial", "task"):
        if component_of({place: node.get(place)}) is not None:
            inner = {**_without(node[place], ("component_id", "componentId")), "componentId": component}
            return {**found, place: inner}
    return found


def _without(document: Json, names: tuple[str, ...]) -> Json:
    return {name: value for name, value in document.items() if name not in names}


def node_type(node: Json) -> str:
    return str(node.get("type") or "command").lower()


def needs(node: Json) -> set[str]:
    """The nodes whose outputs a node takes."""
    taken = {name: value for name, value in node.items() if name != "outputs"}
    return {reference.node for reference in references(taken) if isinstance(reference, OutputOf)}


def cycle(needs_of: Mapping[str, Iterable[str]]) -> list[str]:
    """The nodes of a circle, or an empty list."""
    left = {name: {n for n in wanted if n in needs_of} for name, wanted in needs_of.items()}
    users: dict[str, list[str]] = {}
    for name, wanted in left.items():
        for other in wanted:
            users.setdefault(other, []).append(name)
    free = [name for name, wanted in left.items() if not wanted]
    while free:
        done = free.pop()
        del left[done]
        for user in users.get(done, ()):
            if user in left:
                left[user].discard(done)
                if not left[user]:
                    free.append(user)
    return sorted(left)


def bind(
    given: Any, declared: Json, inputs: Mapping[str, Json | None], output: Callable[[OutputOf], Json | None]
) -> Json | None:
    """What a node's input is: a literal or data, in the camelCase form of a job's input; None where it gets nothing.

    `given` is the node's own document for it, `declared` the component's, `inputs` those of the pipeline around.
    """
    bound = _bound(given, inputs, output)
    if bound is None:
        if declared.get("default") is None:
            return None
        bound = {"jobInputType": "literal", "value": str(declared["default"])}
    kind = str(declared.get("type") or "").lower()
    mode = field(given, "mode") if isinstance(given, dict) else None
    if is_literal(bound):
        return {"jobInputType": "literal", "value": _text(bound.get("value"))}
    shown = {
        "jobInputType": kind if kind and kind not in PRIMITIVES else bound.get("jobInputType"),
        "uri": bound["uri"],
    }
    mode = mode or bound.get("mode") or declared.get("mode")
    return {**shown, "mode": mode_name(str(mode))} if mode else shown


def is_literal(value: Json) -> bool:
    return str(value.get("jobInputType") or "literal").lower() in ("literal", "safe_literal") or "uri" not in value


def mode_name(mode: str) -> str:
    """The word of the REST API for a mode as YAML spells it."""
    words = {
        "ro_mount": "ReadOnlyMount",
        "rw_mount": "ReadWriteMount",
        "mount": "ReadWriteMount",
        "download": "Download",
        "upload": "Upload",
        "direct": "Direct",
        "eval_mount": "EvalMount",
        "eval_download": "EvalDownload",
    }
    return words.get(mode.lower(), mode)


def _bound(given: Any, inputs: Mapping[str, Json | None], output: Callable[[OutputOf], Json | None]) -> Json | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        return {"jobInputType": "literal", "value": _text(given)}
    uri = field(given, "uri") or given.get("path")
    text = uri if uri is not None else given.get("value")
    if text is None:
        return None
    match whole(text):
        case InputOf(name):
            return inputs.get(name)
        case OutputOf() as reference:
            return output(reference)

    def look(reference: Reference) -> str | None:
        found = inputs.get(reference.name) if isinstance(reference, InputOf) else None
        if isinstance(reference, OutputOf):
            found = output(reference)
        return None if found is None else _text(found.get("value", found.get("uri")))

    filled = fill(text, look)
    kind = str(field(given, "job_input_type") or given.get("type") or "literal")
    if uri is None or kind.lower() in ("literal", "safe_literal"):
        return {"jobInputType": "literal", "value": _text(filled)}
    return {"jobInputType": kind, "uri": filled}


def _reference(text: str) -> Reference | None:
    found = _PARENT.fullmatch(text)
    if not found:
        return None
    if found["input"]:
        return InputOf(found["input"])
    if found["written"]:
        return WrittenTo(found["written"])
    return OutputOf(found["node"], found["output"])


def _filled(match: re.Match[str], look: Callable[[Reference], str | None]) -> str:
    reference = _reference(match[1])
    found = look(reference) if reference is not None else None
    return match[0] if found is None else found


def _text(value: Any) -> str:
    return str(value)
