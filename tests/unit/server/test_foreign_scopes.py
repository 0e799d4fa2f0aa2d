"""What a principal of one resource group gets of another by naming its ids: nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.server.two_groups import WS_A, WS_B, A, B, Caller, TwoGroups, two_groups

from lazulite.core.arm_id import PROVIDER
from lazulite.model import asset_reference
from lazulite.resources import workspaces
from lazulite.resources.declaration import Call
from lazulite.store import resources

EVIL = f"{A}/providers/{PROVIDER}/workspaces/evil1"
STORAGE = "Microsoft.Storage/storageAccounts"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[TwoGroups]:
    async with two_groups(tmp_path / "home") as made:
        yield made


async def deploy(caller: Caller, account: str) -> httpx.Response:
    """Has a workspace made in rg-b on a new storage account of that name."""
    values = {"workspaceName": f"on-{account}", "location": "local", "storageAccountName": account}
    parameters = {key: {"value": value} for key, value in values.items()}
    return await caller.put(f"{B}/providers/Microsoft.Resources/deployments/{account}", {"parameters": parameters})


async def refused(world: TwoGroups, path: str, properties: dict[str, Any], status: int, target: str) -> str:
    """Alice's PUT is refused and leaves nothing; returns the message."""
    before = world.rows()
    answer = await world.alice.put(path, properties)
    error = answer.json()["error"]
    assert (answer.status_code, error["target"]) == (status, target), error
    assert world.rows() == before
    return str(error["message"])


async def test_a_storage_account_elsewhere_needs_a_right_there(world: TwoGroups) -> None:
    account = (await world.owner.properties(WS_B))["storageAccount"]
    message = await refused(world, EVIL, {"storageAccount": account}, 403, "properties.storageAccount")
    assert f"'{STORAGE}/listKeys/action'" in message
    assert f"'{account}'" in message


async def test_names_of_storage_accounts_are_unique(world: TwoGroups) -> None:
    account = (await world.owner.properties(WS_B))["storageAccount"].rsplit("/", 1)[1]
    twin = f"{A}/providers/{STORAGE}/{account}"
    await refused(world, EVIL, {"storageAccount": twin}, 404, "properties.storageAccount")
    blob = f"/storage/v1/{account}/_.blob.core.windows.net/azureml/x"
    assert (await world.alice.send("GET", blob, x_ms_version="2021-08-06")).status_code == 403


@pytest.mark.parametrize(
    ("property_", "id_"),
    [
        ("keyVault", f"{B}/providers/{PROVIDER}/workspaces/future"),
        ("keyVault", "nonsense"),
        ("keyVault", f"{A}/providers/Microsoft.KeyVault/vaults/no--such"),
        ("applicationInsights", f"{WS_B}/datastores/planted"),
        ("storageAccount", "x"),
        ("storageAccount", 7),
        ("storageAccount", f"{A}/providers/{STORAGE}/.."),
        ("storageAccount", f"{A}/providers/{STORAGE}/.lazulite"),
        ("storageAccount", f"{A}/providers/{STORAGE}/UP per"),
        ("storageAccount", f"{A}/providers/{STORAGE}/up-per"),
        ("storageAccount", f"{A}/providers/{STORAGE}/account/blobServices/default"),
        ("containerRegistry", f"{A}/providers/{STORAGE}/account"),
        ("containerRegistry", f"{A}/providers/Microsoft.ContainerRegistry/registries/a-b"),
    ],
)
async def test_ids_of_another_type_and_names_against_the_rule_are_refused(
    world: TwoGroups, property_: str, id_: object
) -> None:
    target = f"properties.{property_}"
    await refused(world, EVIL, {property_: id_}, 400, target)


@pytest.mark.parametrize(
    ("property_", "type_"),
    [
        ("storageAccount", STORAGE),
        ("keyVault", "Microsoft.KeyVault/vaults"),
        ("applicationInsights", "Microsoft.Insights/components"),
        ("containerRegistry", "Microsoft.ContainerRegistry/registries"),
    ],
)
async def test_what_does_not_exist_is_not_found_and_elsewhere_not_even_told(
    world: TwoGroups, property_: str, type_: str
) -> None:
    message = await refused(world, EVIL, {property_: f"{A}/providers/{type_}/nothing"}, 404, f"properties.{property_}")
    assert f"{A}/providers/{type_}/nothing" in message
    await refused(world, EVIL, {property_: f"{B}/providers/{type_}/nothing"}, 403, f"properties.{property_}")


