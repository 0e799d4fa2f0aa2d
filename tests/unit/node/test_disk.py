import errno
import os
from pathlib import Path

from lazulite.backends.local.removal import remove_tree
from lazulite.node import disk
from lazulite.node.disk import Growth


def test_growth_is_what_came_since_the_first_look(tmp_path: Path) -> None:
    (tmp_path / "before").write_bytes(bytes(100_000))
    growth = Growth([str(tmp_path), str(tmp_path / "below")], every_s=2.0)
    assert growth.folders == [str(tmp_path)]
    assert growth.look(0.0, budget_s=10) == 0
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "new").write_bytes(bytes(50_000))
    os.link(tmp_path / "below" / "new", tmp_path / "again")
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 1 << 30)
    (tmp_path / "out").symlink_to("/usr")
    assert growth.look(1.0) is None  # not due
    assert 50_000 <= (growth.look(1000.0, budget_s=10) or 0) < 70_000
    (tmp_path / "before").unlink()
    assert growth.look(2000.0, budget_s=10) == 0


def test_a_long_walk_is_done_in_parts(tmp_path: Path) -> None:
    for number in range(250):
        (tmp_path / str(number)).touch()
    growth = Growth([str(tmp_path)], every_s=0.0)
    looks = 1
    while growth.look(0.0, budget_s=-1.0) is None:
        looks += 1
    assert looks == 3


def test_folders_without_files_are_looked_at_in_parts_too(tmp_path: Path) -> None:
    for number in range(250):
        (tmp_path / str(number)).mkdir()
    assert list(disk.sizes([str(tmp_path)])) == [-1, -1, 0]


def test_a_file_counts_however_deep_it_lies(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(2500):
        os.mkdir("below", dir_fd=folder)
        below = os.open("below", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    with os.fdopen(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=folder), "wb") as file:
        file.write(bytes(100_000))
    os.close(folder)
    assert 100_000 <= list(disk.sizes([str(tmp_path)]))[-1] < 120_000
    remove_tree(tmp_path / "below")


def test_a_folder_that_is_not_there_has_no_size(tmp_path: Path) -> None:
    assert Growth([str(tmp_path / "none")], every_s=1.0).look(0.0) == 0


def test_a_full_disk_is_told_from_other_errors(tmp_path: Path) -> None:
    assert disk.is_full(OSError(errno.ENOSPC, ""))
    assert disk.is_full(OSError(errno.EDQUOT, ""))
    assert not disk.is_full(PermissionError(errno.EACCES, ""))
    assert not disk.is_full(ValueError())
    assert str(tmp_path) in disk.full(str(tmp_path))
    assert "MiB are free" in disk.full(str(tmp_path))
