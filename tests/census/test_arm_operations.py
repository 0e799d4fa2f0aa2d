"""The census of the control plane, through the client that Microsoft generates from its specification.

Each test calls every operation of its groups that is built, and reads the answers with that client's own models.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from azure.ai.ml._restclient.arm_ml_service import MachineLearningServicesMgmtClient
from azure.core.exceptions import ResourceNotFoundError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.identity import DefaultAzureCredential

from tests.census.evidence import shows
from tests.census.operations import ArmOperation, arm_operations
from tests.census.routes import is_built, route_of, router
from tests.server_fixture import GROUP, SUBSCRIPTION, WORKSPACE, RunningServer

_WS = (GROUP, WORKSPACE)
_ENVIRONMENT = {"environmentId": "azureml:plain:1"}


def test_every_operation_has_one_route_of_its_name() -> None:
    assert [(operation.name, route_of(operation)) for operation in arm_operations() if not route_of(operation)] == []
    named = {operation.name: route.operation for operation in arm_operations() if (route := route_of(operation))}
    assert {name: route for name, route in named.items() if name != route} == {}


def test_not_built_says_501(server: RunningServer) -> None:
    context = ssl.create_default_context(cafile=server.bundle)
    token = server.token()
    for operation in arm_operations():
        route = route_of(operation)
        assert route is not None
        if not is_built(route):
            status, document = _send(server, operation, token, context)
            assert (status, document["error"]["code"]) == (501, "NotImplemented"), operation.name
            assert document["error"]["target"] == operation.name
            assert operation.name in document["error"]["message"]


class Calls(SansIOHTTPPolicy[Any, Any]):
    """The operations that a client called and that succeeded."""

    def __init__(self) -> None:
        self.succeeded: set[str] = set()

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:
        path = "/" + request.http_request.url.split("/", 3)[3].split("?")[0]
        match = router().match(request.http_request.method, path)
        if match and match.route and response.http_response.status_code < 300:
            self.succeeded.add(match.route.operation)


@pytest.fixture(scope="module")
def client_calls() -> Calls:
    return Calls()


@pytest.fixture(scope="module")
def client(server: RunningServer, client_calls: Calls) -> MachineLearningServicesMgmtClient:
    return MachineLearningServicesMgmtClient(
        DefaultAzureCredential(),
        SUBSCRIPTION,
        server.https_url,
        credential_scopes=["https://management.azure.com/.default"],
        per_call_policies=[client_calls],
        polling_interval=0.05,
    )


@pytest.fixture
def arm(
    request: pytest.FixtureRequest, client: MachineLearningServicesMgmtClient, client_calls: Calls
) -> Iterator[MachineLearningServicesMgmtClient]:
    """The generated client; afterwards every built operation of the groups a test shows must have succeeded."""
    client_calls.succeeded.clear()
    yield client
    built = {
        operation.name
        for operation in arm_operations()
        if operation.group in request.function.shows and (route := route_of(operation)) and is_built(route)
    }
    assert built - client_calls.succeeded == set()


@shows("Workspaces")
def test_workspaces(arm: MachineLearningServicesMgmtClient) -> None:
    body = {"location": "westus", "properties": {"friendlyName": "Census", "description": "first"}}
    made = arm.workspaces.begin_create_or_update(GROUP, "ws-census", body).result()
    assert (made.name, made.location, made.properties.friendly_name) == ("ws-census", "westus", "Census")
    changed = arm.workspaces.begin_update(GROUP, "ws-census", {"properties": {"description": "second"}}).result()
    assert (changed.properties.description, changed.properties.friendly_name) == ("second", "Census")
    assert arm.workspaces.get(GROUP, "ws-census").properties.description == "second"
    assert {w.name for w in arm.workspaces.list_by_resource_group(GROUP)} == {WORKSPACE, "ws-census"}
    assert {w.name for w in arm.workspaces.list_by_subscription()} == {WORKSPACE, "ws-census"}
    assert arm.workspaces.list_keys(GROUP, "ws-census").user_storage_key
    assert arm.workspaces.begin_diagnose(GROUP, "ws-census", {"value": {}}).result().value is not None
    arm.workspaces.begin_resync_keys(GROUP, "ws-census").result()
    arm.workspaces.begin_delete(GROUP, "ws-census").result()
    with pytest.raises(ResourceNotFoundError):
        arm.workspaces.get(GROUP, "ws-census")


@shows("CodeContainers", "CodeVersions")
def test_code(arm: MachineLearningServicesMgmtClient) -> None:
    kind = {"pendingUploadType": "TemporaryBlobReference"}
    pending = arm.code_versions.create_or_get_start_pending_upload(*_WS, "snapshot", "1", kind)
    place = pending.blob_reference_for_consumption.blob_uri
    assert place.startswith("https://localhost:")
    _life(arm.code_containers, arm.code_versions, "snapshot", {"codeUri": f"{place}/src"})


@shows("ComponentContainers", "ComponentVersions")
def test_components(arm: MachineLearningServicesMgmtClient) -> None:
    step = {"name": "step", "version": "1", "type": "command", "command": "echo", "environment": "azureml:plain:1"}
    _life(arm.component_containers, arm.component_versions, "step", {"componentSpec": step})


@shows("DataContainers", "DataVersions")
def test_data(arm: MachineLearningServicesMgmtClient) -> None:
    file = {"dataType": "uri_file", "dataUri": "https://example.com/a.csv"}
    _life(arm.data_containers, arm.data_versions, "table", file, {"dataType": "uri_file"})


@shows("EnvironmentContainers", "EnvironmentVersions")
def test_environments(arm: MachineLearningServicesMgmtClient) -> None:
    _life(arm.environment_containers, arm.environment_versions, "bare", {"image": "library/python:3.11"})


@shows("ModelContainers", "ModelVersions")
def test_models(arm: MachineLearningServicesMgmtClient) -> None:
    place = "azureml://datastores/workspaceblobstore/paths/model"
    _life(arm.model_containers, arm.model_versions, "model", {"modelType": "custom_model", "modelUri": place})


@shows("Datastores")
def test_datastores(arm: MachineLearningServicesMgmtClient) -> None:
    secret = {"credentialsType": "AccountKey", "secrets": {"secretsType": "AccountKey", "key": "a2V5"}}
    blob = {"datastoreType": "AzureBlob", "accountName": "elsewhere", "containerName": "c", "credentials": secret}
    made = arm.datastores.create_or_update(*_WS, "census", {"properties": blob})
    assert made.properties.container_name == "c"
    assert arm.datastores.get(*_WS, "census").properties.account_name == "elsewhere"
    assert "census" in {store.name for store in arm.datastores.list(*_WS)}
    assert [store.name for store in arm.datastores.list(*_WS, is_default=True)] == ["workspaceblobstore"]
    assert [store.name for store in arm.datastores.list(*_WS, search_text="cens")] == ["census"]
    assert arm.datastores.list_secrets(*_WS, "census", {}).key == "a2V5"
    arm.datastores.delete(*_WS, "census")
    with pytest.raises(ResourceNotFoundError):
        arm.datastores.get(*_WS, "census")


@shows("Compute")
def test_computes(arm: MachineLearningServicesMgmtClient) -> None:
    scale = {"minNodeCount": 0, "maxNodeCount": 2, "nodeIdleTimeBeforeScaleDown": "PT60S"}
    cluster = {"vmSize": "Standard_DS3_v2", "scaleSettings": scale}
    body = {"location": "local", "properties": {"computeType": "AmlCompute", "properties": cluster}}
    made = arm.compute.begin_create_or_update(*_WS, "cluster", body).result()
    assert made.properties.properties.scale_settings.max_node_count == 2
    patch = {"properties": {"properties": {"scaleSettings": {**scale, "maxNodeCount": 3}}}}
    assert arm.compute.begin_update(*_WS, "cluster", patch).result().name == "cluster"
    assert arm.compute.get(*_WS, "cluster").properties.properties.scale_settings.max_node_count == 3
    assert [node.node_id for node in arm.compute.list_nodes(*_WS, "cluster")] == []
    instance = {"computeType": "ComputeInstance", "properties": {"vmSize": "Standard_DS3_v2"}}
    arm.compute.begin_create_or_update(*_WS, "instance", {"location": "local", "properties": instance}).result()
    assert {compute.name for compute in arm.compute.list(*_WS)} == {"cluster", "instance"}
    for act, state in ((arm.compute.begin_stop, "Stopped"), (arm.compute.begin_start, "Running")):
        act(*_WS, "instance").result()
        assert arm.compute.get(*_WS, "instance").properties.properties.state == state
    arm.compute.begin_restart(*_WS, "instance").result()
    arm.compute.list_keys(*_WS, "instance")
    for name in ("cluster", "instance"):
        arm.compute.begin_delete(*_WS, name, underlying_resource_action="Delete").result()
    assert list(arm.compute.list(*_WS)) == []


@shows("Jobs")
def test_jobs(arm: MachineLearningServicesMgmtClient) -> None:
    arm.environment_versions.create_or_update(*_WS, "plain", "1", {"properties": {"image": "library/python:3.11"}})
    job = {"jobType": "Command", "command": "sleep 60", "tags": {"census": "1"}, **_ENVIRONMENT}
    made = arm.jobs.create_or_update(*_WS, "census-job", {"properties": job})
    assert made.properties.command == "sleep 60"
    assert arm.jobs.get(*_WS, "census-job").properties.job_type == "Command"
    assert [job.name for job in arm.jobs.list(*_WS, tag="census", job_type="Command")] == ["census-job"]
    assert list(arm.jobs.list(*_WS, tag="other")) == []
    arm.jobs.begin_cancel(*_WS, "census-job").result()
    assert arm.jobs.get(*_WS, "census-job").properties.status == "Canceled"
    arm.jobs.begin_delete(*_WS, "census-job").result()
    with pytest.raises(ResourceNotFoundError):
        arm.jobs.get(*_WS, "census-job")


@shows("Registries", "RegistryDataReferences")
def test_registries(arm: MachineLearningServicesMgmtClient) -> None:
    regions = [{"location": "local"}]
    body = {"location": "local", "tags": {"a": "b"}, "properties": {"regionDetails": regions}}
    made = arm.registries.begin_create_or_update(GROUP, "census", body).result()
    assert (made.name, made.properties.region_details[0].location) == ("census", "local")
    assert arm.registries.get(GROUP, "census").tags == {"a": "b"}
    assert arm.registries.update(GROUP, "census", {"tags": {"a": "c"}}).tags == {"a": "c"}
    assert "census" in {registry.name for registry in arm.registries.list(GROUP)}
    assert "census" in {registry.name for registry in arm.registries.list_by_subscription()}
    kind = {"pendingUploadType": "TemporaryBlobReference"}
    model = ("census", "model", "1")
    pending = arm.registry_model_versions.create_or_get_start_pending_upload(GROUP, *model, kind)
    place = pending.blob_reference_for_consumption.blob_uri
    arm.registry_model_versions.begin_create_or_update(GROUP, *model, {"properties": {"modelUri": place}}).result()
    wanted = {"assetId": "azureml://registries/census/models/model/versions/1", "blobUri": place}
    found = arm.registry_data_references.get_blob_reference_sas(GROUP, *model, wanted)
    assert found.blob_reference_for_consumption.credential.sas_uri.startswith(f"{place}?")
    arm.registries.begin_delete(GROUP, "census").result()
    with pytest.raises(ResourceNotFoundError):
        arm.registries.get(GROUP, "census")


@pytest.fixture(scope="module")
def registry(client: MachineLearningServicesMgmtClient) -> tuple[str, str]:
    body = {"location": "local", "properties": {"regionDetails": [{"location": "local"}]}}
    client.registries.begin_create_or_update(GROUP, "shelf", body).result()
    return GROUP, "shelf"


@shows("RegistryCodeContainers", "RegistryCodeVersions")
def test_registry_code(arm: MachineLearningServicesMgmtClient, registry: tuple[str, str]) -> None:
    code = {"codeUri": _upload(arm.registry_code_versions, registry)}
    _life(arm.registry_code_containers, arm.registry_code_versions, "snapshot", code, scope=registry)


@shows("RegistryComponentContainers", "RegistryComponentVersions")
def test_registry_components(arm: MachineLearningServicesMgmtClient, registry: tuple[str, str]) -> None:
    environment = "azureml://registries/azureml/environments/sklearn-1.5/labels/latest"
    step = {"componentSpec": {"name": "step", "type": "command", "command": "echo", "environment": environment}}
    _life(arm.registry_component_containers, arm.registry_component_versions, "step", step, scope=registry)


@shows("RegistryDataContainers", "RegistryDataVersions")
def test_registry_data(arm: MachineLearningServicesMgmtClient, registry: tuple[str, str]) -> None:
    kind = {"dataType": "uri_file"}
    file = {**kind, "dataUri": _upload(arm.registry_data_versions, registry)}
    _life(arm.registry_data_containers, arm.registry_data_versions, "table", file, kind, scope=registry)


@shows("RegistryEnvironmentContainers", "RegistryEnvironmentVersions")
def test_registry_environments(arm: MachineLearningServicesMgmtClient, registry: tuple[str, str]) -> None:
    image = {"image": "library/python:3.11"}
    _life(arm.registry_environment_containers, arm.registry_environment_versions, "bare", image, scope=registry)


@shows("RegistryModelContainers", "RegistryModelVersions")
def test_registry_models(arm: MachineLearningServicesMgmtClient, registry: tuple[str, str]) -> None:
    model = {"modelType": "custom_model", "modelUri": _upload(arm.registry_model_versions, registry)}
    _life(arm.registry_model_containers, arm.registry_model_versions, "model", model, scope=registry)


@shows("Quotas", "Usages", "VirtualMachineSizes")
def test_quotas_usages_and_sizes(arm: MachineLearningServicesMgmtClient) -> None:
    assert "Standard_DS3_v2" in {size.name for size in arm.virtual_machine_sizes.list("local").value}
    assert any(usage.limit for usage in arm.usages.list("local"))
    quota = next(iter(arm.quotas.list("local")))
    wanted = {"id": quota.id, "type": quota.type, "limit": 7, "unit": "Count"}
    arm.quotas.update("local", {"value": [wanted]})
    assert {found.id: found.limit for found in arm.quotas.list("local")}[quota.id] == 7


def _upload(versions: Any, registry: tuple[str, str]) -> str:
    """The address of a new container of the registry."""
    kind = {"pendingUploadType": "TemporaryBlobReference"}
    pending = versions.create_or_get_start_pending_upload(*registry, "upload", "1", kind)
    return str(pending.blob_reference_for_consumption.blob_uri)


def _life(
    containers: Any,
    versions: Any,
    name: str,
    asset: dict[str, Any],
    container: Any = None,
    scope: tuple[str, str] = _WS,
) -> None:
    """A container and one version of it, made, found, listed and deleted."""
    words = {"description": "of the census", "tags": {"a": "b"}}
    _done(containers, "create_or_update", *scope, name, {"properties": {**words, **(container or {})}})
    made = _done(versions, "create_or_update", *scope, name, "1", {"properties": {**asset, **words}})
    assert (made.name, made.properties.description, made.properties.tags) == ("1", "of the census", {"a": "b"})
    assert versions.get(*scope, name, "1").id == made.id
    assert [found.name for found in versions.list(*scope, name)] == ["1"]
    found = containers.get(*scope, name).properties
    assert (found.latest_version, found.next_version, found.description) == ("1", "2", "of the census")
    assert name in {item.name for item in containers.list(*scope)}
    _done(versions, "delete", *scope, name, "1")
    with pytest.raises(ResourceNotFoundError):
        versions.get(*scope, name, "1")
    _done(containers, "delete", *scope, name)
    with pytest.raises(ResourceNotFoundError):
        containers.get(*scope, name)


def _done(group: Any, verb: str, *arguments: Any) -> Any:
    """Call a verb, which is a long-running operation on the assets of registries."""
    long_running = getattr(group, f"begin_{verb}", None)
    return long_running(*arguments).result() if long_running else getattr(group, verb)(*arguments)


def _send(server: RunningServer, operation: ArmOperation, token: str, context: ssl.SSLContext) -> tuple[int, Any]:
    names = {"subscriptionId": SUBSCRIPTION, "resourceGroupName": GROUP, "workspaceName": WORKSPACE}
    body = (
        None if operation.method in ("GET", "DELETE") else b'{"location": "local", "properties": {"description": "x"}}'
    )
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    url = f"{server.https_url}{operation.example_path(names)}?api-version=2025-12-01"
    request = urllib.request.Request(url, data=body, method=operation.method, headers=headers)
    try:
        with urllib.request.urlopen(request, context=context) as answer:
            return answer.status, {}
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
