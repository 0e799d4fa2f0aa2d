"""Environments, data, models, components and code through the unmodified SDK."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from azure.ai.ml import Input, MLClient, Output, command, load_component
from azure.ai.ml.constants import ListViewType
from azure.ai.ml.entities import BuildContext, CommandComponent, Data, Environment, Model
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from tests.clients.raw_requests import Bad, send
from tests.server_fixture import WORKSPACE_ID, RunningServer

pytestmark = pytest.mark.clients


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "folder" / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "folder" / "inner" / "b.txt").write_text("b")
    return tmp_path / "folder"


def test_environments_image_conda_build(ml_client: MLClient, tmp_path: Path) -> None:
    image = ml_client.environments.create_or_update(
        Environment(name="from-image", image="mcr.microsoft.com/azureml/openmpi3.1.2-ubuntu18.04", description="bare")
    )
    assert (image.version, image.description) == ("1", "bare")
    conda = {"name": "e", "dependencies": ["python=3.11", {"pip": ["six==1.16.0"]}]}
    with_conda = Environment(name="from-conda", image="mcr.microsoft.com/azureml/base:latest", conda_file=conda)
    assert ml_client.environments.create_or_update(with_conda).version == "1"
    changed = Environment(name="from-conda", image="mcr.microsoft.com/azureml/base:2", conda_file=conda)
    assert ml_client.environments.create_or_update(changed).version == "2"
    assert ml_client.environments.get("from-conda", label="latest").version == "2"
    assert ml_client.environments.get("from-conda", version="1").conda_file["dependencies"][0] == "python=3.11"
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text("FROM python:3.11\nRUN pip install six\n")
    for _ in range(2):  # the same environment again, although the client leaves the Dockerfile's name out
        built = ml_client.environments.create_or_update(
            Environment(name="from-build", build=BuildContext(path=str(tmp_path / "context")))
        )
        assert (built.version, built.build.dockerfile_path) == ("1", "Dockerfile")
    moved = built.build.path.replace(urlsplit(built.build.path).netloc, "localhost:1")
    again = Environment(name="from-build", version="1", build=BuildContext(path=moved))
    assert ml_client.environments.create_or_update(again).version == "1"
    other = Environment(name="from-build", version="1", build=BuildContext(path=f"{moved}other/"))
    with pytest.raises(ResourceExistsError, match="another build"):
        ml_client.environments.create_or_update(other)


def test_environment_archive_and_restore(ml_client: MLClient) -> None:
    ml_client.environments.create_or_update(Environment(name="old", version="7", image="python:3.11"))
    ml_client.environments.archive("old", version="7")
    assert list(ml_client.environments.list("old")) == []
    ml_client.environments.restore("old", version="7")
    assert [e.version for e in ml_client.environments.list("old")] == ["7"]
    ml_client.environments.archive("old")
    assert "old" not in {e.name for e in ml_client.environments.list()}


def test_curated_environments_exist(ml_client: MLClient) -> None:
    names = {e.name for e in ml_client.environments.list()}
    assert {"AzureML-sklearn-1.5", "AzureML-lightgbm-3.3"} <= names
    found = ml_client.environments.get("AzureML-sklearn-1.0-ubuntu20.04-py38-cpu", version=44)
    assert found.description
    assert found.tags
    with pytest.raises(HttpResponseError, match="belong to the curated"):
        ml_client.environments.create_or_update(Environment(name="AzureML-mine", version="1", image="python:3.11"))


def test_notes_environment(ml_client: MLClient) -> None:
    ml_client.environments.create_or_update(Environment(name="pytorch", image="pytorch/pytorch:latest"))
    assert "pytorch" in {e.name for e in ml_client.environments.list()}


def test_data_file_folder_versions(ml_client: MLClient, folder: Path) -> None:
    file = ml_client.data.create_or_update(Data(name="file", path=str(folder / "a.csv"), type="uri_file"))
    assert file.path.startswith("azureml://")
    assert "/LocalUpload/" in file.path
    first = ml_client.data.create_or_update(Data(name="both", path=str(folder), type="uri_folder"))
    second = ml_client.data.create_or_update(Data(name="both", path=str(folder), type="uri_folder"))
    assert (first.version, second.version) == ("1", "2")
    # In full: a client that has the path alone finds the workspace. Written short, it is the same path.
    assert first.path.startswith("azureml://subscriptions/")
    assert f"/{WORKSPACE_ID.rsplit('/', 1)[1]}/datastores/workspaceblobstore/paths/LocalUpload/" in first.path
    short = f"azureml://datastores/workspaceblobstore/paths/{first.path.partition('/paths/')[2]}"
    again = Data(name="both", version="1", path=short, type="uri_folder", description="told")
    assert ml_client.data.create_or_update(again).path == first.path
    assert ml_client.data.get(name="both", version=1).version == "1"
    assert ml_client.data.get(name="both", label="latest").version == "2"
    assert [d.version for d in ml_client.data.list("both")] == ["2", "1"]
    with pytest.raises(HttpResponseError, match="a version's content never changes"):
        ml_client.data.create_or_update(
            Data(name="both", version="1", path="azureml://datastores/workspaceblobstore/paths/x/", type="uri_folder")
        )
    with pytest.raises(ResourceNotFoundError, match="has no version '9'"):
        ml_client.data.get(name="both", version="9")


def test_data_without_upload_and_archive(ml_client: MLClient) -> None:
    remote = Data(name="remote", path="https://example.com/x.csv", type="uri_file", tags={"k": "v"})
    made = ml_client.data.create_or_update(remote)
    assert (made.path, made.tags) == ("https://example.com/x.csv", {"k": "v"})
    ml_client.data.archive("remote", version=made.version)
    assert list(ml_client.data.list("remote")) == []
    ml_client.data.restore("remote", version=made.version)
    made.description = "described"
    assert ml_client.data.create_or_update(made).description == "described"


def test_mltable(ml_client: MLClient, folder: Path) -> None:
    (folder / "MLTable").write_text(
        "paths:\n  - file: ./a.csv\ntransformations:\n  - read_delimited:\n      delimiter: ','\n"
    )
    made = ml_client.data.create_or_update(Data(name="table", path=str(folder), type="mltable"))
    assert made.type == "mltable"


def test_models_upload_download(ml_client: MLClient, folder: Path, tmp_path: Path) -> None:
    made = ml_client.models.create_or_update(
        Model(name="model", path=str(folder), type="custom_model", tags={"a": "b"})
    )
    assert made.version == "1"
    ml_client.models.download("model", version="1", download_path=str(tmp_path / "down"))
    assert (tmp_path / "down" / "model" / "folder" / "inner" / "b.txt").read_text() == "b"
    assert [m.name for m in ml_client.models.list()] == ["model"]
    ml_client.models.archive("model", version="1")
    assert list(ml_client.models.list("model")) == []


def test_components(ml_client: MLClient, folder: Path, tmp_path: Path) -> None:
    step = command(
        name="step",
        command="cat ${{inputs.data}}/a.csv ${{inputs.rate}} > ${{outputs.out}}/o",
        code=str(folder),
        environment="azureml:AzureML-sklearn-1.5@latest",
        inputs={"data": Input(type="uri_folder"), "rate": Input(type="number", default=0.1, min=0, max=1)},
        outputs={"out": Output(type="uri_folder")},
    )
    made = ml_client.components.create_or_update(step.component)
    assert made.version == "1"
    assert ml_client.components.get("step").version == "1"
    assert ml_client.components.get("step", label="latest").inputs["rate"]["default"] == 0.1
    text = (
        "$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json\n"
        "name: from_yaml\ntype: command\ncommand: echo hello\nenvironment: azureml:AzureML-sklearn-1.5@latest\n"
    )
    (tmp_path / "c.yml").write_text(text)
    assert ml_client.components.create_or_update(load_component(str(tmp_path / "c.yml"))).name == "from_yaml"
    assert {c.name for c in ml_client.components.list()} >= {"step", "from_yaml"}
    ml_client.components.archive("step", version="1")
    assert list(ml_client.components.list("step")) == []
    ml_client.components.restore("step", version="1")


def test_latest_of_nothing_says_so(ml_client: MLClient) -> None:
    with pytest.raises(Exception, match="Asset nothing does not exist"):
        ml_client.models.get("nothing", label="latest")


def test_listing_goes_on_over_pages(ml_client: MLClient, server: RunningServer) -> None:
    for number in range(230):
        properties = {"dataType": "uri_file", "dataUri": f"https://example.com/{number}"}
        path = f"{WORKSPACE_ID}/data/many/versions/{number}"
        assert send(server, Bad("", "PUT", path, {"properties": properties}))[0] == 201
    found = [int(d.version) for d in ml_client.data.list("many")]
    assert found == list(range(229, -1, -1))
    status, first = send(server, Bad("", "GET", f"{WORKSPACE_ID}/data/many/versions?$top=3&$orderBy=createdtime%20asc"))
    assert (status, [v["name"] for v in first["value"]], first["nextLink"]) == (200, ["0", "1", "2"], None)


def test_any_case_of_a_path_and_any_api_version(server: RunningServer) -> None:
    path = f"{WORKSPACE_ID}/data/Cased/versions/1"
    properties = {"dataType": "uri_file", "dataUri": "https://example.com/x"}
    assert send(server, Bad("", "PUT", path, {"properties": properties}))[0] == 201
    for api_version in ("2020-09-01-preview", "2025-01-01-preview"):
        spelled = path.replace("resourceGroups", "resourcegroups").replace("/workspaces/", "/WORKSPACES/")
        status, found = send(server, Bad("", "GET", f"{spelled.replace('Cased', 'cased')}?api-version={api_version}"))
        assert (status, found["id"]) == (200, path)


def test_etag_guards_a_write(server: RunningServer) -> None:
    path = f"{WORKSPACE_ID}/data/guarded/versions/1"
    body = {"properties": {"dataType": "uri_file", "dataUri": "https://example.com/x", "description": "one"}}
    send(server, Bad("", "PUT", path, body))
    body["properties"]["description"] = "two"
    assert send(server, Bad("", "PUT", path, body, headers={"If-None-Match": "*"}))[0] == 412
    assert send(server, Bad("", "PUT", path, body, headers={"If-Match": '"0x0"'}))[0] == 412
    assert send(server, Bad("", "PUT", path, body, headers={"If-Match": "*"}))[0] == 200


def test_models_get_archive_restore(ml_client: MLClient, folder: Path) -> None:
    wanted = Model(name="shelved", version="3", path=str(folder), description="on a shelf")
    ml_client.models.create_or_update(wanted)
    assert ml_client.models.get("shelved", version="3").description == "on a shelf"
    assert ml_client.models.get("shelved", label="latest").version == "3"
    ml_client.models.archive("shelved")
    assert "shelved" not in {m.name for m in ml_client.models.list()}
    ml_client.models.restore("shelved")
    assert "shelved" in {m.name for m in ml_client.models.list()}


def test_evaluators_are_models(ml_client: MLClient, folder: Path, tmp_path: Path) -> None:
    marks = {"is-promptflow": "true", "is-evaluator": "true"}
    wanted = Model(name="judge", version="1", path=str(folder), type="custom_model", properties=marks)
    made = ml_client.evaluators.create_or_update(wanted)
    assert ml_client.evaluators.get("judge", version=made.version).properties["is-evaluator"] == "true"
    assert [e.version for e in ml_client.evaluators.list("judge")] == [made.version]
    ml_client.evaluators.download("judge", version=made.version, download_path=str(tmp_path / "down"))
    assert next((tmp_path / "down").rglob("a.csv")).read_text() == "x,y\n1,2\n"


def test_component_validated_and_prepared_for_signing(ml_client: MLClient, folder: Path) -> None:
    step = _reader(folder)
    assert ml_client.components.validate(step).passed
    step.command = "cat ${{inputs.nothing}}"
    assert not ml_client.components.validate(step).passed
    ml_client.components.prepare_for_sign(step)
    catalog = json.loads((folder / "catalog.json").read_text())
    assert "a.csv" in catalog["CatalogItems"]


def test_component_downloaded(ml_client: MLClient, folder: Path, tmp_path: Path) -> None:
    ml_client.environments.create_or_update(Environment(name="plain", version="1", image="library/python:3.11"))
    ml_client.components.create_or_update(_reader(folder))
    ml_client.components.download("reader", tmp_path / "down", version="1")
    assert (tmp_path / "down" / "code" / "a.csv").read_text() == "x,y\n1,2\n"
    specification = (tmp_path / "down" / "component_spec.yaml").read_text()
    assert "cat a.csv" in specification
    assert "library/python:3.11" in specification


def _reader(folder: Path) -> CommandComponent:
    return CommandComponent(
        name="reader", version="1", command="cat a.csv", code=str(folder), environment="azureml:plain:1"
    )


def test_anonymous_assets_are_in_no_list_and_there_by_name(
    ml_client: MLClient, server: RunningServer, tmp_path: Path
) -> None:
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "f.txt").write_text("x")
    job = command(
        command="echo ${{inputs.d}}",
        inputs={"d": Input(type="uri_folder", path=str(tmp_path / "inputs"))},
        environment=Environment(image="library/python:3.11"),
        code=str(tmp_path),
    )
    component = ml_client.components.create_or_update(job.component, is_anonymous=True)
    made = ml_client.jobs.create_or_update(job)
    environment, data = str(made.environment), str(made.inputs["d"].path)
    for operations in (ml_client.environments, ml_client.data, ml_client.components, ml_client.models):
        for view in ListViewType:
            names = {str(asset.name) for asset in operations.list(list_view_type=view)}
            assert not {name for name in names if re.search("anonymous|[0-9a-f]{8}-[0-9a-f]{4}", name)}, names
    assert "CliV2AnonymousEnvironment" in environment
    name, version = environment.removeprefix("azureml:").split(":")
    assert ml_client.environments.get(name, version).image == "library/python:3.11"
    assert list(ml_client.environments.list(name)) == []
    assert ml_client.components.get(component.name, component.version).command == "echo ${{inputs.d}}"
    assert data
    status, codes = send(server, Bad("", "GET", f"{WORKSPACE_ID}/codes?api-version=2024-10-01"))
    assert (status, [code["name"] for code in codes["value"]]) == (200, [])
