"""Registries: their regions, their names, their storage, and which addresses their assets may bear."""

from __future__ import annotations

from typing import Any

import pytest

from lazulite.core import arm_id
from lazulite.core.errors import ApiError
from lazulite.core.principal import Principal
from lazulite.resources import registries, registry_assets, registry_storage
from lazulite.resources.declaration import Reading, Services, Write
from lazulite.store import resources
from lazulite.testing.engine_world import ACCOUNT, EngineWorld
from lazulite.vault.sealed import SealedSecrets

SHARED = arm_id.registry_id("00000000-0000-0000-0000-000000000001", "rg", "shared")
ME = Principal("me", "me", "User")
LOCAL = f"https://localhost:8443/storage/v1/{ACCOUNT}/_.blob.core.windows.net"


@pytest.fixture
def services(world: EngineWorld) -> Services:
    storage: Any = world.storage
    nothing: Any = None
    return Services("https://localhost", "http://localhost", "local", "t", SealedSecrets(b"0" * 32), storage, nothing)


def prepared(world: EngineWorld, services: Services, id_: str, body: dict[str, Any]) -> dict[str, Any]:
    def transaction(connection: Any) -> dict[str, Any]:
        existing = resources.get(connection, id_)
        write = Write(connection, services, ME, {}, id_, body, existing)
        registries.prepare(write)
        row = resources.new(id_, registries.TYPE.type, write.body, label=write.label, state=write.state)
        if existing is None:
            resources.insert(connection, row, by="me")
        return registries.view(write, row)

    return world.database.write_sync(transaction)


@pytest.mark.parametrize(
    ("properties", "regions"),
    [
        ({}, ["local"]),
        ({"regionDetails": [{"location": "west"}, {"location": "east"}]}, ["west", "east"]),
    ],
)
def test_all_regions_share_one_account_of_the_registrys_own(
    world: EngineWorld, services: Services, properties: dict[str, Any], regions: list[str]
) -> None:
    shown = prepared(world, services, SHARED, {"properties": properties})
    assert [region["location"] for region in shown["regionDetails"]] == regions
    accounts = {
        detail["systemCreatedStorageAccount"]["armResourceId"]["resourceId"]
        for region in shown["regionDetails"]
        for detail in region["storageAccountDetails"]
    }
    (account,) = accounts
    assert world.database.read_sync(lambda c: resources.get(c, account)) is not None
    assert "storageAccount" not in shown


def test_registry_of_an_earlier_ones_name_gets_another_account(world: EngineWorld, services: Services) -> None:
    first = prepared(world, services, SHARED, {"properties": {}})
    world.database.write_sync(lambda c: resources.delete(c, SHARED))
    assert prepared(world, services, SHARED, {"properties": {}})["regionDetails"] != first["regionDetails"]


@pytest.mark.parametrize(
    ("regions", "target"),
    [
        ([], "properties.regionDetails"),
        ("west", "properties.regionDetails"),
        ([{"location": "a"}, {"name": "b"}], "properties.regionDetails[1].location"),
        (
            [{"location": "a", "storageAccountDetails": [{"userCreatedStorageAccount": {"armResourceId": {}}}]}],
            "properties.regionDetails[0].storageAccountDetails",
        ),
    ],
)
def test_regions_that_cannot_be(world: EngineWorld, services: Services, regions: Any, target: str) -> None:
    with pytest.raises(ApiError) as refused:
        prepared(world, services, SHARED, {"properties": {"regionDetails": regions}})
    assert (refused.value.status, refused.value.target) == (400, target)


def test_a_name_is_found_in_any_case_and_taken_once(world: EngineWorld, services: Services) -> None:
    prepared(world, services, SHARED, {"properties": {}})
    found = world.database.read_sync(lambda c: registries.find(c, "SHARED"))
    assert found is not None
    assert found.id == SHARED
    with pytest.raises(ApiError, match="taken by another registry"):
        prepared(world, services, SHARED.replace("/rg/", "/other/").replace("shared", "Shared"), {"properties": {}})
    assert prepared(world, services, SHARED.replace("/rg/", "/RG/"), {"properties": {}})["provisioningState"]


@pytest.mark.parametrize(
    ("uri", "allowed"),
    [
        (f"{LOCAL}/models-1/model", True),
        (f"{LOCAL}/models-1", True),
        ("https://example.com/a.csv", True),
        ("https://other.blob.core.windows.net/c/a.csv", True),
        ("wasbs://c@other.blob.core.windows.net/a.csv", True),
        (f"{LOCAL}/../x", False),
        (f"{LOCAL}/c/a/../../x", False),
        ("azureml://datastores/workspaceblobstore/paths/x", False),
        ("azureml://jobs/j/outputs/o", False),
        ("runs:/r/model", False),
        ("file:///etc/passwd", False),
        ("./here", False),
    ],
)
def test_addresses_that_an_asset_may_bear(world: EngineWorld, services: Services, uri: str, allowed: bool) -> None:
    assert _allows(world, services, ACCOUNT, uri) is allowed


def test_files_of_another_account_of_the_server_are_not_a_registrys_to_show(
    world: EngineWorld, services: Services
) -> None:
    assert _allows(world, services, "another", f"{LOCAL}/c/x") is False


def _allows(world: EngineWorld, services: Services, account: str, uri: str) -> bool:
    row = resources.new(SHARED, registries.TYPE.type, {"properties": {"storageAccount": f"/x/{account}"}})

    def transaction(connection: Any) -> bool:
        resources.insert(connection, row, by="me")
        write = Write(connection, services, ME, {}, f"{SHARED}/models/m/versions/1")
        try:
            registry_storage.check_address(write, SHARED, uri, "properties.modelUri")
        except ApiError as refused:
            return (refused.status, refused.target) != (400, "properties.modelUri")
        return True

    return world.database.write_sync(transaction)


def test_curated_environments_are_listed_in_pages_in_azureml_alone() -> None:
    nothing: Any = None
    reading = Reading(nothing, nothing, ME)
    curated = registry_assets.Curated()
    type_ = registry_assets.ENVIRONMENTS.container_type
    whole = curated.list(reading, registries.AZUREML_ID, type_, False, None, 1000)
    names = [document["name"] for document, _ in whole]
    assert "sklearn-1.5" in names
    assert names == sorted(names, key=str.lower)
    first = curated.list(reading, registries.AZUREML_ID, type_, None, None, 3)
    second = curated.list(reading, registries.AZUREML_ID, type_, None, first[-1][1], 1000)
    assert first + second == whole
    assert curated.list(reading, registries.AZUREML_ID, type_, True, None, 1000) == []
    assert curated.list(reading, SHARED, type_, False, None, 1000) == []
    assert curated.get(reading, f"{SHARED}/environments/sklearn-1.5") is None


def test_assets_are_shown_by_the_ids_that_clients_write() -> None:
    for type_ in registry_assets.ALL:
        collection = type_.collection.rsplit("/", 1)[1]
        assert type_.shown_id is not None
        shown = type_.shown_id(f"{SHARED}/{collection}/a/versions/1")
        assert shown == f"azureml://registries/shared/{collection}/a/versions/1"
        assert type_.shown_id(f"{SHARED}/{collection}/a") == f"azureml://registries/shared/{collection}/a"
        assert type_.rights == registries.ASSET_RIGHTS
        assert registry_assets.of_collection(collection) is type_
