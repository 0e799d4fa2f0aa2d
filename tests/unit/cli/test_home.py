import json
import os
from pathlib import Path

from lazulite.cli.home import described_server, home_folder, running_server

NOTE = {
    "pid": 1,
    "https_url": "https://localhost:1/",
    "http_url": "http://localhost:1",
    "version": "9",
    "started": "now",
}


def test_home_is_the_option_then_the_variable_then_the_default(tmp_path: Path) -> None:
    assert home_folder(str(tmp_path), {"LAZULITE_HOME": "/else"}) == tmp_path
    assert home_folder(None, {"LAZULITE_HOME": "/else"}) == Path("/else")
    assert home_folder(None, {}) == Path.home() / ".lazulite"


def test_server_is_described_by_its_note(tmp_path: Path) -> None:
    note = NOTE | {"isolation": {"kind": "process", "detail": "what the user sees"}, "limits": "disk watched"}
    (tmp_path / "server.json").write_text(json.dumps(note))
    server = described_server(tmp_path)
    assert server is not None
    assert (server.https_url, server.isolation) == ("https://localhost:1", "what the user sees")
    assert server.limits == "disk watched"


def test_a_note_that_cannot_be_read_describes_nothing(tmp_path: Path) -> None:
    assert described_server(tmp_path) is None
    for text in ("", "[]", "{}", '{"pid": "x"}'):
        (tmp_path / "server.json").write_text(text)
        assert described_server(tmp_path) is None


def test_a_note_left_by_a_dead_process_is_no_running_server(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    (tmp_path / "server.json").write_text(json.dumps(NOTE | {"pid": child}))
    assert running_server(tmp_path) is None


def test_a_live_process_that_does_not_answer_is_no_running_server(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text(json.dumps(NOTE | {"pid": os.getpid()}))
    assert running_server(tmp_path) is None
