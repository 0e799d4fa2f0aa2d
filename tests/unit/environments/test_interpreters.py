import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    ("variable", "below"),
    [
        ("PYENV_ROOT", "versions/3.99.1"),
        ("UV_PYTHON_INSTALL_DIR", "cpython-3.99.1-linux-x86_64-gnu"),
        ("XDG_DATA_HOME", "uv/python/cpython-3.99.1"),
        ("ASDF_DATA_DIR", "installs/python/3.99.1"),
        ("MISE_DATA_DIR", "installs/python/3.99.1"),
    ],
)
def test_the_variables_of_their_installers_say_where_they_are(
    variable: str, below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / below / "bin"
    folder.mkdir(parents=True)
    assert folder not in interpreters.places(interpreters.OWN)
    monkeypatch.setenv(variable, str(tmp_path))
    assert folder in interpreters.places(interpreters.OWN)


def test_a_variable_that_is_not_set_or_empty_is_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    assert list(interpreters.places(["$PYENV_ROOT/versions/*/bin", "relative/*"])) == []
