import os
import stat
from pathlib import Path

import pytest

from lazulite.backends.local.removal import remove_tree


def deep(top: Path, depth: int) -> None:
    top.mkdir(exist_ok=True)
    folder = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("below", dir_fd=folder)
        below = os.open("below", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
    os.close(folder)


@pytest.mark.parametrize("depth", [1, 1100, 2500])
def test_a_tree_of_any_depth_is_removed(tmp_path: Path, depth: int) -> None:
    deep(tmp_path / "run", depth)
    deep(tmp_path / "run" / "other", depth)
    remove_tree(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o000, 0o100, 0o300, 0o500])
def test_modes_hold_nobody_up(tmp_path: Path, mode: int) -> None:
    """Root may do anything, so that another user's process removes it there."""
    below = tmp_path / "run" / "a" / "b"
    below.mkdir(parents=True)
    (below / "file").touch()
    (tmp_path / "run" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    for path in (below, below.parent, tmp_path / "run"):
        path.chmod(mode)
    assert as_another_user(tmp_path) == 0
    assert not (tmp_path / "run").exists()
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) != stat.S_IRWXU


def as_another_user(folder: Path) -> int:
    """Has the folder's `run` removed. Returns the exit code of the process that did so."""
    (folder / "kept").chmod(0o755)
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        place = os.open(folder, os.O_RDONLY)
        if os.geteuid() == 0:
            for path in (folder, folder / "run", folder / "run" / "a", folder / "run" / "a" / "b"):
                os.chown(path, 65534, 65534)
            os.setgid(65534)
            os.setuid(65534)
        os.fchdir(place)
        remove_tree("run")
    finally:
        os._exit(int(os.path.lexists("run")))


def test_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove_tree(tmp_path / "none")
