"""A picture as SVG: one file, light or dark as its reader likes it, that loads nothing and runs nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

from lazulite.drawing import layout
from lazulite.drawing.fold import fold
from lazulite.drawing.layout import Point, Size
from lazulite.drawing.state import Graph, Node, Picture, total
from lazulite.drawing.words import counts, duration, kind_of, kind_word, printable, share, state_word, summary, time_of

_MARGIN, _PAD, _TITLE = 24.0, 16.0, 46.0
_NARROW, _WIDE = 150.0, 300.0
_LINE = 16.0
_SIZE = 12.0
_FAILURES = 6
#: How much a page may shrink the picture to have it in view whole.
_SMALLEST = 0.7
_TIP = 5.0


def draw(picture: Picture, now: dt.datetime) -> str:
    """The whole picture, with its title, times, counts and what failed. `now` is for what still runs."""
    graph = fold(picture.graph)
    drawing = _Drawing(now)
    inner, size = drawing.graph(graph)
    width = max(size[0], 560.0) + 2 * _MARGIN
    head, height = _head(picture, now, width - 2 * _MARGIN)
    x = (width - size[0]) / 2
    body = "\n".join(_shifted(inner, x, height + _MARGIN))
    whole = height + size[1] + 2 * _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="lz" viewBox="0 0 {width:.0f} {whole:.0f}" width="{width:.0f}" '
        f'height="{whole:.0f}" style="min-width:{_SMALLEST * width:.0f}px" role="img">\n'
        f"<title>{_text(picture.title)}</title>\n<style>{_STYLE}</style>\n"
        f'<rect class="ground" width="100%" height="100%"/>\n{head}\n{body}\n</svg>\n'
    )


def _head(picture: Picture, now: dt.datetime, width: float) -> tuple[str, float]:
    began = picture.began.strftime("%Y-%m-%d %H:%M:%S UTC") if picture.began else ""
    took = duration(picture.began, picture.ended, now)
    facts = [picture.name, picture.experiment, began, took]
    tally = picture.tally()
    y = _MARGIN + 18
    lines = [
        _sign(picture.state, _MARGIN + 8, y - 6),
        f'<text class="title" x="{_MARGIN + 24}" y="{y}">{_text(_fit(picture.title, 560, 18))}</text>',
        f'<text class="faint" x="{_MARGIN}" y="{y + 22}">{_text(" · ".join(f for f in facts if f))}</text>',
        f'<text x="{_MARGIN}" y="{y + 42}"><tspan class="strong {kind_of(picture.state)}">{state_word(picture.state)}</tspan>'
        f" — {_text(summary(tally))}</text>",
    ]
    y += 42
    failures = [(path, node) for path, node in picture.graph.failed() if node.error]
    if not failures and picture.error:
        failures = [("", Node("", error=picture.error))]
    for path, node in failures[:_FAILURES]:
        y += 20
        name = f'<tspan class="strong">{_text(path)}</tspan>: ' if path else ""
        error = _text(_fit(node.error, width - _width(path, _SIZE)))
        lines.append(f'<text class="failed" x="{_MARGIN}" y="{y}">{name}{error}</text>')
    if len(failures) > _FAILURES:
        y += 20
        lines.append(f'<text class="failed" x="{_MARGIN}" y="{y}">and {len(failures) - _FAILURES:,} more failed</text>')
    return "\n".join(lines), y + 8


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is drawn around the origin, moved to a place."""

    text: str
    at: Point = (0.0, 0.0)


