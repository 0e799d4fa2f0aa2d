"""The first notes about this project, line by line, as a user would type them."""

from __future__ import annotations

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import (
    AccountKeyConfiguration,
    AmlCompute,
    AzureBlobDatastore,
    Environment,
    Workspace,
)
from azure.identity import DefaultAzureCredential
from tests.server_fixture import GROUP, SUBSCRIPTION, RunningServer

pytestmark = pytest.mark.clients


def test_the_notes(server: RunningServer) -> None:
    ml_client = MLClient(DefaultAzureCredential(), SUBSCRIPTION, GROUP, "mlw-example")
    ws_basic = Workspace(
        name="mlw-example",
        location="eastus",
        display_name="Basic workspace-example",
        description="This example shows how to create a basic workspace",
    )
    made = ml_client.workspaces.begin_create(ws_basic).result()
    assert (made.name, made.location, made.display_name) == ("mlw-example", "eastus", "Basic workspace-example")

    cluster_basic = AmlCompute(
        name="cpu-cluster",
        type="amlcompute",
        size="STANDARD_DS3_v2",
        location="westus",
        min_instances=0,
        max_instances=2,
        idle_time_before_scale_down=60,
    )
    cluster = ml_client.begin_create_or_update(cluster_basic).result()
    assert (cluster.size, cluster.max_instances, cluster.provisioning_state) == ("STANDARD_DS3_v2", 2, "Succeeded")

    store = AzureBlobDatastore(
        name="blob_example",
        description="Datastore pointing to a blob container",
        account_name="mytestblobstore",
        container_name="data-container",
        credentials=AccountKeyConfiguration(account_key="c29tZS1rZXk="),
    )
    ml_client.create_or_update(store)
    assert ml_client.datastores.get("blob_example").container_name == "data-container"

    envs = ml_client.environments.list()
    assert "AzureML-sklearn-1.5" in [env.name for env in envs]

    env_docker_image = Environment(
        image="pytorch/pytorch:latest",
        name="public-docker-image-example",
        description="Environment created from a public Docker image.",
    )
    created = ml_client.environments.create_or_update(env_docker_image)
    assert (created.image, created.version) == ("pytorch/pytorch:latest", "1")
