from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import ApiError
from lazulite.environments.catalogue import CuratedEnvironment
from lazulite.resources import places, references
from lazulite.store import resources
from lazulite.store.resources import Resource
from lazulite.testing.engine_world import ACCOUNT, WORKSPACE, EngineWorld

BLOBS = "azureml://datastores/workspaceblobstore/paths"


@pytest.fixture
def asked(world: EngineWorld) -> Callable[..., Any]:
    """Call a function of `references` or `places` in a transaction."""

    def ask(function: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        return world.database.read_sync(lambda c: function(c, WORKSPACE, *arguments, **more))

    return ask


def add(world: EngineWorld, path: str, type_: str, archived: bool = False, **properties: Any) -> None:
    row = resources.new(
        f"{WORKSPACE}/{path}", f"{PROVIDER}/workspaces/{type_}", {"properties": properties}, archived=archived
    )
    world.database.write_sync(lambda c: resources.insert(c, row, by="test"))


def refusal(call: Callable[[], Any]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        call()
    return caught.value


def test_latest_is_the_version_made_last_that_is_not_archived(world: EngineWorld, asked: Any) -> None:
    for version, archived in (("10", False), ("2", False), ("3", True)):
        add(world, f"environments/e/versions/{version}", "environments/versions", archived, image="x")
    assert asked(references.environment, "azureml:e@latest").name == "2"
    assert asked(references.environment, "azureml:e:3").name == "3"


def test_a_registered_environment_comes_before_a_curated_one_of_that_name(world: EngineWorld, asked: Any) -> None:
    curated = asked(references.environment, "azureml:AzureML-sklearn-1.5@latest")
    assert isinstance(curated, CuratedEnvironment)
    add(world, "environments/AzureML-sklearn-1.5/versions/1", "environments/versions", image="x")
    assert isinstance(asked(references.environment, "azureml:AzureML-sklearn-1.5:1"), Resource)
    in_registry = "azureml://registries/azureml/environments/sklearn-1.5/labels/latest"
    assert isinstance(asked(references.environment, in_registry), CuratedEnvironment)


def test_an_unknown_environment_is_refused_with_the_nearest_names(asked: Any) -> None:
    error = refusal(
        lambda: asked(references.environment, "azureml:AzureML-sklern-1.5@latest", target="p.environmentId")
    )
    assert (error.status, error.target) == (404, "p.environmentId")
    assert "AzureML-sklearn-1.5" in error.message


def test_an_unknown_version_is_refused_with_the_versions_there_are(asked: Any) -> None:
    error = refusal(lambda: asked(references.environment, "azureml:bare:7"))
    assert "has no version or label '7'. It has '1'." in error.message


def test_what_no_list_shows_is_not_offered(world: EngineWorld, asked: Any) -> None:
    add(world, "data/iris/versions/1", "data/versions", dataUri=BLOBS)
    add(world, "data/azureml_run_output_data_made/versions/1", "data/versions", dataUri=BLOBS, isAnonymous=True)
    assert refusal(lambda: asked(references.data, "azureml:titanic:1")).message.endswith("There is: 'iris'.")


def test_an_unknown_compute_is_refused_with_the_nearest_names(world: EngineWorld, asked: Any) -> None:
    world.compute("cpu-cluster")
    assert asked(references.compute, "azureml:cpu-cluster").name == "cpu-cluster"
    assert asked(references.compute, f"{WORKSPACE}/computes/CPU-cluster").name == "cpu-cluster"
    assert "Did you mean 'cpu-cluster'?" in refusal(lambda: asked(references.compute, "cpu-clutser")).message


def test_an_arm_id_of_another_type_is_no_compute(asked: Any) -> None:
    assert refusal(lambda: asked(references.compute, f"{WORKSPACE}/datastores/workspaceblobstore")).status == 404


def test_data_assets_lead_to_where_they_lie(world: EngineWorld, asked: Any) -> None:
    add(world, "data/d/versions/1", "data/versions", dataUri=f"{BLOBS}/a/b.csv", dataType="uri_file")
    found = asked(places.locate, world.storage, "azureml:d:1")
    assert (found.account, found.container, found.path, found.type) == (ACCOUNT, "blobs", "a/b.csv", "uri_file")
    assert found.uri.endswith("/workspaces/w/datastores/workspaceblobstore/paths/a/b.csv")


def test_an_asset_that_names_itself_does_not_go_on_for_ever(world: EngineWorld, asked: Any) -> None:
    add(world, "data/d/versions/1", "data/versions", dataUri="azureml:d:1", dataType="uri_file")
    assert refusal(lambda: asked(places.locate, world.storage, "azureml:d:1")).status == 400


def test_outputs_and_artifacts_of_jobs(world: EngineWorld, asked: Any) -> None:
    world.submit("j", outputs={"o": {"jobOutputType": "uri_folder"}})
    found = asked(places.locate, world.storage, "azureml://jobs/j/outputs/o/paths/x.csv")
    assert (found.container, found.path, found.of_job) == ("blobs", "azureml/j/o/x.csv", "j")
    for uri in ("azureml://jobs/j/outputs/artifacts/paths/model/", "runs:/j/model"):
        found = asked(places.locate, world.storage, uri, "mlflow_model")
        assert (found.container, found.path) == ("azureml", "ExperimentRun/dcid.j/model")
    assert "no output 'p'" in refusal(lambda: asked(places.locate, world.storage, "azureml://jobs/j/outputs/p")).message
    assert refusal(lambda: asked(places.locate, world.storage, "runs:/none/model")).status == 404


def test_addresses_of_our_own_account_are_ours_and_others_are_fetched(world: EngineWorld, asked: Any) -> None:
    own = f"https://localhost:8443/storage/v1/{ACCOUNT}/_.blob.core.windows.net/c/a"
    found = asked(places.locate, world.storage, own)
    assert (found.account, found.container, found.path) == (ACCOUNT, "c", "a")
    for uri in ("https://example.com/x.csv", "https://azuremlexamples.blob.core.windows.net/datasets/x.csv"):
        found = asked(places.locate, world.storage, uri)
        assert (found.account, found.url) == (None, uri)


def test_a_missing_file_is_refused_and_one_that_is_there_is_not(world: EngineWorld, asked: Any) -> None:
    error = refusal(lambda: asked(places.check_data, world.storage, f"{BLOBS}/no.csv", "uri_file", target="p.inputs.x"))
    assert (error.status, error.target) == (400, "p.inputs.x.uri")
    path = world.storage.local_path(ACCOUNT, "blobs", "there.csv")
    assert path is not None
    path.write_text("a")
    asked(places.check_data, world.storage, f"{BLOBS}/there.csv", "uri_file")


@pytest.mark.parametrize("path", ["../../etc/passwd", "a//b", "a/../../b"])
def test_paths_that_lead_out_of_a_datastore_are_refused(world: EngineWorld, asked: Any, path: str) -> None:
    error = refusal(lambda: asked(places.check_data, world.storage, f"{BLOBS}/{path}", "uri_file"))
    assert error.status == 400
    assert refusal(lambda: asked(places.check_output, None, f"{BLOBS}/{path}")).status == 400


def test_outputs_go_to_datastores_that_exist(asked: Any) -> None:
    asked(places.check_output, None, f"{BLOBS}/out/")
    assert (
        "workspaceblobstore"
        in refusal(
            lambda: asked(places.check_output, None, "azureml://datastores/workspaceblobstor/paths/x", target="t")
        ).message
    )
    assert refusal(lambda: asked(places.check_output, None, "https://example.com/x", target="t")).target == "t"
