"""What a connection may cost before anybody knows who calls: raw sockets against a server of its own, on both ports."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.server_fixture import RunningServer

_HEALTHZ = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"
_SETTINGS = {"header_timeout_seconds": "1", "body_timeout_seconds": "1", "max_connections": "40"}
Connect = Callable[[], socket.socket]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    server = RunningServer(tmp_path_factory.mktemp("connections") / "home", _SETTINGS)
    server.home.mkdir()
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["http", "https"])
def connect(request: pytest.FixtureRequest, running: RunningServer) -> Connect:
    def plain() -> socket.socket:
        return socket.create_connection(("127.0.0.1", int(running.note["http_port"])), timeout=20)

    def secure() -> socket.socket:
        context = ssl.create_default_context(cafile=running.bundle)
        opened = socket.create_connection(("127.0.0.1", int(running.note["port"])), timeout=20)
        return context.wrap_socket(opened, server_hostname="localhost")

    return plain if request.param == "http" else secure


@contextmanager
def _answered_meanwhile(running: RunningServer) -> Iterator[None]:
    """Ask for /healthz over and over; its slowest answer must have come soon."""
    over, waits = threading.Event(), [0.0]

    def ask() -> None:
        while not over.is_set():
            began = time.monotonic()
            client = http.client.HTTPConnection("127.0.0.1", int(running.note["http_port"]), timeout=30)
            client.request("GET", "/healthz")
            assert client.getresponse().status == 200
            client.close()
            waits.append(time.monotonic() - began)
            over.wait(0.02)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        over.set()
        asking.join()
    assert len(waits) > 1
    assert max(waits) < 2


def _send(client: socket.socket, piece: bytes, times: int = 1) -> None:
    """As much as the server takes."""
    try:
        for _ in range(times):
            client.sendall(piece)
    except OSError:
        pass


def _all(client: socket.socket) -> bytes:
    """What comes until the server closes. Raises TimeoutError if it does not."""
    received = b""
    try:
        while piece := client.recv(65536):
            received += piece
    except TimeoutError:
        raise
    except OSError:
        pass
    return received


def _answer(client: socket.socket) -> tuple[int, str]:
    """The status and the error's code of an answer after which the server closes."""
    head, _, body = _all(client).partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    return int(head.split(b" ")[1]), json.loads(body)["error"]["code"] if body else ""


@pytest.mark.parametrize(
    ("head", "endless", "times", "expected"),
    [
        (_HEALTHZ + b"x-long: ", b"a" * 65536, 300, (431, "RequestHeaderFieldsTooLarge")),
        (_HEALTHZ, b"a: b\r\n" * 10_000, 20, (431, "RequestHeaderFieldsTooLarge")),
        (b"GET /", b"a" * 65536, 300, (414, "RequestUriTooLong")),
        (b"", b"\x16\x03\x01 \r\n", 1, (400, "BadRequest")),
    ],
    ids=["endless header", "200,000 headers", "endless address", "no HTTP"],
)
def test_a_head_has_an_end(
    running: RunningServer, connect: Connect, head: bytes, endless: bytes, times: int, expected: tuple[int, str]
) -> None:
    with _answered_meanwhile(running), connect() as client:
        client.sendall(head)
        _send(client, endless, times)
        assert _answer(client) == expected


