import sys
from pathlib import Path

from lazulite.environments import interpreters

MINOR = f"python{sys.version_info[0]}.{sys.version_info[1]}"


def test_a_virtual_environments_python_stands_for_its_base(tmp_path: Path) -> None:
    (tmp_path / MINOR).symlink_to(sys.executable)
    (found,) = interpreters.find([tmp_path])
    assert found.version == sys.version_info[:2]
    assert Path(found.path) == Path(sys.executable).resolve()


def test_shims_and_what_does_not_run_are_left_out(tmp_path: Path) -> None:
    shims = tmp_path / "shims"
    broken = tmp_path / "broken"
    for folder in (shims, broken):
        folder.mkdir()
    (shims / MINOR).symlink_to(sys.executable)
    (broken / "python3.9").write_text("#!/bin/sh\nexit 127\n")
    (broken / "python3.9").chmod(0o755)
    (broken / "python3.10-config").write_text("")
    assert interpreters.find([shims, broken, tmp_path / "absent"]) == ()
