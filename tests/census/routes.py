"""The server's routes, and what they do with an operation of the control plane."""

from __future__ import annotations

import asyncio
import tempfile
from functools import cache
from pathlib import Path

from lazulite.api import not_built
from lazulite.core.web import Route
from lazulite.server.compose import all_routes
from lazulite.server.router import Router
from tests.census.operations import ArmOperation


@cache
def router() -> Router:
    with tempfile.TemporaryDirectory() as home:
        return Router(asyncio.run(all_routes(Path(home))))


def route_of(operation: ArmOperation) -> Route | None:
    """The one route that answers an operation."""
    match = router().match(operation.method, operation.example_path({}))
    return match.route if match else None


def is_built(route: Route) -> bool:
    return route.handler.__module__ != not_built.__name__
