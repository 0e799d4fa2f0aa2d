import socket
from pathlib import Path

import pytest

from lazulite.server import ports
from lazulite.server.listener import PortTaken, bind
from lazulite.server.settings import load

HERE = "127.0.0.1"


def number(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def test_any_port_is_the_last_one_while_it_is_free() -> None:
    with bind(HERE, 0) as first:
        kept = number(first)
        with bind(HERE, 0, kept) as second:
            assert number(second) != kept
    with bind(HERE, 0, kept) as again:
        assert number(again) == kept


def test_a_port_that_was_asked_for_is_not_given_up() -> None:
    with bind(HERE, 0) as held, pytest.raises(PortTaken, match=str(number(held))):
        bind(HERE, number(held), 1)


def test_the_home_remembers(tmp_path: Path) -> None:
    assert ports.last(tmp_path) == {}
    ports.remember(tmp_path, 8443, 35000)
    assert ports.last(tmp_path) == {"port": 8443, "http_port": 35000}
    (tmp_path / "ports.json").write_text("[")
    assert ports.last(tmp_path) == {}


def test_a_server_that_is_told_nothing_takes_its_last_ports_and_else_the_usual_ones(tmp_path: Path) -> None:
    def told(**given: int) -> tuple[int, int]:
        found = load({"home": str(tmp_path), **given}, {})
        return found.port, found.http_port

    assert told() == (8443, 8080)
    ports.remember(tmp_path, 8443, 35000)
    # The usual port is insisted on; 0 takes the last one.
    assert told() == (8443, 0)
    assert told(port=9443, http_port=9080) == (9443, 9080)
    (tmp_path / "settings.toml").write_text("http_port = 9080")
    assert told() == (8443, 9080)
