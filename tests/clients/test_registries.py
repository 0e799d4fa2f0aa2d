"""Registries by the unmodified SDK: made, filled, read by others, shared into, refused, deleted."""

from __future__ import annotations

import json
import shutil
import sqlite3
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import Input, MLClient, command, load_component
from azure.ai.ml.entities import BuildContext, Component, Data, Environment, Model, Registry, RegistryRegionDetails
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from tests.clients.principals import allowed, credential, principal
from tests.clients.raw_requests import Bad, send
from tests.server_fixture import GROUP, SUBSCRIPTION, WORKSPACE, RunningServer

from lazulite.store import resources
from lazulite.store.database import Database

pytestmark = pytest.mark.clients
_PROVIDER = "providers/Microsoft.MachineLearningServices"
_GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/{_PROVIDER}"
_SHARED = f"{_GROUP_ID}/registries/shared"
_WORKSPACE_ID = f"{_GROUP_ID}/workspaces/{WORKSPACE}"
_AZUREML = (
    "/subscriptions/00000000-0000-0000-0000-0000000000ff/resourceGroups/rg-lazulite-platform"
    f"/{_PROVIDER}/registries/azureml"
)
_SKLEARN = "azureml://registries/azureml/environments/sklearn-1.5/labels/latest"


@pytest.fixture(scope="module")
def registry(server: RunningServer, ml_client: MLClient) -> MLClient:
    """The SDK on a registry of this module's own."""
    ml_client.registries.begin_create(_registry("shared")).result()
    return MLClient(DefaultAzureCredential(), registry_name="shared")


@pytest.fixture(scope="module")
def azureml(server: RunningServer) -> MLClient:
    return MLClient(DefaultAzureCredential(), registry_name="azureml")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "sub" / "b.txt").write_text("b")
    (folder / "Dockerfile").write_text("FROM ubuntu:22.04\n")
    return folder


def test_registry_is_made_listed_changed_and_deleted(server: RunningServer, ml_client: MLClient, files: Path) -> None:
    made = ml_client.registries.begin_create(_registry("brief", tags={"team": "a"})).result()
    assert (made.name, made.location, made.tags) == ("brief", "local", {"team": "a"})
    account = made.replication_locations[0].storage_config.arm_resource_id
    assert "/storageAccounts/brief" in account
    assert "brief" in [one.name for one in ml_client.registries.list()]
    assert "brief" in [one.name for one in ml_client.registries.list(scope="subscription")]
    changed = ml_client.registries.begin_create(_registry("brief", tags={"team": "b"})).result()
    assert changed.tags == {"team": "b"}
    assert changed.replication_locations[0].storage_config.arm_resource_id == account
    model = Model(name="m", version="1", path=files, type="custom_model")
    MLClient(DefaultAzureCredential(), registry_name="brief").models.create_or_update(model)
    stored = server.home / "storage" / account.rsplit("/", 1)[1]
    assert list(stored.rglob("a.txt"))
    ml_client.registries.begin_delete(name="brief").result()
    assert not list(stored.rglob("a.txt"))
    with pytest.raises(ResourceNotFoundError):
        ml_client.registries.get("brief")
    assert send(server, Bad("", "GET", f"{_GROUP_ID}/registries/brief/models/m/versions/1"))[0] == 404
    assert send(server, Bad("", "GET", account))[0] == 404


def test_names_are_unique_on_a_server(server: RunningServer, registry: MLClient) -> None:
    elsewhere = _SHARED.replace(GROUP, "rg-other").replace("shared", "SHARED")
    status, answer = send(server, Bad("", "PUT", elsewhere, {"location": "local"}))
    assert (status, answer["error"]["code"]) == (409, "RegistryNameNotAvailable")


def test_unknown_registry_says_the_nearest_and_how_to_make_one(registry: MLClient) -> None:
    with pytest.raises(ResourceNotFoundError, match=r"no registry 'sharde'.*Did you mean 'shared'.*begin_create"):
        MLClient(DefaultAzureCredential(), registry_name="sharde")


