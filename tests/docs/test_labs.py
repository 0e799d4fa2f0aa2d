"""The page on Microsoft's exercises: everything it has for pasting, against a running server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lazulite.cli.main import main
from tests.docs.blocks import ROOT, blocks
from tests.long import only_long

pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]

#: What stands in place of the exercises' own files.
FILES = {
    "data/diabetes.csv": "a,b\n1,2\n",
    "fix-missing-data.yml": (
        "type: command\nname: fix\nversion: 1\ncommand: echo fixed\nenvironment:\n  image: library/python:3.11\n"
    ),
    "src/job.yml": (
        "code: .\ncommand: ls ${{inputs.training_data}} && echo 1 > ${{outputs.metrics_output}}/metrics.json\n"
        "inputs:\n  training_data: {type: uri_folder, path: azureml:nonesuch@latest}\n"
        "outputs:\n  metrics_output: {type: uri_folder}\n"
        "environment:\n  image: library/python:3.11\ncompute: azureml:aml-cluster\n"
    ),
    "registry.generated.yml": "name: mlr-labs\nlocation: local\nreplication_locations:\n  - location: local\n",
}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    main(["down", "--home", str(tmp_path / "home")])


@only_long
def test_everything_on_the_page_can_be_pasted(home: Path, tmp_path: Path) -> None:
    for name, text in FILES.items():
        path = tmp_path / "lab" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    page = [block for block in blocks() if block.page.name == "labs.md"]
    start, clone, init = (block.text for block in page if block.language == "sh")
    setup, lines, registry, delete, keys = (block.text for block in page if block.language == "python")
    start = re.sub("lazulite up --detach", "lazulite up --detach --port 0 --http-port 0", start)
    # The environment of a kernel takes a minute to make: this one has what it needs.
    start = start.replace("lazulite kernel install", f"lazulite kernel install --env {sys.prefix}")
    programs = {"setup": setup, "lines": lines, "registry": registry, "keys": keys, "delete": delete}
    for name, text in programs.items():
        (tmp_path / f"{name}.py").write_text(text)
    script = [
        start, *clone.splitlines()[2:], "python ../setup.py", init, "python ../lines.py", "python ../registry.py",
        "cat named-outputs/metrics_output/metrics.json", "python ../keys.py", "lazulite job list", "python ../delete.py",
        "jupyter kernelspec list",
    ]  # fmt: skip
    environment = os.environ | {
        "LAZULITE_HOME": str(home),
        "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-e"], input="\n".join(script), cwd=tmp_path / "lab", env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    for told in ("'mlw-dp100-labs'", "diabetes.csv", "/runs/train-1?wsid=", "train-1", "python38-azureml"):
        assert told in done.stdout, told
    assert re.search(r"^[a-z0-9]{3,24}\n[A-Za-z0-9+/]{80,}==$", done.stdout, re.MULTILINE), done.stdout


def test_what_it_says_is_not_built_is_not() -> None:
    """The page marks what answers 501; when that is built, the page changes."""
    said = (ROOT / "docs" / "coverage.md").read_text()
    for operation in ("AutoML", "online_endpoints", "batch_endpoints", "schedules"):
        assert re.search(rf"{operation}.*501", said), operation
