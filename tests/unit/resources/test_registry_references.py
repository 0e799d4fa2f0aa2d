"""References to assets of registries, and who may follow those that lead out of the workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from lazulite.core import arm_id
from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import ApiError
from lazulite.core.principal import Principal
from lazulite.environments.catalogue import CuratedEnvironment
from lazulite.model.asset_reference import spelled
from lazulite.resources import codes, datastores, environments, job_rules, places, references, registries
from lazulite.resources import data as data_assets
from lazulite.resources.declaration import Services, Write
from lazulite.store import resources
from lazulite.testing.engine_world import ACCOUNT, WORKSPACE, EngineWorld
from lazulite.vault.sealed import SealedSecrets

SHARED = arm_id.registry_id("00000000-0000-0000-0000-000000000002", "rg-shared", "shared")
OTHER = arm_id.workspace_id("00000000-0000-0000-0000-000000000001", "rg", "other")
BLOB = f"https://localhost:8443/storage/v1/{ACCOUNT}/_.blob.core.windows.net"
R = "azureml://registries/shared"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[EngineWorld]:
    made = EngineWorld(tmp_path)
    add(made, SHARED, "registries", {"storageAccount": ACCOUNT})
    for version, archived in (("1", False), ("2", False), ("3", True)):
        add(made, f"{SHARED}/components/c/versions/{version}", "registries/components/versions", {}, archived)
    add(made, f"{SHARED}/environments/e/versions/1", "registries/environments/versions", {"image": "x"})
    data = {"dataUri": f"{BLOB}/d/a.csv", "dataType": "uri_file"}
    add(made, f"{SHARED}/data/d/versions/1", "registries/data/versions", data)
    model = {"modelUri": f"{BLOB}/m/model", "modelType": "mlflow_model"}
    add(made, f"{SHARED}/models/m/versions/7", "registries/models/versions", model)
    yield made
    made.database.close()


@pytest.fixture
def asked(world: EngineWorld) -> Callable[..., Any]:
    def ask(function: Callable[..., Any], *arguments: Any, home: str = WORKSPACE, **more: Any) -> Any:
        return world.database.read_sync(lambda c: function(c, home, *arguments, **more))

    return ask


def add(world: EngineWorld, id_: str, type_: str, properties: dict[str, Any], archived: bool = False) -> None:
    label = arm_id.parse(id_).name.lower() if type_ == "registries" else None
    row = resources.new(id_, f"{PROVIDER}/{type_}", {"properties": properties}, archived=archived, label=label)
    world.database.write_sync(lambda c: resources.insert(c, row, by="test"))


def refusal(call: Callable[[], Any]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        (f"{R}/components/c/versions/1", "1"),
        (f"{R}/components/c/versions/3", "3"),
        (f"{R}/components/c/labels/latest", "2"),
        (f"{R}/components/c", "2"),
        ("azureml://registries/SHARED/components/C/versions/1", "1"),
        (f"{SHARED}/components/c/versions/1", "1"),
        (f"azureml:{SHARED}/components/c/labels/latest", "2"),
    ],
)
def test_every_way_to_name_a_component_of_a_registry(asked: Any, reference: str, version: str) -> None:
    found = asked(references.component, reference)
    assert spelled(found.id) == f"{R}/components/c/versions/{version}"


def test_short_names_within_a_registry_mean_that_registry(asked: Any) -> None:
    assert asked(references.component, "azureml:c:1", home=SHARED).id.startswith(SHARED)
    assert asked(references.environment, "azureml:e:1", home=SHARED).id.startswith(SHARED)
    assert refusal(lambda: asked(references.component, "azureml:c:1")).status == 404


def test_environments_of_a_registry_are_pinned_to_it(world: EngineWorld, asked: Any) -> None:
    found = asked(references.environment, f"{R}/environments/e/labels/latest")
    assert job_rules.pinned(found) == f"{R}/environments/e/versions/1"
    add(world, f"{WORKSPACE}/environments/sklearn-1.5/versions/2", "workspaces/environments/versions", {"image": "x"})
    curated = asked(references.environment, "azureml://registries/azureml/environments/sklearn-1.5/versions/2")
    assert isinstance(curated, CuratedEnvironment)
    assert asked(references.environment, job_rules.pinned(curated)) == curated


def test_data_and_models_of_a_registry_lie_where_it_says(world: EngineWorld, asked: Any) -> None:
    found = asked(places.locate, world.storage, f"{R}/data/d/versions/1")
    assert (found.account, found.container, found.path, found.type) == (ACCOUNT, "d", "a.csv", "uri_file")
    found = asked(places.locate, world.storage, f"{R}/models/m/labels/latest", "mlflow_model")
    assert (found.container, found.path, found.type) == ("m", "model", "mlflow_model")


def test_what_latest_means_is_settled_by_the_check(world: EngineWorld, asked: Any) -> None:
    path = world.storage.local_path(ACCOUNT, "m", "model")
    assert path is not None
    path.mkdir(parents=True)
    assert asked(places.check_data, world.storage, f"{R}/models/m/labels/latest", "x") == f"{R}/models/m/versions/7"
    assert asked(places.check_data, world.storage, "azureml:m@latest", "mlflow_model", home=SHARED).endswith(
        "m/versions/7"
    )


def test_data_of_another_workspace_lies_in_its_own_datastores(world: EngineWorld, asked: Any) -> None:
    store = {"datastoreType": "AzureBlob", "accountName": ACCOUNT, "containerName": "theirs"}
    add(world, f"{OTHER}/datastores/workspaceblobstore", "workspaces/datastores", store)
    data = {"dataUri": "azureml://datastores/workspaceblobstore/paths/a.csv", "dataType": "uri_file"}
    add(world, f"{OTHER}/data/d/versions/1", "workspaces/data/versions", data)
    assert asked(places.locate, world.storage, f"{OTHER}/data/d/versions/1").container == "theirs"


def test_an_unknown_registry_is_refused_with_the_nearest_name_and_how_to_make_one(asked: Any) -> None:
    def ask(access: Any) -> ApiError:
        wanted = "azureml://registries/shard/components/c"
        return refusal(lambda: asked(references.component, wanted, target="x.componentId", access=access))

    error = ask(lambda *_: None)
    assert (error.status, error.target) == (404, "x.componentId")
    assert "no registry 'shard' on this server. Did you mean 'shared'?" in error.message
    assert "registries.begin_create" in error.message
    assert "shared" not in ask(forbid).message


def forbid(action: str, scope: str, target: str) -> None:
    raise ApiError(403, "AuthorizationFailed", action)


def test_unknown_assets_of_a_registry_are_refused_with_what_there_is(asked: Any) -> None:
    error = refusal(lambda: asked(references.component, f"{R}/components/cc/versions/1"))
    assert "The registry 'shared' has no component 'cc' on this server. Did you mean 'c'?" in error.message
    assert "lazulite registry load" in error.message
    error = refusal(lambda: asked(references.component, f"{R}/components/c/versions/9"))
    assert "'c' in the registry 'shared' has no version or label '9'. It has '3' (archived), '2', '1'." in error.message


class Refused(Exception):
    pass


def refuse(action: str, scope: str, target: str) -> None:
    raise Refused(f"{action} {scope}")


@pytest.mark.parametrize(
    ("function", "arguments", "action", "scope"),
    [
        (references.component, (f"{R}/components/c",), "registries/assets/read", SHARED),
        (references.component, (f"{R}/components/none",), "registries/assets/read", SHARED),
        (references.environment, (f"{R}/environments/e",), "registries/assets/read", SHARED),
        (references.code, (f"{OTHER}/codes/c/versions/1",), "workspaces/codes/versions/read", OTHER),
        (places.locate, (None, f"{R}/data/d"), "registries/assets/read", SHARED),
        (places.locate, (None, f"azureml:{OTHER}/data/d/versions/1"), "workspaces/data/versions/read", OTHER),
        (
            places.locate,
            (None, "azureml://subscriptions/s/resourcegroups/g/workspaces/w2/datastores/d/paths/x"),
            "workspaces/datastores/listSecrets/action",
            arm_id.workspace_id("s", "g", "w2"),
        ),
        (
            places.locate,
            (None, "azureml://subscriptions/s/resourcegroups/g/workspaces/w2/jobs/j/outputs/o"),
            "workspaces/jobs/read",
            arm_id.workspace_id("s", "g", "w2"),
        ),
    ],
)
def test_what_lies_elsewhere_needs_the_callers_right_before_it_is_looked_for(
    asked: Any, function: Any, arguments: Any, action: str, scope: str
) -> None:
    with pytest.raises(Refused, match=f"{action} {scope}$"):
        asked(function, *arguments, access=refuse)


@pytest.mark.parametrize("uri", ["azureml:d:1", f"{R}/data/d/versions/1", f"azureml:{OTHER}/data/d/versions/1"])
def test_an_asset_is_no_address_of_files(world: EngineWorld, uri: str) -> None:
    nothing: Any = None

    def prepared(c: Any) -> None:
        id_, body = f"{WORKSPACE}/data/copy/versions/1", {"properties": {"dataType": "uri_file", "dataUri": uri}}
        data_assets.prepare(Write(c, nothing, Principal("me", "me", "User"), {}, id_, body, None))

    error = refusal(lambda: world.database.read_sync(prepared))
    assert (error.status, error.target) == (400, "properties.dataUri")


def test_what_lies_in_the_workspace_at_hand_needs_no_further_right(world: EngineWorld, asked: Any) -> None:
    assert asked(references.environment, f"{WORKSPACE.upper()}/environments/bare/versions/1", access=refuse)
    assert asked(places.locate, world.storage, "azureml://datastores/workspaceblobstore/paths/x", access=refuse)


def test_nothing_is_written_to_a_registry(asked: Any) -> None:
    error = refusal(lambda: asked(places.check_output, None, f"{R}/data/d/versions/2", target="o"))
    assert (error.status, error.target) == (400, "o")
    assert "does not write to the registry 'shared'" in error.message


@pytest.mark.parametrize("lead", ["", "azureml:", "azureml:/"])
@pytest.mark.parametrize("collection", ["computes", "datastores"])
def test_computes_and_datastores_of_another_workspace_are_refused_and_not_looked_for(
    world: EngineWorld, asked: Any, collection: str, lead: str
) -> None:
    add(world, f"{OTHER}/{collection}/theirs", f"workspaces/{collection}", {})
    look = {"computes": references.compute, "datastores": references.datastore}[collection]
    for name in ("theirs", "none"):
        error = refusal(lambda name=name: asked(look, f"{lead}{OTHER}/{collection}/{name}"))
        assert (error.status, f"'{name}' lies in another workspace" in error.message) == (400, True)


def test_unknown_environments_of_the_registry_azureml_are_told_by_their_names_there(
    world: EngineWorld, asked: Any
) -> None:
    add(world, registries.AZUREML_ID, "registries", {"storageAccount": ACCOUNT})
    lead = "azureml://registries/azureml/environments"
    error = refusal(lambda: asked(references.environment, f"{lead}/sklern-1.5/labels/latest"))
    assert "Did you mean 'sklearn-1.5'" in error.message
    error = refusal(lambda: asked(references.environment, f"{lead}/sklearn-1.5/versions/9999"))
    assert "The curated environment 'sklearn-1.5' has no version or label '9999'" in error.message


class Rights:
    """What a caller holds, and what was asked for."""

    def __init__(self, *scopes: str) -> None:
        self.scopes = scopes
        self.asked: list[tuple[str, str]] = []

    def __call__(self, action: str, scope: str, target: str) -> None:
        self.asked.append((action, scope))
        if scope not in self.scopes:
            raise ApiError(403, "AuthorizationFailed", f"{action} {scope}", target=target)


BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
ACCOUNT_ID = f"{WORKSPACE.split('/providers/')[0]}/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}"


@pytest.fixture
def accounts(world: EngineWorld) -> EngineWorld:
    """The account of this server is another workspace's."""
    row = resources.new(ACCOUNT_ID, "Microsoft.Storage/storageAccounts", {})
    world.database.write_sync(lambda c: resources.insert(c, row, by="test"))
    add(world, OTHER, "workspaces", {"storageAccount": ACCOUNT_ID})
    return world


