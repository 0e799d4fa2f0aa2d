from __future__ import annotations

from pathlib import Path

from lazulite.engine.sweeps.log import bring_up, line


def test_lines_are_appended_once_whoever_asks(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "hyperdrive.txt"
    assert bring_up(path, ["a"], None) == 1
    assert bring_up(path, ["a", "b", "c"], 1) == 3
    assert bring_up(path, ["a", "b", "c"], None) == 3
    assert bring_up(path, ["a", "b", "c", "d"], None) == 4
    assert path.read_text() == "a\nb\nc\nd\n"


def test_a_line_cut_short_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "hyperdrive.txt"
    path.write_text("a\nbe")
    bring_up(path, ["a", "beta"], None)
    assert path.read_text() == "a\nbeta\n"


def test_a_line_is_one_line() -> None:
    assert line("now", "a\n b") == "[now] a b"