def test_asset_of_an_unknown_registry(server: RunningServer, registry: MLClient) -> None:
    for below in ("models", "models/m", "environments/sklearn-1.5/versions/1"):
        status, answer = send(server, Bad("", "GET", f"{_GROUP_ID}/registries/sharde/{below}"))
        assert status == 404
        assert "'shared'" in answer["error"]["message"], answer


@pytest.mark.parametrize(
    ("method", "path", "body", "target"),
    [
        ("PATCH", "", {"properties": {"regionDetails": [{"location": "a", "storageAccountDetails": 5}]}},
         "properties.regionDetails[0].storageAccountDetails"),
        ("PUT", "/codes/c/versions/1", {"properties": {"codeUri": "https://x/y", "build": 5}}, None),
        ("PUT", "/tempdatarefs/n/versions/1", {"assetId": "azureml://registries/shared/models/other/versions/1"}, "assetId"),
        ("PUT", "/tempdatarefs/n/versions/1", {"assetId": "azureml://registries/shared/things/n/versions/1"}, "assetId"),
        ("POST", "/datarefs/n/versions/1", {"assetId": "azureml://registries/shared/models/n/versions/1"}, "assetId"),
        ("POST", "/import", {"properties": {"sourceAssetId": 5}}, "properties.sourceAssetId"),
        ("POST", "/import", {"properties": 1}, "properties"),
    ],
)  # fmt: skip
def test_bodies_that_cannot_be(
    server: RunningServer, registry: MLClient, method: str, path: str, body: dict[str, Any], target: str | None
) -> None:
    status, answer = send(server, Bad("", method, f"{_SHARED}{path}", body))
    assert (status < 300) if target is None else (answer["error"]["target"] == target and status in (400, 404))


def test_models(registry: MLClient, files: Path, tmp_path: Path) -> None:
    folder = Model(name="folder", version="1", path=files, type="custom_model", tags={"k": "v"})
    made = registry.models.create_or_update(folder)
    assert made.id == "azureml://registries/shared/models/folder/versions/1"
    registry.models.download("folder", "1", download_path=tmp_path / "down")
    got = {p.relative_to(tmp_path / "down").as_posix() for p in (tmp_path / "down").rglob("*") if p.is_file()}
    assert got == {f"folder/files/{name}" for name in ("a.txt", "sub/b.txt", "Dockerfile")}
    registry.models.create_or_update(Model(name="file", version="1", path=files / "a.txt", type="custom_model"))
    registry.models.download("file", "1", download_path=tmp_path / "down")
    assert (tmp_path / "down" / "file" / "a.txt").read_text() == "a"
    assert registry.models.create_or_update(Model(name="folder", path=files, type="custom_model")).version == "2"
    assert registry.models.get("folder", label="latest").version == "2"
    registry.models.archive("folder", "2")
    assert [one.version for one in registry.models.list("folder")] == ["1"]
    registry.models.restore("folder", "2")
    assert [one.version for one in registry.models.list("folder")] == ["2", "1"]


def test_same_files_again_are_the_same_version_and_others_are_refused(registry: MLClient, files: Path) -> None:
    model = Model(name="again", version="1", path=files, type="custom_model")
    first = registry.models.create_or_update(model)
    again = registry.models.create_or_update(Model(name="again", version="1", path=files, description="told again"))
    assert (again.path, again.description) == (first.path, "told again")
    (files / "a.txt").write_text("b")
    with pytest.raises(HttpResponseError, match="has a version '1' already, with another modelUri") as refused:
        registry.models.create_or_update(Model(name="again", version="1", path=files))
    assert refused.value.status_code == 409


def test_data(registry: MLClient, files: Path) -> None:
    made = registry.data.create_or_update(Data(name="folder", version="1", path=files, type="uri_folder"))
    assert made.id == "azureml://registries/shared/data/folder/versions/1"
    registry.data.create_or_update(Data(name="file", version="3", path=files / "a.txt", type="uri_file"))
    assert registry.data.get("file", label="latest").version == "3"
    assert {one.name for one in registry.data.list()} >= {"folder", "file"}
    registry.data.archive("folder")
    assert "folder" not in {one.name for one in registry.data.list()}
    registry.data.restore("folder")