@dataclass(slots=True)
class _Drawing:
    now: dt.datetime

    def graph(self, graph: Graph) -> tuple[list[_Piece], Size]:
        drawn = {name: self.node(node) for name, node in graph.nodes.items()}
        edges = {(edge.node, name): edge for name, node in graph.nodes.items() for edge in node.needs}
        placed = layout.place({name: size for name, (_, size) in drawn.items()}, edges)
        pieces = [
            _Piece(_edge(points, edges[pair].label, edges[pair].control)) for pair, points in placed.edges.items()
        ]
        for name, (inside, _) in drawn.items():
            pieces += [
                _Piece(p.text, (p.at[0] + placed.places[name][0], p.at[1] + placed.places[name][1])) for p in inside
            ]
        return pieces, placed.size

    def node(self, node: Node) -> tuple[list[_Piece], Size]:
        if node.inner is not None:
            return self._box(node)
        lines = self._lines(node)
        name = f"{node.name}  ×{node.count:,}" if node.count > 1 else node.name
        width = max(_width(name, 13), *(_width(line, _SIZE) for line, _ in lines)) + 42
        width = min(max(width, _NARROW), _WIDE)
        height = 31 + _LINE * len(lines) + (8 if node.count > 1 else 0)
        parts = []
        if node.count > 1:
            parts.append(
                f'<rect class="card {kind_of(node.state)}" x="5" y="5" width="{width}" height="{height}" rx="6"/>'
            )
        parts += [
            f'<rect class="card {kind_of(node.state)}{_shape(node)}" width="{width}" height="{height}" rx="6"/>',
            _sign(node.state, 16, 17),
            f'<text class="name" x="30" y="21">{_text(_abridged(name, width - 40, 13))}</text>',
        ]
        y = 22.0
        for line, style in lines:
            y += _LINE
            parts.append(f'<text class="{style}" x="30" y="{y:.0f}">{_text(_fit(line, width - 40))}</text>')
        if node.count > 1:
            parts.append(_bar(node.tally(), 30, y + 6, width - 44))
        inside = "\n".join(parts)
        return [_Piece(f"<g>{_hint(node)}{inside}</g>")], (width, height + (5 if node.count > 1 else 0))

    def _lines(self, node: Node) -> list[tuple[str, str]]:
        """What stands below the name, with the style of each line."""
        what = [kind_word(node.kind), node.component if node.component != node.name else ""]
        took = time_of(node, self.now)
        states = counts(node.tally()) if node.count > 1 else state_word(node.state)
        states = node.note if node.kind == "if_else" and node.note else states
        first = " · ".join(one for one in (states, took, "reused" if node.reused else "") if one)
        lines = [(line, f"state {kind_of(node.state)}") for line in _wrapped(first, _WIDE - 42)]
        second = " · ".join(one for one in (*what, "" if node.kind == "if_else" else node.note) if one)
        if second:
            lines.append((second, "faint"))
        if node.count > 1:
            bad = [one for one in node.members if one.error]
            return lines + [(f"{one.name}: {one.error}", "failed") for one in bad]
        return lines + [(part, "failed") for part in _wrapped(node.error, _WIDE - 42)]

    def _box(self, node: Node) -> tuple[list[_Piece], Size]:
        assert node.inner is not None
        inside, (width, height) = self.graph(node.inner)
        steps = counts(total(node.inner.steps()))
        took = time_of(node, self.now)
        second = [
            kind_word(node.kind),
            state_word(node.state),
            took,
            "reused" if node.reused else "",
            node.note or steps,
        ]
        line = " · ".join(one for one in second if one)
        whole = max(width + 2 * _PAD, min(_width(line, _SIZE), 460.0) + 48, min(_width(node.name, 13), 460.0) + 48)
        size = (whole, height + _TITLE + _PAD + 6)
        frame = (
            f'<g>{_hint(node)}<rect class="box {kind_of(node.state)}" width="{size[0]:.1f}" height="{size[1]:.1f}" rx="8"/>'
            f"{_sign(node.state, 18, 19)}"
            f'<text class="name" x="32" y="22">{_text(_abridged(node.name, whole - 40, 13))}</text>'
            f'<text class="faint" x="32" y="38">{_text(_fit(line, whole - 40))}</text></g>'
        )
        x = (whole - width) / 2
        return [_Piece(frame), *(_Piece(p.text, (p.at[0] + x, p.at[1] + _TITLE + 6)) for p in inside)], size


