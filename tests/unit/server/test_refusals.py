"""What a lower room refuses is a 4xx in the shape of the gateway that was asked, and never a failure."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.server.served import Served, serving

from lazulite.core import sas
from lazulite.core.arm_id import PROVIDER
from lazulite.server.compose import DEFAULT_WORKSPACE as WS

MLFLOW = f"/mlflow/rest{WS}/api/2.0"
ARTIFACTS = f"{MLFLOW}/mlflow-artifacts/artifacts"
HISTORY = f"/history/v1.0{WS}/experiments/Default/runs/r/artifacts"
NOWHERE = WS.replace("mlw-default", "nowhere")
REGISTRY = f"{WS.split('/providers/')[0]}/providers/{PROVIDER}/registries"
LONG, TOO_LONG = "x" * 256, "/".join(["y" * 200] * 6)
FAR = "9" * 5000


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as made:
        answer = await made.client.post(f"{MLFLOW}/mlflow/runs/create", json={"experiment_id": "0"})
        run = answer.json()["run"]["info"]["run_id"]
        made.client.headers["x-run"] = run
        assert (await made.client.put(f"{ARTIFACTS}/0/{run}/artifacts/a.txt", content=b"x")).status_code == 200
        yield made


def is_arm(answer: httpx.Response) -> None:
    error = answer.json()["error"]
    assert error["code"]
    assert error["message"]


def is_mlflow(answer: httpx.Response) -> None:
    assert answer.json()["error_code"]
    assert answer.json()["message"]


def is_blob(answer: httpx.Response) -> None:
    assert answer.headers["x-ms-error-code"]
    assert answer.request.method == "HEAD" or b"<Message>" in answer.content


NAMES = [(LONG, 400), (TOO_LONG, 400), ("a.txt/b", 409), ("a%00b", 400)]


@pytest.mark.parametrize(("name", "status"), NAMES)
async def test_mlflows_artifacts(served: Served, name: str, status: int) -> None:
    client, run = served.client, served.client.headers["x-run"]
    answer = await client.put(f"{ARTIFACTS}/0/{run}/artifacts/{name}", content=b"x")
    assert answer.status_code == status
    is_mlflow(answer)
    unheld = (400, 404)
    for answer in (
        await client.get(f"{ARTIFACTS}/0/{run}/artifacts/{name}"),
        await client.get(f"{MLFLOW.removesuffix('/api/2.0')}/get-artifact?run_uuid={run}&path={name}"),
    ):
        assert answer.status_code in unheld, answer.text
        is_mlflow(answer)
    assert (await client.delete(f"{ARTIFACTS}/0/{run}/artifacts/{name}")).status_code in (200, *unheld)
    for path in (
        f"{MLFLOW}/mlflow/artifacts/list?run_id={run}&path={name}",
        f"{ARTIFACTS}?path=0/{run}/artifacts/{name}",
    ):
        answer = await client.get(path)
        assert answer.status_code in (200, 400), answer.text
    answer = await client.get(f"{HISTORY.replace('/r/', f'/{run}/')}/contentinfo?path={name}")
    assert answer.status_code in unheld, answer.text
    is_arm(answer)


MLFLOW_CASES: list[tuple[str, str, Any]] = [
    ("GET", f"{ARTIFACTS.replace(WS, NOWHERE)}?path=0/r/artifacts", None),
    ("GET", f"{MLFLOW}/mlflow/experiments/get?experiment_id={FAR}", None),
    ("GET", f"{MLFLOW}/mlflow/experiments/get?experiment_id=%C2%B2", None),
    ("GET", f"{MLFLOW}/mlflow/registered-models/search?max_results=%C2%B2", None),
    ("GET", f"{MLFLOW}/mlflow/model-versions/get?name=m&version={FAR}", None),
    ("POST", f"{MLFLOW}/mlflow/runs/search", {"experiment_ids": ["0"], "max_results": 2**70}),
    ("POST", f"{MLFLOW}/mlflow/runs/search", {"filter": " and ".join(["metrics.m > 1"] * 60_000)}),
    ("POST", f"{MLFLOW}/mlflow/runs/create", {"experiment_id": "0", "start_time": -(2**63) - 1}),
]
BELOW_64_BITS = {"hash_sha256": -(2**63) - 1}
ARM_CASES: list[tuple[str, str, Any]] = [
    ("GET", f"{WS}/models?$top=%C2%B2", None),
    ("GET", f"{WS}/models?$top={FAR}", None),
    ("GET", f"{WS}/models?$top=-1", None),
    ("GET", f"{WS}/models?$skipToken=%C2%B2", None),
    ("GET", f"{WS}/models?$skipToken={FAR}", None),
    ("POST", f"{REGISTRY}/a%2Fb/import", {"properties": {}}),
    ("PUT", f"{WS}/codes/c/versions/1", {"properties": {"codeUri": "https://e.org/c", "properties": BELOW_64_BITS}}),
    ("PUT", f"{WS}/data/{LONG}/versions/1", {"properties": {"dataType": "uri_file", "dataUri": "https://e.org/c"}}),
    ("GET", f"/history/v1.0{WS}/experiments/Default/runs/r/children?$top=%C2%B2", None),
    ("GET", "/msi/token?resource=x&lifetime_s=%C2%B2", None),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body"), MLFLOW_CASES)
async def test_mlflow(served: Served, method: str, path: str, body: Any) -> None:
    answer = await served.client.request(method, path, json=body)
    assert 400 <= answer.status_code < 500, answer.text
    is_mlflow(answer)


@pytest.mark.parametrize(("method", "path", "body"), ARM_CASES)
async def test_arm(served: Served, method: str, path: str, body: Any) -> None:
    answer = await served.client.request(method, path, json=body)
    assert 400 <= answer.status_code < 500, answer.text
    is_arm(answer)


@pytest.mark.parametrize("value", ["!!!a", "Zg", "é", ""])
async def test_basic_credentials_that_are_none(served: Served, value: str) -> None:
    headers = {b"Authorization": b"Basic " + value.encode()}
    answer = await served.client.post("/adfs/oauth2/token", headers=headers, data={"grant_type": "client_credentials"})
    assert answer.status_code in (400, 401)


BLOB_CASES: list[tuple[str, str, dict[str, str]]] = [
    ("PUT", "a.txt?comp=lease", {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "²"}),
    ("PUT", "a.txt?comp=lease", {"x-ms-lease-action": "acquire", "x-ms-lease-duration": FAR}),
    ("PUT", "a.txt?comp=lease", {"x-ms-lease-action": "break", "x-ms-lease-break-period": "-1"}),
    ("PUT", LONG, {"x-ms-blob-type": "BlockBlob"}),
    ("PUT", TOO_LONG, {"x-ms-blob-type": "BlockBlob"}),
    ("PUT", "a.txt/b", {"x-ms-blob-type": "BlockBlob"}),
    ("PUT", "b", {"x-ms-copy-source": "http://localhost/storage/v1/a/c/x%00y"}),
    ("GET", "?restype=container&comp=list&maxresults=²", {}),
    ("GET", f"?restype=container&comp=list&maxresults={FAR}", {}),
    ("PUT", "b", {"x-ms-rename-source": "/azureml/a%00b"}),
    ("PUT", "b", {"x-ms-rename-source": f"/azureml/{LONG}"}),
]


@pytest.mark.parametrize(("method", "path", "headers"), BLOB_CASES)
async def test_blobs(served: Served, method: str, path: str, headers: dict[str, str]) -> None:
    url = await address(served, path, "dfs" if "x-ms-rename-source" in headers else "blob")
    encoded = {name: value.encode() for name, value in {"x-ms-version": "2023-01-03", **headers}.items()}
    answer = await served.client.request(method, url, headers=encoded, content=b"" if method == "PUT" else None)
    assert 400 <= answer.status_code < 500, answer.content
    is_blob(answer)


@pytest.mark.parametrize("depth", ["²", FAR, "-1"])
async def test_the_depth_of_a_signature(served: Served, depth: str) -> None:
    url = httpx.URL(await address(served, "a.txt")).copy_merge_params({"sr": "d", "sdd": depth})
    del served.client.headers["Authorization"]
    answer = await served.client.get(url)
    assert answer.status_code == 403
    is_blob(answer)


async def address(served: Served, path: str, service: str = "blob") -> str:
    """An address of the container of runs' files, which grants everything by itself."""
    account = (await served.client.get(WS)).json()["properties"]["storageAccount"]
    found = (await served.client.post(f"{account}/listKeys")).json()["keys"][0]["value"]
    name = account.rsplit("/", 1)[1]
    until = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    signature = sas.container_sas(name, found, "azureml", "racwdl", until)
    folder = f"ExperimentRun/dcid.{served.client.headers['x-run']}/"
    blob, _, query = path.replace("a.txt", f"{folder}a.txt").partition("?")
    lead = f"/storage/v1/{name}/_.{service}.core.windows.net/azureml"
    return f"{lead}/{blob}?{query + '&' if query else ''}{signature}" if blob else f"{lead}?{query}&{signature}"