def test_environments(registry: MLClient, files: Path) -> None:
    conda = {"name": "e", "dependencies": ["python=3.11"]}
    made = registry.environments.create_or_update(
        Environment(name="conda", version="1", image="ubuntu:22.04", conda_file=conda)
    )
    assert made.id == "azureml://registries/shared/environments/conda/versions/1"
    built = registry.environments.create_or_update(
        Environment(name="built", version="1", build=BuildContext(path=str(files)))
    )
    assert built.build is not None
    assert "/environments-" in str(built.build.path)
    assert registry.environments.create_or_update(Environment(name="conda", image="ubuntu:24.04")).version == "2"
    assert registry.environments.get("conda", label="latest").image == "ubuntu:24.04"
    assert [one.version for one in registry.environments.list("conda")] == ["2", "1"]


def test_components(registry: MLClient, files: Path) -> None:
    first = registry.components.create_or_update(_component("train", files, version="1"))
    assert first.id == "azureml://registries/shared/components/train/versions/1"
    assert str(first.code).startswith("azureml://registries/shared/codes/")
    assert first.environment == _SKLEARN
    second = registry.components.create_or_update(_component("train", files))
    assert second.version == "2"
    got = registry.components.get("train", label="latest")
    assert (got.id, got.inputs["n"].default) == (second.id, 3)
    assert [one.version for one in registry.components.list("train")] == ["2", "1"]
    registry.components.archive("train")
    assert "train" not in [one.name for one in registry.components.list()]
    registry.components.restore("train")
    # What a pipeline sends of a step is the reference, whole.
    node = got(n=4)
    assert node._to_rest_object()["componentId"] == second.id


def test_component_sent_again(registry: MLClient, files: Path) -> None:
    first = registry.components.create_or_update(_component("again", files, version="1"))
    again = registry.components.create_or_update(_component("again", files, version="1", description="told again"))
    assert (again.code, again.description) == (first.code, "told again")
    (files / "a.txt").write_text("b")
    with pytest.raises(HttpResponseError, match="with another code") as refused:
        registry.components.create_or_update(_component("again", files, version="1"))
    assert refused.value.status_code == 409


def test_pipeline_component_with_inline_steps_sent_again(registry: MLClient, files: Path, tmp_path: Path) -> None:
    step = {"type": "command", "command": "python a.txt", "code": "files", "environment": _SKLEARN}
    (tmp_path / "step.yml").write_text(json.dumps(step))
    whole = {"type": "pipeline", "name": "whole", "version": "1"}
    whole["jobs"] = {"one": {"type": "command", "component": "./step.yml"}}
    (tmp_path / "whole.yml").write_text(json.dumps(whole))

    def sent() -> Any:
        return registry.components.create_or_update(load_component(tmp_path / "whole.yml")).jobs["one"].component

    assert sent() == sent()
    (files / "a.txt").write_text("b")
    with pytest.raises(HttpResponseError, match="with another") as refused:
        sent()
    assert refused.value.status_code == 409


def test_component_with_an_environment_of_its_own(registry: MLClient, files: Path) -> None:
    inline = Environment(name="inline", version="1", image="ubuntu:22.04")
    made = registry.components.create_or_update(_component("inline", files, version="1", environment=inline))
    assert str(made.environment).startswith("azureml://registries/shared/environments/")