def _shape(node: Node) -> str:
    return " choice" if node.kind == "if_else" else ""


def _hint(node: Node) -> str:
    """What a browser shows where the pointer rests: everything, whole."""
    facts = [node.name, state_word(node.state), node.component, node.error, f"run {node.run}" if node.run else ""]
    facts.append(f"reuses run {node.original}" if node.original else "")
    return f"<title>{_text(' | '.join(fact for fact in facts if fact))}</title>"


def _edge(points: list[Point], label: str, control: bool) -> str:
    """Curves between layers, straight lines through them, an arrow at the end, and the word of a choice."""
    points = [point for index, point in enumerate(points) if index == 0 or point != points[index - 1]]
    ends = [*points[:-1], (points[-1][0], points[-1][1] - _TIP)]
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x, y), (to_x, to_y) in zip(points, ends[1:], strict=False):
        half = (y + to_y) / 2
        straight = f"L{to_x:.1f} {to_y:.1f}"
        path.append(straight if x == to_x else f"C{x:.1f} {half:.1f} {to_x:.1f} {half:.1f} {to_x:.1f} {to_y:.1f}")
    x, y = points[-1]
    style = "edge control" if control else "edge"
    arrow = f'<path class="tip" d="M{x:.1f} {y:.1f}l-4 -7h8z"/>'
    word = f'<text class="label" x="{x + 7:.1f}" y="{y - 10:.1f}">{_text(label)}</text>' if control and label else ""
    return f'<g><title>{_text(label)}</title><path class="{style}" d="{"".join(path)}"/>{arrow}{word}</g>'


def _bar(tally: Mapping[str, int], x: float, y: float, width: float) -> str:
    """How much of a group is in which state."""
    parts, at, steps = [], x, sum(tally.values())
    for state in sorted(tally, key=lambda one: one != "Completed"):
        part = max(3.0, width * tally[state] / steps)
        part = min(part, x + width - at)
        parts.append(f'<rect class="fill {kind_of(state)}" x="{at:.1f}" y="{y:.1f}" width="{part:.1f}" height="4"/>')
        at += part
    return f"<g><title>{share(tally):.0%}</title>{''.join(parts)}</g>"


def _sign(state: str, x: float, y: float) -> str:
    kind = kind_of(state)
    return f'<g class="sign {kind}" transform="translate({x:g} {y:g})"><circle r="7.5"/><path d="{_MARKS[kind]}"/></g>'


def _shifted(pieces: list[_Piece], x: float, y: float) -> Iterator[str]:
    for piece in pieces:
        yield f'<g transform="translate({piece.at[0] + x:.1f} {piece.at[1] + y:.1f})">{piece.text}</g>'


def _wrapped(text: str, width: float, most: int = 2) -> list[str]:
    """The text in so many lines, the last one cut."""
    lines: list[str] = []
    words = text.split()
    at = 0
    while at < len(words) and len(lines) < most - 1:
        begin, used = at, _width(words[at], _SIZE)
        at += 1
        while at < len(words) and (used := used + _width(f" {words[at]}", _SIZE)) <= width:
            at += 1
        lines.append(" ".join(words[begin:at]))
    return [*lines, " ".join(words[at:])] if at < len(words) else lines


def _fit(text: str, width: float, size: float = _SIZE) -> str:
    """The text, cut where it is wider; what lies beyond is not looked at."""
    scale = _scale(size)
    used, kept = 0.0, 0  # the width so far, and how much of the text leaves room for the ellipsis
    for index, char in enumerate(text):
        used += _char(char) * scale
        if used > width:
            return f"{text[:kept]}…"
        if used + _char("…") * scale <= width:
            kept = index + 1
    return text


def _abridged(text: str, width: float, size: float) -> str:
    """The text, cut in its middle where it is wider: names often differ at their ends alone."""
    if _width(text, size) <= width:
        return text
    end = len(text)
    while _width(text[end - 1 :], size) <= width / 3:
        end -= 1
    return _fit(text[:end], width - _width(text[end:], size), size) + text[end:]


