"""What a room tells the server about its HTTP surface: a list of `Route`s, and how bodies are read and written."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from lazulite.core.errors import ApiError, bad_request
from lazulite.core.principal import Principal

Handler = Callable[[Request], Awaitable[Response]]
ErrorRenderer = Callable[[ApiError], Response]

#: The permission of routes that anyone may call (cloud metadata, discovery, health).
PUBLIC = "public"
#: The permission of routes that any verified caller may use, whatever its roles.
AUTHENTICATED = "authenticated"

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


def principal(request: Request) -> Principal:
    """Who calls, verified by the server before the handler ran."""
    return cast(Principal, request.scope["lazulite.principal"])


def workspace_id(request: Request) -> str:
    """The ARM id of the workspace that the path names, in the client's own spelling."""
    p = request.path_params
    return (
        f"/subscriptions/{p['subscription']}/resourceGroups/{p['group']}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{p['workspace']}"
    )


async def json_body(request: Request, *, required: bool = True) -> dict[str, Any]:
    """The request's JSON object. Raises ApiError 400 saying where the text stops being JSON."""
    raw = await request.body()
    if not raw.strip():
        if required:
            raise bad_request(
                "The request has no body; a JSON object is expected.", "body", code="InvalidRequestContent"
            )
        return {}
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        document = _lenient(raw, error)
    except RecursionError:
        raise bad_request("The body is nested too deeply.", "body", code="InvalidRequestContent") from None
    if b"\\u" in raw:
        _check_encodable(document)
    if not isinstance(document, dict):
        raise bad_request(
            f"The body must be a JSON object, and is a JSON {type(document).__name__}.",
            "body",
            code="InvalidRequestContent",
        )
    return document


def _lenient(raw: bytes, error: Exception) -> Any:
    # Scripts that build bodies by hand leave raw newlines inside strings; Azure's own parser takes them.
    try:
        return json.loads(raw, strict=False)
    except (ValueError, RecursionError):
        raise bad_request(
            f"The body is not JSON: {error}. Check quotes, commas and the text's encoding (UTF-8).",
            "body",
            code="InvalidRequestContent",
        ) from None


def _check_encodable(document: Any) -> None:
    # JSON can spell half of a character ("\\ud800"), which no file, database or answer can hold.
    try:
        msgspec.json.encode(document)
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise bad_request(
            f"The body has '{half}', half of a character: write both halves, or the character itself.",
            "body",
            code="InvalidRequestContent",
        ) from None
