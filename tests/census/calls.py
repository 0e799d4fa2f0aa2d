"""A call of the unmodified SDK for every method that is not built here: each must end in a 501 that says so.

A method often asks for something else first (its endpoint, its connection); then that is the operation named.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from azure.ai.ml import Input, MLClient
from azure.ai.ml.data_transfer import Database
from azure.ai.ml.entities import (
    ApiKeyConfiguration,
    AzureMLOnlineInferencingServer,
    BatchEndpoint,
    CapabilityHost,
    CronTrigger,
    DataColumn,
    DataImport,
    Environment,
    FeatureSet,
    FeatureSetSpecification,
    FeatureStoreEntity,
    FqdnDestination,
    Hub,
    Index,
    IndexModelConfiguration,
    JobSchedule,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
    MarketplaceSubscription,
    ModelBatchDeployment,
    ModelPackage,
    ServerlessEndpoint,
    WorkspaceConnection,
)
from azure.identity import DefaultAzureCredential

from tests.server_fixture import GROUP, SUBSCRIPTION, WORKSPACE

Call = Callable[[MLClient], Any]
_MODEL = "azureml://registries/azureml/models/m"
_PLACE = "azureml://datastores/workspaceblobstore/paths/place"
_INPUT = Path(__file__).parent / "data"


def make(method: str, client: MLClient) -> Any:
    """Call one and wait for what it promises: a poller's result, a listing's items."""
    answer = CALLS[method](client)
    if hasattr(answer, "result"):
        return answer.result()
    return list(answer) if hasattr(answer, "__next__") else answer


def _batch_deployment() -> ModelBatchDeployment:
    return ModelBatchDeployment(
        name="blue", endpoint_name="scoring", model="azureml:m:1", compute="cpu-cluster", environment=_environment()
    )


def _online_deployment() -> ManagedOnlineDeployment:
    return ManagedOnlineDeployment(
        name="blue", endpoint_name="scoring", model="azureml:m:1", environment=_environment(),
        instance_type="Standard_DS3_v2", instance_count=1,
    )  # fmt: skip


def _environment() -> Environment:
    return Environment(image="library/python:3.11")


def _connection() -> WorkspaceConnection:
    key = ApiKeyConfiguration(key="k")
    return WorkspaceConnection(name="feed", type="python_feed", target="https://example.com", credentials=key)


def _capability_host(client: MLClient) -> Any:
    """The SDK lets only hubs and projects have one, so it asks a hub's."""
    client.workspaces.begin_create(Hub(name="a-hub", location="local")).result()
    hub = MLClient(DefaultAzureCredential(), SUBSCRIPTION, GROUP, "a-hub")
    return hub.capability_hosts.begin_create_or_update(CapabilityHost(name="host", capability_host_kind="Agents"))


def _import_data(client: MLClient) -> Any:
    source = Database(connection="azureml:feed", query="select 1")
    return client.data.import_data(DataImport(name="d", type="mltable", path=_PLACE, source=source))


def _backfill(client: MLClient) -> Any:
    first, last = datetime(2024, 1, 1), datetime(2024, 2, 1)
    return client.feature_sets.begin_backfill(
        name="f", version="1", feature_window_start_time=first, feature_window_end_time=last, data_status=["None"]
    )


def _feature_set(client: MLClient) -> Any:
    # The SDK writes into the folder it uploads.
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(_INPUT / "feature_set", folder, dirs_exist_ok=True)
        specification = FeatureSetSpecification(path=folder)
        wanted = FeatureSet(name="f", version="1", entities=["azureml:e:1"], specification=specification)
        return client.feature_sets.begin_create_or_update(wanted)


def _entity() -> FeatureStoreEntity:
    return FeatureStoreEntity(name="e", version="1", index_columns=[DataColumn(name="id", type="string")])


def _package(client: MLClient) -> Any:
    request = ModelPackage(target_environment="p", inferencing_server=AzureMLOnlineInferencingServer())
    return client.models.package("m", "1", request)