@pytest.mark.parametrize("verb", ["read", "write"])
def test_anothers_storage_account_needs_a_right_to_it_or_to_what_stands_on_it(
    accounts: EngineWorld, asked: Any, verb: str
) -> None:
    def look(access: Any, home: str = WORKSPACE) -> Any:
        if verb == "write":
            return asked(places.check_output, accounts.storage, f"{BLOB}/c/x", home=home, access=access)
        return asked(places.locate, accounts.storage, f"{BLOB}/c/x", home=home, access=access)

    nobody = Rights()
    assert refusal(lambda: look(nobody)).status == 403
    assert nobody.asked == [(f"{BLOBS}/{verb}", ACCOUNT_ID), (f"{BLOBS}/{verb}", OTHER)]
    look(Rights(ACCOUNT_ID))
    look(Rights(OTHER))
    look(nobody, home=OTHER)


def test_only_who_may_use_an_account_makes_a_datastore_or_an_asset_of_it(accounts: EngineWorld) -> None:
    class Holds:
        def __init__(self, *scopes: str) -> None:
            self.scopes = scopes

        def allows(self, principal: Principal, action: str, scope: str) -> bool:
            return scope in self.scopes

    def made(type_: Any, path: str, properties: dict[str, Any], *scopes: str) -> None:
        storage = cast(Any, accounts.storage)
        services = Services("http://t", "http://t", "local", "t", SealedSecrets(b"k" * 32), storage, Holds(*scopes))
        body = {"properties": {**properties}}
        who = Principal("u", "user", "User")
        accounts.database.write_sync(lambda c: type_.prepare(Write(c, services, who, {}, f"{WORKSPACE}/{path}", body)))

    store = {"datastoreType": "AzureBlob", "accountName": ACCOUNT, "containerName": "theirs"}
    data = {"dataType": "uri_file", "dataUri": f"{BLOB}/c/x"}
    code = {"codeUri": f"{BLOB}/c/x"}
    image = {"build": {"contextUri": f"{BLOB}/c/x"}}
    for type_, path, properties in (
        (datastores.TYPE, "datastores/s", store),
        (data_assets.TYPE, "data/d/versions/1", data),
        (codes.TYPE, "codes/c/versions/1", code),
        (environments.TYPE, "environments/e/versions/1", image),
    ):
        error = refusal(lambda: made(type_, path, properties))  # noqa: B023
        assert "'user' may not use what lies in the storage account 'acct'" in error.message, path
        made(type_, path, properties, ACCOUNT_ID)
