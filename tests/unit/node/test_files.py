"""Copies into folders that jobs write to as well."""

import errno
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


def test_a_tree_is_copied_with_its_own_links_and_no_others(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "blobs").mkdir(parents=True)
    (source / "snapshot").mkdir()
    (source / "blobs" / "b").write_bytes(b"b" * 100_000)
    (source / "blobs" / "b").chmod(0o640)
    (source / "snapshot" / "near").symlink_to("../blobs/b")
    (source / "snapshot" / "absolute").symlink_to(source / "blobs" / "b")
    (source / "snapshot" / "folder").symlink_to("../blobs")
    (source / "out").symlink_to("/etc/passwd")
    (source / "nowhere").symlink_to("blobs/c")
    sizes: list[int] = []
    assert files.copy_tree(str(source), str(target), sizes.append) == 1
    assert sum(sizes) == 100_000
    assert (target / "snapshot" / "near").read_bytes() == b"b" * 100_000
    assert (target / "snapshot" / "absolute").resolve() == target / "blobs" / "b"
    assert (target / "snapshot" / "folder" / "b").is_file()
    assert sorted(path.name for path in target.iterdir()) == ["blobs", "snapshot"]
    copied, original = (target / "blobs" / "b").stat(), (source / "blobs" / "b").stat()
    assert (copied.st_mode, copied.st_mtime_ns) == (original.st_mode, original.st_mtime_ns)
    assert copied.st_ino != original.st_ino


def test_what_has_become_a_link_since_it_was_looked_at_is_not_followed(tmp_path: Path) -> None:
    for folder in ("store/code", "secret/code"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "key").write_text(folder)
    source = files.beneath(str(tmp_path / "store" / "code"), str(tmp_path / "store"))
    (tmp_path / "store").rename(tmp_path / "moved")
    (tmp_path / "store").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="store"):
        files.copy_tree(source, str(tmp_path / "copy"), lambda _: None)
    with pytest.raises(OSError, match="store"):
        files.copy(f"{source}/key", str(tmp_path / "copy" / "key"), lambda _: None)
    assert list((tmp_path / "copy").iterdir()) == []


def test_a_pipe_is_not_copied_nor_waited_for(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    os.mkfifo(tmp_path / "source" / "pipe")
    assert files.copy_tree(str(tmp_path / "source"), str(tmp_path / "copy"), lambda _: None) == 0
    with pytest.raises(OSError, match="not a file"):
        files.copy(str(tmp_path / "source" / "pipe"), str(tmp_path / "copy" / "pipe"), lambda _: None)


def test_a_file_that_the_system_cannot_copy_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "between file systems")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    (tmp_path / "a").write_bytes(b"abc")
    files.copy(str(tmp_path / "a"), str(tmp_path / "b"), lambda _: None)
    assert (tmp_path / "b").read_bytes() == b"abc"
