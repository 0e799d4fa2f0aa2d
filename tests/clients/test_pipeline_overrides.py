"""What a node of a pipeline says of its own run, seen in the job that ran: from the DSL and from YAML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import MLClient, MpiDistribution, Output, PyTorchDistribution, command, dsl, load_job
from azure.ai.ml.entities import (
    AmlTokenConfiguration,
    Command,
    Data,
    Job,
    JobResourceConfiguration,
    QueueSettings,
    UserIdentityConfiguration,
)
from azure.core.exceptions import HttpResponseError
from tests.clients import small_jobs
from tests.clients.small_jobs import ended, log
from tests.server_fixture import RunningServer

pytestmark = pytest.mark.clients


def show() -> Command:
    return command(
        name="show",
        command="echo A=$A B=$B C=$C nodes=$AZUREML_NODE_COUNT torch=$WORLD_SIZE mpi=$OMPI_COMM_WORLD_SIZE tf=$TF_CONFIG",
        environment="bare:1",
        environment_variables={"A": "component", "B": "component"},
        instance_count=1,
        shm_size="1g",
        instance_type="STANDARD_D2",
        distribution=MpiDistribution(process_count_per_instance=1),
        identity=AmlTokenConfiguration(),
        job_tier="standard",
        timeout=500,
    )


@pytest.fixture(scope="module", autouse=True)
def _things(ml_client: MLClient) -> None:
    small_jobs.prepare(ml_client, "cpu-cluster", "other-cluster")


@pytest.fixture
def submit(ml_client: MLClient, tmp_path: Path) -> Callable[[Any], Job]:
    """Submit a pipeline, or the YAML of one, and wait for its end."""

    def submitted(pipeline: Any) -> Job:
        if isinstance(pipeline, str):
            (tmp_path / "pipeline.yml").write_text(pipeline)
            pipeline = load_job(tmp_path / "pipeline.yml")
        return ended(ml_client, ml_client.jobs.create_or_update(pipeline).name)

    return submitted


def steps(ml_client: MLClient, name: str) -> dict[str, Job]:
    return {str(c.display_name): ml_client.jobs.get(c.name) for c in ml_client.jobs.list(parent_job_name=name)}


def test_a_node_of_the_dsl_overrides_its_component(
    server: RunningServer, ml_client: MLClient, submit: Callable[[Any], Job]
) -> None:
    step = show()

    @dsl.pipeline(default_compute="cpu-cluster")
    def pipeline() -> None:
        plain = step()
        plain.display_name = "plain"
        own = step()
        own.display_name, own.tags, own.properties = "own", {"team": "red"}, {"cost": "low"}
        own.compute = "other-cluster"
        own.environment_variables = {"A": "node", "C": "node"}
        own.resources = JobResourceConfiguration(instance_count=2, shm_size="4g", instance_type="STANDARD_D4")
        own.distribution = PyTorchDistribution(process_count_per_instance=2)
        own.identity = UserIdentityConfiguration()
        own.queue_settings = QueueSettings(job_tier="spot")
        own.set_limits(timeout=60)
        some = step()
        some.set_resources(instance_count=2)
        some.compute = "serverless"

    done = submit(pipeline())
    assert done.status == "Completed"
    found = steps(ml_client, done.name)
    plain, own, some = found["plain"], found["own"], found["some"]
    assert log(server, plain).strip() == "A=component B=component C= nodes=1 torch= mpi=1 tf="
    assert log(server, own).splitlines()[0] == "A=node B= C=node nodes=2 torch=4 mpi= tf="
    assert log(server, some).splitlines()[0] == "A=component B=component C= nodes=2 torch= mpi=2 tf="
    assert [job.compute for job in (plain, own, some)] == ["cpu-cluster", "other-cluster", None]
    assert [(job.limits.timeout, job.identity.type) for job in (plain, own)] == [
        (500, "aml_token"),
        (60, "user_identity"),
    ]
    assert [(job.resources.shm_size, job.resources.instance_type) for job in (plain, own, some)] == [
        ("1g", "STANDARD_D2"),
        ("4g", "STANDARD_D4"),
        ("1g", "STANDARD_D2"),
    ]
    assert [job.queue_settings.job_tier for job in (plain, own)] == ["standard", "spot"]
    assert (own.tags, own.properties["cost"]) == ({"team": "red"}, "low")


def test_a_node_in_yaml_overrides_its_component(
    server: RunningServer, ml_client: MLClient, submit: Callable[[Any], Job]
) -> None:
    ml_client.components.create_or_update(show().component, version="1")
    text = """
type: pipeline
inputs:
  where: other-cluster
settings:
  default_compute: azureml:cpu-cluster
