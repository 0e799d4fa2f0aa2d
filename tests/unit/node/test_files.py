"""Copies into folders that jobs write to as well."""

import os
from pathlib import Path

import pytest

from lazulite.node import files


def _store(source: Path, target: Path) -> None:
    with source.open("rb") as file:
        files.store(file.fileno(), str(target))


def test_a_link_beside_the_target_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("new")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / f"payload.{os.getpid()}.tmp").symlink_to(victim)
    _store(tmp_path / "source", folder / "payload")
    assert victim.read_text() == "mine"
    assert (folder / "payload").read_text() == "new"


def test_a_name_that_is_guessed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda size: "0" * 2 * size)
    (tmp_path / "source").write_text("new")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f".lazulite-{'0' * 32}.part").symlink_to(victim)
    with pytest.raises(FileExistsError):
        _store(tmp_path / "source", tmp_path / "payload")
    assert victim.read_text() == "mine"


def test_what_a_killed_copy_left_is_no_file(tmp_path: Path) -> None:
    (tmp_path / f".lazulite-{'a' * 32}.part").write_text("half")
    (tmp_path / "whole").write_text("whole")
    (tmp_path / ".lazulite-notes.part").write_text("the user's own")
    assert [name for name, _ in files.opened(str(tmp_path))] == [".lazulite-notes.part", "whole"]
