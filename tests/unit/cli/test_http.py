from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lazulite.cli.http import Refused, Unreachable, get_json


@contextmanager
def answering(raw: bytes) -> Iterator[str]:
    """A server on loopback that answers every request with these bytes, and closes."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(raw)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_does_not_speak_our_json_is_unreachable(raw: bytes) -> None:
    with answering(raw) as url, pytest.raises(Unreachable, match=url):
        get_json(url)


@pytest.mark.parametrize(
    ("length", "body", "said"),
    [
        (60, b'{"error": {"code": "NotFound", "message": "There is no x."}}', "There is no x."),
        (8, b"not here", "not here"),
        (70, b'{"error": {"mess', "Nope"),
    ],
)
def test_a_refusal_is_told_in_the_servers_words_or_by_its_status(length: int, body: bytes, said: str) -> None:
    head = f"HTTP/1.1 404 Nope\r\nContent-Length: {length}\r\n\r\n".encode()
    with answering(head + body) as url, pytest.raises(Refused) as error:
        get_json(url)
    assert (error.value.status, error.value.message) == (404, said)


def test_an_address_that_cannot_be_sent_is_unreachable() -> None:
    with pytest.raises(Unreachable):
        get_json("http://127.0.0.1:1/jobs/\u00e9 x")