jobs:
  plain:
    type: command
    component: azureml:show:1
  own:
    type: command
    component: azureml:show:1
    compute: ${{parent.inputs.where}}
    environment_variables: {A: node}
    resources: {instance_count: 2, shm_size: 4g, instance_type: STANDARD_D4}
    distribution: {type: tensorflow, worker_count: 2, parameter_server_count: 0}
    identity: {type: managed}
    queue_settings: {job_tier: premium}
    limits: {timeout: 60}
  late:
    type: command
    command: sleep 60
    environment: azureml:bare:1
    limits: {timeout: 1}
"""
    done = submit(text)
    assert done.status == "Failed"
    found = steps(ml_client, done.name)
    plain, own = found["plain"], found["own"]
    assert log(server, plain).strip() == "A= B= C= nodes=1 torch= mpi=1 tf="
    assert log(server, own).startswith("A=node B= C= nodes= torch= mpi= tf={")
    assert [job.compute for job in (plain, own)] == ["cpu-cluster", "other-cluster"]
    assert (own.limits.timeout, own.identity.type, own.queue_settings.job_tier) == (60, "managed_identity", "premium")
    assert (own.resources.shm_size, own.resources.instance_type) == ("4g", "STANDARD_D4")
    assert found["late"].status == "Failed"


def test_settings_of_the_pipeline_reach_every_step(
    server: RunningServer, ml_client: MLClient, submit: Callable[[Any], Job]
) -> None:
    text = """
type: pipeline
outputs:
  kept: {type: uri_folder}
settings:
  default_compute: azureml:serverless
  default_datastore: azureml:workspaceartifactstore
