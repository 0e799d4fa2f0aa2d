"""Method and path to route: a tree of segments, literals without case, parameters with the client's spelling."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

from lazulite.core.web import Route


class RouteConflict(Exception):
    """Two routes claim the same method and path."""


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    parameter: tuple[str, _Node] | None = None
    rest: tuple[str, dict[str, Route]] | None = None
    methods: dict[str, Route] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """`route` is None where the path is known and the method is not; `allowed` are the methods it has."""

    route: Route | None
    params: dict[str, str]
    allowed: tuple[str, ...]


class Router:
    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        self.routes = list(routes)
        for route in self.routes:
            self._add(route)

    def match(self, method: str, raw_path: str) -> Match | None:
        """`raw_path` is still percent-encoded, so that an encoded slash stays inside its segment."""
        segments = [unquote(s) for s in raw_path.strip("/").split("/")]
        found = _find(self._root, segments, 0, method)
        if found is None:
            return None
        methods, params = found
        route = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
        return Match(route, params, tuple(sorted(methods)))

    def _add(self, route: Route) -> None:
        if not route.permission:
            raise ValueError(f"{route.method} {route.path} declares no permission")
        node = self._root
        methods = node.methods
        for segment in route.path.strip("/").split("/"):
            if segment.endswith(":path}"):
                node.rest = node.rest or (segment[1:-6], {})
                methods = node.rest[1]
                break
            node = _step(node, segment)
            methods = node.methods
        if route.method in methods:
            raise RouteConflict(f"{route.method} {route.path} is declared twice")
        methods[route.method] = route


def _step(node: _Node, segment: str) -> _Node:
    if not segment.startswith("{"):
        return node.literals.setdefault(segment.lower(), _Node())
    name = segment[1:-1]
    if node.parameter is None:
        node.parameter = (name, _Node())
    if node.parameter[0] != name:
        raise RouteConflict(f"a segment is called both {{{node.parameter[0]}}} and {{{name}}}")
    return node.parameter[1]


def _find(node: _Node, segments: list[str], at: int, method: str) -> tuple[dict[str, Route], dict[str, str]] | None:
    if at == len(segments):
        return (node.methods, {}) if node.methods else None
    segment = segments[at]
    literal = node.literals.get(segment.lower())
    if literal is not None and (found := _find(literal, segments, at + 1, method)):
        return found
    if node.parameter is not None and segment:
        name, child = node.parameter
        if found := _find(child, segments, at + 1, method):
            found[1][name] = segment
            return found
    if node.rest is not None:
        name, methods = node.rest
        return methods, {name: "/".join(segments[at:])}
    return None
