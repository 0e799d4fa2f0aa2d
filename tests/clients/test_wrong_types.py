"""Valid documents with one value replaced by another type: no answer is ever a server error."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.clients.raw_requests import Bad, send
from tests.server_fixture import SUBSCRIPTION, WORKSPACE_ID, RunningServer

pytestmark = pytest.mark.clients
_WRONG: tuple[Any, ...] = (
    None,
    True,
    7,
    -1,
    1.5,
    "",
    "text",
    [],
    [1],
    {},
    {"a": {"b": 1}},
    "x" * 3000,
    "\u0000",
    "../..",
    "${{parent.inputs.t}}",
    "${{parent.jobs.a.outputs.made}}",
)
_WS = WORKSPACE_ID
_ENVIRONMENT = f"{_WS}/environments/bare/versions/1"
_STEP = f"{_WS}/components/step/versions/1"
_SPREAD = f"{_WS}/components/spread/versions/1"
_CODE = f"{_WS}/codes/none/versions/1"


def _literal(value: str) -> dict[str, Any]:
    return {"job_input_type": "literal", "value": value}


def _node(**more: Any) -> dict[str, Any]:
    return {"type": "command", "componentId": _STEP, "inputs": {"n": _literal("4")}, "outputs": {}, **more}


_COMMAND = {
    "type": "command",
    "command": "echo ${{inputs.text}} $[[${{inputs.n}}]]",
    "environment": _ENVIRONMENT,
    "inputs": {
        "text": {"type": "string", "default": "t"},
        "n": {"type": "integer", "min": 0, "max": 9, "default": 3},
        "data": {"type": "uri_folder", "optional": True},
    },
    "outputs": {"made": {"type": "uri_folder"}, "flag": {"type": "boolean", "is_control": True}},
    "environment_variables": {"A": "b"},
    "resources": {"instance_count": 1},
    "distribution": {"type": "pytorch", "process_count_per_instance": 1},
}
_PARALLEL = {
    "type": "parallel",
    "mini_batch_size": "1",
    "mini_batch_error_threshold": 1,
    "error_threshold": -1,
    "max_concurrency_per_instance": 2,
    "retry_settings": {"max_retries": 2, "timeout": 60},
    "input_data": "${{inputs.data}}",
    "inputs": {"data": {"type": "uri_folder"}},
    "outputs": {"rows": {"type": "uri_file"}},
    "task": {
        "type": "run_function", "code": _CODE, "entry_script": "e.py", "environment": _ENVIRONMENT,
        "append_row_to": "${{outputs.rows}}",
    },
}  # fmt: skip

_ENDED = ("Completed", "Failed", "Canceled")
_VALID: dict[str, tuple[str, dict[str, Any]]] = {
    "job": (
        f"{_WS}/jobs/fuzz",
        {
            "properties": {
                "jobType": "Command",
                "command": "echo ${{inputs.d}} ${{outputs.o}}",
                "environmentId": "azureml:AzureML-sklearn-1.5@latest",
                "computeId": "azureml:nowhere",
                "experimentName": "e",
                "displayName": "d",
                "inputs": {"d": {"jobInputType": "uri_file", "uri": "https://example.com/x", "mode": "Download"}},
                "outputs": {"o": {"jobOutputType": "uri_folder", "mode": "Upload"}},
                "environmentVariables": {"A": "b"},
                "resources": {"instanceCount": 1, "instanceType": "Standard_DS3_v2", "properties": {}},
                "limits": {"jobLimitsType": "Command", "timeout": "PT1M"},
                "distribution": {"distributionType": "PyTorch", "processCountPerInstance": 2},
                "identity": {"identityType": "AMLToken"},
                "queueSettings": {"jobTier": "Standard"},
                "services": {},
                "tags": {"t": "v"},
                "properties": {},
                "isArchived": False,
            }
        },
    ),
    "compute": (
        f"{_WS}/computes/fuzz",
        {
            "location": "x",
            "properties": {
                "computeType": "AmlCompute",
                "properties": {
                    "vmSize": "Standard_DS3_v2",
                    "vmPriority": "Dedicated",
                    "scaleSettings": {
                        "minNodeCount": 0, "maxNodeCount": 1, "nodeIdleTimeBeforeScaleDown": "PT60S",
                    },
                },
            },
        },
    ),
    "instance": (
        f"{_WS}/computes/fuzzi",
        {
            "properties": {
                "computeType": "ComputeInstance",
                "properties": {"vmSize": "Standard_DS3_v2", "idleTimeBeforeShutdown": "PT60M", "schedules": {}},
            }
        },
    ),
    "machine": (
        f"{_WS}/computes/fuzzm",
        {
            "properties": {
                "computeType": "VirtualMachine",
                "resourceId": "/x",
                "properties": {"administratorAccount": {"username": "u", "password": "p"}},
            }
        },
    ),
    "datastore": (
        f"{_WS}/datastores/fuzz",
        {
            "properties": {
                "datastoreType": "AzureBlob",
                "accountName": "a",
                "containerName": "c",
                "endpoint": "core.windows.net",
                "credentials": {"credentialsType": "AccountKey", "secrets": {"secretsType": "AccountKey", "key": "k"}},
            }
        },
    ),
    "environment": (
        f"{_WS}/environments/fuzz/versions/1",
        {"properties": {"image": "python:3.11", "condaFile": "dependencies: []", "tags": {}, "isAnonymous": False}},
    ),
    "build": (
        f"{_WS}/environments/fuzzb/versions/1",
        {"properties": {"build": {"contextUri": "azureml://datastores/a/paths/b", "dockerfilePath": "Dockerfile"}}},
    ),
    "data": (
        f"{_WS}/data/fuzz/versions/1",
        {"properties": {"dataType": "uri_file", "dataUri": "https://example.com/x", "tags": {"a": "b"}}},
    ),
    "model": (
        f"{_WS}/models/fuzz/versions/1",
        {"properties": {"modelUri": "azureml://jobs/a/outputs/b", "modelType": "custom_model", "flavors": {}}},
    ),
    "component": (
        f"{_WS}/components/fuzz/versions/1",
        {"properties": {"componentSpec": {"type": "command", "command": "x", "inputs": {"a": {"type": "number"}}}}},
    ),
    "component of a parallel job": (f"{_WS}/components/fuzzp/versions/1", {"properties": {"componentSpec": _PARALLEL}}),
    "pipeline": (
        f"{_WS}/jobs/fuzzpipe",
        {
            "properties": {
                "jobType": "Pipeline",
                "experimentName": "e",
                "settings": {"default_compute": "serverless", "continue_on_step_failure": True, "force_rerun": True},
                "identity": {"identityType": "AMLToken"},
                "inputs": {"t": {"jobInputType": "literal", "value": "x"}},
                "outputs": {"all": {"jobOutputType": "uri_folder", "mode": "ReadWriteMount", "assetName": "a"}},
                "jobs": {
                    "a": _node(
                        inputs={"text": _literal("${{parent.inputs.t}}")},
                        outputs={"made": {"type": "literal", "value": "${{parent.outputs.all}}"}},
                        environment_variables={"X": "y"},
                        resources={"instance_count": 1, "shm_size": "1g"},
                        limits={"timeout": 60},
                        distribution={"distribution_type": "PyTorch", "process_count_per_instance": 1},
                        identity={"identity_type": "UserIdentity"},
                        queue_settings={"job_tier": "standard"},
                        services={"s": {"job_service_type": "SSH"}},
                    ),
                    "p": {
                        "type": "parallel",
                        "componentId": _SPREAD,
                        "inputs": {"data": {"job_input_type": "uri_folder", "uri": "${{parent.jobs.a.outputs.made}}"}},
                        "outputs": {},
                        "mini_batch_size": 2,
                        "retry_settings": {"max_retries": 1},
                        "task": {"program_arguments": "--a"},
                    },
                    "s": {
                        "type": "sweep",
                        "trial": {"componentId": _STEP},
                        "search_space": {"n": ["choice", [[1, 2]]]},
                        "sampling_algorithm": {"type": "random", "seed": 1},
                        "objective": {"goal": "maximize", "primary_metric": "m"},
                        "limits": {"max_total_trials": 1, "max_concurrent_trials": 1, "trial_timeout": 50},
                        "early_termination": {"policy_type": "bandit", "slack_factor": 0.1, "evaluation_interval": 1},
                        "inputs": {},
                        "outputs": {},
                    },
                    "if": {
                        "type": "if_else",
                        "condition": "${{parent.jobs.a.outputs.flag}}",
                        "true_block": "${{parent.jobs.y}}",
                        "false_block": ["${{parent.jobs.z}}"],
                    },
                    "y": _node(),
                    "z": _node(),
                    "w": {
                        "type": "do_while",
                        "body": "${{parent.jobs.wb}}",
                        "condition": "${{parent.jobs.wb.outputs.flag}}",
                        "limits": {"max_iteration_count": 2},
                        "mapping": {"flag": ["${{parent.jobs.wb.inputs.text}}"]},
                    },
                    "wb": _node(),
                    "f": {"type": "parallel_for", "body": "${{parent.jobs.fb}}", "items": '[{"text": "x"}]'},
                    "fb": _node(),
                },
            }
        },
    ),
    "sweep": (
        f"{_WS}/jobs/fuzzsweep",
        {
            "properties": {
                "jobType": "Sweep",
                "trial": {
                    "command": "echo ${{search_space.x}}",
                    "environmentId": _ENVIRONMENT,
                    "environmentVariables": {"A": "b"},
                    "resources": {"instanceCount": 1},
                    "distribution": {"distributionType": "PyTorch", "processCountPerInstance": 1},
                },
                "searchSpace": {"x": ["choice", [[1, 2]]], "y": ["quniform", [1, 9, 2]]},
                "samplingAlgorithm": {"samplingAlgorithmType": "Random", "seed": 3},
                "objective": {"goal": "maximize", "primaryMetric": "m"},
                "limits": {"maxTotalTrials": 1, "maxConcurrentTrials": 1, "timeout": "PT1M"},
                "earlyTermination": {"policyType": "Bandit", "slackFactor": 0.1, "evaluationInterval": 1},
            }
        },
    ),
    "code": (
        f"{_WS}/codes/fuzz/versions/1",
        {"properties": {"codeUri": "https://example.com/x", "properties": {"hash_sha256": "x"}}},
    ),
    "workspace": (
        f"{_WS}-fuzz",
        {"location": "x", "kind": "Default", "identity": {"type": "SystemAssigned"}, "tags": {},
         "properties": {"friendlyName": "f", "storageAccount": None, "description": "d"}},
    ),
    "deployment": (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.Resources/deployments/d",
        {"properties": {"mode": "Incremental", "template": {}, "parameters": {
            "workspaceName": {"value": "mlw-fuzz"}, "location": {"value": "x"}, "tagValues": {"value": {}},
            "storageAccountOption": {"value": "new"}, "identity": {"value": {"type": "SystemAssigned"}}}}},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def prepared(server: RunningServer) -> RunningServer:
    """What the documents refer to is there."""
    for path, properties in (
        (_ENVIRONMENT, {"image": "library/python:3.11"}),
        (_CODE, {"codeUri": "https://example.com/x"}),
        (_STEP, {"componentSpec": _COMMAND}),
        (_SPREAD, {"componentSpec": _PARALLEL}),
    ):
        status, answer = send(server, Bad("", "PUT", path, {"properties": properties}))
        assert status == 201, answer
    return server


@pytest.mark.parametrize("name", sorted(_VALID))
def test_never_a_server_error(prepared: RunningServer, name: str) -> None:
    path, valid = _VALID[name]
    chosen = random.Random(name)
    for number, body in enumerate(_mutations(valid, chosen, min(100, max(45, len(list(_places(valid, ()))))))):
        status, document = send(
            prepared, Bad("", "PUT", path if name == "deployment" else _numbered(path, number), body)
        )
        assert status < 500 or (status == 501 and "/jobs/" in path), (body, document)
        assert status < 400 or set(document["error"]) == {"code", "message", "target", "details"}
        if status < 300:
            shown, _ = send(prepared, Bad("", "GET", _numbered(path, number) if name != "deployment" else path))
            assert shown == 200, body
            if "/jobs/" in path:
                send(prepared, Bad("", "POST", f"{_numbered(path, number)}/cancel"))


def test_every_job_that_got_in_ends(prepared: RunningServer) -> None:
    deadline = time.monotonic() + 60
    while active := [job["name"] for job in _jobs(prepared) if job["properties"]["status"] not in _ENDED]:
        assert time.monotonic() < deadline, active
        time.sleep(0.2)


def test_what_got_in_can_be_listed(server: RunningServer) -> None:
    for collection in ("jobs", "computes", "datastores", "environments", "data", "models", "components", "codes"):
        status, document = send(server, Bad("", "GET", f"{_WS}/{collection}?listViewType=All"))
        assert status == 200, document


def _jobs(server: RunningServer) -> Iterator[dict[str, Any]]:
    path: str | None = f"{_WS}/jobs?listViewType=All"
    while path:
        _, found = send(server, Bad("", "GET", path))
        yield from found["value"]
        path = (found.get("nextLink") or "").removeprefix(server.https_url)


def _numbered(path: str, number: int) -> str:
    return f"{path}{number}"


def _mutations(valid: dict[str, Any], chosen: random.Random, count: int) -> Iterator[dict[str, Any]]:
    places = list(_places(valid, ()))
    for _ in range(count):
        body = copy.deepcopy(valid)
        place = chosen.choice(places)
        inner: Any = body
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] = chosen.choice(_WRONG)
        yield body


def _places(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from _places(item, (*path, key))
