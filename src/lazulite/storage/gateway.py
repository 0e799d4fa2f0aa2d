"""The ASGI application: address, authorise, carry out, answer. Written for the time a 4 KiB request takes."""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Callable

from lazulite.core.clock import Clock, utc_now
from lazulite.core.errors import Refusal
from lazulite.core.trouble import trouble
from lazulite.storage import addressing, naming, routing
from lazulite.storage.accounts import AccountDirectory
from lazulite.storage.authorization import Authorizer, Identities
from lazulite.storage.errors import StorageError
from lazulite.storage.exchange import Answer, Exchange, Limits, Locks
from lazulite.storage.request import Disconnected, Receive, Request, Scope, Send
from lazulite.storage.routing import Operation
from lazulite.storage.store import BlobStore

_log = logging.getLogger(__name__)

_PIECE_BYTES = 1024 * 1024
_DEFAULT_VERSION = b"2021-08-06"
_STARTED = os.urandom(10).hex().encode()
_numbers = itertools.count(1)


class BlobGateway:
    """The Blob protocol over a store.

    `identities` says what the bearer of a token may do. `authority` is the https base
    URL that clients know this server by; `tenant` stands in the challenge that anonymous requests get.
    """

    def __init__(
        self,
        accounts: AccountDirectory,
        store: BlobStore,
        *,
        identities: Identities,
        authority: str,
        tenant: str = "common",
        limits: Limits | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._accounts = accounts
        self._store = store
        self._authority = authority.rstrip("/")
        self._authorizer = Authorizer(identities, authority, tenant, clock)
        self._limits = limits or Limits()
        self._locks = Locks()
        self._now: Callable[[], float] = time.time if clock is utc_now else lambda: clock().timestamp()

    @staticmethod
    def serves(scope: Scope) -> bool:
        """Whether a request is for storage, by its path or its Host."""
        path: str = scope["path"]
        if path.startswith(addressing.PREFIX) or path == "/storage":
            return True
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        return addressing.host_account(host.decode("latin-1"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"storage does not speak {scope['type']}")
        try:
            answer = await self._answer(scope, receive)
        except Disconnected:
            return
        await _send(scope, send, answer)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        try:
            request = Request(scope, receive)
            return await self._carry_out(request)
        except Refusal as error:
            return _refusal(StorageError.of(error))
        except FileNotFoundError:
            return _refusal(StorageError("BlobNotFound", "The blob was deleted meanwhile."))
        except Disconnected:
            raise
        except Exception as raised:
            return _refusal(_failure(scope, raised))

    async def _carry_out(self, request: Request) -> Answer:
        where = request.address
        account = self._accounts.get(where.account)
        if account is None:
            raise StorageError("ResourceNotFound", f"There is no storage account '{where.account[:80]}'.")
        operation = _route(request)
        container = where.container
        if container:
            naming.check_container(container)
            naming.check_blob(where.blob)
        policies = {}
        if "si" in request.query and container:
            found = await self._store.container(account.name, container)
            policies = found.record.policies if found else {}
        grant = await self._authorizer.authorize(request, account, operation.need, policies)
        return await operation.handler(
            Exchange(
                request,
                self._store,
                grant,
                self._limits,
                self._locks,
                self._accounts,
                self._authorizer,
                self._now,
                account.name,
                container,
                where.blob,
                self._authority,
            )
        )


def _route(request: Request) -> Operation:
    if request.address.service == "blob":
        return routing.route(request)
    if request.address.service == "dfs":
        return routing.route_path(request)
    return routing.route_file(request)


def _failure(scope: Scope, raised: Exception) -> StorageError:
    """What the client is told, once the log has the reason."""
    found = trouble(raised)
    if found is None:
        _log.error("storage request failed", exc_info=raised)
        return StorageError("InternalError", "The server encountered an internal error.")
    _log.error("%s %s: %s", scope["method"], scope["path"], found.message)
    code = "ServerBusy" if found.status == 503 else found.code
    return StorageError(code, found.message, headers=found.headers, status=found.status)


def _refusal(error: StorageError) -> Answer:
    headers = {"x-ms-error-code": error.code, "Content-Type": "application/xml", **error.headers}
    return Answer(error.status, headers, b"" if error.status == 304 else error.xml())


def _wire_name(name: str) -> bytes:
    return naming.HeaderName(name.encode()) if name.startswith(naming.METADATA_HEADER) else name.lower().encode()


async def _send(scope: Scope, send: Send, answer: Answer) -> None:
    headers = [(_wire_name(name), value.encode("utf-8")) for name, value in answer.headers.items()]
    headers.append((b"x-ms-request-id", b"%s-%012x" % (_STARTED, next(_numbers))))
    version = _DEFAULT_VERSION
    for name, value in scope["headers"]:
        if name == b"x-ms-version":
            version = value
        elif name == b"x-ms-client-request-id" and len(value) <= 1024:
            headers.append((name, value))
    headers.append((b"x-ms-version", version))
    reader = answer.reader
    if reader is None:
        if "Content-Length" not in answer.headers and answer.status not in (204, 304):
            headers.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})
        return
    try:
        first, length = answer.span
        piece = await reader.read(first, min(length, _PIECE_BYTES))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        while len(piece) < length and piece:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            first, length = first + len(piece), length - len(piece)
            piece = await reader.read(first, min(length, _PIECE_BYTES))
        if len(piece) == length:  # else the file was cut: leave the answer short, so that the client notices
            await send({"type": "http.response.body", "body": piece})
    finally:
        reader.close()