async def test_what_exists_is_taken_where_the_caller_has_a_right(world: TwoGroups) -> None:
    other = await world.owner.properties(WS_A)
    names = ("storageAccount", "keyVault", "applicationInsights")
    given = {name: other[name].replace("/resourceGroups/", "/resourcegroups/") for name in names}
    before = world.rows()
    assert (await world.alice.put(EVIL, given)).status_code == 200
    shown = await world.alice.properties(EVIL)
    assert {name: shown[name] for name in names} == {name: other[name] for name in names}
    assert all(key.startswith(EVIL.lower()) for key in world.rows() - before)
    # Two workspaces on one account keep their runs apart.
    stores = [await world.alice.properties(f"{ws}/datastores/workspaceartifactstore") for ws in (WS_A, EVIL)]
    assert stores[0]["containerName"] == "azureml" != stores[1]["containerName"]


async def test_a_workspace_made_again_finds_nothing_of_the_old_one(world: TwoGroups) -> None:
    old = await world.alice.properties(WS_A)
    assert (await world.alice.send("DELETE", WS_A)).status_code == 200
    assert (await world.alice.put(WS_A, {})).status_code == 200
    new = await world.alice.properties(WS_A)
    for name in ("storageAccount", "keyVault", "applicationInsights", "workspaceId"):
        assert old[name] != new[name]
    for name in ("storageAccount", "keyVault", "applicationInsights"):
        assert (await world.alice.send("GET", old[name])).status_code == 200


async def test_a_deleted_account_takes_its_files_along(world: TwoGroups) -> None:
    account = (await world.alice.properties(WS_A))["storageAccount"]
    folder = world.home / "storage" / account.rsplit("/", 1)[1]
    assert (folder / "azureml").is_dir()
    assert (await world.alice.send("DELETE", account)).status_code == 200
    await world.platform.engine.loop.sweep()
    await world.platform.engine.loop.settle()
    assert not folder.exists()
    assert (await world.alice.send("GET", account)).status_code == 404


async def test_subscriptions_and_groups_are_listed_to_those_who_have_a_right_in_them(world: TwoGroups) -> None:
    async def names(caller: Caller, path: str) -> set[str]:
        answer = await caller.send("GET", path)
        assert answer.status_code == 200, answer.text
        return {item["id"].rsplit("/", 1)[1] for item in answer.json()["value"]}

    subscription = A.split("/resourceGroups/")[0]
    other = "/subscriptions/00000000-0000-0000-0000-000000000009"
    assert (await world.owner.send("PUT", f"{other}/resourceGroups/far", {"location": "x"})).status_code == 201
    inside = await world.principal("Reader", WS_A)
    for caller in (world.alice, inside):
        assert await names(caller, "/subscriptions") == {subscription.rsplit("/", 1)[1]}
        assert await names(caller, f"{subscription}/resourceGroups") == {"rg-a"}
        assert await names(caller, f"{other}/resourceGroups") == set()
        assert (await caller.send("GET", other)).status_code == 404
        assert (await caller.send("GET", subscription)).status_code == 200
    assert {"rg-a", "rg-b"} <= await names(world.owner, f"{subscription}/resourceGroups")


async def test_operations_are_read_by_those_who_see_the_workspace(world: TwoGroups) -> None:
    cluster = {"computeType": "AmlCompute", "properties": {"vmSize": "Standard_DS3_v2"}}
    made = await world.owner.put(f"{WS_B}/computes/cpu", cluster)
    status = made.headers["Azure-AsyncOperation"].split("localhost:8443", 1)[1]
    inside = await world.principal("AzureML Data Scientist", WS_B)
    for address in (status, status.replace("operationStatuses", "operationResults")):
        assert (await world.alice.send("GET", address)).status_code == 404
        assert (await inside.send("GET", address)).status_code < 300


