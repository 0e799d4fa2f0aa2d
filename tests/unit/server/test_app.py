from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from lazulite.core.web import PUBLIC, JsonResponse, Route
from lazulite.server.app import Application
from lazulite.server.router import Router


async def _length(request: Request) -> Response:
    return JsonResponse({"length": len(await request.body())})


def _application(max_body: int) -> Application:
    routes = [
        Route("PUT", "/ordinary", PUBLIC, _length, "Test.ordinary"),
        Route("PUT", "/roomy", PUBLIC, _length, "Test.roomy", max_body=20),
    ]
    unused: Any = None
    return Application(Router(routes), unused, unused, unused, frozenset({"localhost"}), max_body)


@pytest.mark.parametrize(
    ("path", "length", "status"),
    [("/ordinary", 10, 200), ("/ordinary", 11, 413), ("/roomy", 20, 200), ("/roomy", 21, 413)],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_body_is_limited_by_its_route_or_the_settings(
    path: str, length: int, status: int, streamed: bool
) -> None:
    async def parts() -> Any:
        yield b"x" * length

    transport = httpx.ASGITransport(_application(max_body=10))
    async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
        answer = await client.put(path, content=parts() if streamed else b"x" * length)
    assert answer.status_code == status
    assert answer.json().get("length", length) == length
