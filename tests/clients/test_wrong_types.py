"""Valid documents with one value replaced by another type: no answer is ever a server error."""

from __future__ import annotations

import copy
import random
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
)
_WS = WORKSPACE_ID

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


@pytest.mark.parametrize("name", sorted(_VALID))
def test_never_a_server_error(server: RunningServer, name: str) -> None:
    path, valid = _VALID[name]
    chosen = random.Random(name)
    for number, body in enumerate(_mutations(valid, chosen, 45)):
        status, document = send(server, Bad("", "PUT", path if name == "deployment" else _numbered(path, number), body))
        assert status < 500 or (status == 501 and name == "job"), (body, document)
        assert status < 400 or set(document["error"]) == {"code", "message", "target", "details"}
        if status < 300:
            shown, _ = send(server, Bad("", "GET", _numbered(path, number) if name != "deployment" else path))
            assert shown == 200, body


def test_what_got_in_can_be_listed(server: RunningServer) -> None:
    for collection in ("jobs", "computes", "datastores", "environments", "data", "models", "components", "codes"):
        status, document = send(server, Bad("", "GET", f"{_WS}/{collection}?listViewType=All"))
        assert status == 200, document


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