@pytest.mark.parametrize("public", ["container", "blob", "everything"])
async def test_containers_are_not_public(world: TwoGroups, public: str) -> None:
    account = (await world.alice.properties(WS_A))["storageAccount"].rsplit("/", 1)[1]
    lead = f"/storage/v1/{account}/_.blob.core.windows.net"
    headers = {"x_ms_version": "2021-08-06", "x_ms_blob_public_access": public}
    for path in (f"{lead}/mine?restype=container", f"{lead}/azureml?restype=container&comp=acl"):
        answer = await world.alice.send("PUT", path, b"", **headers)
        assert (answer.status_code, "PublicAccessNotPermitted" in answer.text) == (409, True), answer.text
        assert public in answer.text
    assert not (world.home / "storage" / account / "mine").exists()


@pytest.mark.parametrize("form", ["datastore", "https", "wasbs"])
async def test_models_of_mlflow_have_their_files_in_their_own_workspace(world: TwoGroups, form: str) -> None:
    account = (await world.owner.properties(WS_B))["storageAccount"].rsplit("/", 1)[1]
    source = {
        "datastore": f"azureml:/{WS_B}/datastores/workspaceblobstore/paths/x".replace(f"/providers/{PROVIDER}", ""),
        "https": f"https://localhost:8443/storage/v1/{account}/_.blob.core.windows.net/azureml/x",
        "wasbs": f"wasbs://azureml@{account}.blob.core.windows.net/x",
    }[form]
    mlflow = f"/mlflow/rest{WS_A}/api/2.0/mlflow"
    assert (await world.alice.send("POST", f"{mlflow}/registered-models/create", {"name": "m"})).status_code == 200
    before = world.rows()
    answer = await world.alice.send("POST", f"{mlflow}/model-versions/create", {"name": "m", "source": source})
    assert (answer.status_code, "lies outside of this workspace" in answer.text) == (400, True), answer.text
    assert world.rows() == before


async def test_what_is_shared_with_a_registry_is_the_sharers_to_read(world: TwoGroups) -> None:
    registry = f"{A}/providers/{PROVIDER}/registries/shared-a"
    assert (await world.alice.put(registry, {})).status_code == 201
    assert (await world.owner.put(f"{WS_B}/environments/e/versions/1", {"image": "python:3.11"})).status_code == 201
    guid = (await world.owner.properties(WS_B))["workspaceId"]
    source = f"azureml://locations/local/workspaces/{guid}/environments/e/versions/1"
    body = {"properties": {"sourceAssetId": source, "destinationName": "e", "destinationVersion": "1"}}
    before = world.rows()
    answer = await world.alice.send("POST", f"{registry}/import", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "LinkedAuthorizationFailed"), answer.text
    assert world.rows() == before


async def test_a_deployment_needs_the_right_to_write_the_workspace(world: TwoGroups) -> None:
    parameters = {"workspaceName": {"value": "new"}}
    deployment = "providers/Microsoft.Resources/deployments/d"
    before = world.rows()
    assert (await world.alice.put(f"{B}/{deployment}", {"parameters": parameters})).status_code == 403
    for properties, target in (
        ({"templateLink": {"uri": "https://example.org"}}, "A deployment's templateLink"),
        ({"mode": "Complete"}, "properties.mode"),
        ({"parameters": {"workspace_name": {"value": "x"}}}, "A deployment of role assignments for a feature store"),
    ):
        answer = await world.alice.put(f"{A}/{deployment}", {"parameters": parameters, **properties})
        assert answer.json()["error"]["target"] == target, answer.text
    assert world.rows() == before


@pytest.mark.parametrize("scope", [5, ["/"], {"a": 1}, True, "nowhere", f"{A}/providers/{PROVIDER}/workspaces/none"])
async def test_a_role_is_held_at_what_is_there(world: TwoGroups, scope: object) -> None:
    held = (await world.owner.send("GET", "/lazulite/principals")).json()
    answer = await world.owner.send("POST", "/lazulite/principals", {"name": "x", "scope": scope})
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "scope"), answer.text
    assert (await world.owner.send("GET", "/lazulite/principals")).json() == held


