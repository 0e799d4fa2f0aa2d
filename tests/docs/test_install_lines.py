"""Every command that installs something, in the documents and in what the program says: resolved, offline, as it stands."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from lazulite.core.extras import install_command, install_packages
from tests.docs.blocks import PAGES, ROOT, code

#: Installs something of ours, whoever is the installer. `%pip` and `!pip` of notebooks too.
_INSTALL = re.compile(r"[%!]?(?:uv )?pip3? install .+")
_EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
#: What `make setup` does not fetch is stood for by a package of that name without anything in it.
_NOT_SET_UP = ("mlflow", "debugpy")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder beside which the checkout lies as `lazulite`, with wheels of what is not set up."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "lazulite").symlink_to(ROOT)
    for name in _NOT_SET_UP:
        _empty_wheel(folder, name)
    return folder


def test_documents_install_in_words_that_work(elsewhere: Path) -> None:
    found = [(page, line) for page in PAGES for text in code(page) for line in _INSTALL.findall(text)]
    assert len(found) >= 5
    for page, line in found:
        words = shlex.split(line.lstrip("%!"), comments=True)
        uv = words[: words.index("install")]
        assert uv in (["uv", "pip"], ["pip"]), line
        if any("lazulite[" in word for word in words):
            assert any(word.startswith("./lazulite[") for word in words), f"{page.name}: {line} asks the package index"
        folder = ROOT if any(word.startswith(".[") for word in words) else elsewhere
        _resolves(["uv", "pip", *words[words.index("install") :], "--python", sys.executable], folder, elsewhere)


@pytest.mark.parametrize("extra", sorted(_EXTRAS))
def test_the_program_names_commands_that_work(extra: str, elsewhere: Path) -> None:
    said = _resolves(shlex.split(install_command(extra)), elsewhere, elsewhere)
    assert "does not have an extra" not in said


def test_an_extra_that_is_not_there_would_be_seen(elsewhere: Path) -> None:
    with pytest.raises(AssertionError, match="does not have an extra named `nonesuch`"):
        _resolves(shlex.split(install_command("nonesuch")), elsewhere, elsewhere)


def test_a_single_package_is_installed_beside_the_program(elsewhere: Path) -> None:
    _resolves(shlex.split(install_packages("debugpy")), elsewhere, elsewhere)


def test_the_source_writes_no_install_line_by_hand() -> None:
    by_hand = re.compile(r"pip install[^\"]*lazulite\[|pip install (?:debugpy|optuna|obstore)")
    sources = (ROOT / "src").rglob("*.py")
    assert [str(path) for path in sources if by_hand.search(path.read_text())] == []


def test_pip_is_where_the_setup_installs_everything() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "show", "azure-ai-ml"], capture_output=True, text=True, check=True
    )
    assert "Name: azure-ai-ml" in done.stdout


def _resolves(command: list[str], folder: Path, wheels: Path) -> str:
    """Have the installer resolve without a network and install nothing; returns what it said."""
    at = command.index("install") + 1
    options = ["--dry-run", "--offline", "--find-links", str(wheels)]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [*command[:at], *options, *command[at:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "does not have an extra" not in done.stderr, done.stderr
    return done.stderr


def _empty_wheel(folder: Path, name: str) -> None:
    info = f"{name}-99.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-99.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 99.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
