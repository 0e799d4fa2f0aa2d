import errno
import os
from pathlib import Path

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


def test_a_folder_that_is_not_there_has_no_size(tmp_path: Path) -> None:
    assert Growth([str(tmp_path / "none")], every_s=1.0).look(0.0) == 0


def test_a_full_disk_is_told_from_other_errors(tmp_path: Path) -> None:
    assert disk.is_full(OSError(errno.ENOSPC, ""))
    assert disk.is_full(OSError(errno.EDQUOT, ""))
    assert not disk.is_full(PermissionError(errno.EACCES, ""))
    assert not disk.is_full(ValueError())
    assert str(tmp_path) in disk.full(str(tmp_path))
    assert "MiB are free" in disk.full(str(tmp_path))