def test_share_from_a_workspace(ml_client: MLClient, registry: MLClient, files: Path, tmp_path: Path) -> None:
    to = {"share_with_version": "7", "registry_name": "shared"}
    ml_client.models.create_or_update(Model(name="m", version="1", path=files, type="custom_model"))
    model = ml_client.models.share("m", "1", share_with_name="shared-m", **to)
    assert model.id == "azureml://registries/shared/models/shared-m/versions/7"
    registry.models.download("shared-m", "7", download_path=tmp_path / "down")
    assert {p.name for p in (tmp_path / "down").rglob("*.txt")} == {"a.txt", "b.txt"}
    ml_client.environments.create_or_update(Environment(name="e", version="1", build=BuildContext(path=str(files))))
    environment = ml_client.environments.share("e", "1", share_with_name="shared-e", **to)
    assert environment.build is not None
    assert "/environments-" in str(environment.build.path)
    ml_client.data.create_or_update(Data(name="d", version="1", path=files / "a.txt", type="uri_file"))
    data = ml_client.data.share("d", "1", share_with_name="shared-d", **to)
    assert data.id == "azureml://registries/shared/data/shared-d/versions/7"
    with pytest.raises(HttpResponseError, match="has no 'models/m/versions/2'"):
        ml_client.models.share("m", "2", share_with_name="other", **to)


def test_sharing_what_has_no_files_fails_and_leaves_nothing(ml_client: MLClient, registry: MLClient) -> None:
    place = "azureml://datastores/workspaceblobstore/paths/nowhere/model"
    ml_client.models.create_or_update(Model(name="empty", version="1", path=place, type="custom_model"))
    with pytest.raises(HttpResponseError, match="no files at 'nowhere/model'"):
        ml_client.models.share("empty", "1", share_with_name="empty", share_with_version="1", registry_name="shared")
    with pytest.raises(ResourceNotFoundError):
        registry.models.get("empty", "1")


def test_sharing_goes_on_after_the_server_was_stopped(tmp_path: Path, files: Path) -> None:
    running = RunningServer(tmp_path / "home")
    running.home.mkdir()
    running.start()
    try:
        guid = _filled(running, files)
        running.kill()
        _ask_for_a_copy(running.home / "lazulite.db", guid)
        running.start()
        model = f"{_SHARED}/models/late/versions/1"
        deadline = time.monotonic() + 20
        while send(running, Bad("", "GET", model))[0] != 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        uri = send(running, Bad("", "GET", model))[1]["properties"]["modelUri"]
        container = uri.rsplit("/", 2)[1]
        assert (next((running.home / "storage").rglob(container)) / "m" / "a.txt").read_text() == "a"
    finally:
        running.stop()


def _filled(server: RunningServer, files: Path) -> str:
    """A workspace with a model and a registry; returns the workspace's id of its own."""
    assert send(server, Bad("", "PUT", _SHARED, {"location": "local"}))[0] == 201
    workspace = send(server, Bad("", "GET", _WORKSPACE_ID))[1]["properties"]
    account = workspace["storageAccount"].rsplit("/", 1)[1]
    store = f"azureml-blobstore-{workspace['workspaceId']}"
    shutil.copytree(files, server.home / "storage" / account / store / "m")
    body = {"properties": {"modelUri": "azureml://datastores/workspaceblobstore/paths/m"}}
    assert send(server, Bad("", "PUT", f"{_WORKSPACE_ID}/models/m/versions/1", body))[0] == 201
    return str(workspace["workspaceId"])


def _ask_for_a_copy(database: Path, guid: str) -> None:
    """What a server that was killed at once after it had said yes leaves behind."""
    asked = {
        "sourceAssetId": f"azureml://locations/local/workspaces/{guid}/models/m/versions/1",
        "destinationName": "late",
        "destinationVersion": "1",
    }
    owner = sqlite3.connect(database).execute("SELECT id FROM principals").fetchone()[0]
    row = resources.new(
        f"{_SHARED}/imports/0123456789abcdef",
        f"{_PROVIDER.removeprefix('providers/')}/registries/imports",
        {"body": {"properties": asked}, "by": {"id": owner, "name": "me", "kind": "User"}},
        state="InProgress",
    )
    store = Database(f"sqlite:///{database}")
    store.write_sync(lambda c: resources.insert(c, row, by="me"))
    store.close()


