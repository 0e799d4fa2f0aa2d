"""`lazulite registry load`: what a checkout of public assets becomes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import Registry, RegistryRegionDetails
from azure.identity import DefaultAzureCredential
from tests.server_fixture import RunningServer

pytestmark = pytest.mark.clients
_SCHEMA = "$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json\ntype: command\n"
_COMPONENT = "type: component\nspec: spec.yaml\ncategories: [x]\n"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("assets")
    _write(root / "src", {"run.py": "print(1)\n"})
    _component(root, "own", "environment: azureml://registries/azureml/environments/built/versions/5")
    _component(root, "newer", "environment: azureml://registries/azureml/environments/sklearn-1.5/versions/999")
    _component(root, "alias", "environment: azureml:sklearn-1.1-ubuntu20.04-py38-cpu:6")
    _component(root, "lost", "environment: azureml://registries/azureml/environments/nowhere/versions/3")
    _write(
        root / "a_pipeline",  # before the components that it is made of
        {
            "asset.yaml": _COMPONENT,
            "spec.yaml": "$schema: https://azuremlschemas.azureedge.net/latest/pipelineComponent.schema.json\n"
            "type: pipeline\nname: whole\nversion: 0.0.1\njobs:\n  step:\n    type: command\n"
            "    component: azureml:alias:0.0.1\n  older:\n    type: command\n    component: azureml:own:0.0.0\n",
        },
    )
    _write(
        root / "environments" / "built",
        {
            "asset.yaml": "name: built\nversion: auto\ntype: environment\nspec: spec.yaml\nextra_config: e.yaml\n",
            "e.yaml": "image:\n  context:\n    dir: context\n    dockerfile: Dockerfile\n",
            "spec.yaml": 'name: "{{asset.name}}"\nversion: "{{asset.version}}"\nbuild:\n  path: context\n',
            "context/Dockerfile": "FROM python:{{latest-image-tag}}\nRUN pip install 'six=={{latest-pypi-version}}'\n",
        },
    )
    _write(
        root / "data",
        {
            "asset.yaml": "type: data\nname: table\nversion: 2\nspec: spec.yaml\n",
            "spec.yaml": 'name: "{{asset.name}}"\nversion: "{{asset.version}}"\ntype: uri_folder\npath: rows/\n',
            "rows/a.csv": "1,2\n",
        },
    )
    _write(root / "models", {"asset.yaml": "type: model\nname: big\nversion: 1\nspec: spec.yaml\n"})
    return root


def test_load_a_checkout(server: RunningServer, checkout: Path, tmp_path: Path) -> None:
    code, said = _load(server, checkout)
    assert code == 1
    assert "environment built 5: loaded in" in said
    assert "(with version 40 of its environment 'sklearn-1.5' in place of 999)" in said
    assert "component whole 0.0.1: loaded in" in said
    assert "6 loaded\n" in said
    assert "1 of kind 'model' passed over" in said
    assert "not loaded: component lost: its environment 'nowhere' (version 3) is neither in the registry nor" in said
    assert "Creating/updating" not in said
    azureml = MLClient(DefaultAzureCredential(), registry_name="azureml")
    own = azureml.components.get("own", version="0.0.1")
    assert own.environment == "azureml://registries/azureml/environments/built/versions/5"
    assert azureml.environments.get("built", version="5").build.dockerfile_path == "Dockerfile"
    assert "(with version 0.0.1 of its component 'own' in place of 0.0.0)" in said
    steps = azureml.components.get("whole", version="0.0.1").jobs
    assert steps["step"].component == "azureml://registries/azureml/components/alias/versions/0.0.1"
    assert steps["older"].component == "azureml://registries/azureml/components/own/versions/0.0.1"
    assert azureml.data.get("table", version="2").type == "uri_folder"
    files = {path.name: path for path in (server.home / "storage").rglob("*") if "azureml" in str(path)}
    assert files["Dockerfile"].read_text() == "FROM python:latest\nRUN pip install 'six'\n"
    again, said = _load(server, checkout, "--only", "own", "built", "whole")
    assert (again, "built 5: there already" in said) == (0, True)
    assert "2 loaded\n1 there already" in said


def test_load_into_another_registry(server: RunningServer, ml_client: MLClient, checkout: Path) -> None:
    team = Registry(name="team", location="local", replication_locations=[RegistryRegionDetails(location="local")])
    ml_client.registries.begin_create(team).result()
    code, said = _load(server, checkout, "--registry", "team", "--only", "own")
    assert code == 0, said
    assert "with its environment 'built' 5" in said
    own = MLClient(DefaultAzureCredential(), registry_name="team").components.get("own", version="0.0.1")
    assert own.environment == "azureml://registries/team/environments/built/versions/5"


def test_what_cannot_be_loaded_at_all(server: RunningServer, checkout: Path) -> None:
    assert _load(server, checkout, "--registry", "azurml")[1].startswith("lazulite: There is no registry 'azurml'")
    assert "none of the 8 assets is called nothing" in _load(server, checkout, "--only", "nothing")[1]


def _load(server: RunningServer, folder: Path, *more: str) -> tuple[int, str]:
    """Exit code and all that was said."""
    command = [sys.executable, "-m", "lazulite.cli.main", "registry", "load", str(folder), "--home", str(server.home)]
    done = subprocess.run(
        [*command, *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout


def _component(root: Path, name: str, environment: str) -> None:
    spec = f"{_SCHEMA}name: {name}\nversion: 0.0.1\n{environment}\ncode: ../src\ncommand: python run.py\n"
    _write(root / name, {"asset.yaml": _COMPONENT, "spec.yaml": spec})


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
