"""From a stored job to the plan its agent follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lazulite.core.errors import ApiError
from lazulite.core.paths import UnsafePath
from lazulite.engine.jobs.facts import gather
from lazulite.engine.jobs.plan import Planned, build
from lazulite.model.run_plan import ContainerEngine, DataKind, EnvironmentPlan, ImagePlan, Limits
from lazulite.testing.engine_world import ACCOUNT, WORKSPACE, EngineWorld

BLOBS = "azureml://datastores/workspaceblobstore/paths"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[EngineWorld]:
    made = EngineWorld(tmp_path, settings={"ca_bundle": "/ca.pem"})
    yield made
    made.database.close()


def planned(world: EngineWorld, compute: str | None = None, **properties: Any) -> Planned:
    job = world.submit("j", **properties)
    key = world.compute_id(compute).lower() if compute else None
    facts = world.database.read_sync(lambda c: gather(c, job, world.storage, key))
    environment = EnvironmentPlan(key="k", name="e:1", python="3.11", interpreter="/python")
    return build(job, facts, environment, world.settings, world.storage, "t0ken")


def test_inputs_of_every_kind(world: EngineWorld) -> None:
    inputs = {
        "n": {"jobInputType": "literal", "value": "3"},
        "file": {"jobInputType": "uri_file", "uri": f"{BLOBS}/a.csv", "mode": "Download"},
        "folder": {"jobInputType": "uri_folder", "uri": f"{BLOBS}/in/"},
        "direct": {"jobInputType": "uri_folder", "uri": f"{BLOBS}/in/", "mode": "Direct"},
        "table": {"jobInputType": "mltable", "uri": f"{BLOBS}/t/", "mode": "EvalMount"},
        "web": {"jobInputType": "uri_file", "uri": "https://example.com/x.csv"},
        "absent": None,
    }
    made = planned(world, inputs=inputs).plan.inputs
    assert sorted(made) == ["direct", "file", "folder", "n", "table", "web"]
    assert (made["n"].kind, made["n"].value) == (DataKind.LITERAL, "3")
    assert (made["file"].kind, made["file"].mode, made["file"].type) == (DataKind.PATH, "download", "uri_file")
    assert made["file"].path == str(world.root / "storage" / ACCOUNT / "blobs" / "a.csv")
    assert [made[name].mode for name in ("folder", "direct", "table")] == ["ro_mount", "direct", "eval_mount"]
    assert made["direct"].uri == (
        "azureml://subscriptions/00000000-0000-0000-0000-000000000001/resourcegroups/rg"
        "/workspaces/w/datastores/workspaceblobstore/paths/in/"
    )
    assert (made["web"].kind, made["web"].url) == (DataKind.HTTP, "https://example.com/x.csv")


def test_outputs_by_default_and_as_asked(world: EngineWorld) -> None:
    outputs = {
        "plain": {"jobOutputType": "uri_folder"},
        "file": {
            "jobOutputType": "uri_file",
            "mode": "Upload",
            "uri": f"{BLOBS}/x/${{{{name}}}}/${{{{output_name}}}}/",
        },
        "store": {"jobOutputType": "mlflow_model", "uri": "azureml://datastores/${{default_datastore}}/paths/m/"},
        "default": {"jobOutputType": "uri_folder"},
    }
    made = planned(world, outputs=outputs)
    root = world.root / "storage" / ACCOUNT / "blobs"
    assert {name: output.path for name, output in made.plan.outputs.items()} == {
        "plain": str(root / "azureml" / "j" / "plain"),
        "file": str(root / "x" / "j" / "file" / "file"),
        "store": str(root / "m"),
    }
    assert [made.plan.outputs[name].mode for name in ("plain", "file")] == ["rw_mount", "upload"]
    assert made.outputs["plain"].uri.endswith("/paths/azureml/j/plain/")
    assert made.outputs["store"].type == "mlflow_model"


def test_secrets_stand_in_no_plan(world: EngineWorld) -> None:
    made = planned(world)
    assert b"t0ken" not in msgspec.json.encode(made.plan)
    assert made.secrets.variables["MLFLOW_TRACKING_TOKEN"] == "t0ken"
    assert made.secrets.variables["AZUREML_RUN_TOKEN"] == "t0ken"


def test_the_variables_are_azures_and_the_users_win(world: EngineWorld) -> None:
    made = planned(world, environmentVariables={"MINE": "1", "AZUREML_EXPERIMENT_NAME": "other", "N": None})
    found = made.plan.variables
    assert found["AZUREML_RUN_ID"] == "j"
    assert found["AZUREML_ARM_WORKSPACE_NAME"] == "w"
    assert found["MLFLOW_TRACKING_URI"] == f"https://localhost:8443/mlflow/rest{WORKSPACE}"
    assert found["REQUESTS_CA_BUNDLE"] == "/ca.pem"
    assert found["MLFLOW_EXPERIMENT_ID"] == world.run("j").experiment_id
    assert (found["MINE"], found["AZUREML_EXPERIMENT_NAME"], found["N"]) == ("1", "other", "")


@pytest.mark.parametrize(
    ("given", "count", "expected"),
    [
        (None, 1, (None, 1, 1)),
        ({"distributionType": "PyTorch", "processCountPerInstance": 2}, 2, ("pytorch", 2, 2)),
        ({"distributionType": "Mpi", "processCountPerInstance": 4}, 1, ("mpi", 1, 4)),
        ({"distributionType": "TensorFlow", "workerCount": 2, "parameterServerCount": 1}, 2, ("tensorflow", 2, 1)),
    ],
)
def test_distributions(world: EngineWorld, given: Any, count: int, expected: tuple[Any, ...]) -> None:
    made = planned(world, distribution=given, resources={"instanceCount": count}).plan.distribution
    assert (made.type, made.nodes, made.processes_per_node) == expected
    if made.type == "tensorflow":
        assert (made.worker_count, made.parameter_server_count) == (2, 1)


def test_limits_and_isolation(world: EngineWorld) -> None:
    plan = planned(world, limits={"jobLimitsType": "Command", "timeout": "PT1M40S"}).plan
    assert plan.timeout_s == 100
    assert str(world.root) in plan.isolation.hide
    assert plan.isolation.show == ["/ca.pem"]


@pytest.mark.parametrize(
    ("resources", "size", "nodes"),
    [
        (None, "STANDARD_DS3_V2", 1),
        ({"instanceType": "Standard_E4s_v3", "instanceCount": 3}, "Standard_E4s_v3", 3),
    ],
)
def test_the_limits_are_those_of_the_vm_size(tmp_path: Path, resources: Any, size: str, nodes: int) -> None:
    """Of a node; nodes write to one folder."""

    def limits_of(asked: str | None) -> Limits:
        return Limits(memory_bytes=7, memory_from=f"the memory of {asked}", processes=5, disk_bytes=10)

    world = EngineWorld(tmp_path, settings={"limits_of": limits_of})
    try:
        found = planned(world, resources=resources).plan.limits
    finally:
        world.database.close()
    assert found == Limits(memory_bytes=7, memory_from=f"the memory of {size}", processes=5, disk_bytes=10 * nodes)


def test_an_image_runs_in_a_container_with_the_shared_memory_asked_for(tmp_path: Path) -> None:
    engine = ContainerEngine(kind="podman", command=["/usr/bin/podman"])
    world = EngineWorld(tmp_path, settings={"container": engine, "isolation": "bubblewrap"})
    try:
        job = world.submit("j", resources={"shmSize": "4g", "dockerArgs": "--privileged"})
        facts = world.database.read_sync(lambda c: gather(c, job, world.storage, None))
        plans = [
            build(job, facts, environment, world.settings, world.storage, "t").plan
            for environment in (
                EnvironmentPlan(key="k", name="e:1", python="", interpreter="", image=ImagePlan(name="busybox")),
                EnvironmentPlan(key="k", name="e:1", python="3.11", interpreter="/python"),
            )
        ]
    finally:
        world.database.close()
    contained, process = plans
    assert (contained.container, contained.isolation.kind, contained.shm_size) == (engine, "container", "4g")
    assert any("docker_args" in note for note in contained.environment.notes)
    assert (process.container, process.isolation.kind, process.environment.notes) == (None, "bubblewrap", [])


def test_interactive_services_are_said_not_to_be_started(world: EngineWorld) -> None:
    made = planned(world, services={"lab": {"jobServiceType": "JupyterLab"}, "none": None})
    assert made.notes == ("The service 'lab' (JupyterLab) is not started: interactive services are not built.",)


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ("Managed", ("The identity Managed is not lent to jobs: this one acts with a token of its own.",)),
        ("UserIdentity", ()),
        ("AMLToken", ()),
    ],
)
def test_another_identity_than_the_jobs_own_is_said_not_to_be_lent(
    world: EngineWorld, identity: str, expected: tuple[str, ...]
) -> None:
    assert planned(world, identity={"identityType": identity}).notes == expected


@pytest.mark.parametrize("identity", ["UserIdentity", "AMLToken", None])
def test_a_job_with_its_submitters_identity_is_told_where_to_get_a_token_of_it(
    world: EngineWorld, identity: str | None
) -> None:
    found = planned(world, identity=identity and {"identityType": identity}).secrets.variables
    expected = f"http://localhost:8080/obo/token/{found['IDENTITY_HEADER']}" if identity == "UserIdentity" else None
    assert found.get("OBO_ENDPOINT") == expected


def test_artifacts_lie_with_the_run(world: EngineWorld) -> None:
    assert planned(world).plan.artifacts == str(
        world.root / "storage" / ACCOUNT / "azureml" / "ExperimentRun" / "dcid.j"
    )


def test_a_path_out_of_the_datastore_makes_no_plan(world: EngineWorld) -> None:
    with pytest.raises(UnsafePath):
        planned(world, inputs={"x": {"jobInputType": "uri_file", "uri": f"{BLOBS}/../../secrets"}})


def test_a_datastore_that_is_gone_makes_no_plan(world: EngineWorld) -> None:
    with pytest.raises(ApiError, match="no datastore"):
        planned(world, outputs={"o": {"uri": "azureml://datastores/gone/paths/x"}})


@pytest.mark.parametrize(("mode", "expected"), [("Direct", "ro_mount"), ("EvalMount", "ro_mount"), (None, "ro_mount")])
def test_a_parallel_job_has_one_process_and_its_input_in_a_folder(
    world: EngineWorld, mode: str | None, expected: str
) -> None:
    asked = {"entry_script": "score.py", "input": "table", "instances": 3, "append_to": "rows"}
    table = {"jobInputType": "mltable", "uri": f"{BLOBS}/t/", "mode": mode}
    job = world.submit(
        "j",
        inputs={"table": table, "other": {**table, "mode": "Direct"}},
        outputs={"rows": {"jobOutputType": "uri_file"}},
        resources={"instanceCount": 3},
    )
    job.spec["resolved"] = {**(job.spec.get("resolved") or {}), "parallel": asked}
    facts = world.database.read_sync(lambda c: gather(c, job, world.storage, None))
    environment = EnvironmentPlan(key="k", name="e:1", python="3.11", interpreter="/python")
    plan = build(job, facts, environment, world.settings, world.storage, "t0ken").plan
    assert plan.parallel is not None
    assert (plan.parallel.instances, plan.parallel.append_to) == (3, "rows")
    assert plan.distribution.nodes == 1
    assert [plan.inputs[name].mode for name in ("table", "other")] == [expected, "direct"]


def test_a_step_of_data_transfer_has_no_environment_and_knows_its_attempt(world: EngineWorld) -> None:
    made = world.submit("j", environmentId="", inputs={"b": {"jobInputType": "uri_folder", "uri": f"{BLOBS}/in/"}})
    world.change(made.id, resolved={"transfer": {"overwrite": False, "resumed": False}}, attempt=2)
    job = world.get(made.id)
    facts = world.database.read_sync(lambda c: gather(c, job, world.storage, None))
    assert facts.environment is None
    environment = EnvironmentPlan(key="k", name="none", python="", interpreter="")
    plan = build(job, facts, environment, world.settings, world.storage, "t0ken").plan
    assert plan.transfer is not None
    assert (plan.transfer.overwrite, plan.transfer.resumed) == (False, True)
