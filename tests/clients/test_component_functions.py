"""Components written as Python functions with mldesigner, called in pipelines and registered."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from azure.ai.ml import MLClient, dsl
from azure.ai.ml.entities import AmlCompute, Environment
from tests.clients.small_jobs import ended
from tests.server_fixture import RunningServer

pytestmark = pytest.mark.clients

STEPS = """
from pathlib import Path
from mldesigner import Input, Output, command_component

@command_component(name="add", version="3", description="adds", environment="azureml:designed:1")
def add(
    a: Input(type="number", min=0),
    made: Output(type="uri_folder"),
    b: Input(type="integer", default=2),
    loud: Input(type="boolean", optional=True) = None,
):
    Path(made, "sum.txt").write_text(str(a + b))
    print("add", type(a).__name__, type(b).__name__, loud)

@command_component(environment="azureml:designed:1")
def tell(folder: Input(type="uri_folder"), made: Output(type="uri_file")):
    Path(made).write_text(Path(folder, "sum.txt").read_text())
"""


@pytest.fixture(scope="module", autouse=True)
def _things(ml_client: MLClient) -> None:
    conda = {"name": "designed", "dependencies": ["python=3.11", {"pip": ["mldesigner==0.1.0b23"]}]}
    wanted = Environment(name="designed", version="1", image="library/python:3.11", conda_file=conda)
    ml_client.environments.create_or_update(wanted)
    ml_client.compute.begin_create_or_update(
        AmlCompute(name="cpu-cluster", size="STANDARD_DS3_v2", max_instances=2)
    ).result()


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    path = tmp_path_factory.mktemp("functions") / "designed_steps.py"
    path.write_text(STEPS)
    spec = importlib.util.spec_from_file_location("designed_steps", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["designed_steps"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["designed_steps"]


@pytest.mark.parametrize("registered", [False, True])
def test_functions_are_steps(
    server: RunningServer, ml_client: MLClient, steps: ModuleType, tmp_path: Path, registered: bool
) -> None:
    add: Callable[..., Any] = steps.add
    if registered:
        made = ml_client.components.create_or_update(steps.add)
        assert (made.name, made.version, made.description) == ("add", "3", "adds")
        add = ml_client.components.get("add", version="3")

    @dsl.pipeline(default_compute="cpu-cluster")
    def pipeline(a):  # type: ignore[no-untyped-def]
        one = add(a=a, loud=True)
        return {"told": steps.tell(folder=one.outputs.made).outputs.made}

    job = ml_client.jobs.create_or_update(pipeline(a=1.5 + registered))
    done = ended(ml_client, job.name)
    logs = {
        str(child.display_name): log.read_text()
        for child in ml_client.jobs.list(parent_job_name=job.name)
        for log in server.home.glob(f"storage/*/azureml/ExperimentRun/dcid.{child.name}/user_logs/std_log.txt")
    }
    assert done.status == "Completed", logs
    assert "add float int True" in logs["one"]
    ml_client.jobs.download(job.name, output_name="told", download_path=tmp_path)
    assert [p.read_text() for p in tmp_path.rglob("*") if p.is_file()] == [str(3.5 + registered)]