def _width(text: str, size: float) -> float:
    """About as wide as a wide sans-serif draws it; names, in 13 pixels and more, are bold."""
    return sum(_char(char) for char in text) * _scale(size)


def _scale(size: float) -> float:
    return size * (1.1 if size > _SIZE else 1.0)


def _char(char: str) -> float:
    if ord(char) > 0x2E80:
        return 1.0
    if char in "iljtfI.,:;'|!()[] ":
        return 0.37
    return 0.9 if char in "mwMW—…%@" else 0.7 if char.isupper() else 0.61


def _text(text: str) -> str:
    return escape(printable(text))


_MARKS = {
    "completed": "M-3.4 .2L-1 2.6L3.5 -2.4",
    "failed": "M-2.6 -2.6L2.6 2.6M2.6 -2.6L-2.6 2.6",
    "canceled": "M-2.4 -2.4h4.8v4.8h-4.8z",
    "running": "M-2 -3.4L3.4 0L-2 3.4z",
    "preparing": "M-3.4 0h.1M0 0h.1M3.4 0h.1",
    "queued": "M0 -3.6V.4L2.8 2",
    "waiting": "M-.1 0h.2",
    "skipped": "M-3.2 0h6.4",
}
#: Colours by the kind of state: on a light ground, and on a dark one.
_COLOURS = {
    "completed": ("#1a7f37", "#3fb950"),
    "failed": ("#cf222e", "#ff7b72"),
    "canceled": ("#8250df", "#bc8cff"),
    "running": ("#0969da", "#58a6ff"),
    "preparing": ("#9a6700", "#d29922"),
    "queued": ("#9a6700", "#d29922"),
    "waiting": ("#6e7781", "#8b949e"),
    "skipped": ("#8c959f", "#6e7681"),
}


def _colours(which: int) -> str:
    return "".join(f".lz .{kind}{{--c:{pair[which]}}}" for kind, pair in _COLOURS.items())


_STYLE = (
    ".lz{--g:#fff;--t:#1f2328;--f:#59636e;--k:#fff;--e:#8c959f;font:12px system-ui,'Segoe UI',sans-serif;color-scheme:light dark}"
    f"{_colours(0)}@media(prefers-color-scheme:dark){{.lz{{--g:#0d1117;--t:#e6edf3;--f:#9198a1;--k:#161b22;--e:#6e7681}}"
    f"{_colours(1)}}}"
    ".lz .ground{fill:var(--g)}.lz text{fill:var(--t)}.lz .title{font-size:18px;font-weight:600}"
    ".lz .name{font-size:13px;font-weight:600}.lz .strong{font-weight:600}.lz .faint,.lz .label{fill:var(--f)}"
    ".lz text.failed,.lz text.state,.lz tspan.strong[class*=' ']{fill:var(--c)}"
    ".lz .card{fill:var(--k);stroke:var(--c);stroke-width:1.4}.lz .card.failed{stroke-width:2.6}"
    ".lz .card.skipped,.lz .card.waiting{stroke-dasharray:4 3}.lz .card.choice{rx:16px}"
    ".lz .box{fill:var(--c);fill-opacity:.05;stroke:var(--c);stroke-opacity:.6}"
    ".lz .fill{fill:var(--c)}.lz .edge{fill:none;stroke:var(--e);stroke-width:1.3}.lz .control{stroke-dasharray:5 4}"
    ".lz .label{paint-order:stroke;stroke:var(--g);stroke-width:4px}.lz .tip{fill:var(--e)}.lz .sign circle{fill:var(--c)}"
    ".lz .sign path{fill:none;stroke:var(--g);stroke-width:1.8;stroke-linecap:round;stroke-linejoin:round}"
    ".lz .sign.running path,.lz .sign.canceled path{fill:var(--g)}"
    ".lz .sign.waiting circle{fill:none;stroke:var(--c);stroke-width:1.6}.lz .sign.waiting path{stroke:var(--c)}"
)
