"""Workspaces through the unmodified SDK."""

from __future__ import annotations

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import FeatureStore, Hub, Project, Workspace
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from tests.server_fixture import SUBSCRIPTION, RunningServer

pytestmark = pytest.mark.clients


def test_first_start_makes_a_workspace_with_what_it_stands_on(ml_client: MLClient) -> None:
    workspace = ml_client.workspaces.get("mlw-default")
    assert "/Microsoft.Storage/storageAccounts/" in workspace.storage_account
    assert "/Microsoft.KeyVault/vaults/" in workspace.key_vault
    assert "/Microsoft.Insights/components/" in workspace.application_insights
    assert workspace.discovery_url.startswith("https://localhost:")
    assert workspace.mlflow_tracking_uri.startswith("http://localhost:")


def test_create_update_list_keys_diagnose_delete(ml_client: MLClient) -> None:
    wanted = Workspace(name="ws-two", location="westus", display_name="Two", description="second", tags={"team": "a"})
    made = ml_client.workspaces.begin_create(wanted).result()
    assert (made.location, made.display_name, made.description, made.tags["team"]) == ("westus", "Two", "second", "a")
    assert {w.name for w in ml_client.workspaces.list()} == {"mlw-default", "ws-two"}
    assert "ws-two" in {w.name for w in ml_client.workspaces.list(scope="subscription")}
    changed = ml_client.workspaces.begin_update(Workspace(name="ws-two", description="changed")).result()
    assert (changed.description, changed.display_name) == ("changed", "Two")
    assert len(ml_client.workspaces.get_keys("ws-two").user_storage_key) > 40
    assert ml_client.workspaces.begin_diagnose("ws-two").result().storage_account_results == []
    ml_client.workspaces.begin_sync_keys("ws-two").result()
    again = ml_client.workspaces.begin_create(Workspace(name="ws-two", description="third")).result()
    assert again.description == "third"
    ml_client.workspaces.begin_delete("ws-two", delete_dependent_resources=True).result()
    with pytest.raises(ResourceNotFoundError):
        ml_client.workspaces.get("ws-two")


def test_location_comes_from_the_resource_group(ml_client: MLClient) -> None:
    made = ml_client.workspaces.begin_create(Workspace(name="ws-nowhere")).result()
    assert made.location == "local"
    assert ml_client.workspaces.begin_delete("ws-nowhere", delete_dependent_resources=False).result() is None


def test_missing_workspace_names_the_nearest(ml_client: MLClient) -> None:
    with pytest.raises(ResourceNotFoundError, match="Did you mean 'mlw-default'"):
        ml_client.workspaces.get("mlw-defalt")


def test_resource_group_that_does_not_exist_is_made(ml_client: MLClient, server: object) -> None:
    from azure.identity import DefaultAzureCredential

    other = MLClient(DefaultAzureCredential(), SUBSCRIPTION, "rg-other")
    made = other.workspaces.begin_create(Workspace(name="ws-other", location="eastus")).result()
    assert made.resource_group == "rg-other"
    assert [w.name for w in other.workspaces.list()] == ["ws-other"]


@pytest.mark.parametrize("group", ["data", "models", "jobs", "workspaces"])
def test_resource_groups_may_be_called_like_what_workspaces_hold(ml_client: MLClient, group: str) -> None:
    from azure.identity import DefaultAzureCredential

    other = MLClient(DefaultAzureCredential(), SUBSCRIPTION, group, f"ws-{group}")
    other.workspaces.begin_create(Workspace(name=f"ws-{group}", location="local")).result()
    assert [list(held.list()) for held in (other.data, other.models, other.jobs, other.components)] == [[], [], [], []]


def test_listing_by_kind(ml_client: MLClient) -> None:
    ml_client.workspaces.begin_create(Hub(name="hub-listed", location="local")).result()
    for scope in ("resource_group", "subscription"):
        names = {w.name for w in ml_client.workspaces.list(scope=scope, filtered_kinds=["hub", "project"])}
        assert names == {"hub-listed"}
    assert "hub-listed" not in {w.name for w in ml_client.workspaces.list(filtered_kinds="default")}


def test_projects_name_their_hub(ml_client: MLClient) -> None:
    hub = ml_client.workspaces.begin_create(Hub(name="hub-of-two", location="local")).result()
    project = ml_client.workspaces.begin_create(Project(name="project-one", location="local", hub_id=hub.id)).result()
    assert (type(project), project.hub_id, hub.application_insights) == (Project, hub.id, None)
    not_a_hub = ml_client.workspaces.get("mlw-default").id
    with pytest.raises(HttpResponseError, match="'mlw-default' is not a hub"):
        ml_client.workspaces.begin_create(Project(name="project-two", location="local", hub_id=not_a_hub)).result()
    for name in ("project-one", "hub-of-two"):
        ml_client.workspaces.begin_delete(name, delete_dependent_resources=True).result()


