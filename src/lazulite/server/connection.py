"""One client's connection, and what it may cost before anybody knows who calls: bytes, fields, time, company."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, cast

import httptools
import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from lazulite.storage.naming import METADATA_HEADER, SPELLED_NAMES


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one listener. Sizes are in bytes, times in seconds.

    A body has no time in which it must be over: it must go on, by `progress_bytes` in each `body_s`, while the server reads.
    """

    head_bytes: int = 64 * 1024
    fields: int = 512
    target_bytes: int = 32 * 1024
    head_s: float = 20.0
    body_s: float = 30.0
    progress_bytes: int = 4096
    idle_s: float = 75.0
    #: Requests that were sent before the answers of those before them.
    waiting_requests: int = 32
    connections: int = 1000
    #: Connections of one address that is not this machine's.
    from_one_address: int = 250


#: How long a connection that was refused is read on, so that its client comes to read the refusal.
_LINGER_S = 1.0


_METADATA = METADATA_HEADER.encode()


class Refused(Exception):
    """What a connection is told before it is closed."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def answer(self) -> bytes:
        """The whole answer, in the shape of Azure's errors."""
        body = msgspec.json.encode({"error": {"code": self.code, "message": str(self)}})
        retry = b"retry-after: 1\r\n" if self.status == 503 else b""
        length = str(len(body)).encode()
        return b"".join(
            (
                STATUS_LINE[self.status],
                b"content-type: application/json\r\ncontent-length: ",
                length,
                b"\r\n",
                retry,
                b"connection: close\r\n\r\n",
                body,
            )
        )


