from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from lazulite.core import paths
from lazulite.core.paths import UnsafePath


@pytest.fixture(params=["one call", "step by step"])
def walk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "step by step":
        monkeypatch.setattr(paths, "_syscall", None)


@pytest.fixture
def root(tmp_path: Path, walk: None) -> Path:
    root = tmp_path / "root"
    (root / "dir" / "sub").mkdir(parents=True)
    (root / "file").write_text("inside")
    (root / "dir" / "sub" / "deep").write_text("deep")
    (tmp_path / "secret").write_text("outside")
    (root / "link-file").symlink_to(tmp_path / "secret")
    (root / "link-dir").symlink_to(tmp_path)
    (root / "dir" / "link-up").symlink_to("../..")
    (root / "link-inside").symlink_to("file")
    return root


def read(root: Path, relative: str) -> str:
    fd = paths.open_beneath(root, relative)
    with os.fdopen(fd) as file:
        return file.read()


def test_reads_what_lies_beneath(root: Path) -> None:
    assert read(root, "file") == "inside"
    assert read(root, "dir/sub/deep") == "deep"


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "../secret", "dir/../../secret", "/etc/passwd", "//etc/passwd", "dir//sub/deep", "dir/./sub/deep",
        "file/", "dir/sub/", "a\0b", "x" * 256, "link-file", "link-dir/secret", "dir/link-up/secret", "link-inside",
        "é" * 130,
    ],
)  # fmt: skip
def test_refuses_what_may_lead_out(root: Path, name: str) -> None:
    with pytest.raises(UnsafePath):
        read(root, name)
    with pytest.raises(UnsafePath):
        paths.path_beneath(root, name)


def test_creates_nothing_outside(root: Path, tmp_path: Path) -> None:
    for name in ("link-dir/new", "dir/link-up/new", "../new"):
        with pytest.raises(UnsafePath):
            paths.open_beneath(root, name, os.O_WRONLY | os.O_CREAT, make_parents=True)
    assert not (tmp_path / "new").exists()
    os.close(paths.open_beneath(root, "new/deep/er", os.O_WRONLY | os.O_CREAT, make_parents=True))
    assert (root / "new/deep/er").exists()


def test_names_what_is_missing_and_what_is_no_folder(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(root, "dir/none")
    with pytest.raises(NotADirectoryError):
        read(root, "file/below")


def test_must_exist_guards_the_first_folders(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        paths.open_directory(root, ["none", "below"], create=True, must_exist=1)
    os.close(paths.open_directory(root, ["dir", "made", "deep"], create=True, durable=True, must_exist=1))
    assert (root / "dir" / "made" / "deep").is_dir()


def test_no_generated_name_leaves_the_root(root: Path, tmp_path: Path) -> None:
    """Whatever opens, opened beneath the root: the secret beside it is never read."""
    pieces = [
        "..",
        ".",
        "",
        "dir",
        "sub",
        "file",
        "secret",
        "link-dir",
        "link-file",
        "link-up",
        "root",
        "\0",
        "%2e%2e",
        "é",
    ]
    chance = random.Random(7)
    opened = 0
    for _ in range(3000):
        name = "/".join(chance.choice(pieces) for _ in range(chance.randint(1, 5)))
        try:
            fd = paths.open_beneath(root, name)
        except (UnsafePath, OSError):
            continue
        opened += 1
        real = Path(os.readlink(f"/proc/self/fd/{fd}"))
        os.close(fd)
        assert real.is_relative_to(root.resolve())
    assert opened > 10


def test_a_fifo_is_refused_and_makes_nobody_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"text")
    for opened in (
        lambda: paths.open_file(tmp_path / "pipe"),
        lambda: paths.regular(paths.open_beneath(tmp_path, "pipe", paths.READ)),
        lambda: paths.open_file(tmp_path),
    ):
        with pytest.raises(UnsafePath, match="not a regular file"):
            opened()
    with os.fdopen(paths.open_file(tmp_path / "file"), "rb") as file:
        assert file.read() == b"text"
