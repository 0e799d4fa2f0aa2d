"""The request path, in order: host, blob gateway, route, size, who, may they, handler, errors."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from lazulite.core.errors import ApiError, Refusal, not_found
from lazulite.core.numbers import whole_number
from lazulite.core.principal import Principal, job_refusal
from lazulite.core.trouble import trouble
from lazulite.core.web import AUTHENTICATED, MAX_BODY, PUBLIC, Route, arm_error
from lazulite.identity.claims import Claims
from lazulite.identity.directory import Directory
from lazulite.identity.tokens import unauthenticated
from lazulite.server.router import Router
from lazulite.server.sessions import Sessions

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]

log = logging.getLogger("lazulite.server")
#: The largest body of anybody: a form with a name and a secret.
_FORM_BYTES = 64 * 1024
#: Parameters that are texts of a client's own choosing and part of no id: a slash in them leads nowhere.
_TEXTS = frozenset({"experiment", "container", "key", "tag_key", "trace_id", "assessment_id"})


class Application:
    """The ASGI application behind both ports.

    `hosts` are the names a Host header may carry: a page elsewhere cannot reach us by rebinding its own name.
    `max_body` is the largest body in bytes of a route that sets no limit of its own. `sessions` are those of browsers.
    """

    def __init__(
        self,
        router: Router,
        storage: AsgiApp,
        claims: Claims,
        directory: Directory,
        hosts: frozenset[str],
        max_body: int,
        sessions: Sessions | None = None,
    ) -> None:
        self._router = router
        self._storage = storage
        self._claims = claims
        self._directory = directory
        self._hosts = hosts
        self._max_body = max_body
        self._sessions = sessions

    @property
    def routes(self) -> list[Route]:
        return self._router.routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await _lifespan(receive, send)
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if _is_blob(scope, host):
            return await self._storage(scope, receive, send)
        send = _stamped(send, headers)
        route: Route | None = None
        try:
            self._check_host(host, headers)
            route = self._route(scope)
            _check_names(route, scope["path_params"])
            limit = scope[MAX_BODY] = self._limit(route)
            request = Request(scope, _limited(receive, headers, limit))
            await self._authorise(request, route, headers)
            response = await route.handler(request)
        except Refusal as error:
            response = _refusal(route, scope, error.as_api_error())
        except ClientDisconnect:
            return None  # nobody is there to be answered, and nothing failed here
        except Exception as raised:
            response = (route.errors if route else arm_error)(_failure(scope, headers, raised))
        await response(scope, receive, send)
        return None

    def _limit(self, route: Route) -> int:
        anybodys = route.permission == PUBLIC
        return route.max_body or (min(_FORM_BYTES, self._max_body) if anybodys else self._max_body)

    def _check_host(self, host: str, headers: dict[bytes, str]) -> None:
        if _host_name(host) not in self._hosts:
            raise ApiError(
                421, "MisdirectedRequest", f"This server does not answer for the host '{host}'.", target="Host"
            )
        origin = headers.get(b"origin")
        if origin and origin != "null" and _host_name(origin.split("//", 1)[-1]) not in self._hosts:
            raise ApiError(403, "OriginNotAllowed", f"Pages from '{origin}' may not call this server.", target="Origin")

    def _route(self, scope: Scope) -> Route:
        raw_path = scope.get("raw_path", scope["path"].encode()).decode("latin-1").split("?", 1)[0]
        match = self._router.match(scope["method"], raw_path)
        if match is None:
            raise not_found(
                f"There is nothing at {scope['method']} {scope['path']}. `python -m lazulite.api.routes` prints every route.",
                code="InvalidResourceType" if "/providers/" in scope["path"] else "NotFound",
            )
        if match.route is None:
            allowed = ", ".join(match.allowed)
            raise ApiError(
                405,
                "MethodNotAllowed",
                f"{scope['path']} answers {allowed}, not {scope['method']}.",
                headers={"Allow": allowed},
            )
        scope["path_params"] = match.params
        return match.route

    async def _authorise(self, request: Request, route: Route, headers: dict[bytes, str]) -> None:
        if route.permission == PUBLIC:
            return
        caller = await self._caller(request, headers.get(b"authorization", ""))
        request.scope["lazulite.principal"] = caller
        if route.permission == AUTHENTICATED:
            return
        scope = scope_of(request.path_params)
        if not self._directory.allows(caller, route.permission, scope):
            if caller.run is not None:
                what = f"perform the action '{route.permission}' over the scope '{scope or '/'}'"
                raise ApiError(403, "AuthorizationFailed", job_refusal(caller.run, what), target=route.permission)
            raise ApiError(
                403,
                "AuthorizationFailed",
                f"'{caller.name}' does not have authorization to perform action '{route.permission}' over scope "
                f"'{scope or '/'}'. Ask an Owner for a role that has it.",
                target=route.permission,
            )

    async def _caller(self, request: Request, authorization: str) -> Principal:
        if not authorization and self._sessions and (signed_in := self._sessions.caller(request)):
            return signed_in
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer" or not token:
            raise unauthenticated(
                "The request carries no bearer token. Use DefaultAzureCredential with the environment that "
                '`eval "$(lazulite env)"` sets.'
            )
        return await self._claims.verify(token.strip())


def _check_names(route: Route, params: dict[str, str]) -> None:
    """Raises ApiError 404 for a name with a slash (`%2F`), which would be read as another id than the one asked for."""
    for parameter, name in params.items():
        if "/" in name and parameter not in _TEXTS and f"{{{parameter}}}" in route.path:
            raise not_found(f"There is nothing of the name '{name}': a name has no slash.", parameter)


def _host_name(authority: str) -> str:
    """The host of `host`, `host:port`, `[address]` and `[address]:port`, in lower case and without brackets."""
    if authority.startswith("["):
        address, _, port = authority[1:].partition("]")
        return address.lower() if not port or port.startswith(":") else authority
    return authority.partition(":")[0].lower()


def _refusal(route: Route | None, scope: Scope, error: ApiError) -> Response:
    if route is None:
        return arm_error(error)
    if error.status == 401 and route.unsigned is not None:
        return route.unsigned(Request(scope), error)
    return route.errors(error)


def scope_of(params: dict[str, str]) -> str:
    """The ARM scope that a path's parameters name, as deep as the workspace or registry."""
    scope = ""
    if "subscription" in params:
        scope = f"/subscriptions/{params['subscription']}"
        if "group" in params:
            scope += f"/resourceGroups/{params['group']}"
            for name, collection in (("workspace", "workspaces"), ("registry", "registries")):
                if name in params:
                    scope += f"/providers/Microsoft.MachineLearningServices/{collection}/{params[name]}"
    return scope