#: What of a request is being read.
_NOTHING, _HEAD, _BODY = range(3)


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with limits. `look` is to be called about once a second: no timer is set for a request."""

    limits = Limits()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._reading = _NOTHING
        self._since = self.loop.time()  # of what is being read, or of the last time that nothing was
        self._unfinished = 0  # bytes of pieces in which nothing began, went on or ended
        self._body = 0  # bytes of the body since `_since`
        self._received = 0  # bytes since the piece in which the request began
        self._moved = False  # whether the piece being parsed brought a beginning, a body or an end
        self._closed = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        if not self._make_room():
            self.refuse(Refused(503, "ServerBusy", "The server has as many connections as it takes. Try again."))

    def data_received(self, data: bytes) -> None:
        if self._closed:
            return
        self._unset_keepalive_if_required()
        self._moved = False
        self._received = len(data) if self._reading == _NOTHING else self._received + len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._upgrade_asked()
        except httptools.HttpParserError as error:
            cause = error.__context__
            told = cause if isinstance(cause, Refused) else Refused(400, "BadRequest", "This is not an HTTP request.")
            self.refuse(told)
        else:
            # A piece without a move lies within one head, in trailers or in a chunk's extensions.
            self._unfinished = 0 if self._moved else self._unfinished + len(data)
            if self._unfinished > self.limits.head_bytes:
                self.refuse(self._too_long())

    def look(self, now: float) -> None:
        """Close the connection if what it was to bring has not come in time."""
        waited = now - self._since
        if self._reading == _HEAD:
            if waited > self.limits.head_s:
                self.refuse(_late(f"The request's headers were not complete after {self.limits.head_s:g} seconds."))
        elif self._reading == _BODY:
            self._look_at_body(now, waited)
        elif self.idle and waited > self.limits.idle_s:
            self.transport.close()

    @property
    def idle(self) -> bool:
        """Whether no request is being read or answered."""
        return self._reading == _NOTHING and (self.cycle is None or self.cycle.response_complete)

    @property
    def unserved(self) -> bool:
        """Whether nobody waits for an answer here: the connection is idle or its request has not come yet."""
        return self._reading != _BODY and (self.cycle is None or self.cycle.response_complete)

    def refuse(self, refused: Refused) -> None:
        """Say why and close. An answer that has begun is cut off instead."""
        if self._closed or self.transport.is_closing():
            return
        self._closed = True
        self.flow.resume_reading()
        if self._may_tell():
            # Who still sends would lose the answer with a connection that is closed at once.
            self.transport.write(refused.answer())
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self.loop.call_later(_LINGER_S, self.transport.abort)
        else:
            self.transport.abort()
        self.pipeline.clear()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _may_tell(self) -> bool:
        """Whether an answer sent now would be taken for that of the request at fault."""
        if self.cycle is None or self.pipeline:
            return self.cycle is None
        if self._reading == _BODY:
            return not self.cycle.response_started
        return self.cycle.response_complete

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= self.limits.waiting_requests:
            raise Refused(503, "ServerBusy", "Too many requests were sent before the first was answered.")
        self._reading, self._since = _HEAD, self.loop.time()
        self._moved = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if len(self.url) + len(url) > self.limits.target_bytes:
            raise Refused(414, "RequestUriTooLong", f"The address is longer than {self.limits.target_bytes} bytes.")
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        # Instead of uvicorn's, and without counting: this is called for each header of each request.
        if self._reading != _HEAD:  # what trails a body is no header of the request
            return
        plain = name.lower()
        if plain.startswith(_METADATA):
            cast(dict[str, Any], self.scope).setdefault(SPELLED_NAMES, []).append(name)
        elif plain == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((plain, value))

    def on_headers_complete(self) -> None:
        if len(self.headers) > self.limits.fields:
            raise _too_large(f"The request has more than {self.limits.fields} headers.")
        if self._received > self.limits.head_bytes and self._head() > self.limits.head_bytes:
            raise self._too_long()
        self._reading, self._since = _BODY, self.loop.time()
        self._body = 0
        self._moved = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._reading, self._since = _NOTHING, self.loop.time()
        self._moved = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._reading == _NOTHING:
            self._since = self.loop.time()
        super().on_response_complete()

    def _head(self) -> int:
        """Bytes of the headers."""
        return sum(len(name) + len(value) for name, value in self.headers)

    def _too_long(self) -> Refused:
        return _too_large(f"The request's headers are longer than {self.limits.head_bytes} bytes.")

    def _look_at_body(self, now: float, waited: float) -> None:
        ours = self.flow.read_paused or (self.cycle.waiting_for_100_continue and not self.cycle.response_complete)
        if ours or (waited > self.limits.body_s and self._body >= self.limits.progress_bytes):
            self._since, self._body = now, 0
        elif waited > self.limits.body_s:
            least = f"{self.limits.progress_bytes} bytes in {self.limits.body_s:g} seconds"
            self.refuse(_late(f"The request's body stopped: it must go on by at least {least}."))

    def _upgrade_asked(self) -> None:
        # Nothing is spoken here but HTTP: the request is answered as it stands, and nothing may follow it.
        if self.cycle is not None:
            self.cycle.keep_alive = False
        self._closed = True

    def _make_room(self) -> bool:
        """Whether one more connection can be held, once those that nobody would miss are closed."""
        if len(self.connections) > self.limits.connections and not _drop_unserved(list(self.connections), self):
            return False
        address = self.client[0] if self.client else ""
        if not address or ip_address(address.partition("%")[0]).is_loopback:
            return True
        if len(self.connections) <= self.limits.from_one_address:
            return True
        here = [c for c in self.connections if isinstance(c, Connection) and c.client and c.client[0] == address]
        return len(here) <= self.limits.from_one_address or _drop_unserved(here, self)


def _drop_unserved(connections: list[Any], newest: Connection) -> bool:
    """Close the longest waiting of those that have no request: a twentieth at a time, as this looks at all."""
    waiting = sorted((c for c in connections if c.unserved and c is not newest), key=lambda c: c._since)
    for connection in waiting[: math.ceil(len(connections) / 20)]:
        connection.transport.abort()
        connection.connections.discard(connection)
    return bool(waiting)


def _too_large(message: str) -> Refused:
    return Refused(431, "RequestHeaderFieldsTooLarge", message)


def _late(message: str) -> Refused:
    return Refused(408, "RequestTimeout", message)
