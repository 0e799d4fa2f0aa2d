"""Steps that copy data, through the unmodified SDK: the DSL, components, YAML; conflicts, reuse, what clients see."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import Input, MLClient, Output, command, dsl, load_component, load_job
from azure.ai.ml.data_transfer import FileSystem, copy_data, import_data
from azure.ai.ml.entities import Job
from azure.core.exceptions import HttpResponseError
from tests.clients.small_jobs import BARE, ended, log, steps
from tests.server_fixture import RunningServer

pytestmark = pytest.mark.clients

COMPONENT = """
type: data_transfer
task: copy_data
name: merge_kinds
version: "1"
data_copy_mode: merge_with_overwrite
inputs:
  one: {type: uri_folder}
  table: {type: mltable}
  late: {type: uri_file, optional: true}
outputs:
  merged: {type: uri_folder}
"""
PIPELINE = """
type: pipeline
settings: {default_compute: azureml:serverless}
inputs:
  file: {type: uri_file, path: ./two/a.csv}
  one: {type: uri_folder, path: ./one}
  two: {type: uri_folder, path: ./two}
outputs:
  copied: {type: uri_file, path: "azureml://datastores/workspaceblobstore/paths/yaml/renamed.csv"}
jobs:
  alone:
    type: data_transfer
    task: copy_data
    inputs: {file: "${{parent.inputs.file}}"}
    outputs: {copied: "${{parent.outputs.copied}}"}
  clash:
    type: data_transfer
    task: copy_data
    data_copy_mode: fail_if_conflict
    inputs: {one: "${{parent.inputs.one}}", two: "${{parent.inputs.two}}"}
    outputs: {merged: {type: uri_folder, path: "azureml://datastores/workspaceblobstore/paths/clash/"}}
"""
IMPORT = """
type: pipeline
settings: {default_compute: azureml:serverless}
jobs:
  far:
    type: data_transfer
    task: import_data
    source: {type: file_system, path: "test/*", connection: "azureml:my_s3"}
    outputs: {sink: {type: uri_folder}}
