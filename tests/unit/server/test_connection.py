from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from lazulite.server.connection import Connection, Limits

_LIMITS = replace(Limits(), connections=40, from_one_address=4)
_HALF = b"GET /healthz HTTP/1.1\r\nhost: loc"


class Limited(Connection):
    limits = _LIMITS


class _Transport(asyncio.Transport):
    """Remembers what was sent, and whether it was closed."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 1)})
        self.sent = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def write_eof(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class _Port:
    """Connections that share one listener's state; what is asked for is never answered."""

    def __init__(self) -> None:
        async def silent(_scope: Any, _receive: Any, _send: Any) -> None:
            await asyncio.Event().wait()

        self._config = uvicorn.Config(silent, http=Limited, ws="none", lifespan="off", log_config=None)
        self._config.load()
        self.state = ServerState()

    def connect(self, address: str, data: bytes = b"") -> tuple[Connection, _Transport]:
        connection, transport = Limited(self._config, self.state, {}), _Transport(address)
        connection.connection_made(transport)
        connection.data_received(data)
        return connection, transport

    def end(self) -> None:
        for task in self.state.tasks:
            task.cancel()


async def test_one_address_has_a_share_of_the_connections() -> None:
    port = _Port()
    greedy = [port.connect("192.0.2.1", b"GET / HTTP/1.1\r\n\r\n")[1] for _ in range(5)]
    assert [transport.sent[:12] for transport in greedy] == [b""] * 4 + [b"HTTP/1.1 503"]
    assert port.connect("192.0.2.2", b"GET / HTTP/1.1\r\n\r\n")[1].sent == b""
    port.end()


async def test_this_machine_has_no_share_but_all_of_them() -> None:
    port = _Port()
    own = [port.connect(address)[1] for address in ("127.0.0.1", "::1") for _ in range(10)]
    assert not any(transport.closed or transport.sent for transport in own)


async def test_who_has_sent_no_request_makes_room_the_longest_waiting_first() -> None:
    port = _Port()
    served = port.connect("127.0.0.1", b"GET / HTTP/1.1\r\n\r\n")[1]
    halves = [port.connect("127.0.0.1", _HALF) for _ in range(39)]
    for age, (connection, _) in enumerate(reversed(halves)):
        connection._since -= age
    newest = port.connect("127.0.0.1", _HALF)[1]
    assert [transport.closed for _, transport in halves] == [True] * 3 + [False] * 36
    assert not served.closed
    assert not newest.closed
    port.end()


async def test_where_everybody_waits_for_an_answer_the_newest_is_told_to_come_again() -> None:
    port = _Port()
    for _ in range(40):
        port.connect("127.0.0.1", b"GET / HTTP/1.1\r\n\r\n")
    _, newest = port.connect("127.0.0.1")
    assert newest.sent.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1\r\n" in newest.sent
    port.end()


async def test_a_body_that_the_server_does_not_read_is_not_late() -> None:
    port = _Port()
    connection, transport = port.connect(
        "127.0.0.1", b"PUT / HTTP/1.1\r\ncontent-length: 999999\r\n\r\n" + bytes(70_000)
    )
    now = asyncio.get_running_loop().time()
    for later in (40, 80, 400):
        connection.look(now + later)  # more is here than the server has asked for
    assert not transport.sent
    connection.flow.resume_reading()
    connection.look(now + 401)
    connection.look(now + 500)
    assert transport.sent.startswith(b"HTTP/1.1 408")
    port.end()


async def test_an_idle_connection_is_closed_in_the_end() -> None:
    connection, transport = _Port().connect("127.0.0.1")
    now = asyncio.get_running_loop().time()
    connection.look(now + _LIMITS.idle_s - 1)
    assert not transport.closed
    connection.data_received(b"\r\n" * 10)  # no request begins with it
    connection.look(now + _LIMITS.idle_s + 1)
    assert transport.closed