def _schedule() -> JobSchedule:
    return JobSchedule(name="nightly", trigger=CronTrigger(expression="0 3 * * *"), create_job="azureml:a-job")


def _rule() -> FqdnDestination:
    return FqdnDestination(name="r", destination="example.com")


def build_index(client: MLClient) -> Any:
    embeddings = IndexModelConfiguration(
        api_base="https://example.com", api_key="k", api_version="1", connection_name="aoai",
        connection_type="azure_open_ai", model_name="m", deployment_name="d", model_kwargs={},
    )  # fmt: skip
    return client.indexes.build_index(name="i", embeddings_model_config=embeddings, input_source=_PLACE)


#: Method to a call of it.
CALLS: dict[str, Call] = {
    "azure_openai_deployments.list": lambda c: c.azure_openai_deployments.list("aoai"),
    "batch_deployments.begin_create_or_update": lambda c: c.batch_deployments.begin_create_or_update(
        _batch_deployment()
    ),
    "batch_deployments.begin_delete": lambda c: c.batch_deployments.begin_delete("blue", "scoring"),
    "batch_deployments.get": lambda c: c.batch_deployments.get("blue", "scoring"),
    "batch_deployments.list": lambda c: c.batch_deployments.list("scoring"),
    "batch_deployments.list_jobs": lambda c: c.batch_deployments.list_jobs("scoring", name="blue"),
    "batch_endpoints.begin_create_or_update": lambda c: c.batch_endpoints.begin_create_or_update(
        BatchEndpoint(name="scoring")
    ),
    "batch_endpoints.begin_delete": lambda c: c.batch_endpoints.begin_delete("scoring"),
    "batch_endpoints.get": lambda c: c.batch_endpoints.get("scoring"),
    "batch_endpoints.invoke": lambda c: c.batch_endpoints.invoke(
        "scoring", inputs={"data": Input(type="uri_folder", path=_PLACE)}
    ),
    "batch_endpoints.list": lambda c: c.batch_endpoints.list(),
    "batch_endpoints.list_jobs": lambda c: c.batch_endpoints.list_jobs("scoring"),
    "capability_hosts.begin_create_or_update": _capability_host,
    "capability_hosts.begin_delete": lambda c: c.capability_hosts.begin_delete("host"),
    "capability_hosts.get": lambda c: c.capability_hosts.get("host"),
    "connections.create_or_update": lambda c: c.connections.create_or_update(_connection()),
    "connections.delete": lambda c: c.connections.delete("feed"),
    "connections.get": lambda c: c.connections.get("feed"),
    "connections.list": lambda c: c.connections.list(),
    "data.import_data": _import_data,
    "feature_sets.archive": lambda c: c.feature_sets.archive("f", "1"),
    "feature_sets.begin_backfill": _backfill,
    "feature_sets.begin_create_or_update": _feature_set,
    "feature_sets.get": lambda c: c.feature_sets.get("f", "1"),
    "feature_sets.get_feature": lambda c: c.feature_sets.get_feature("f", "1", feature_name="x"),
    "feature_sets.list": lambda c: c.feature_sets.list(),
    "feature_sets.list_features": lambda c: c.feature_sets.list_features("f", "1"),
    "feature_sets.restore": lambda c: c.feature_sets.restore("f", "1"),
    "feature_store_entities.archive": lambda c: c.feature_store_entities.archive("e", "1"),
    "feature_store_entities.begin_create_or_update": lambda c: c.feature_store_entities.begin_create_or_update(
        _entity()
    ),
    "feature_store_entities.get": lambda c: c.feature_store_entities.get("e", "1"),
    "feature_store_entities.list": lambda c: c.feature_store_entities.list(),
    "feature_store_entities.restore": lambda c: c.feature_store_entities.restore("e", "1"),
    "feature_stores.begin_provision_network": lambda c: c.feature_stores.begin_provision_network(
        feature_store_name=WORKSPACE
    ),
    "indexes.create_or_update": lambda c: c.indexes.create_or_update(
        Index(name="i", version="1", stage="Development", path=_PLACE)
    ),
    "indexes.get": lambda c: c.indexes.get("i", version="1"),
    "indexes.list": lambda c: c.indexes.list(),
    "marketplace_subscriptions.begin_create_or_update": lambda c: c.marketplace_subscriptions.begin_create_or_update(
        MarketplaceSubscription(name="m", model_id=_MODEL)
    ),
    "marketplace_subscriptions.begin_delete": lambda c: c.marketplace_subscriptions.begin_delete("m"),
    "marketplace_subscriptions.get": lambda c: c.marketplace_subscriptions.get("m"),
    "marketplace_subscriptions.list": lambda c: c.marketplace_subscriptions.list(),
    "models.package": _package,
    "online_deployments.begin_create_or_update": lambda c: c.online_deployments.begin_create_or_update(
        _online_deployment()
    ),
    "online_deployments.begin_delete": lambda c: c.online_deployments.begin_delete("blue", "scoring"),
    "online_deployments.get": lambda c: c.online_deployments.get("blue", "scoring"),
    "online_deployments.get_logs": lambda c: c.online_deployments.get_logs("blue", "scoring", 10),
    "online_deployments.list": lambda c: c.online_deployments.list("scoring"),
    "online_endpoints.begin_create_or_update": lambda c: c.online_endpoints.begin_create_or_update(
        ManagedOnlineEndpoint(name="scoring", auth_mode="key")
    ),
    "online_endpoints.begin_delete": lambda c: c.online_endpoints.begin_delete("scoring"),
    "online_endpoints.begin_regenerate_keys": lambda c: c.online_endpoints.begin_regenerate_keys("scoring"),
    "online_endpoints.get": lambda c: c.online_endpoints.get("scoring"),
    "online_endpoints.get_keys": lambda c: c.online_endpoints.get_keys("scoring"),
    "online_endpoints.invoke": lambda c: c.online_endpoints.invoke(
        "scoring", request_file=str(_INPUT / "request.json")
    ),
    "online_endpoints.list": lambda c: c.online_endpoints.list(),
    "schedules.begin_create_or_update": lambda c: c.schedules.begin_create_or_update(_schedule()),
    "schedules.begin_delete": lambda c: c.schedules.begin_delete("nightly"),
    "schedules.begin_disable": lambda c: c.schedules.begin_disable("nightly"),
    "schedules.begin_enable": lambda c: c.schedules.begin_enable("nightly"),
    "schedules.get": lambda c: c.schedules.get("nightly"),
    "schedules.list": lambda c: c.schedules.list(),
    "schedules.trigger": lambda c: c.schedules.trigger("nightly"),
    "serverless_endpoints.begin_create_or_update": lambda c: c.serverless_endpoints.begin_create_or_update(
        ServerlessEndpoint(name="s", model_id=_MODEL)
    ),
    "serverless_endpoints.begin_delete": lambda c: c.serverless_endpoints.begin_delete("s"),
    "serverless_endpoints.begin_regenerate_keys": lambda c: c.serverless_endpoints.begin_regenerate_keys("s"),
    "serverless_endpoints.get": lambda c: c.serverless_endpoints.get("s"),
    "serverless_endpoints.get_keys": lambda c: c.serverless_endpoints.get_keys("s"),
    "serverless_endpoints.list": lambda c: c.serverless_endpoints.list(),
    "workspace_outbound_rules.begin_create": lambda c: c.workspace_outbound_rules.begin_create(WORKSPACE, _rule()),
    "workspace_outbound_rules.begin_remove": lambda c: c.workspace_outbound_rules.begin_remove(WORKSPACE, "r"),
    "workspace_outbound_rules.begin_update": lambda c: c.workspace_outbound_rules.begin_update(WORKSPACE, _rule()),
    "workspace_outbound_rules.get": lambda c: c.workspace_outbound_rules.get(WORKSPACE, "r"),
    "workspace_outbound_rules.list": lambda c: c.workspace_outbound_rules.list(WORKSPACE),
    "workspaces.begin_provision_network": lambda c: c.workspaces.begin_provision_network(workspace_name=WORKSPACE),
}
