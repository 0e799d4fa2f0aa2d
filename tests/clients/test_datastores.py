"""Datastores through the unmodified SDK."""

from __future__ import annotations

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import (
    AccountKeyConfiguration,
    AzureBlobDatastore,
    AzureDataLakeGen2Datastore,
    AzureFileDatastore,
    SasTokenConfiguration,
)
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from tests.server_fixture import RunningServer

pytestmark = pytest.mark.clients


def test_every_workspace_has_its_four(ml_client: MLClient) -> None:
    names = {store.name for store in ml_client.datastores.list()}
    assert {"workspaceblobstore", "workspaceartifactstore", "workspacefilestore", "workspaceworkingdirectory"} <= names
    default = ml_client.datastores.get_default()
    assert default.name == "workspaceblobstore"
    assert "/storage/v1/" in default.account_name


def test_secrets_are_sealed_and_come_back_only_when_asked(ml_client: MLClient, server: RunningServer) -> None:
    secret = "c2VjcmV0LXRoYXQtbXVzdC1ub3Qtc2hvdw=="
    store = AzureBlobDatastore(
        name="elsewhere", account_name="elsewhere", container_name="data",
        credentials=AccountKeyConfiguration(account_key=secret),
    )  # fmt: skip
    ml_client.datastores.create_or_update(store)
    assert secret not in str(ml_client.datastores.get("elsewhere"))
    assert ml_client.datastores.get("elsewhere", include_secrets=True).credentials.account_key == secret
    for file in server.home.glob("lazulite.db*"):
        assert secret.encode() not in file.read_bytes()


def test_own_account_takes_a_new_container_and_refuses_a_wrong_key(ml_client: MLClient) -> None:
    account = ml_client.datastores.get("workspaceblobstore").account_name
    key = ml_client.workspaces.get_keys("mlw-default").user_storage_key
    right = AzureBlobDatastore(
        name="blob_training_data", account_name=account, container_name="training-data",
        credentials=AccountKeyConfiguration(account_key=key),
    )  # fmt: skip
    ml_client.datastores.create_or_update(right)
    found = ml_client.datastores.get("blob_training_data", include_secrets=True)
    assert found.credentials.sas_token
    wrong = AzureBlobDatastore(
        name="wrong", account_name=account.split("/")[-2], container_name="other",
        credentials=AccountKeyConfiguration(account_key="AAAA" + key[4:]),
    )  # fmt: skip
    with pytest.raises(HttpResponseError, match="not one of storage account"):
        ml_client.datastores.create_or_update(wrong)
    with pytest.raises(ResourceNotFoundError):
        ml_client.datastores.get("wrong")


def test_lake_file_and_sas_datastores(ml_client: MLClient) -> None:
    lake = AzureDataLakeGen2Datastore(name="lake", account_name="lake", filesystem="fs")
    assert ml_client.datastores.create_or_update(lake).filesystem == "fs"
    share = AzureFileDatastore(
        name="share", account_name="files", file_share_name="s",
        credentials=SasTokenConfiguration(sas_token="sv=1&sig=x"),
    )  # fmt: skip
    assert ml_client.datastores.create_or_update(share).file_share_name == "s"
    ml_client.datastores.delete("lake")
    assert "lake" not in {store.name for store in ml_client.datastores.list()}


def test_default_datastores_cannot_be_deleted(ml_client: MLClient) -> None:
    with pytest.raises(HttpResponseError, match="cannot be deleted"):
        ml_client.datastores.delete("workspaceblobstore")