def _is_blob(scope: Scope, host: str) -> bool:
    path: str = scope["path"]
    if path == "/storage" or path.startswith("/storage/"):
        return True
    labels = host.split(".", 2)
    return len(labels) > 2 and labels[1] in ("blob", "dfs", "file")


def _limited(receive: Receive, headers: dict[bytes, str], limit: int) -> Receive:
    """The body's stream, ended with 413 once it is larger than `limit` bytes."""
    length = headers.get(b"content-length", "")
    if (whole_number(length) or 0) > limit:
        raise _too_large(limit)
    seen = 0

    async def limited() -> MutableMapping[str, Any]:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise _too_large(limit)
        return message

    return limited


def _too_large(limit: int) -> ApiError:
    return ApiError(
        413,
        "RequestEntityTooLarge",
        f"The body is larger than the {limit} bytes this operation takes. Upload files to a datastore instead.",
        target="body",
    )


def _failure(scope: Scope, headers: dict[bytes, str], raised: Exception) -> ApiError:
    """What the client is told, once the log has the reason."""
    found = trouble(raised)
    if found is None:
        log.error("%s %s failed", scope["method"], scope["path"], exc_info=raised)
        return _internal(headers)
    log.error("%s %s: %s", scope["method"], scope["path"], found.message)
    return found


def _internal(headers: dict[bytes, str]) -> ApiError:
    return ApiError(
        500,
        "InternalServerError",
        "The server failed; its log (<home>/server.log) has the reason under this request id.",
        target=headers.get(b"x-ms-client-request-id"),
    )


def _stamped(send: Send, headers: dict[bytes, str]) -> Send:
    """Add the request ids Azure's clients log."""
    extra = [(b"x-ms-request-id", str(uuid.uuid4()).encode())]
    if client_id := headers.get(b"x-ms-client-request-id"):
        extra.append((b"x-ms-client-request-id", client_id.encode("latin-1")))

    async def stamped(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *extra]
        await send(message)

    return stamped


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