"""


@pytest.fixture(scope="module")
def folder(ml_client: MLClient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    ml_client.environments.create_or_update(BARE)
    root = tmp_path_factory.mktemp("transfer")
    files = {"one/a.csv": "one a\n", "one/sub/b.csv": "one b\n", "two/a.csv": "two a\n", "table/t.csv": "x\n1\n"}
    files |= {"table/MLTable": "paths:\n  - file: ./t.csv\n", "component.yml": COMPONENT, "pipeline.yml": PIPELINE}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def content(server: RunningServer, path: str) -> dict[str, str]:
    """The files below a path of the default datastore."""
    root = next(server.home.glob(f"storage/*/azureml-blobstore-*/{path}"))
    return {str(file.relative_to(root)): file.read_text() for file in sorted(root.rglob("*")) if file.is_file()}


@pytest.fixture(scope="module")
def merging(folder: Path) -> Any:
    """A pipeline that merges two folders and reads the result."""
    copy = copy_data(
        name="copy",
        inputs={"two": Input(type="uri_folder"), "one": Input(type="uri_folder")},
        outputs={"merged": Output(type="uri_folder")},
        data_copy_mode="merge_with_overwrite",
    )
    read = command(
        name="read",
        inputs={"folder": Input(type="uri_folder")},
        command="cat ${{inputs.folder}}/a.csv ${{inputs.folder}}/sub/b.csv",
        environment="bare:1",
    )

    @dsl.pipeline(default_compute="serverless")
    def merged(two: Input(type="uri_folder"), one: Input(type="uri_folder")):  # type: ignore[no-untyped-def, valid-type]
        copied = copy(two=two, one=one)
        copied.outputs.merged.path = "azureml://datastores/workspaceblobstore/paths/dsl/merged/"
        read(folder=copied.outputs.merged)

    given = {name: Input(type="uri_folder", path=str(folder / name)) for name in ("one", "two")}
    return lambda: merged(**given)


@pytest.fixture(scope="module")
def first(ml_client: MLClient, merging: Any) -> Job:
    return ended(ml_client, ml_client.jobs.create_or_update(merging()).name)


def test_folders_are_merged_for_the_next_step(server: RunningServer, ml_client: MLClient, first: Job) -> None:
    assert first.status == "Completed", log(server, first, "logs/azureml/executionlogs.txt")
    found = steps(ml_client, first.name)
    assert content(server, "dsl/merged") == {"a.csv": "one a\n", "sub/b.csv": "one b\n"}
    assert log(server, found["read"]) == "one a\none b\n"
    said = log(server, found["copy"])
    assert "'a.csv' is in the inputs 'two' and 'one': the latter is taken" in said
    assert "Done: 2 files" in said
    child = ml_client.jobs.get(found["copy"].name)
    assert child.status == "Completed"
    assert child.outputs["merged"].path.endswith("/paths/dsl/merged/")


def test_unchanged_copies_are_reused(ml_client: MLClient, merging: Any, first: Job) -> None:
    again, forced = merging(), merging()
    forced.settings.force_rerun = True
    names = [ml_client.jobs.create_or_update(job).name for job in (again, forced)]
    reused, fresh = (steps(ml_client, ended(ml_client, name).name)["copy"] for name in names)
    assert reused.properties["azureml.reusedrunid"] == steps(ml_client, first.name)["copy"].name
    assert "azureml.isreused" not in fresh.properties
    assert fresh.status == "Completed"


def test_there_is_nothing_to_step_into(server: RunningServer, first: Job) -> None:
    arguments = ["job", "debug", "--home", str(server.home), first.name, "--node", "copy", "--", "ls"]
    done = subprocess.run(
        [sys.executable, "-m", "lazulite.cli.main", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert "'copy' copies data and runs no command: there is nothing to step into." in done.stderr


def test_a_registered_component_and_kinds_mixed(server: RunningServer, ml_client: MLClient, folder: Path) -> None:
    ml_client.components.create_or_update(load_component(folder / "component.yml"))
    merge = ml_client.components.get("merge_kinds", version="1")
    assert (merge.task, merge.data_copy_mode) == ("copy_data", "merge_with_overwrite")

    @dsl.pipeline(default_compute="serverless")
    def mixed(one: Input(type="uri_folder"), table: Input(type="mltable")):  # type: ignore[no-untyped-def, valid-type]
        return {"merged": merge(one=one, table=table).outputs.merged}

    one, table = (Input(type=k, path=str(folder / n)) for n, k in (("one", "uri_folder"), ("table", "mltable")))
    job = mixed(one=one, table=table)
    job.outputs.merged = Output(type="uri_folder", path="azureml://datastores/workspaceblobstore/paths/mixed/")
    done = ended(ml_client, ml_client.jobs.create_or_update(job).name)
    assert done.status == "Completed"
    assert sorted(content(server, "mixed")) == ["MLTable", "a.csv", "sub/b.csv", "t.csv"]


def test_yaml_and_conflicts(server: RunningServer, ml_client: MLClient, folder: Path) -> None:
    done = ended(ml_client, ml_client.jobs.create_or_update(load_job(folder / "pipeline.yml")).name)
    found = steps(ml_client, done.name)
    assert (done.status, found["clash"].status) == ("Failed", "Failed")
    assert "Conflict: 'a.csv' is in the inputs 'one' and 'two'." in log(server, found["clash"])
    assert not list(server.home.glob("storage/*/azureml-blobstore-*/clash/*"))
    job = load_job(folder / "pipeline.yml")
    del job.jobs["clash"]
    assert ended(ml_client, ml_client.jobs.create_or_update(job).name).status == "Completed"
    assert content(server, "yaml") == {"renamed.csv": "two a\n"}


def test_other_tasks_are_named(ml_client: MLClient, folder: Path) -> None:
    (folder / "import.yml").write_text(IMPORT)

    @dsl.pipeline(default_compute="serverless")
    def far() -> None:
        node = import_data(
            source=FileSystem(path="test/*", connection="azureml:my_s3"), outputs={"sink": Output(type="uri_folder")}
        )
        node.name = "far"

    for job in (load_job(folder / "import.yml"), far()):
        with pytest.raises(
            HttpResponseError, match="The task 'import_data' of the data_transfer node 'far'"
        ) as refused:
            ml_client.jobs.create_or_update(job)
        assert refused.value.status_code == 501
