from __future__ import annotations

import pytest

from lazulite.model.asset_reference import (
    AssetReference,
    BlobPlace,
    DatastorePlace,
    JobOutputPlace,
    WebPlace,
    asset,
    datastore_uri,
    is_asset,
    overlap,
    place,
)

WS = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("azureml:e:1", AssetReference("e", version="1")),
        ("azureml:e@latest", AssetReference("e", label="latest")),
        ("e:1", AssetReference("e", version="1")),
        ("e@latest", AssetReference("e", label="latest")),
        ("e", AssetReference("e")),
        ("azureml:AzureML-sklearn-1.5@latest", AssetReference("AzureML-sklearn-1.5", label="latest")),
        (f"{WS}/environments/e/versions/2", AssetReference("e", version="2", workspace=WS)),
        (f"{WS[1:]}/environments/e/versions/2", AssetReference("e", version="2", workspace=WS)),
        (f"azureml:{WS}/environments/e/labels/latest", AssetReference("e", label="latest", workspace=WS)),
        (
            f"azureml:{WS}/environments/environments/versions/1",
            AssetReference("environments", version="1", workspace=WS),
        ),
        (
            "azureml://registries/azureml/environments/sklearn-1.5/labels/latest",
            AssetReference("sklearn-1.5", label="latest", registry="azureml"),
        ),
        (
            "azureml://registries/azureml/environments/sklearn-1.5/versions/4",
            AssetReference("sklearn-1.5", version="4", registry="azureml"),
        ),
        ("azureml://locations/l/workspaces/guid/environments/e/versions/1", AssetReference("e", version="1")),
        (
            "azureml://subscriptions/s/resourcegroups/g/workspaces/w/environments/e/versions/1",
            AssetReference("e", version="1", workspace=WS),
        ),
        (
            f"{WS.replace('/g/', '/workspaces/')}/environments/e/versions/1",
            AssetReference("e", version="1", workspace=WS.replace("/g/", "/workspaces/")),
        ),
    ],
)
def test_every_way_to_name_an_asset(text: str, expected: AssetReference) -> None:
    assert asset(text, "environments") == expected
    assert is_asset(text) or "environments" in text


@pytest.mark.parametrize("text", ["azureml:", "a b:c:d", f"{WS}/models/m/versions/1", "azureml://datastores/d/paths/p"])
def test_what_names_no_environment_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        asset(text, "environments")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("azureml://registries/r/environments/e@latest", "e/labels/<label>"),
        ("azureml://registries/r/environments/e:1", "e/versions/<version>"),
        (f"{WS}/environments/e:1", "e/versions/<version>"),
    ],
)
def test_short_and_long_forms_do_not_mix(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        asset(text, "environments")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("azureml://datastores/d/paths/a/b.csv", DatastorePlace("d", "a/b.csv")),
        ("azureml://datastores/d/paths/", DatastorePlace("d", "")),
        ("azureml://datastores/d/paths/models/m/versions/1", DatastorePlace("d", "models/m/versions/1")),
        ("azureml://jobs/j/outputs/o/paths/data/d/versions/1", JobOutputPlace("j", "o", "data/d/versions/1")),
        (
            "azureml://subscriptions/s/resourcegroups/g/workspaces/w/datastores/d/paths/data/d/versions/1/",
            DatastorePlace("d", "data/d/versions/1/", WS),
        ),
        ("azureml://datastores/d/ExperimentRun/x", DatastorePlace("d", "ExperimentRun/x")),
        (
            "azureml://subscriptions/s/resourcegroups/g/workspaces/w/datastores/d/paths/a/",
            DatastorePlace("d", "a/", WS),
        ),
        (
            "azureml://subscriptions/s/resourcegroups/g/providers/Microsoft.MachineLearningServices"
            "/workspaces/w/datastores/d/paths/a",
            DatastorePlace("d", "a", WS),
        ),
        ("azureml://jobs/j/outputs/o/paths/a/b", JobOutputPlace("j", "o", "a/b")),
        ("azureml://jobs/j/outputs/artifacts/paths/model/", JobOutputPlace("j", "artifacts", "model/")),
        ("azureml://jobs/j/outputs/o", JobOutputPlace("j", "o", "")),
        ("runs:/r/model", JobOutputPlace("r", "artifacts", "model")),
        ("https://example.com/a.csv", WebPlace("https://example.com/a.csv")),
    ],
)
def test_every_way_to_name_a_place(text: str, expected: object) -> None:
    assert place(text) == expected
    assert not is_asset(text)


@pytest.mark.parametrize(
    ("text", "account", "container", "path"),
    [
        ("https://acct.blob.core.windows.net/c/a/b.csv", "acct", "c", "a/b.csv"),
        (
            "https://localhost:8443/storage/v1/acct/_.blob.core.windows.net/c/a",
            "localhost:8443/storage/v1/acct/_",
            "c",
            "a",
        ),
        ("https://localhost:8443/storage/v1/acct/c/a%20b", "localhost:8443/storage/v1/acct/_", "c", "a b"),
        ("wasbs://c@acct.blob.core.windows.net/a/b", "acct", "c", "a/b"),
        ("abfss://fs@acct.dfs.core.windows.net/a", "acct", "fs", "a"),
        (
            "https://localhost:8443/storage/v1/acct/_.blob.core.windows.net/c",
            "localhost:8443/storage/v1/acct/_",
            "c",
            "",
        ),
    ],
)
def test_blobs_by_their_address(text: str, account: str, container: str, path: str) -> None:
    assert place(text) == BlobPlace(account, container, path, text)


@pytest.mark.parametrize("text", ["ftp://x/y", "azureml://nothing/here", "runs:/", "not an address"])
def test_what_is_no_address_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(ValueError, match="azureml://datastores"):
        place(text)


def test_the_long_form_is_read_back() -> None:
    assert place(datastore_uri(WS, "d", "p/q")) == DatastorePlace("d", "p/q", WS)


def test_data_assets_in_the_long_form_are_assets() -> None:
    assert is_asset("azureml://subscriptions/s/resourcegroups/g/workspaces/w/data/d/versions/1")
    assert is_asset("azureml://locations/l/workspaces/g/data/azureml_j_output_data_o/versions/1")
    assert not is_asset("azureml://datastores/d/paths/data/x/versions/1.csv/more")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a/b", "a/b/", True),
        ("a", "a/b/c.txt", True),
        ("a/b/c.txt", "a", True),
        ("a/b", "a/bc", False),
        ("a/b", "a/${{name}}/c", True),
        ("x/b", "a/${{name}}/c", False),
    ],
)
def test_paths_that_lie_in_one_another(one: str, other: str, expected: bool) -> None:
    assert overlap(datastore_uri(WS, "d", one), f"azureml://datastores/d/paths/{other}") is expected
    assert not overlap(f"azureml://datastores/d/paths/{one}", f"azureml://datastores/e/paths/{other}")
    assert not overlap(f"https://example.com/{one}", f"https://example.com/{other}")
