"""What a room tells the server about its HTTP surface: a list of `Route`s, and how bodies are read and written."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from lazulite.core import json_text
from lazulite.core.errors import ApiError, bad_request
from lazulite.core.principal import Principal

Handler = Callable[[Request], Awaitable[Response]]
ErrorRenderer = Callable[[ApiError], Response]

#: The permission of routes that anyone may call (cloud metadata, discovery, health).
PUBLIC = "public"
#: The permission of routes that any verified caller may use, whatever its roles.
AUTHENTICATED = "authenticated"

#: Where the request's scope says the largest body of its route in bytes.
MAX_BODY = "lazulite.max_body"
_MAX_BODY = 16 * 1024 * 1024
#: Bodies up to here are decoded at once; larger ones in a thread, so that others are answered meanwhile.
_AT_ONCE_BYTES = 128 * 1024

#: `{ws}` in a route's path: the workspace's ARM id, with the parameters subscription, group and workspace.
WORKSPACE = (
    "/subscriptions/{subscription}/resourceGroups/{group}"
    "/providers/Microsoft.MachineLearningServices/workspaces/{workspace}"
)


class JsonResponse(Response):
    media_type = "application/json"

    def __init__(self, content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(msgspec.json.encode(content), status_code, headers)


def arm_error(error: ApiError) -> Response:
    return JsonResponse(error.body(), error.status, error.headers)


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path, who may call it and who answers.

    `path` holds literal segments (matched without case) and `{name}` parameters; a last `{name:path}` takes the rest.
    `permission` is an Azure action such as `Microsoft.MachineLearningServices/workspaces/jobs/read`, or PUBLIC or
    AUTHENTICATED. It is checked against the scope the path names: the workspace, resource group or subscription.
    """

    method: str
    path: str
    permission: str
    handler: Handler
    operation: str
    errors: ErrorRenderer = arm_error
    #: Largest body in bytes; None leaves it to the server's settings.
    max_body: int | None = None
    #: What a browser gets in place of a 401: how to sign in.
    unsigned: Callable[[Request, ApiError], Response] | None = None


def principal(request: Request) -> Principal:
    """Who calls, verified by the server before the handler ran."""
    return cast(Principal, request.scope["lazulite.principal"])


def from_own_machine(request: Request) -> bool:
    """Whether the client is on the server's machine: paths there and how to step into jobs are nobody else's matter."""
    try:
        return ipaddress.ip_address(request.client.host if request.client else "").is_loopback
    except ValueError:
        return False


def workspace_id(request: Request) -> str:
    """The ARM id of the workspace that the path names, in the client's own spelling."""
    p = request.path_params
    return (
        f"/subscriptions/{p['subscription']}/resourceGroups/{p['group']}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{p['workspace']}"
    )


async def json_body(request: Request, *, required: bool = True) -> dict[str, Any]:
    """The request's JSON object. Raises ApiError 400 saying where the text stops being JSON, and 413 over a limit."""
    raw = await request.body()
    if not raw.strip():
        if required:
            raise bad_request(
                "The request has no body; a JSON object is expected.", "body", code="InvalidRequestContent"
            )
        return {}
    limit: int = request.scope.get(MAX_BODY, _MAX_BODY)
    if len(raw) <= _AT_ONCE_BYTES:
        return json_text.decode(raw, limit // json_text.BYTES_PER_VALUE)
    return await asyncio.to_thread(json_text.decode, raw, limit // json_text.BYTES_PER_VALUE)