@pytest.mark.parametrize(
    ("begun", "endless"),
    [(b"5;", b"a" * 65536), (b"1\r\na\r\n0\r\n", b"x-trailer: y\r\n" * 5000)],
    ids=["extension", "trailers"],
)
def test_what_belongs_to_no_body_has_an_end(
    running: RunningServer, connect: Connect, begun: bytes, endless: bytes
) -> None:
    with _answered_meanwhile(running), connect() as client:
        client.sendall(b"POST /adfs/oauth2/token HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
        client.sendall(begun)
        _send(client, endless, 20)
        assert _answer(client) == (431, "RequestHeaderFieldsTooLarge")


@pytest.mark.parametrize(
    "half",
    [
        b"GET /heal",
        _HEALTHZ + b"x-half: ",
        b"POST /adfs/oauth2/token HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nhalf",
    ],
    ids=["line", "headers", "body"],
)
def test_half_a_request_is_closed(connect: Connect, half: bytes) -> None:
    with connect() as client:
        client.sendall(half)
        assert _answer(client) == (408, "RequestTimeout")


def test_a_body_that_stops_after_its_answer_is_closed(connect: Connect) -> None:
    with connect() as client:
        client.sendall(b"PUT /storage/v1/a/_/c/b HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
        assert _all(client).startswith(b"HTTP/1.1 404")


def test_a_slow_body_that_goes_on_is_waited_for(running: RunningServer) -> None:
    body = b"grant_type=client_credentials&client_id=a&client_secret=b&pad=" + b"x" * 40_000
    with socket.create_connection(("127.0.0.1", int(running.note["http_port"])), timeout=20) as client:
        head = f"POST /adfs/oauth2/token HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n"
        client.sendall(head.encode() + b"connection: close\r\n\r\n")
        pause = threading.Event()
        for start in range(0, len(body), 5000):
            client.sendall(body[start : start + 5000])
            pause.wait(0.25)  # two seconds in all; one must bring 4 KiB
        assert _all(client).startswith(b"HTTP/1.1 401")


def test_many_half_requests_make_room_for_whole_ones(running: RunningServer, connect: Connect) -> None:
    with _answered_meanwhile(running):
        halves = [connect() for _ in range(60)]
        for half in halves:
            _send(half, b"GET /healthz HTTP/1.1\r\nhost: loc")
        for half in halves:
            _all(half)
            half.close()


def test_a_handshake_without_an_end_is_closed(running: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", int(running.note["port"])), timeout=20) as client:
        client.sendall(b"\x16\x03\x01")
        assert _all(client) == b""


def test_requests_in_one_piece_are_answered_in_order(connect: Connect) -> None:
    with connect() as client:
        client.sendall((_HEALTHZ + b"\r\n") * 4 + _HEALTHZ + b"connection: close\r\n\r\n")
        assert _all(client).count(b'"status":"healthy"') == 5


def test_a_flood_in_one_piece_is_cut_off(running: RunningServer, connect: Connect) -> None:
    with _answered_meanwhile(running), connect() as client:
        _send(client, (_HEALTHZ + b"\r\n") * 10_000)
        assert _all(client).count(b'"status":"healthy"') < 10_000


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /healthz HTTP/1.0\r\nhost: localhost\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.0\r\nhost: [::1]\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.0\r\nhost: [::1]:8080\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.0\r\nhost: [::2]\r\n\r\n", 421),
        (b"GET /healthz HTTP/1.0\r\nhost: ::1\r\n\r\n", 421),
        (_HEALTHZ + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n", 200),
        (_HEALTHZ + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: x\r\n\r\n", 200),
    ],
)
def test_unusual_requests_are_answered_once_and_closed(connect: Connect, request_: bytes, status: int) -> None:
    with connect() as client:
        client.sendall(request_)
        assert _all(client).startswith(b"HTTP/1.1 %d" % status)


def test_who_asks_before_sending_is_told_to_go_on(connect: Connect) -> None:
    with connect() as client:
        client.sendall(
            b"POST /adfs/oauth2/token HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n"
            b"content-length: 3\r\nconnection: close\r\n\r\n"
        )
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"a=b")
        assert _all(client).startswith(b"HTTP/1.1 401")


def test_what_trails_a_body_is_no_header(connect: Connect) -> None:
    with connect() as client:
        client.sendall(
            b"POST /adfs/oauth2/token HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n"
            b"connection: close\r\n\r\n1\r\na\r\n0\r\nhost: elsewhere.example\r\n\r\n"
        )
        assert _all(client).startswith(b"HTTP/1.1 401")  # a host that is not ours would have made it 421


def test_who_goes_away_is_no_error(running: RunningServer, connect: Connect) -> None:
    log = running.home.parent / "home.log"
    before = log.read_text()
    token = running.token().encode()
    heads = [
        b"POST /adfs/oauth2/token HTTP/1.1\r\n",
        b"PUT /subscriptions/s/resourcegroups/g HTTP/1.1\r\nauthorization: Bearer " + token + b"\r\n",
        b"POST /mlflow/rest/api/2.0/mlflow/runs/create HTTP/1.1\r\nauthorization: Bearer " + token + b"\r\n",
        b"PUT /storage/v1/a/_/c/b HTTP/1.1\r\nauthorization: Bearer " + token + b"\r\n",
    ]
    for head in heads:
        with connect() as client:
            client.sendall(head + b"host: localhost\r\ncontent-length: 100\r\n\r\n{")
    with connect() as client:  # answered after those
        client.sendall(_HEALTHZ + b"connection: close\r\n\r\n")
        assert b"200 OK" in _all(client)
    said = log.read_text().removeprefix(before)
    assert "Traceback" not in said
    assert "failed" not in said
