"""Options of a workspace over ARM: given back, or refused by name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server.two_groups import WS_A, WS_B, A, B, TwoGroups, two_groups

from lazulite.core.arm_id import PROVIDER
from lazulite.resources import workspace_options

NEW = f"{A}/providers/{PROVIDER}/workspaces/new"
IDENTITY = f"{A}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/me"
SUBNET = f"{A}/providers/Microsoft.Network/virtualNetworks/net/subnets/sub"
KEPT: dict[str, Any] = {
    "friendlyName": "Mine",
    "description": "what for",
    "hbiWorkspace": True,
    "enableDataIsolation": True,
    "imageBuildCompute": "builder",
    "publicNetworkAccess": "Disabled",
    "systemDatastoresAuthMode": "identity",
    "primaryUserAssignedIdentity": IDENTITY,
    "allowRoleAssignmentOnRG": False,
    "allowPublicAccessWhenBehindVnet": True,
    "v1LegacyMode": True,
    "serverlessComputeSettings": {"serverlessComputeCustomSubnet": SUBNET, "serverlessComputeNoPublicIP": True},
    "workspaceHubConfig": {"defaultWorkspaceResourceGroup": A},
    "featureStoreSettings": {"computeRuntime": {"sparkRuntimeVersion": "3.4"}},
    "networkAcls": {"defaultAction": "Allow"},
}
REFUSED: dict[str, Any] = {
    "managedNetwork": {"isolationMode": "AllowInternetOutbound"},
    "encryption": {"status": "Enabled"},
    "provisionNetworkNow": True,
    "enableServiceSideCMKEncryption": True,
    "softDeleteEnabled": True,
    "softDeleteRetentionInDays": 7,
    "allowRecoverSoftDeletedWorkspace": "true",
    "existingWorkspaces": [WS_A],
    "associatedWorkspaces": [WS_A],
    "storageAccounts": ["x"],
    "keyVaults": ["x"],
    "containerRegistries": ["x"],
    "ipAllowlist": ["10.0.0.0/8"],
    "sharedPrivateLinkResources": [{"name": "x"}],
    "serviceManagedResourcesSettings": {"cosmosDb": {"collectionsThroughput": 1}},
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[TwoGroups]:
    async with two_groups(tmp_path / "home") as made:
        yield made


def test_every_option_is_tried_here() -> None:
    elsewhere = {"storageAccount", "keyVault", "applicationInsights", "containerRegistry", "hubResourceId"}
    assert set(workspace_options.OPTIONS) == {*KEPT, *REFUSED, *elsewhere}


async def test_options_are_given_back_also_after_a_change_of_another(world: TwoGroups) -> None:
    identity = {"type": "SystemAssigned,UserAssigned", "userAssignedIdentities": {IDENTITY: {}}}
    assert (await world.alice.put(NEW, KEPT, identity=identity, tags={"a": "b"})).status_code == 200
    answer = await world.alice.send("PATCH", NEW, {"properties": {"description": "changed"}, "tags": {"a": "c"}})
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert {name: shown["properties"][name] for name in KEPT} == {**KEPT, "description": "changed"}
    assert (shown["tags"], shown["identity"]["userAssignedIdentities"]) == ({"a": "c"}, {IDENTITY: {}})


@pytest.mark.parametrize("name", sorted(REFUSED))
async def test_what_cannot_be_had_is_refused_by_name_and_its_absence_is_not(world: TwoGroups, name: str) -> None:
    before = world.rows()
    answer = await world.alice.put(NEW, {name: REFUSED[name]})
    error = answer.json()["error"]
    assert (answer.status_code, error["target"]) == (501, f"properties.{name}")
    assert f"Leave {name} out." in error["message"]
    assert world.rows() == before
    nothing = {"managedNetwork": {"isolationMode": "Disabled"}, "encryption": {"status": "Disabled"}}
    assert (await world.alice.put(NEW, {name: nothing.get(name)})).status_code == 200


@pytest.mark.parametrize(
    ("properties", "target"),
    [
        ({"hbi": True}, "properties.hbi"),
        ({"hbiWorkspace": "perhaps"}, "properties.hbiWorkspace"),
        ({"publicNetworkAccess": "Sometimes"}, "properties.publicNetworkAccess"),
        ({"systemDatastoresAuthMode": "password"}, "properties.systemDatastoresAuthMode"),
        ({"managedNetwork": "yes"}, "properties.managedNetwork"),
        ({"primaryUserAssignedIdentity": "identity_resource_id"}, "properties.primaryUserAssignedIdentity"),
        ({"hubResourceId": WS_A}, "properties.hubResourceId"),
        *(
            (
                {"workspaceHubConfig": {"additionalWorkspaceStorageAccounts": value}},
                "properties.workspaceHubConfig.additionalWorkspaceStorageAccounts",
            )
            for value in (5, "x", [5])
        ),
        ({"serverlessComputeSettings": {"subnet": "x"}}, "properties.serverlessComputeSettings.subnet"),
        (
            {"serverlessComputeSettings": {"serverlessComputeCustomSubnet": "x"}},
            "properties.serverlessComputeSettings.serverlessComputeCustomSubnet",
        ),
    ],
)
async def test_values_that_mean_nothing_are_refused(world: TwoGroups, properties: Any, target: str) -> None:
    answer = await world.alice.put(NEW, properties)
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, target), answer.text


@pytest.mark.parametrize("name", ["storageAccount", "keyVault", "hbiWorkspace", "enableDataIsolation"])
async def test_what_is_fixed_cannot_change(world: TwoGroups, name: str) -> None:
    assert (await world.alice.put(NEW, {})).status_code == 200
    value = (await world.alice.properties(WS_A)).get(name) or True
    answer = await world.alice.send("PATCH", NEW, {"properties": {name: value}})
    assert (answer.status_code, answer.json()["error"]["target"]) == (409, f"properties.{name}"), answer.text


async def test_telemetry_may_be_another_component_later(world: TwoGroups) -> None:
    other = (await world.alice.properties(WS_A))["applicationInsights"]
    assert (await world.alice.put(NEW, {})).status_code == 200
    assert (await world.alice.send("PATCH", NEW, {"properties": {"applicationInsights": other}})).status_code == 200
    assert (await world.alice.properties(NEW))["applicationInsights"] == other
    theirs = (await world.owner.properties(WS_B))["applicationInsights"]
    answer = await world.alice.send("PATCH", NEW, {"properties": {"applicationInsights": theirs}})
    assert answer.status_code == 403


async def test_who_may_change_a_workspace_needs_no_right_at_what_it_stands_on(world: TwoGroups) -> None:
    inside = await world.principal("Contributor", WS_B)
    whole = (await world.owner.send("GET", WS_B)).json()
    body = {name: whole[name] for name in ("properties", "identity", "location", "tags")}
    body["properties"]["description"] = "mine"
    assert (await inside.send("PUT", WS_B, body)).status_code == 200
    assert (await inside.properties(WS_B))["description"] == "mine"


async def deploy(world: TwoGroups, parameters: dict[str, Any]) -> Any:
    values = {"workspaceName": "new", "location": "local", **parameters}
    properties = {"parameters": {key: {"value": value} for key, value in values.items()}, "mode": "Incremental"}
    return await world.alice.put(f"{A}/providers/Microsoft.Resources/deployments/d", properties)


async def test_a_deployment_makes_what_is_new_under_its_name(world: TwoGroups) -> None:
    names = {"storageAccountName": "newstorage1", "keyVaultName": "new-vault", "applicationInsightsName": "new(ai)"}
    answer = await deploy(world, {**names, "confidential_data": "true"})
    assert answer.status_code == 201, answer.text
    shown = await world.alice.properties(NEW)
    made = [shown[name].rsplit("/", 1)[1] for name in ("storageAccount", "keyVault", "applicationInsights")]
    assert (made, shown["hbiWorkspace"]) == (["newstorage1", "new-vault", "new(ai)"], True)


@pytest.mark.parametrize(
    "parameters",
    [{"workspaceName": "ws-a/datastores/workspaceblobstore"}, {"storageAccountName": "abc/blobServices/abc"}],
)
async def test_a_deployment_reaches_nothing_below_through_a_name(world: TwoGroups, parameters: dict[str, Any]) -> None:
    before = world.rows()
    answer = await deploy(world, parameters)
    target = f"properties.parameters.{next(iter(parameters))}"
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, target), answer.text
    assert world.rows() == before


async def test_a_deployment_does_not_take_anothers_account_name(world: TwoGroups) -> None:
    account = (await world.owner.properties(WS_B))["storageAccount"].rsplit("/", 1)[1]
    before = world.rows()
    answer = await deploy(world, {"storageAccountName": account})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "StorageAccountAlreadyTaken")
    answer = await deploy(
        world,
        {
            "storageAccountName": account,
            "storageAccountOption": "existing",
            "storageAccountResourceGroupName": B.rsplit("/", 1)[1],
        },
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "LinkedAuthorizationFailed")
    assert world.rows() == before


async def test_the_name_of_a_deleted_account_is_free_once_its_files_are_gone(world: TwoGroups) -> None:
    account = (await world.alice.properties(WS_A))["storageAccount"]
    assert (await world.alice.send("DELETE", account)).status_code == 200
    assert (await world.alice.send("DELETE", WS_A)).status_code == 200  # which names it as long as it stands
    parameters = {"storageAccountName": account.rsplit("/", 1)[1]}
    answer = await deploy(world, parameters)
    assert answer.status_code == 409, answer.text
    assert "still being erased" in answer.json()["error"]["message"]
    await world.platform.engine.loop.sweep()
    await world.platform.engine.loop.settle()
    answer = await deploy(world, parameters)
    assert answer.status_code == 201, answer.text
    assert (await world.alice.properties(NEW))["storageAccount"] == account