def test_feature_stores_are_workspaces(ml_client: MLClient) -> None:
    wanted = FeatureStore(name="fs-one", location="local", description="first")
    made = ml_client.feature_stores.begin_create(wanted, grant_materialization_permissions=False).result()
    assert (made.name, made.description) == ("fs-one", "first")
    assert [store.name for store in ml_client.feature_stores.list()] == ["fs-one"]
    changed = FeatureStore(name="fs-one", description="second")
    ml_client.feature_stores.begin_update(changed, grant_materialization_permissions=False).result()
    assert ml_client.feature_stores.get("fs-one").description == "second"
    ml_client.feature_stores.begin_delete("fs-one", delete_dependent_resources=True).result()
    with pytest.raises(ResourceNotFoundError):
        ml_client.feature_stores.get("fs-one")


def test_options_are_given_back(ml_client: MLClient) -> None:
    from azure.ai.ml.entities import IdentityConfiguration, ManagedIdentityConfiguration, ServerlessComputeSettings

    group = ml_client.workspaces.get("mlw-default").id.split("/providers/")[0]
    identity = f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/mine"
    subnet = f"{group}/providers/Microsoft.Network/virtualNetworks/net/subnets/sub"
    wanted = Workspace(
        name="ws-options",
        location="local",
        hbi_workspace=True,
        enable_data_isolation=True,
        image_build_compute="builder",
        public_network_access="Disabled",
        system_datastores_auth_mode="identity",
        allow_roleassignment_on_rg=False,
        primary_user_assigned_identity=identity,
        identity=IdentityConfiguration(
            type="user_assigned", user_assigned_identities=[ManagedIdentityConfiguration(resource_id=identity)]
        ),
        serverless_compute=ServerlessComputeSettings(custom_subnet=subnet, no_public_ip=True),
    )
    ml_client.workspaces.begin_create(wanted).result()
    changed = ml_client.workspaces.begin_update(Workspace(name="ws-options", description="changed")).result()
    for found in (changed, ml_client.workspaces.get("ws-options")):
        assert (found.hbi_workspace, found.enable_data_isolation, found.image_build_compute) == (True, True, "builder")
        assert (found.public_network_access, found.system_datastores_auth_mode) == ("Disabled", "identity")
        assert (found.allow_roleassignment_on_rg, found.primary_user_assigned_identity) == (False, identity)
        assert [one.resource_id for one in found.identity.user_assigned_identities] == [identity]
        assert (found.serverless_compute.custom_subnet, found.serverless_compute.no_public_ip) == (subnet, True)
        assert found.description == "changed"


def test_existing_resources_are_taken(ml_client: MLClient) -> None:
    first = ml_client.workspaces.get("mlw-default")
    wanted = Workspace(
        name="ws-beside",
        location="local",
        storage_account=first.storage_account,
        key_vault=first.key_vault,
        application_insights=first.application_insights,
    )
    made = ml_client.workspaces.begin_create(wanted).result()
    assert (made.storage_account, made.key_vault) == (first.storage_account, first.key_vault)
    assert made.application_insights == first.application_insights
    assert ml_client.workspaces.get_keys("ws-beside").user_storage_key == (
        ml_client.workspaces.get_keys("mlw-default").user_storage_key
    )


def test_what_cannot_be_had_is_refused_by_name(ml_client: MLClient) -> None:
    from azure.ai.ml.entities import CustomerManagedKey, ManagedNetwork

    group = ml_client.workspaces.get("mlw-default").id.split("/providers/")[0]
    provider = f"{group}/providers"
    for option, says in (
        ({"managed_network": ManagedNetwork(isolation_mode="allow_internet_outbound")}, "managedNetwork"),
        ({"provision_network_now": True}, "provisionNetworkNow"),
        (
            {
                "customer_managed_key": CustomerManagedKey(
                    key_vault=f"{provider}/Microsoft.KeyVault/vaults/v", key_uri="k"
                )
            },
            "encryption",
        ),
        ({"storage_account": f"{provider}/Microsoft.Storage/storageAccounts/mystore1"}, "mystore1' does not exist"),
        ({"key_vault": f"{provider}/Microsoft.KeyVault/vaults/myvault1"}, "myvault1' does not exist"),
        ({"application_insights": f"{provider}/Microsoft.Insights/components/myai1"}, "myai1' does not exist"),
        ({"container_registry": f"{provider}/Microsoft.ContainerRegistry/registries/myreg1"}, "myreg1' does not exist"),
    ):
        with pytest.raises(HttpResponseError, match=says):
            ml_client.workspaces.begin_create(Workspace(name="ws-refused", location="local", **option)).result()
    assert "ws-refused" not in {w.name for w in ml_client.workspaces.list()}


@pytest.mark.parametrize("dependents", [False, True])
def test_a_workspace_made_again_has_nothing_of_the_old_one(
    ml_client: MLClient, server: RunningServer, dependents: bool
) -> None:
    old = ml_client.workspaces.begin_create(Workspace(name="ws-again", location="local")).result()
    folder = server.home / "storage" / old.storage_account.rsplit("/", 1)[1]
    (folder / "azureml" / "old.txt").write_text("from before")
    ml_client.workspaces.begin_delete("ws-again", delete_dependent_resources=dependents).result()
    new = ml_client.workspaces.begin_create(Workspace(name="ws-again", location="local")).result()
    assert {new.storage_account, new.key_vault, new.application_insights}.isdisjoint(
        {old.storage_account, old.key_vault, old.application_insights}
    )
    assert (folder / "azureml" / "old.txt").exists() is not dependents
    ml_client.workspaces.begin_delete("ws-again", delete_dependent_resources=True).result()