def test_curated_environments(azureml: MLClient) -> None:
    listed = {one.name for one in azureml.environments.list()}
    assert "sklearn-1.5" in listed
    assert not any(name.startswith("AzureML-") for name in listed)
    latest = azureml.environments.get("sklearn-1.5", label="latest")
    assert latest.id == f"azureml://registries/azureml/environments/sklearn-1.5/versions/{latest.version}"
    assert azureml.environments.get("sklearn-1.5", version="1").image == latest.image
    assert [one.version for one in azureml.environments.list("sklearn-1.5")] == [latest.version]
    with pytest.raises(ResourceNotFoundError, match=r"Did you mean 'sklearn-1\.5'"):
        azureml.environments.get("sklearn-1.6", version="1")


def test_owner_adds_to_azureml_and_nobody_else(server: RunningServer, azureml: MLClient, files: Path) -> None:
    azureml.components.create_or_update(_component("mirrored", files, version="0.0.1"))
    writer = _as(server, "Contributor", f"/subscriptions/{SUBSCRIPTION}", registry_name="azureml")
    assert writer.components.get("mirrored", version="0.0.1").version == "0.0.1"
    with pytest.raises(HttpResponseError) as refused:
        writer.environments.create_or_update(Environment(name="mine", version="1", image="ubuntu:22.04"))
    assert refused.value.status_code == 403
    assert send(server, Bad("", "DELETE", _AZUREML))[1]["error"]["message"].startswith("The registry 'azureml' belongs")


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [
        ("Reader", True, False),
        ("AzureML Data Scientist", True, False),
        ("AzureML Registry User", True, True),
        ("Contributor", True, True),
    ],
)
def test_roles_on_a_registry(server: RunningServer, registry: MLClient, role: str, reads: bool, writes: bool) -> None:
    client = _as(server, role, _SHARED, registry_name="shared")
    made = Environment(name=f"by-{role.replace(' ', '')}", version="1", image="ubuntu:22.04")
    assert allowed(lambda: list(client.environments.list())) is reads
    assert allowed(lambda: client.environments.create_or_update(made)) is writes


def test_without_a_role_on_it(server: RunningServer, registry: MLClient, ml_client: MLClient, files: Path) -> None:
    workspace = f"{_GROUP_ID}/workspaces/{WORKSPACE}"
    stranger = _as(server, "Contributor", workspace, registry_name="shared")
    assert allowed(lambda: list(stranger.models.list())) is False
    # Who may write to a registry must also be allowed to read what is shared into it.
    ml_client.models.create_or_update(Model(name="private", version="1", path=files, type="custom_model"))
    token = credential(server, principal(server, "AzureML Registry User", _SHARED)).get_token(
        "https://management.azure.com/.default"
    )
    user = {"Authorization": f"Bearer {token.token}"}
    guid = send(server, Bad("", "GET", workspace))[1]["properties"]["workspaceId"]
    body = {
        "properties": {
            "sourceAssetId": f"azureml://locations/local/workspaces/{guid}/models/private/versions/1",
            "destinationName": "private",
            "destinationVersion": "1",
        }
    }
    status, answer = send(server, Bad("", "POST", f"{_SHARED}/import", body, headers=user))
    assert (status, answer["error"]["target"]) == (403, "properties.sourceAssetId")


def test_sas_of_a_download_opens_one_version_for_reading(
    server: RunningServer, registry: MLClient, files: Path
) -> None:
    one = registry.models.create_or_update(Model(name="one", version="1", path=files, type="custom_model"))
    other = registry.models.create_or_update(Model(name="other", version="1", path=files, type="custom_model"))
    body = {"assetId": one.id, "blobUri": one.path}
    status, answer = send(server, Bad("", "POST", f"{_SHARED}/datareferences/one/versions/1", body))
    assert status == 200
    address, token = answer["blobReferenceForConsumption"]["credential"]["sasUri"].split("?")
    path = address.removeprefix(server.https_url)
    assert _status(server, f"{path}/files/a.txt?{token}") == 200
    theirs = str(other.path).removeprefix(server.https_url)
    assert _status(server, f"{theirs}/a.txt?{token}") == 403
    assert _status(server, f"{path}/files/a.txt?{token}", "DELETE") == 403


_SPEC = {"type": "command", "command": "echo", "environment": _SKLEARN}


