import os
from pathlib import Path

import pytest

from lazulite.node.output import LONGEST_HELD, Lines, Output


def test_a_begun_line_is_held_until_it_ends() -> None:
    lines = Lines()
    assert lines.feed(b"one\ntw") == b"one\n"
    assert lines.feed(b"o") == b""
    assert lines.feed(b"\nthree") == b"two\n"
    assert lines.rest() == b"three"
    assert lines.rest() == b""


def test_a_bar_of_progress_is_shown_as_it_is_drawn_again() -> None:
    lines = Lines()
    assert lines.feed(b" 10%\r 20%") == b" 10%\r"
    assert lines.feed(b"\r") == b""
    assert lines.feed(b"\nend") == b" 20%\r\n"
    assert lines.feed(b"\r") == b""
    assert lines.feed(b" 30%") == b"end\r"


def test_a_line_of_any_length_is_written_as_it_comes() -> None:
    lines = Lines()
    written = most = 0
    for _ in range(1000):
        written += len(lines.feed(b"x" * 4096))
        most = max(most, len(lines.held))
    assert written + len(lines.rest()) == 1000 * 4096
    assert most <= LONGEST_HELD
    assert lines.feed(b"\n" + b"y" * (LONGEST_HELD + 1)).endswith(b"y")


class Pipe(Output):
    def __init__(self, folder: Path) -> None:
        reader, self.writer = os.pipe2(os.O_NONBLOCK)
        super().__init__(reader, os.open(folder / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND))


def test_what_comes_is_in_the_log(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path)
    os.write(pipe.writer, b"one\ntwo")
    pipe.drain()
    assert (tmp_path / "log").read_text() == "one\n"
    os.close(pipe.writer)
    pipe.drain(final=True)
    assert pipe.closed
    assert (tmp_path / "log").read_text() == "one\ntwo"
    pipe.close()


def test_who_prints_without_a_pause_does_not_hold_up_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Pipe(tmp_path)
    monkeypatch.setattr(os, "read", lambda _descriptor, count: b"x" * (count - 1) + b"\n")
    pipe.drain()
    assert (tmp_path / "log").stat().st_size > 0


def test_a_full_disk_is_noted() -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    output = Output(reader, os.open("/dev/full", os.O_WRONLY))
    os.write(writer, b"a line\n")
    output.drain()
    assert output.error is not None
    assert "No space left" in str(output.error)
