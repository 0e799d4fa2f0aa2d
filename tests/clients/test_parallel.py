"""Parallel jobs through the unmodified SDK: components from Python and YAML, mini-batches of files and of rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import Input, MLClient, Output, dsl, load_component, load_job
from azure.ai.ml.entities import Environment, Job
from azure.ai.ml.exceptions import JobException
from azure.ai.ml.parallel import RunFunction, parallel_run_function
from azure.core.exceptions import HttpResponseError
from tests.clients import small_jobs

pytestmark = pytest.mark.clients

FILES = """
import argparse, os, pathlib
def init():
    global mark
    parser = argparse.ArgumentParser()
    parser.add_argument("--mark")
    options, _ = parser.parse_known_args()
    mark = options.mark
    print("init done", os.environ.get("OF_NODE"))
def run(mini_batch):
    names = [os.path.basename(path) for path in mini_batch]
    if "2.txt" in names and mark == "once" and not os.path.exists("tried"):
        pathlib.Path("tried").touch()
        raise ValueError("not the first time")
    if "2.txt" in names and mark == "never":
        raise ValueError("never")
    return [f"{mark} {name} {pathlib.Path(path).read_text().strip()}" for name, path in zip(names, mini_batch)]
def shutdown():
    print("shutdown done")
"""
ROWS = """
def run(frame, context):
    return frame.assign(z=frame.x * 2, batch=context.minibatch_index)[["x", "z", "batch"]]
"""
KEYS = """
def run(files, context):
    return [f"{context.partition_key_value} {len(files)}"] * len(files)
"""
COMPONENT = """
$schema: https://azuremlschemas.azureedge.net/latest/parallelComponent.schema.json
type: parallel
name: count_by_year
version: "1"
inputs:
  data: {type: uri_folder}
outputs:
  rows: {type: uri_file}
input_data: ${{inputs.data}}
partition_keys: [year]
max_concurrency_per_instance: 2
retry_settings: {max_retries: 1, timeout: 30}
task:
  type: run_function
  code: ./src
  entry_script: keys.py
  environment: azureml:bare:1
  append_row_to: ${{outputs.rows}}
"""
PIPELINE = """
type: pipeline
settings: {default_compute: azureml:cpu-cluster}
inputs:
  folder: {type: uri_folder, path: ./partitioned}
outputs:
  rows: {type: uri_file}
jobs:
  count:
    type: parallel
    component: azureml:count_by_year:1
    inputs: {data: "${{parent.inputs.folder}}"}
    outputs: {rows: "${{parent.outputs.rows}}"}
    logging_level: DEBUG
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Code, data and YAML as a user has them."""
    root = tmp_path_factory.mktemp("parallel")
    files = {f"files/{n}.txt": f"value {n}\n" for n in range(5)}
    files |= {f"partitioned/year={n}/{m}.txt": "x" for n in (2023, 2024) for m in range(n - 2022)}
    files |= {"src/files.py": FILES, "src/rows.py": ROWS, "src/keys.py": KEYS, "component.yml": COMPONENT}
    files |= {"pipeline.yml": PIPELINE, "table/part.csv": "x,y\n" + "".join(f"{n},{n}\n" for n in range(500))}
    files["table/MLTable"] = (
        "paths:\n  - pattern: ./*.csv\ntransformations:\n  - read_delimited:\n      delimiter: ','\n"
    )
    files["conda.yml"] = "dependencies:\n  - python=3.11\n  - pip:\n      - pandas\n      - pyyaml\n"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def scored(folder: Path, script: str, kind: str, environment: Any, **settings: Any) -> Any:
    return parallel_run_function(
        name=f"score_{script.partition('.')[0]}",
        inputs={"data": Input(type=kind), "mark": Input(type="string", default="seen")},
        outputs={"rows": Output(type="uri_file")},
        input_data="${{inputs.data}}",
        retry_settings={"max_retries": 1, "timeout": 30},
        task=RunFunction(
            code=str(folder / "src"),
            entry_script=script,
            program_arguments="--mark ${{inputs.mark}} --allowed_failed_percent 90",
            environment=environment,
            append_row_to="${{outputs.rows}}",
        ),
        **settings,
    )


@pytest.fixture(scope="module")
def jobs(ml_client: MLClient, folder: Path) -> dict[str, Job]:
    """Every job of these tests, submitted together."""
    small_jobs.prepare(ml_client, nodes=8)
    ml_client.components.create_or_update(load_component(folder / "component.yml"))
    pandas = Environment(
        image="mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04", conda_file=str(folder / "conda.yml")
    )
    of_files = scored(
        folder,
        "files.py",
        "uri_folder",
        "azureml:bare:1",
        mini_batch_size="1",
        instance_count=2,
        max_concurrency_per_instance=1,
        mini_batch_error_threshold=0,
        environment_variables={"OF_NODE": "seen"},
    )
    of_rows = scored(folder, "rows.py", "mltable", pandas, mini_batch_size="1kb", instance_count=1, error_threshold=0)
    of_nothing = scored(folder, "rows.py", "mltable", "azureml:bare:1", instance_count=1)

    @dsl.pipeline(default_compute="cpu-cluster")
    def files(data, mark) -> dict[str, Any]:  # type: ignore[no-untyped-def]
        step = of_files(data=data, mark=mark)
        step.mini_batch_size = 2
        step.retry_settings.timeout = 20
        step.max_concurrency_per_instance = 2
        return {"rows": step.outputs.rows}

    def rows(of: Any) -> Any:
        @dsl.pipeline(default_compute="cpu-cluster")
        def table(data) -> dict[str, Any]:  # type: ignore[no-untyped-def]
            step = of(data=data)
            step.resources.instance_count = 2
            step.outputs.rows.path = "azureml://datastores/${{default_datastore}}/paths/${{name}}/returns.csv"
            return {"rows": step.outputs.rows}

        return table(Input(type="mltable", path=str(folder / "table"), mode="direct"))

    data = Input(type="uri_folder", path=str(folder / "files"))
    made = {"rows": rows(of_rows), "once": files(data, "once"), "never": files(data, "never")}
    made |= {"nothing": rows(of_nothing), "yaml": load_job(folder / "pipeline.yml")}
    return {name: ml_client.jobs.create_or_update(job) for name, job in made.items()}


@pytest.fixture
def ended(ml_client: MLClient, jobs: dict[str, Job]) -> Callable[[str], Job]:
    def wait(name: str) -> Job:
        return small_jobs.ended(ml_client, jobs[name].name)

    return wait


def appended(ml_client: MLClient, job: Job, folder: Path) -> list[str]:
    ml_client.jobs.download(job.name, output_name="rows", download_path=str(folder))
    return next(path for path in folder.rglob("*") if path.is_file()).read_text().splitlines()


def logs(ml_client: MLClient, job: Job, folder: Path) -> dict[str, str]:
    """The logs of a pipeline's one step, by their path."""
    (step,) = ml_client.jobs.list(parent_job_name=job.name)
    ml_client.jobs.download(step.name, download_path=str(folder), all=True)
    artifacts = folder / "artifacts"
    return {str(path.relative_to(artifacts)): path.read_text() for path in artifacts.rglob("*.txt")}