@pytest.mark.parametrize(
    ("spec", "status", "target"),
    [
        ({"environment": f"azureml:{_WORKSPACE_ID}/environments/e/versions/1"}, 400, "environment"),
        ({"environment": f"/{_WORKSPACE_ID}/environments/e/versions/1"}, 400, "environment"),
        ({"environment": f"{_WORKSPACE_ID.upper()}/environments/e/versions/1"}, 400, "environment"),
        ({"environment": "azureml:nowhere:1"}, 404, "environment"),
        ({"environment": "nowhere:1"}, 404, "environment"),
        ({"code": "https://github.com/x/y"}, 400, "code"),
        ({"code": f"azureml:{_WORKSPACE_ID}/codes/c/versions/1"}, 400, "code"),
        ({"code": "azureml://registries/shared/codes/nothing/versions/1"}, 404, "code"),
        ({"type": "parallel", "task": {"environment": f"{_WORKSPACE_ID}/environments/e"}}, 400, "task.environment"),
        ({"type": "pipeline", "jobs": {"a": {"componentId": f"{_WORKSPACE_ID}/components/c"}}}, 400, "jobs.a.componentId"),
    ],
)  # fmt: skip
def test_component_that_names_what_lies_in_no_registry(
    server: RunningServer, registry: MLClient, spec: dict[str, Any], status: int, target: str
) -> None:
    body = {"properties": {"componentSpec": {**_SPEC, **spec}}}
    answer = send(server, Bad("", "PUT", f"{_SHARED}/components/bad/versions/1", body))
    assert answer[0] == status, answer
    assert answer[1]["error"]["target"] == f"properties.componentSpec.{target}"


@pytest.mark.parametrize(
    "address",
    [
        "azureml://datastores/workspaceblobstore/paths/x",
        "https://localhost:8443/storage/v1/{account}/_.blob.core.windows.net/azureml/ExperimentRun",
        "/etc/passwd",
    ],
)
def test_asset_whose_files_are_not_the_registrys(server: RunningServer, registry: MLClient, address: str) -> None:
    storage = send(server, Bad("", "GET", _WORKSPACE_ID))[1]["properties"]["storageAccount"]
    uri = address.format(account=storage.rsplit("/", 1)[1])
    body = {"properties": {"modelUri": uri}}
    status, answer = send(server, Bad("", "PUT", f"{_SHARED}/models/bad/versions/1", body))
    assert (status, answer["error"]["target"]) == (400, "properties.modelUri")


def test_sdk_address_and_arm_address_are_the_same(server: RunningServer, registry: MLClient) -> None:
    registry.environments.create_or_update(Environment(name="both", version="1", image="ubuntu:22.04"))
    arm = send(server, Bad("", "GET", f"{_SHARED}/environments/both/versions/1"))
    sdk = send(server, Bad("", "GET", f"/mferp/managementfrontend{_SHARED}/environments/both/versions/1"))
    assert arm == sdk
    assert arm[0] == 200
    page = send(server, Bad("", "GET", f"/mferp/managementfrontend{_SHARED}/environments?count=1"))[1]
    assert "/mferp/managementfrontend/subscriptions/" in json.dumps(page["nextLink"])


def _registry(name: str, **more: Any) -> Registry:
    return Registry(
        name=name, location="local", replication_locations=[RegistryRegionDetails(location="local")], **more
    )


def _component(name: str, code: Path, **more: Any) -> Component:
    made = command(
        name=name,
        command="python a.txt ${{inputs.n}}",
        code=str(code),
        inputs={"n": Input(type="integer", default=3)},
        **{"environment": _SKLEARN, **more},
    )
    return made.component


def _as(server: RunningServer, role: str, scope: str, **client: Any) -> MLClient:
    """The SDK as somebody new with one role."""
    return MLClient(credential(server, principal(server, role, scope)), **client)


def _status(server: RunningServer, path: str, method: str = "GET") -> int:
    """What anybody without a token is answered."""
    request = urllib.request.Request(f"{server.https_url}{path}", method=method)
    try:
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=server.bundle)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
