"""Environments that are more than Python packages, on a server that runs no containers: what the SDK is told, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import Input, MLClient, command, dsl
from azure.ai.ml.entities import BuildContext, Environment
from azure.ai.ml.parallel import RunFunction, parallel_run_function
from azure.ai.ml.sweep import Choice
from azure.core.exceptions import HttpResponseError

pytestmark = pytest.mark.clients

R = "FROM python:3.11\nRUN pip install six\nRUN R -e \"install.packages('optparse')\"\n"
SETTING = r'runtime = \\?"container'


@pytest.fixture(scope="module")
def environment(ml_client: MLClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An environment whose second RUN line is not a matter of Python packages; it can be registered."""
    folder = tmp_path_factory.mktemp("context")
    (folder / "Dockerfile").write_text(R)
    made = ml_client.environments.create_or_update(
        Environment(name="with-r", version="1", build=BuildContext(path=str(folder)))
    )
    return f"azureml:{made.name}:{made.version}"


def refused(ml_client: MLClient, job: Any) -> str:
    before = {one.name for one in ml_client.jobs.list()}
    with pytest.raises(HttpResponseError, match=SETTING) as caught:
        ml_client.jobs.create_or_update(job)
    assert (caught.value.status_code, caught.value.error.code) == (400, "EnvironmentUnresolvable")
    assert {one.name for one in ml_client.jobs.list()} == before
    return str(caught.value.message)


def test_a_command_and_a_sweep(ml_client: MLClient, environment: str) -> None:
    job = command(command="Rscript iris.R", environment=environment)
    assert "The environment 'with-r:1' cannot be had here. Dockerfile line 3 (RUN R -e" in refused(ml_client, job)
    trial = command(command="Rscript iris.R ${{inputs.x}}", environment=environment, inputs={"x": 1})
    sweep = trial(x=Choice([1, 2])).sweep(sampling_algorithm="random", primary_metric="m", goal="maximize")
    sweep.set_limits(max_total_trials=2)
    assert "Dockerfile line 3" in refused(ml_client, sweep)


def test_a_step_and_a_parallel_step(ml_client: MLClient, environment: str, tmp_path: Path) -> None:
    (tmp_path / "entry.py").write_text("def run(batch):\n    return []\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("a")
    step = command(name="r", command="Rscript iris.R", environment=environment)
    batch = parallel_run_function(
        name="batch",
        inputs={"data": Input(type="uri_folder", path=str(tmp_path / "data"))},
        input_data="${{inputs.data}}",
        instance_count=1,
        mini_batch_size="1",
        task=RunFunction(code=str(tmp_path), entry_script="entry.py", environment=environment),
    )

    @dsl.pipeline(default_compute="serverless")
    def steps() -> None:
        step()

    @dsl.pipeline(default_compute="serverless")
    def batches() -> None:
        batch()

    for job in (steps(), batches()):
        assert "Dockerfile line 3" in refused(ml_client, job)


@pytest.mark.parametrize("image", ["rocker/tidyverse:4.0.0-ubuntu18.04", "julia:1.10", "maven:3.5-jdk-8"])
def test_an_image_of_another_language(ml_client: MLClient, image: str) -> None:
    job = command(command="true", environment=Environment(image=image))
    assert f"The image {image} is there for J" in refused(ml_client, job).replace("for R,", "for J,")