async def test_the_roles_at_a_registrys_account_go_with_it(world: TwoGroups) -> None:
    registry = f"{A}/providers/{PROVIDER}/registries/shared-a"
    assert (await world.alice.put(registry, {})).status_code == 201
    stored = world.platform.database.read_sync(lambda c: resources.get(c, registry))
    assert stored is not None
    account = str(stored.properties["storageAccount"])
    inside = await world.principal("Contributor", account)
    assert (await inside.send("POST", f"{account}/listKeys")).status_code in (200, 403)

    def held() -> list[str]:
        known = world.platform.application._directory.all()
        return [role.scope for _, roles in known for role in roles if "storageaccounts" in role.scope]

    assert held() == [account.lower()]
    assert (await world.alice.send("DELETE", registry)).status_code in (200, 202)
    assert held() == []


async def test_roles_that_go_are_forgotten_before_anything_that_may_fail(
    world: TwoGroups, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails() -> None:
        raise RuntimeError("the disk is gone")

    def remove(call: Call) -> None:
        call.after.append(fails)

    inside = await world.principal("Contributor", WS_A)
    kept = workspaces.TYPE
    monkeypatch.setattr(workspaces, "TYPE", replace(kept, remove=remove))
    assert (await world.owner.send("DELETE", A)).status_code == 500
    assert (await world.owner.send("PUT", A, {"location": "x"})).status_code == 201
    assert (await world.owner.put(WS_A, {})).status_code == 200
    for caller in (inside, world.alice):
        assert (await caller.send("GET", WS_A)).status_code == 403


@pytest.mark.parametrize(
    ("path", "properties"),
    [
        ("datastores/planted", {"datastoreType": "AzureBlob", "accountName": "VictimAcct", "containerName": "azureml"}),
        (
            "datastores/planted",
            {"datastoreType": "AzureFile", "accountName": "x/storage/v1/victimacct/_", "fileShareName": "s"},
        ),
        (
            "data/d/versions/1",
            {"dataType": "uri_folder", "dataUri": "https://victimacct.blob.core.windows.net/azureml/"},
        ),
        (
            "data/d/versions/1",
            {"dataType": "uri_folder", "dataUri": "https://localhost:8443/storage/v1/victimacct/azureml/"},
        ),
        ("models/d/versions/1", {"modelUri": "wasbs://azureml@victimacct.blob.core.windows.net/x"}),
        ("environments/d/versions/1", {"build": {"contextUri": "abfss://azureml@VICTIMacct.dfs.core.windows.net/x"}}),
    ],
)
async def test_no_account_is_made_under_a_name_that_others_named_before(
    world: TwoGroups, path: str, properties: dict[str, Any]
) -> None:
    assert (await world.alice.put(f"{WS_A}/{path}", properties)).status_code in (200, 201)
    before = world.rows()
    answer = await deploy(world.owner, "victimacct")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "StorageAccountAlreadyTaken"), answer.text
    assert world.rows() == before
    if path.startswith("datastores"):
        secrets = await world.alice.send("POST", f"{WS_A}/{path}/listSecrets", {})
        assert (secrets.status_code, secrets.json()["error"]["code"]) == (400, "NoSecrets"), secrets.text
    assert (await deploy(world.owner, "victimacct2")).status_code == 201


async def test_the_name_of_a_deleted_account_is_not_given_anew_while_a_workspace_stands_on_it(world: TwoGroups) -> None:
    account = (await world.alice.properties(WS_A))["storageAccount"]
    assert (await world.alice.send("DELETE", account)).status_code == 200
    await world.platform.engine.loop.sweep()
    await world.platform.engine.loop.settle()
    answer = await deploy(world.owner, account.rsplit("/", 1)[1])
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "StorageAccountAlreadyTaken"), answer.text


@pytest.mark.parametrize("uri", ["https://vic\ttimacct.blob.core.windows.net/c/x", "wasbs://c@vic\ntim.blob.x.y/z"])
async def test_an_address_with_a_line_break_names_nothing(world: TwoGroups, uri: str) -> None:
    assert (
        await world.alice.put(f"{WS_A}/data/d/versions/1", {"dataType": "uri_folder", "dataUri": uri})
    ).status_code in (200, 201, 400)
    assert (await deploy(world.owner, "victimacct")).status_code == 201
    with pytest.raises(ValueError, match="line break"):
        asset_reference.place(uri)
