"""Notebooks as Jupyter runs them: in a kernel that `lazulite kernel install` made, and with `lazulite.activate()`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from tests.long import only_long

from lazulite.cli.main import main

pytestmark = pytest.mark.clients

SIGN_IN = """
from azure.ai.ml import MLClient
from azure.identity import DefaultAzureCredential

ml_client = MLClient.from_config(DefaultAzureCredential())
print(ml_client.workspaces.get().name)
"""
TRACK = """
import mlflow

mlflow.set_experiment("notes")
with mlflow.start_run() as run:
    mlflow.log_metric("answer", 42)
print(ml_client.jobs.get(run.info.run_id).experiment_name)
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    main(["down", "--home", str(tmp_path / "home")])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "notebooks").mkdir()
    return tmp_path / "notebooks"


def run(cells: list[str], folder: Path, kernel: str) -> list[str]:
    """What each cell printed."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(notebook, kernel_name=kernel, timeout=120, resources={"metadata": {"path": str(folder)}})
    # Jupyter itself knows nothing of a server here.
    client.execute(
        env={name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "IDENTITY"))}
    )
    return [
        "".join(out.get("text", "") or out.get("data", {}).get("text/plain", "") for out in cell.outputs)
        for cell in notebook.cells
    ]


@only_long
def test_a_notebook_in_our_kernel_needs_no_line_of_ours(
    home: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    assert main(["kernel", "install", "--name", "lab", "--env", sys.prefix, "--home", str(home)]) == 0
    assert main(["init", str(folder)]) == 0
    shown, name, experiment, status = run(["pip show azure-ai-ml", SIGN_IN, TRACK, "!lazulite job list"], folder, "lab")
    assert "Name: azure-ai-ml" in shown
    assert "mlw-default" in name
    assert experiment.splitlines()[-1] == "notes"
    assert "View run" in experiment
    assert "at: http://localhost:" in experiment
    assert "NAME" in status


def test_activate_leaves_the_next_cell_a_config_json(
    home: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    kernel = tmp_path / "jupyter" / "kernels" / "plain"
    kernel.mkdir(parents=True)
    command = f'["{sys.executable}", "-m", "ipykernel_launcher", "-f", "{{connection_file}}"]'
    (kernel / "kernel.json").write_text(f'{{"argv": {command}, "display_name": "plain", "language": "python"}}')
    said, name = run([f"import lazulite\nlazulite.activate({str(home)!r})", SIGN_IN], folder, "plain")
    assert f"MLClient.from_config finds {folder / 'config.json'}" in said
    assert "mlw-default" in name
