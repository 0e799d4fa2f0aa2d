"""Artifacts through the proxy."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

PROXY = "api/2.0/mlflow-artifacts/"


async def put(api: Any, path: str, data: bytes = b"x") -> int:
    return int((await api.call("PUT", f"artifacts/{path}", api=PROXY, content=data)).status_code)


async def test_a_runs_files_lie_in_its_folder(api: Any, artifacts: Any) -> None:
    run_id = await api.a_run()
    assert await put(api, f"0/{run_id}/artifacts/model/MLmodel", b"flavors") == 200
    assert await put(api, f"0/{run_id}/artifacts/a%20b.txt", b"text") == 200
    names = {name for _, store, name in artifacts.files if store == "workspaceartifactstore"}
    assert names == {f"ExperimentRun/dcid.{run_id}/model/MLmodel", f"ExperimentRun/dcid.{run_id}/a b.txt"}
    top = await api.get("artifacts/list", run_id=run_id)
    assert top["files"] == [
        {"path": "a b.txt", "is_dir": False, "file_size": 4},
        {"path": "model", "is_dir": True},
    ]
    below = await api.get("artifacts/list", run_id=run_id, path="model")
    assert below["files"] == [{"path": "model/MLmodel", "is_dir": False, "file_size": 7}]
    got = await api.call("GET", f"artifacts/0/{run_id}/artifacts/model/MLmodel", api=PROXY)
    assert (got.content, got.headers["content-length"]) == (b"flavors", "7")
    page = await api.call("GET", "get-artifact", api="", params={"run_uuid": run_id, "path": "a b.txt"})
    assert page.content == b"text"


async def test_deleting_a_folder_takes_all_below(api: Any, artifacts: Any) -> None:
    run_id = await api.a_run()
    for name in ("m/a", "m/b/c", "other"):
        await put(api, f"0/{run_id}/artifacts/{name}")
    response = await api.call("DELETE", f"artifacts/0/{run_id}/artifacts/m", api=PROXY)
    assert response.status_code == 200
    assert {name.rsplit("/", 1)[1] for *_, name in artifacts.files} == {"other"}


async def test_a_file_that_is_not_there_is_not_found(api: Any) -> None:
    run_id = await api.a_run()
    response = await api.call("GET", f"artifacts/0/{run_id}/artifacts/nope", api=PROXY)
    assert (response.status_code, response.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert await put(api, "0/unknown/artifacts/x") == 404


@pytest.mark.parametrize("path", ["..%2F..%2Fx", "a/..%2f..%2f..%2fx", "a//b", "a/%2e%2e/x", "a%5C..%5Cb", "%00"])
async def test_paths_do_not_climb(api: Any, artifacts: Any, path: str) -> None:
    run_id = await api.a_run()
    assert await put(api, f"0/{run_id}/artifacts/{path}") == 400
    assert not artifacts.files


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("/etc/x", "Invalid path '/etc/x': it must not begin at a root."),
        ("\\\\host\\x", "it must not begin at a root"),
        ("C:\\x", "it must not begin at a root"),
        ("a//b", "Invalid path 'a//b': no name in it may be empty."),
        ("a\\..\\b", "no name in it may be '.' or '..'"),
        ("./a", "no name in it may be '.' or '..'"),
        ("a\0b", "it must not hold a NUL character"),
    ],
)
async def test_a_refused_path_is_named_with_the_rule(api: Any, path: str, rule: str) -> None:
    run_id = await api.a_run()
    status, code, message = await api.refused("GET", "artifacts/list", run_id=run_id, path=path)
    assert (status, code, rule in message) == (400, "INVALID_PARAMETER_VALUE", True), message


async def test_a_backslash_is_a_letter_of_a_name(api: Any) -> None:
    run_id = await api.a_run()
    assert await put(api, f"0/{run_id}/artifacts/a%5Cb.txt", b"text") == 200
    files = (await api.get("artifacts/list", run_id=run_id))["files"]
    assert files == [{"path": "a\\b.txt", "is_dir": False, "file_size": 4}]
    got = await api.call("GET", f"artifacts/0/{run_id}/artifacts/a%5Cb.txt", api=PROXY)
    assert got.content == b"text"


async def test_a_job_writes_only_its_own_files(api: Any) -> None:
    own, other = await api.a_run(), await api.a_run()
    job = api.as_job(own)
    assert await put(job, f"0/{own}/artifacts/x") == 200
    assert await put(job, f"0/{other}/artifacts/x") == 403
    assert await put(job, "anywhere/else") == 403


async def test_a_file_is_put_in_parts(api: Any, artifacts: Any) -> None:
    run_id = await api.a_run()
    path, mpu = f"0/{run_id}/artifacts/big", "api/2.0/mlflow-artifacts/mpu/"
    made = (await api.call("POST", f"create/{path}", api=mpu, json={"path": "/tmp/f.bin", "num_parts": 2})).json()
    blocks = []
    for credential in made["credentials"]:
        query = parse_qs(urlsplit(credential["url"]).query)
        assert query["comp"] == ["block"]
        blocks += query["blockid"]
    parts = [{"part_number": n, "etag": "e", "url": ""} for n in (2, 1)]
    body = {"path": "/tmp/f.bin", "upload_id": made["upload_id"], "parts": parts}
    assert (await api.call("POST", f"complete/{path}", api=mpu, json=body)).status_code == 400
    artifacts.blocks = dict(zip(blocks, (b"one ", b"two"), strict=True))
    assert (await api.call("POST", f"complete/{path}", api=mpu, json=body)).status_code == 200
    assert (await api.call("GET", path + "/f.bin", api="api/2.0/mlflow-artifacts/artifacts/")).content == b"one two"
    at = await api.call("GET", path + "/f.bin", api="api/2.0/mlflow-artifacts/presigned/")
    assert (at.json()["file_size"], "sp=r" in at.json()["url"]) == (7, True)


@pytest.mark.parametrize("body", [{"num_parts": 0}, {"num_parts": 50_001}, {}, {"num_parts": "x"}])
async def test_uploads_of_no_or_too_many_parts_are_refused(api: Any, body: dict[str, Any]) -> None:
    path = f"create/0/{await api.a_run()}/artifacts"
    sent = {"path": "f", **body}
    assert (await api.call("POST", path, api="api/2.0/mlflow-artifacts/mpu/", json=sent)).status_code == 400


async def test_addresses_of_single_files(api: Any) -> None:
    run_id = await api.a_run()
    at = await api.post("artifacts/presigned-upload-url", run_id=run_id, path="a/b.txt")
    assert f"dcid.{run_id}/a/b.txt" in at["presigned_url"]
    missing = await api.refused("POST", "artifacts/presigned-download-url", run_id=run_id, path="a/b.txt")
    assert missing[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    other = await api.as_job(await api.a_run()).refused(
        "POST", "artifacts/presigned-upload-url", run_id=run_id, path="a"
    )
    assert other[:2] == (403, "PERMISSION_DENIED")
    assert (await api.refused("POST", "artifacts/presigned-upload-url", run_id=run_id, path="../x"))[0] == 400


async def test_the_pages_send_and_fetch_small_files(api: Any) -> None:
    run_id = await api.a_run()
    sent = await api.call("POST", "upload-artifact", params={"run_uuid": run_id, "path": "a/b.txt"}, content=b"hello")
    assert sent.status_code == 200
    fetched = await api.call("GET", "get-artifact", api="", params={"run_uuid": run_id, "path": "a/b.txt"})
    assert fetched.content == b"hello"
    await api.post("registered-models/create", name="m")
    source = f"mlflow-artifacts:/0/{run_id}/artifacts/a"
    await api.post("model-versions/create", name="m", source=source, run_id=run_id)
    query = {"name": "m", "version": "1", "path": "b.txt"}
    fetched = await api.call("GET", "model-versions/get-artifact", api="", params=query)
    assert fetched.content == b"hello"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({}, "Request must specify run_uuid."),
        ({"run_uuid": "$run"}, "Request must specify path."),
        ({"run_uuid": "$run", "path": "../x"}, "Invalid path '../x': no name in it may be '.' or '..'."),
        ({"run_uuid": "$run", "path": "x"}, "Request must specify data."),
    ],
)
async def test_uploads_that_say_too_little_are_refused(api: Any, query: dict[str, str], said: str) -> None:
    run_id = await api.a_run()
    response = await api.call(
        "POST", "upload-artifact", params={k: run_id if v == "$run" else v for k, v in query.items()}
    )
    assert (response.status_code, response.json()["message"]) == (400, said)


async def test_a_job_writes_to_logged_models_of_its_own_runs_alone(api: Any) -> None:
    job = api.as_job(await api.a_run())
    stranger = (await api.post("logged-models", experiment_id="0"))["model"]["info"]["model_id"]
    assert await put(job, f"0/models/{stranger}/artifacts/a") == 403
    assert await put(api, f"0/models/{stranger}/artifacts/a") == 200
    own = (await job.post("logged-models", experiment_id="0"))["model"]["info"]
    assert own["source_run_id"] == job.token.removeprefix("job:")
    assert await put(job, f"0/models/{own['model_id']}/artifacts/a") == 200
