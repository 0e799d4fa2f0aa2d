"""One request as bytes, and the connection that sends it: nothing is checked or escaped on the way."""

from __future__ import annotations

import http.client
import socket
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sent:
    """A request as it goes out. `target` is the raw request target; header values are sent as they are."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    #: Whether the server may close the connection without an answer: the request is not HTTP.
    broken: bool = False

    def raw(self, host: str) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if "content-length" not in {name.lower() for name in self.headers} and (
            self.body or self.method not in ("GET", "HEAD")
        ):
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + self.body

    def __str__(self) -> str:
        headers = {name: value[:60] for name, value in self.headers.items() if name != "Authorization"}
        return f"{self.method} {self.target[:300]!r} {headers} {self.body[:200]!r} ({len(self.body)} bytes)"


@dataclass(frozen=True)
class Answer:
    """`status` is 0 where the connection was closed without an answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One keep-alive connection to a loopback port; opened anew where the server closed it."""

    def __init__(self, port: int, timeout_s: float) -> None:
        self.host = f"localhost:{port}"
        self._port, self._timeout_s = port, timeout_s
        self._socket: socket.socket | None = None

    def send(self, request: Sent) -> Answer:
        """The answer. Raises TimeoutError where none comes in time."""
        for fresh in (self._socket is None, True):
            if fresh:
                self.close()
                self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=self._timeout_s)
            assert self._socket is not None
            try:
                return self._exchange(self._socket, request)
            except TimeoutError:
                self.close()
                raise
            except (OSError, http.client.HTTPException):
                if fresh:
                    break  # a kept connection may have been closed meanwhile; a new one was not
        self.close()
        return Answer(0, {}, b"")

    def _exchange(self, connection: socket.socket, request: Sent) -> Answer:
        with suppress(
            BrokenPipeError, ConnectionResetError
        ):  # refused before the body was read: the answer is on its way
            connection.sendall(request.raw(self.host))
        response = http.client.HTTPResponse(connection, method=request.method)
        response.begin()
        body = response.read()
        if response.will_close:
            self.close()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
