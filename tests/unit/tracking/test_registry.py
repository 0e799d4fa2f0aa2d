"""Registered models and versions: the model assets of the workspace."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

import pytest

from lazulite.store import resources
from lazulite.store.database import Database
from lazulite.tracking.registry import VERSION


async def a_version(api: Any, name: str = "m", path: str = "model", **more: Any) -> dict[str, Any]:
    run_id = await api.a_run()
    source = f"mlflow-artifacts:/0/{run_id}/artifacts/{path}"
    made = await api.post("model-versions/create", name=name, source=source, run_id=run_id, **more)
    return dict(made["model_version"])


async def test_a_version_is_a_model_asset(api: Any, database: Database) -> None:
    await api.post("registered-models/create", name="m", description="d", tags=[{"key": "a", "value": "b"}])
    version = await a_version(api, tags=[{"key": "t", "value": "1"}])
    assert (version["version"], version["status"], version["current_stage"]) == ("1", "READY", "None")
    stored = await database.read(lambda c: resources.get(c, f"{api.workspace}/models/m/versions/1"))
    assert stored is not None
    assert stored.properties["modelUri"] == (
        "azureml://subscriptions/sub/resourcegroups/rg/workspaces/ws/datastores/workspaceartifactstore/paths/"
        f"ExperimentRun/dcid.{version['run_id']}/model"
    )
    assert (stored.properties["modelType"], stored.properties["tags"]) == ("mlflow_model", {"t": "1"})
    assert (await a_version(api))["version"] == "2"


LEAD = "azureml://subscriptions/sub/resourcegroups/rg/workspaces/ws/datastores"


@pytest.mark.parametrize(
    ("source", "uri"),
    [
        ("runs:/RUN/plain", "workspaceartifactstore/paths/ExperimentRun/dcid.RUN/plain"),
        ("runs:/RUN/a b/one #1.pkl", "workspaceartifactstore/paths/ExperimentRun/dcid.RUN/a b/one #1.pkl"),
        ("runs:/RUN/what?/100%20", "workspaceartifactstore/paths/ExperimentRun/dcid.RUN/what?/100%20"),
        ("mlflow-artifacts:/0/RUN/artifacts/hash #1", "workspaceartifactstore/paths/ExperimentRun/dcid.RUN/hash #1"),
        ("mlflow-artifacts://host:80/0/RUN/artifacts/m?", "workspaceartifactstore/paths/ExperimentRun/dcid.RUN/m?"),
        ("mlflow-artifacts:/0/RUN/artifacts/100%20", "workspaceartifactstore/paths/ExperimentRun/dcid.RUN/100%20"),
        (
            "azureml://host/mlflow/v2.0/subscriptions/s/experiments/1/runs/RUN/artifacts/m#1",
            "workspaceartifactstore/paths/ExperimentRun/dcid.RUN/m#1",
        ),
        ("azureml://artifacts/ExperimentRun/dcid.RUN/m", "workspaceartifactstore/paths/ExperimentRun/dcid.RUN/m"),
        ("azureml://jobs/RUN/outputs/artifacts/paths/m/", "workspaceartifactstore/paths/ExperimentRun/dcid.RUN/m"),
        ("azureml://datastores/workspaceblobstore/paths/up/m", "workspaceblobstore/paths/up/m"),
    ],
)
async def test_the_address_of_a_version_is_azures_whatever_its_source(
    api: Any, database: Database, source: str, uri: str
) -> None:
    run_id = await api.a_run()
    await api.post("registered-models/create", name="m")
    source = source.replace("RUN", run_id)
    made = await api.post("model-versions/create", name="m", source=source, run_id=run_id)
    assert made["model_version"]["source"] == source
    stored = await database.read(lambda c: resources.get(c, f"{api.workspace}/models/m/versions/1"))
    assert stored is not None
    assert stored.properties["modelUri"] == f"{LEAD}/{uri}".replace("RUN", run_id)


async def test_an_output_that_no_job_has_is_refused(api: Any) -> None:
    await api.post("registered-models/create", name="m")
    run_id = await api.a_run()
    for job, said in (("nope", "no job or run 'nope'"), (run_id, "has no output 'x'")):
        source = f"azureml://jobs/{job}/outputs/x/paths/m"
        status, code, message = await api.refused("POST", "model-versions/create", name="m", source=source)
        assert (status, code, said in message) == (404, "RESOURCE_DOES_NOT_EXIST", True), message


async def test_an_address_elsewhere_is_kept_for_those_who_reach_it(api: Any) -> None:
    await api.post("registered-models/create", name="m")
    for version, source in enumerate(("s3://bucket/m", "dbfs:/m", "gs://bucket/a b"), 1):
        await api.post("model-versions/create", name="m", source=source)
        query = {"name": "m", "version": str(version)}
        assert (await api.get("model-versions/get-download-uri", **query))["artifact_uri"] == source
        response = await api.call("GET", f"artifacts?path=models/m/{version}", api="api/2.0/mlflow-artifacts/")
        assert response.status_code == 400
        assert f"lie at '{source}'" in response.json()["message"] or f"'{source}' is no address" in response.text


@pytest.mark.parametrize("name", ["one.pkl", "one #1.pkl", "what?.bin", "100%20.pkl", "a b"])
async def test_a_version_of_one_file_is_a_folder_with_it(
    api: Any, database: Database, artifacts: Any, name: str
) -> None:
    spec = {"properties": {"modelUri": f"azureml://datastores/workspaceblobstore/paths/up/{name}"}}
    new = resources.new(f"{api.workspace}/models/sdk/versions/1", VERSION, spec)
    await database.write(lambda c: resources.insert(c, new, by="ada"))
    artifacts.files[api.workspace.lower(), "workspaceblobstore", f"up/{name}"] = b"bytes"
    proxy = "api/2.0/mlflow-artifacts/"
    listed = await api.call("GET", "artifacts", api=proxy, params={"path": "models/sdk/1"})
    assert listed.json() == {"files": [{"path": name.replace("#", "_"), "is_dir": False, "file_size": 5}]}
    for asked in (name, unquote(name).replace("#", "_").partition("?")[0]):
        got = await api.call("GET", f"artifacts/models/sdk/1/{quote(asked)}", api=proxy)
        assert got.content == b"bytes", asked
    page = {"name": "sdk", "version": "1", "path": name}
    assert (await api.call("GET", "model-versions/get-artifact", api="", params=page)).content == b"bytes"
    for other in ("MLmodel", f"{quote(name)}/x"):
        assert (await api.call("GET", f"artifacts/models/sdk/1/{other}", api=proxy)).status_code == 404


async def test_an_asset_is_a_version(api: Any, database: Database, artifacts: Any) -> None:
    spec = {
        "properties": {
            "modelUri": "azureml://datastores/workspaceblobstore/paths/up/model",
            "modelType": "mlflow_model",
        }
    }
    new = resources.new(f"{api.workspace}/models/sdk/versions/7", VERSION, spec)
    await database.write(lambda c: resources.insert(c, new, by="ada"))
    artifacts.files[api.workspace.lower(), "workspaceblobstore", "up/model/MLmodel"] = b"flavors"
    model = (await api.get("registered-models/get", name="sdk"))["registered_model"]
    assert [v["version"] for v in model["latest_versions"]] == ["7"]
    uri = (await api.get("model-versions/get-download-uri", name="sdk", version="7"))["artifact_uri"]
    path = uri.removeprefix("mlflow-artifacts:/")
    listed = (await api.call("GET", f"artifacts?path={path}", api="api/2.0/mlflow-artifacts/")).json()
    assert listed == {"files": [{"path": "MLmodel", "is_dir": False, "file_size": 7}]}
    got = await api.call("GET", f"artifacts/{path}/MLmodel", api="api/2.0/mlflow-artifacts/")
    assert got.content == b"flavors"
    put = await api.call("PUT", f"artifacts/{path}/MLmodel", api="api/2.0/mlflow-artifacts/", content=b"x")
    assert artifacts.files[api.workspace.lower(), "workspaceblobstore", "up/model/MLmodel"] == b"flavors", put.text
    assert (await api.post("registered-models/set-tag", name="sdk", key="k", value="v")) == {}
    assert (await a_version(api, "sdk"))["version"] == "8"


async def test_aliases_follow_their_versions(api: Any) -> None:
    await api.post("registered-models/create", name="m")
    for _ in range(2):
        await a_version(api)
    await api.post("registered-models/alias", name="m", alias="champion", version="1")
    found = (await api.get("registered-models/alias", name="m", alias="champion"))["model_version"]
    assert (found["version"], found["aliases"]) == ("1", ["champion"])
    await api.post("registered-models/alias", name="m", alias="champion", version="2")
    model = (await api.get("registered-models/get", name="m"))["registered_model"]
    assert model["aliases"] == [{"alias": "champion", "version": "2"}]
    await api.delete("model-versions/delete", name="m", version="2")
    assert (await api.get("registered-models/get", name="m"))["registered_model"]["aliases"] == []
    assert (await api.refused("GET", "registered-models/alias", name="m", alias="champion"))[0] == 400


async def test_stages_move(api: Any) -> None:
    await api.post("registered-models/create", name="m")
    for _ in range(2):
        await a_version(api)
    await api.post("model-versions/transition-stage", name="m", version="1", stage="production")
    body = {"name": "m", "version": "2", "stage": "Production", "archive_existing_versions": True}
    await api.post("model-versions/transition-stage", **body)
    latest = await api.post("registered-models/get-latest-versions", name="m")
    assert {v["current_stage"]: v["version"] for v in latest["model_versions"]} == {"Production": "2", "Archived": "1"}
    assert (await api.refused("POST", "model-versions/transition-stage", name="m", version="1", stage="Prod"))[0] == 400


async def test_search_and_rename(api: Any) -> None:
    for name in ("a", "b"):
        await api.post("registered-models/create", name=name, tags=[{"key": "t", "value": name}])
    version = await a_version(api, "a")
    await api.post("registered-models/rename", name="a", new_name="c")
    found = await api.get("registered-models/search", filter="name LIKE '%c%'")
    assert [m["name"] for m in found["registered_models"]] == ["c"]
    found = await api.get("registered-models/search", filter="tags.t = 'b'")
    assert [m["name"] for m in found["registered_models"]] == ["b"]
    for filter_ in ("name = 'c'", f"run_id = '{version['run_id']}'", "name = 'c' and version_number >= 1"):
        found = await api.get("model-versions/search", filter=filter_)
        assert [(v["name"], v["version"]) for v in found["model_versions"]] == [("c", "1")]
    assert (await api.refused("GET", "registered-models/get", name="a"))[1] == "RESOURCE_DOES_NOT_EXIST"


async def test_versions_change_and_go(api: Any) -> None:
    await api.post("registered-models/create", name="m")
    await a_version(api)
    await api.patch("model-versions/update", name="m", version="1", description="better")
    await api.post("model-versions/set-tag", name="m", version="1", key="a", value="b")
    got = (await api.get("model-versions/get", name="m", version="1"))["model_version"]
    assert (got["description"], got["tags"]) == ("better", [{"key": "a", "value": "b"}])
    await api.delete("registered-models/delete", name="m")
    assert (await api.refused("GET", "model-versions/get", name="m", version="1"))[0] == 404


async def test_a_source_in_another_workspace_is_refused(api: Any, database: Database) -> None:
    await api.post("registered-models/create", name="m")
    group = "/subscriptions/sub/resourceGroups/rg/providers"
    account = resources.new(
        f"{group}/Microsoft.Storage/storageAccounts/theirs", "Microsoft.Storage/storageAccounts", {}
    )
    await database.write(lambda c: resources.insert(c, account, by="ada"))
    lead = "azureml://subscriptions/sub/resourcegroups/rg/workspaces"
    for source in (
        f"{lead}/other/datastores/workspaceblobstore/paths/x",
        "https://localhost:8443/storage/v1/theirs/_.blob.core.windows.net/c/x",
        "https://theirs.blob.core.windows.net/c/x",
    ):
        status, _, said = await api.refused("POST", "model-versions/create", name="m", source=source)
        assert (status, "outside of this workspace" in said) == (400, True), source
    for source in (f"{lead}/WS/datastores/d/paths/x", "https://public.blob.core.windows.net/c/x"):
        assert (await api.post("model-versions/create", name="m", source=source))["model_version"]["status"] == "READY"


@pytest.mark.parametrize(
    "source", ["/etc", "file:///etc", "mlflow-artifacts:/0/r/artifacts/../../x", "mlflow-artifacts:/%2e%2e/x", "x"]
)
async def test_a_source_that_is_a_path_of_the_machine_is_refused(api: Any, source: str) -> None:
    await api.post("registered-models/create", name="m")
    status, code, said = await api.refused("POST", "model-versions/create", name="m", source=source)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "Invalid model version source" in said


async def test_a_version_number_is_had_once(api: Any) -> None:
    await api.post("registered-models/create", name="m")
    for _ in range(2):
        await a_version(api)
    await api.call("DELETE", "model-versions/delete", json={"name": "m", "version": "2"})
    assert (await a_version(api))["version"] == "3"


async def test_prompts_are_shown_to_those_who_ask(api: Any) -> None:
    await api.post("registered-models/create", name="m")
    await api.post("registered-models/create", name="p", tags=[{"key": "mlflow.prompt.is_prompt", "value": "true"}])
    for asked, wanted in (("", ["m"]), ("!= 'true'", ["m"]), ("= 'true'", ["p"])):
        text = f"tag.`mlflow.prompt.is_prompt` {asked}" if asked else ""
        found = await api.get("registered-models/search", filter=text)
        assert [one["name"] for one in found["registered_models"]] == wanted


async def test_versions_that_changed_last_come_first(api: Any) -> None:
    for name in ("a", "b"):
        await api.post("registered-models/create", name=name)
        await a_version(api, name)
    found = await api.get("model-versions/search")
    assert [version["name"] for version in found["model_versions"]] == ["b", "a"]
    found = await api.get("model-versions/search", order_by=["name"])
    assert [version["name"] for version in found["model_versions"]] == ["a", "b"]


async def test_a_logged_model_names_its_versions(api: Any) -> None:
    await api.post("registered-models/create", name="m")
    logged = (await api.post("logged-models", experiment_id="0"))["model"]["info"]
    more = {"name": "m", "source": logged["artifact_uri"], "model_id": logged["model_id"]}
    await api.post("model-versions/create", **more)
    found = (await api.get(f"logged-models/{logged['model_id']}"))["model"]["info"]
    assert {tag["key"]: tag["value"] for tag in found["tags"]}[
        "mlflow.modelVersions"
    ] == '[{"name": "m", "version": 1}]'


async def test_clients_before_2_call_the_registry_a_preview(api: Any) -> None:
    response = await api.http.post(
        f"/mlflow/rest{api.workspace}/api/2.0/preview/mlflow/registered-models/create",
        json={"name": "m"},
        headers={"Authorization": f"Bearer {api.token}"},
    )
    assert response.json()["registered_model"]["name"] == "m"


@pytest.mark.parametrize("name", ["a/b", "a:b", " ", "x" * 256])
async def test_names_that_cannot_be_assets_are_refused(api: Any, name: str) -> None:
    assert (await api.refused("POST", "registered-models/create", name=name))[:2] == (400, "INVALID_PARAMETER_VALUE")


async def test_a_models_name_is_taken_once(api: Any) -> None:
    await api.post("registered-models/create", name="m")
    assert (await api.refused("POST", "registered-models/create", name="M"))[:2] == (400, "RESOURCE_ALREADY_EXISTS")


async def test_a_prompt_has_no_files(api: Any) -> None:
    tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}, {"key": "mlflow.prompt.text", "value": "Hi {{name}}"}]
    await api.post("registered-models/create", name="greeting", tags=tags[:1])
    made = await api.post("model-versions/create", name="greeting", source="dummy-source", tags=tags)
    assert (made["model_version"]["version"], made["model_version"]["source"]) == ("1", "dummy-source")
    sent = {"name": "greeting", "source": "s3://bucket/x", "tags": tags}
    assert (await api.refused("POST", "model-versions/create", **sent))[:2] == (400, "INVALID_PARAMETER_VALUE")
    await api.post("registered-models/create", name="model")
    assert (await api.refused("POST", "model-versions/create", name="model", source="dummy-source"))[0] == 400
