"""The tour of the README, pasted block by block into a shell, in a folder and a home of a newcomer's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lazulite.cli.main import main
from tests.docs.blocks import ROOT, Block, blocks
from tests.long import only_long

pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Path]:
    """A home folder, with port numbers that nobody else has."""
    (tmp_path / ".lazulite").mkdir()
    (tmp_path / ".lazulite" / "settings.toml").write_text("port = 0\nhttp_port = 0\n")
    yield tmp_path
    for home in (tmp_path / ".lazulite", tmp_path / "ci"):
        main(["down", "--home", str(home)])


@only_long
def test_the_tour_works_as_it_is_written(newcomer: Path) -> None:
    tour = [block for block in blocks() if block.page.name == "README.md" and block.line > _line("## A tour")]
    start, point, once = (block for block in tour if block.language == "sh")
    job, run = (block for block in tour if block.language == "python")
    script = newcomer / "lazulite-tour" / "tour.py"
    lines = [
        f"cd {ROOT}",
        # The environment is there, since these tests run in it; the one that runs them need not be `.venv`.
        start.text.replace("make setup\n", "").replace(
            "source .venv/bin/activate", f"PATH={Path(sys.executable).parent}:$PATH"
        ),
        point.text,
        "lazulite status && pwd && ls",
        "python tour.py",
        # What was built is kept between runs, as the pages advise for CI: building it again would take a minute.
        f"mkdir {newcomer}/ci && cp -al ~/.lazulite/environments {newcomer}/ci/",
        once.text.replace("/tmp/ci", str(newcomer / "ci")),
    ]
    script.parent.mkdir()
    script.write_text(f"{job.text}\n{run.text}\n")
    before = (ROOT / "config.json").exists()
    said = _pasted("\n".join(lines), newcomer)
    assert said.count("{'answer': 42.0}") == 2, said
    assert "metrics.answer" in said
    assert "\n + " not in said, "jobs.stream names every package of the environment"
    assert (newcomer / "lazulite-tour" / "config.json").exists()
    assert (ROOT / "config.json").exists() == before, "the tour leaves a file in the checkout"


def test_the_first_lines_of_the_readme_run(newcomer: Path) -> None:
    first = next(block for block in blocks() if block.page.name == "README.md" and block.language == "python")
    said = _pasted(
        f"cd {newcomer}\nlazulite up --detach\neval \"$(lazulite env)\"\nlazulite init\npython - <<'END'\n"
        f"{_bare(first)}\nEND\n",
        newcomer,
    )
    assert "\nhello\n" in said


def _bare(block: Block) -> str:
    """The block with an environment that takes no minute to build."""
    made = 'Environment(name="bare", image="library/python:3.11")'
    assert '"AzureML-sklearn-1.5@latest"' in block.text
    return "from azure.ai.ml.entities import Environment\n" + block.text.replace('"AzureML-sklearn-1.5@latest"', made)


def _line(heading: str) -> int:
    text = (ROOT / "README.md").read_text().splitlines()
    return next(number for number, line in enumerate(text, 1) if line.startswith(heading))


def _pasted(lines: str, home: Path) -> str:
    environment = {
        name: os.environ[name] for name in os.environ if not name.startswith(("LAZULITE", "AZURE", "MLFLOW"))
    }
    environment |= {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for cache in ("UV_CACHE_DIR", "PYENV_ROOT"):  # what the machine has already
        usual = {"UV_CACHE_DIR": "~/.cache/uv", "PYENV_ROOT": "~/.pyenv"}[cache]
        environment.setdefault(cache, os.path.expanduser(usual))
    done = subprocess.run(
        ["bash", "-e"],
        input=lines,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
