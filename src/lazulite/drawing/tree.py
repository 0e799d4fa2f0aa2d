"""A picture as lines of text: every step with its state, nested pipelines and loops indented."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from lazulite.drawing.fold import fold
from lazulite.drawing.state import Graph, Node, Picture
from lazulite.drawing.words import counts, duration, kind_of, kind_word, printable, share, state_word, summary, time_of

_SIGNS = {
    "completed": "✓", "failed": "✗", "canceled": "■", "running": "▶", "preparing": "…", "queued": "○", "waiting": "·",
    "skipped": "-",
}  # fmt: skip
_PLAIN = {
    "completed": "+", "failed": "x", "canceled": "#", "running": ">", "preparing": ".", "queued": "o", "waiting": ".",
    "skipped": "-",
}  # fmt: skip
_ANSI = {
    "completed": "32", "failed": "1;31", "canceled": "35", "running": "34", "preparing": "33", "queued": "33",
    "waiting": "2", "skipped": "2",
}  # fmt: skip
_BAR = 24
_NAME = 44


def write(
    picture: Picture, now: dt.datetime, *, width: int = 100, colour: bool = False, unicode: bool = True
) -> list[str]:
    """The picture in lines of at most `width` signs; `unicode` for terminals that have more than ASCII."""
    pen = _Pen(width, colour, _SIGNS if unicode else _PLAIN, unicode)
    tally = picture.tally()
    took = duration(picture.began, picture.ended, now)
    done = int(share(tally) * _BAR)  # full only once all is well
    bar = ("█" * done + "░" * (_BAR - done)) if unicode else ("#" * done + "." * (_BAR - done))
    title = printable(picture.title)
    name = f"  {picture.name}" if picture.name != picture.title else ""
    lines = [
        pen.line(picture.state, f"{title}{name}  {state_word(picture.state)}{pen.dot}{took}", strong=True),
        pen.cut(f"  {bar} {summary(tally)}"),
        "",
    ]
    graph = fold(picture.graph)
    column = min(_NAME, max((len(text) for text, _ in _names(graph, 0)), default=0))
    lines += [line for node in graph.nodes.values() for line in _node(node, 0, pen, column, now)]
    if picture.error and not any(True for _ in picture.graph.failed()):
        lines += ["", pen.line("Failed", picture.error)]
    return lines


class _Pen:
    def __init__(self, width: int, colour: bool, signs: dict[str, str], unicode: bool) -> None:
        self._width = width
        self._colour = colour
        self._signs = signs
        self._unicode = unicode
        self.dot = " · " if unicode else ", "

    def line(self, state: str, text: str, indent: int = 0, *, strong: bool = False) -> str:
        kind = kind_of(state)
        whole = self.cut(f"{'  ' * indent}{self._signs[kind]} {text}")
        if not self._colour:
            return whole
        start, rest = whole[: 2 * indent + 1], whole[2 * indent + 1 :]
        return f"\x1b[{_ANSI[kind]}m{start}\x1b[0m\x1b[1m{rest}\x1b[0m" if strong else self._dyed(kind, start, rest)

    def error(self, text: str, indent: int) -> str:
        whole = self.cut(f"{'  ' * indent}  {text}")
        return f"\x1b[31m{whole}\x1b[0m" if self._colour else whole

    def cut(self, text: str) -> str:
        text = printable(text).rstrip()
        if not self._unicode:
            text = text.replace(" · ", ", ").replace("…", "...").replace("×", "x")
            text = text.encode("ascii", "replace").decode()
        return text if len(text) <= self._width else text[: max(0, self._width - 1)] + ("…" if self._unicode else "~")

    def _dyed(self, kind: str, start: str, rest: str) -> str:
        if kind in ("failed", "waiting", "skipped"):
            return f"\x1b[{_ANSI[kind]}m{start}{rest}\x1b[0m"
        return f"\x1b[{_ANSI[kind]}m{start}\x1b[0m{rest}"


def _names(graph: Graph, indent: int) -> Iterator[tuple[str, Node]]:
    for node in graph.nodes.values():
        yield "  " * indent + _name(node), node
        if node.inner is not None:
            yield from _names(node.inner, indent + 1)


def _name(node: Node) -> str:
    return f"{node.name}  ×{node.count:,}" if node.count > 1 else node.name


def _node(node: Node, indent: int, pen: _Pen, column: int, now: dt.datetime) -> Iterator[str]:
    state = counts(node.tally()) if node.count > 1 else state_word(node.state)
    if node.kind == "if_else":
        state = node.note or state
    kind = "" if node.kind in ("command", "if_else") or node.steps is not None else kind_word(node.kind)
    facts = [
        kind,
        state,
        time_of(node, now),
        "reused" if node.reused else "",
        "" if node.kind == "if_else" else node.note,
    ]
    after = ", ".join(
        f"{edge.node} ({edge.label})" if edge.control and edge.label else edge.node for edge in node.needs[:3]
    )
    more = f" and {len(node.needs) - 3} more" if len(node.needs) > 3 else ""
    if after:
        facts.append(f"after {after}{more}")
    name = printable(_name(node)).ljust(column - 2 * indent)
    yield pen.line(node.state, f"{name}  {pen.dot.join(fact for fact in facts if fact)}", indent)
    if node.count > 1:
        for one in node.members:
            if one.error:
                yield pen.error(f"{one.name}: {one.error}", indent + 1)
    elif node.error and node.steps is None:
        yield pen.error(node.error, indent + 1)
    if node.inner is not None:
        for inside in node.inner.nodes.values():
            yield from _node(inside, indent + 1, pen, column, now)