jobs:
  plain:
    type: command
    command: echo plain > ${{outputs.made}}/a.txt; echo kept > ${{outputs.kept}}/a.txt
    environment: azureml:bare:1
    outputs:
      made: {type: uri_folder}
      kept: ${{parent.outputs.kept}}
  named:
    type: command
    command: echo named > ${{outputs.made}}; echo there > ${{outputs.there}}/b.txt
    environment: azureml:bare:1
    compute: azureml:cpu-cluster
    outputs:
      made: {type: uri_file, path: "azureml://datastores/${{default_datastore}}/paths/mine/${{name}}/a.txt"}
      there: {type: uri_folder, path: azureml://datastores/workspaceblobstore/paths/elsewhere/, mode: upload}
"""
    done = submit(text)
    found = steps(ml_client, done.name)
    assert done.status == "Completed", {name: log(server, job) for name, job in found.items()}
    assert [found[name].compute for name in ("plain", "named")] == [None, "cpu-cluster"]
    (store,) = server.home.glob("storage/*/azureml/")
    assert {p.parent.name for p in store.glob(f"azureml/{found['plain'].name}/*/a.txt")} == {"made", "kept"}
    assert (store / "mine" / found["named"].name / "a.txt").read_text() == "named\n"
    assert len(list(server.home.glob("storage/*/azureml-blobstore-*/elsewhere/b.txt"))) == 1


def test_named_outputs_are_registered_and_downloaded(
    ml_client: MLClient, submit: Callable[[Any], Job], tmp_path: Path
) -> None:
    make = command(
        name="make",
        command="echo m > ${{outputs.model}}/MLmodel; echo t > ${{outputs.table}}/t.csv; echo f > ${{outputs.file}}",
        environment="bare:1",
        outputs={
            "model": Output(type="mlflow_model"),
            "table": Output(type="uri_folder"),
            "file": Output(type="uri_file"),
        },
    )

    @dsl.pipeline(default_compute="cpu-cluster")
    def pipeline() -> Any:
        step = make()
        step.outputs.table = Output(
            type="uri_folder", name="a-table", path="azureml://datastores/workspaceblobstore/paths/tables/"
        )
        return {"model": step.outputs.model, "file": step.outputs.file}

    wanted = pipeline()
    wanted.outputs.model.name, wanted.outputs.model.version = "a-model", "4"
    wanted.outputs.file = Output(
        type="uri_file", name="a-file", path="azureml://datastores/workspaceblobstore/paths/files/f.txt", mode="upload"
    )
    done = submit(wanted)
    assert done.status == "Completed"
    assert ml_client.models.get("a-model", version="4").type == "mlflow_model"
    assert str(ml_client.data.get("a-file", version="1").path).endswith("/paths/files/f.txt")
    assert str(ml_client.data.get("a-table", version="1").path).endswith("/paths/tables/")
    ml_client.jobs.download(done.name, download_path=tmp_path, all=True)
    assert [p.read_text() for p in sorted(tmp_path.rglob("named-outputs/*/*")) if p.is_file()] == ["f\n", "m\n"]


def test_modes_and_types_of_data(
    server: RunningServer, ml_client: MLClient, submit: Callable[[Any], Job], tmp_path: Path
) -> None:
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "MLTable").write_text("paths:\n  - file: ./rows.csv\n")
    (tmp_path / "table" / "rows.csv").write_text("a\n1\n")
    ml_client.data.create_or_update(Data(name="a-mltable", version="1", path=str(tmp_path / "table"), type="mltable"))
    ml_client.data.create_or_update(
        Data(name="a-row-file", version="1", path=str(tmp_path / "table" / "rows.csv"), type="uri_file")
    )
    text = """
type: pipeline
settings: {default_compute: azureml:cpu-cluster}
inputs:
  table: {type: mltable, path: azureml:a-mltable:1}
  rows: {type: uri_file, path: azureml:a-row-file:1}
jobs:
  modes:
    type: command
    environment: azureml:bare:1
    command: >-
      ls -m ${{inputs.mounted}}; ls -m ${{inputs.downloaded}}; echo ${{inputs.direct}}; cat ${{inputs.file}};
      echo rw > ${{outputs.mounted}}/a; echo up > ${{outputs.uploaded}}/a
    inputs:
      mounted: {type: mltable, path: "${{parent.inputs.table}}", mode: ro_mount}
      downloaded: {type: mltable, path: "${{parent.inputs.table}}", mode: download}
      direct: {type: mltable, path: "${{parent.inputs.table}}", mode: direct}
      file: {type: uri_file, path: "${{parent.inputs.rows}}", mode: download}
    outputs:
      mounted: {type: uri_folder, mode: rw_mount}
      uploaded: {type: mltable, mode: upload}
  types:
    type: command
    environment: azureml:bare:1
    command: >-
      cat ${{inputs.folder}}/rows.csv; cat ${{inputs.from_mltable}}/a; cat ${{inputs.from_folder}}/a;
      basename $(ls ${{inputs.file_as_folder}})
    inputs:
      folder: {type: uri_folder, path: azureml:a-mltable:1}
      from_mltable: {type: uri_folder, path: "${{parent.jobs.modes.outputs.uploaded}}"}
      from_folder: {type: mltable, path: "${{parent.jobs.modes.outputs.mounted}}"}
      file_as_folder: {type: uri_folder, path: azureml:a-row-file:1}
"""
    done = submit(text)
    found = steps(ml_client, done.name)
    assert done.status == "Completed", {name: (job.status, log(server, job)) for name, job in found.items()}
    lines = log(server, found["modes"]).splitlines()
    assert lines[:2] == ["MLTable, rows.csv"] * 2
    assert lines[2].startswith("azureml://")
    assert lines[3:] == ["a", "1"]
    assert log(server, found["types"]).split() == ["a", "1", "up", "rw", "rows.csv"]


def test_compute_and_identity_of_the_pipeline_reach_nested_ones(
    ml_client: MLClient, submit: Callable[[Any], Job]
) -> None:
    step = command(name="step", command="echo", environment="bare:1")

    @dsl.pipeline
    def inner() -> None:
        step()

    @dsl.pipeline(compute="other-cluster")
    def outer() -> None:
        inner()
        step().compute = "cpu-cluster"

    wanted = outer()
    wanted.identity = UserIdentityConfiguration()
    done = submit(wanted)
    assert done.status == "Completed"
    found = steps(ml_client, done.name)
    (deep,) = steps(ml_client, str(found["inner"].name)).values()
    assert (deep.compute, deep.identity.type) == ("other-cluster", "user_identity")
    assert (found["step"].compute, found["step"].identity.type) == ("cpu-cluster", "user_identity")


_BY_PATH = """
type: pipeline
settings: {default_compute: azureml:cpu-cluster}
outputs:
  said: {type: uri_folder, path: "azureml://datastores/workspaceblobstore/paths/by-path/said"}
jobs:
  writer:
    type: command
    environment: azureml:bare:1
    command: echo written > ${{outputs.said}}/a.txt
    outputs: {said: "${{parent.outputs.said}}"}
  reader:
    type: command
    environment: azureml:bare:1
    command: cat ${{inputs.file}}
    inputs:
      file: {type: uri_file, path: "azureml://datastores/workspaceblobstore/paths/by-path/PLACE"}
      after: "${{parent.jobs.writer.outputs.said}}"
"""


def test_a_step_reads_by_its_path_what_another_wrote(
    server: RunningServer, ml_client: MLClient, submit: Callable[[Any], Job]
) -> None:
    with pytest.raises(HttpResponseError, match=r"There is nothing at .*by-path/elsewhere/a.txt"):
        submit(_BY_PATH.replace("PLACE", "elsewhere/a.txt"))
    job = submit(_BY_PATH.replace("PLACE", "said/a.txt"))
    assert job.status == "Completed"
    assert log(server, steps(ml_client, job.name)["reader"]) == "written\n"
