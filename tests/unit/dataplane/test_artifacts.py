"""Artifact addresses, as the azureml-mlflow plugin asks for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.tracking.conftest import WS, Harness, MemoryArtifacts

from lazulite.core.arm_id import PROVIDER
from lazulite.dataplane import artifacts as artifact_addresses
from lazulite.server.accounts import StorageAccounts
from lazulite.storage import FolderStore
from lazulite.storage.accounts import StorageAccount
from lazulite.store import resources, runs
from lazulite.store.database import Database
from lazulite.vault.sealed import SealedSecrets

RUN = f"/history/v1.0{WS}/experiments/e/runs/train/artifacts"


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    database, files = Database(f"sqlite:///{tmp_path}/t.db"), MemoryArtifacts()
    accounts = StorageAccounts(database, SealedSecrets(b"0" * 32), FolderStore(tmp_path / "storage"), "localhost:1")
    accounts._accounts["acct"] = StorageAccount("acct", ("", ""))
    await accounts.ensure("acct", ["azureml"], [])
    for folder in ("LocalUpload/taken", "LoggedModels/m-1"):
        (tmp_path / "storage/acct/azureml" / folder).mkdir(parents=True)
        (tmp_path / "storage/acct/azureml" / folder / "a").write_text("1")
    properties = {"datastoreType": "AzureBlob", "accountName": "acct", "containerName": "azureml"}
    store = resources.new(
        f"{WS}/datastores/workspaceartifactstore", f"{PROVIDER}/workspaces/datastores", {"properties": properties}
    )
    await database.write(lambda c: resources.insert(c, store, by="ada"))
    for name in ("train", "other"):
        await database.write(lambda c, name=name: runs.create(c, WS, name, name=name, user="ada"))
    for name in ("model/MLmodel", "model/code/a.py", "x.txt"):
        files.files[WS.lower(), "workspaceartifactstore", f"ExperimentRun/dcid.train/{name}"] = b"1"
    harness = Harness(artifact_addresses.routes(database, files, accounts))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(harness), base_url="http://test") as client:
        yield client
    database.close()


async def paths(http: httpx.AsyncClient, url: str, **query: str) -> list[str]:
    return [item["path"] for item in (await http.get(url, params=query)).json()["value"]]


async def test_a_runs_files_are_listed(http: httpx.AsyncClient) -> None:
    assert await paths(http, RUN) == ["model/MLmodel", "model/code/a.py", "x.txt"]
    assert await paths(http, f"{RUN}/path", path="model/code") == ["model/code/a.py"]
    by_id = RUN.replace("/experiments/e/", "/experimentids/0/")
    assert await paths(http, f"{by_id}/prefix/contentinfo", path="model") == ["model/MLmodel", "model/code/a.py"]
    service = f"/artifact/v2.0{WS}/artifacts/ExperimentRun/dcid.train"
    assert await paths(http, service) == await paths(http, RUN)


async def test_a_file_is_read_from_an_address_of_its_own(http: httpx.AsyncClient) -> None:
    found = (await http.get(f"{RUN}/contentinfo", params={"path": "x.txt"})).json()
    assert found["contentUri"] == "https://localhost/blob/ExperimentRun/dcid.train/x.txt?sp=r"
    assert (await http.get(f"{RUN}/artifacturi", params={"path": "x.txt"})).json() == found["contentUri"]
    for missing in ("nope.txt", "model"):
        assert (await http.get(f"{RUN}/contentinfo", params={"path": missing})).status_code == 404


async def test_new_files_get_addresses_to_write_to(http: httpx.AsyncClient) -> None:
    body: dict[str, Any] = {"paths": [{"path": "new/a.txt"}, {"path": "b"}]}
    found = (await http.post(f"{RUN}/batch/metadata", json=body)).json()
    assert found["artifacts"]["b"]["artifactId"] == "ExperimentRun/dcid.train/b"
    address = found["artifactContentInformation"]["new/a.txt"]["contentUri"]
    assert address.endswith("ExperimentRun/dcid.train/new/a.txt?sp=rcw")
    upload = f"/artifact/v2.0{WS}/artifacts/LocalUpload/u1/batch/metadata"
    found = (await http.post(upload, json=body)).json()
    assert found["artifacts"]["b"]["artifactId"] == "LocalUpload/u1/b"


async def test_a_jobs_token_gets_no_address_in_another_run(http: httpx.AsyncClient) -> None:
    body, job = {"paths": [{"path": "a"}]}, {"Authorization": "Bearer job:train"}
    assert (await http.post(f"{RUN}/batch/metadata", json=body, headers=job)).status_code == 200
    other = RUN.replace("/train/", "/other/")
    assert (await http.post(f"{other}/batch/metadata", json=body, headers=job)).status_code == 403


@pytest.mark.parametrize(
    ("folder", "status"), [("LocalUpload/taken", 403), ("LocalUpload/new", 200), ("LoggedModels/m-1", 403)]
)
async def test_a_jobs_token_gets_addresses_in_uploads_of_its_own_alone(
    http: httpx.AsyncClient, folder: str, status: int
) -> None:
    body, url = {"paths": [{"path": "a"}]}, f"/artifact/v2.0{WS}/artifacts/{folder}/batch/metadata"
    for _ in range(2):
        answer = await http.post(url, json=body, headers={"Authorization": "Bearer job:train"})
        assert answer.status_code == status, answer.text
    if status == 200:
        answer = await http.post(url, json=body, headers={"Authorization": "Bearer job:other"})
        assert answer.status_code == 403
    assert (await http.post(url, json=body)).status_code == 200


@pytest.mark.parametrize("path", ["../x", "a/../../x", "", "a\\..\\b"])
async def test_paths_do_not_climb(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.post(f"{RUN}/batch/metadata", json={"paths": [{"path": path}]})).status_code == 400


async def test_unknown_runs_and_origins_are_not_found(http: httpx.AsyncClient) -> None:
    assert (await http.get(RUN.replace("/train/", "/nope/"))).status_code == 404
    assert (await http.get(f"/artifact/v2.0{WS}/artifacts/Secrets/x")).status_code == 404
