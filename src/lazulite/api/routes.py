"""`python -m lazulite.api.routes`: every route, its permission and who serves it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable
from pathlib import Path

from lazulite.core.web import Route


def table(routes: Iterable[Route]) -> str:
    """One line a route: method, path, permission, operation, and the module that answers."""
    rows = sorted(
        (_short(route.path), route.method, route.permission, route.operation, _served_by(route)) for route in routes
    )
    lines = [
        f"{method:<7}{path}\n       {operation} | {right} | {module}" for path, method, right, operation, module in rows
    ]
    return "\n".join(lines)


def _short(path: str) -> str:
    from lazulite.core.web import WORKSPACE

    return path.replace(WORKSPACE, "{workspace id}")


def _served_by(route: Route) -> str:
    module = getattr(route.handler, "__module__", "")
    return module or type(route.handler).__module__


def main() -> None:
    from lazulite.server.compose import all_routes

    with tempfile.TemporaryDirectory() as folder:
        print(table(asyncio.run(all_routes(Path(folder)))))


if __name__ == "__main__":
    main()