def test_every_file_once_also_where_a_mini_batch_is_tried_again(
    ml_client: MLClient, ended: Callable[[str], Job], tmp_path: Path
) -> None:
    done = ended("once")
    assert done.status == "Completed"
    assert appended(ml_client, done, tmp_path / "rows") == [f"once {n}.txt value {n}" for n in range(5)]
    found = logs(ml_client, done, tmp_path / "logs")
    assert "5 files, 2 in a mini-batch: 3 mini-batches" in found["user_logs/std_log.txt"]
    assert "worker processes (2 x 2 asked for)" in found["user_logs/std_log.txt"]
    assert "processed 3/3 mini-batches, 0 failed, 0 remaining, 1 tried again" in found["user_logs/std_log.txt"]
    assert any("init done seen" in text for name, text in found.items() if name.startswith("logs/user/stdout/"))
    assert "ValueError: not the first time" in found["logs/user/error.txt"]
    assert "result: completed" in found["logs/job_result.txt"]


def test_the_error_threshold_fails_the_step(ml_client: MLClient, ended: Callable[[str], Job]) -> None:
    done = ended("never")
    assert done.status == "Failed"
    with pytest.raises(JobException, match="1 mini-batches failed, and mini_batch_error_threshold bears 0"):
        ml_client.jobs.stream(done.name)


def test_rows_of_a_table_by_size(ml_client: MLClient, ended: Callable[[str], Job], tmp_path: Path) -> None:
    done = ended("rows")
    assert done.status == "Completed"
    lines = [line.split() for line in appended(ml_client, done, tmp_path)]
    assert [(int(x), int(z)) for x, z, _ in lines] == [(n, 2 * n) for n in range(500)]
    assert [int(batch) for *_, batch in lines] == sorted(int(batch) for *_, batch in lines)
    assert len({batch for *_, batch in lines}) == 4  # 3784 bytes of rows


def test_an_environment_that_cannot_read_a_table_is_named_with_the_package(
    ml_client: MLClient, ended: Callable[[str], Job]
) -> None:
    done = ended("nothing")
    assert done.status == "Failed"
    with pytest.raises(
        JobException, match="the package 'yaml' is not in the environment bare:1: add it to the conda_f"
    ):
        ml_client.jobs.stream(done.name)


def test_a_registered_component_in_yaml_with_partition_keys(
    ml_client: MLClient, ended: Callable[[str], Job], tmp_path: Path
) -> None:
    found = ml_client.components.get("count_by_year", version="1")
    assert found.partition_keys == ["year"]
    done = ended("yaml")
    assert done.status == "Completed"
    assert appended(ml_client, done, tmp_path) == ["{'year': '2023'} 1", *["{'year': '2024'} 2"] * 2]


def test_a_step_that_was_run_before_is_reused_unless_its_node_changed(
    ml_client: MLClient, ended: Callable[[str], Job], jobs: dict[str, Job], folder: Path
) -> None:
    ended("yaml")
    same, other = load_job(folder / "pipeline.yml"), load_job(folder / "pipeline.yml")
    other.jobs["count"].max_concurrency_per_instance = 1
    reused = []
    for name, job in (("same", same), ("other", other)):
        jobs[name] = ml_client.jobs.create_or_update(job)
        assert ended(name).status == "Completed"
        (step,) = ml_client.jobs.list(parent_job_name=jobs[name].name)
        reused.append(step.properties.get("azureml.isreused"))
    assert reused == ["true", None]


def test_settings_that_cannot_be_are_refused_at_submission(
    ml_client: MLClient, jobs: dict[str, Job], folder: Path
) -> None:
    of = scored(folder, "keys.py", "uri_folder", "azureml:bare:1")

    @dsl.pipeline(default_compute="cpu-cluster")
    def wrong(data) -> None:  # type: ignore[no-untyped-def]
        of(data=data).input_data = "${{inputs.gone}}"

    with pytest.raises(HttpResponseError, match=r"The parallel node '\w+' needs input_data") as refusal:
        ml_client.jobs.create_or_update(wrong(Input(type="uri_folder", path=str(folder / "files"))))
    assert refusal.value.status_code == 400
