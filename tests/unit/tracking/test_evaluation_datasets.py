"""Evaluation datasets over MLflow's REST API."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from .conftest import Api


async def v3(api: Api, method: str, path: str, **sent: Any) -> Any:
    more = {"params": sent} if method == "GET" else {"json": sent}
    response = await api.call(method, path, api="api/3.0/mlflow/", **more)
    assert response.status_code == 200, response.text
    return response.json()


async def refused(api: Api, method: str, path: str, **sent: Any) -> tuple[int, str]:
    more = {"params": sent} if method == "GET" else {"json": sent}
    response = await api.call(method, path, api="api/3.0/mlflow/", **more)
    return response.status_code, response.json().get("error_code", "")


@pytest.fixture
async def dataset(api: Api) -> str:
    made = await v3(api, "POST", "datasets/create", name="qa", tags='{"mlflow.user": "ada"}', experiment_ids=["0"])
    return str(made["dataset"]["dataset_id"])


async def put(api: Api, dataset: str, *records: Any) -> tuple[int, int]:
    answer = await v3(api, "POST", f"datasets/{dataset}/records", records=json.dumps(records))
    return answer["inserted_count"], answer["updated_count"]


async def records_of(api: Api, dataset: str, **query: Any) -> list[Any]:
    found = json.loads((await v3(api, "GET", f"datasets/{dataset}/records", **query))["records"])
    assert isinstance(found, list)
    return found


async def test_a_dataset_is_made_read_and_deleted(api: Api, dataset: str) -> None:
    found = (await v3(api, "GET", f"datasets/{dataset}"))["dataset"]
    assert dataset.startswith("d-")
    assert (found["name"], found["created_by"], found["experiment_ids"]) == ("qa", "ada", ["0"])
    assert json.loads(found["tags"]) == {"mlflow.user": "ada"}
    assert "profile" not in found
    await v3(api, "DELETE", f"datasets/{dataset}")
    assert await refused(api, "GET", f"datasets/{dataset}") == (404, "RESOURCE_DOES_NOT_EXIST")
    assert await v3(api, "DELETE", f"datasets/{dataset}") == {}


async def test_records_of_equal_inputs_are_one(api: Api, dataset: str) -> None:
    first = {"inputs": {"q": "1", "k": 2}, "expectations": {"a": "x"}, "tags": {"mlflow.user": "ada"}}
    assert await put(api, dataset, first, {"inputs": {"q": "2"}, "outputs": "text"}) == (2, 0)
    again = {"inputs": {"k": 2, "q": "1"}, "expectations": {"b": 0.5}, "outputs": {"o": 1}, "tags": {"t": "v"}}
    assert await put(api, dataset, again) == (0, 1)
    found = {record["inputs"]["q"]: record for record in await records_of(api, dataset)}
    assert found["1"]["expectations"] == {"a": "x", "b": 0.5}
    assert (found["1"]["outputs"], found["1"]["tags"]) == ({"o": 1}, {"mlflow.user": "ada", "t": "v"})
    assert (found["1"]["created_by"], found["1"]["last_updated_by"]) == ("ada", "ada")
    assert found["2"]["outputs"] == "text"
    described = (await v3(api, "GET", f"datasets/{dataset}"))["dataset"]
    assert json.loads(described["profile"]) == {"num_records": 2}
    schema = json.loads(described["schema"])
    assert schema["inputs"] == {"q": "string", "k": "integer"}
    assert schema["expectations"] == {"a": "string", "b": "float"}


async def test_equal_inputs_within_one_request_are_one(api: Api, dataset: str) -> None:
    assert await put(api, dataset, {"inputs": {"q": 1}}, {"inputs": {"q": 1}, "outputs": 2}) == (1, 1)
    assert [record["outputs"] for record in await records_of(api, dataset)] == [2]


async def test_records_come_in_pages_and_go(api: Api, dataset: str) -> None:
    await put(api, dataset, *({"inputs": {"n": n}} for n in range(5)))
    page, seen, token = 0, [], {}
    while page == 0 or token:
        answer = await v3(api, "GET", f"datasets/{dataset}/records", max_results=2, **token)
        seen += json.loads(answer["records"])
        token = {"page_token": answer["next_page_token"]} if "next_page_token" in answer else {}
        page += 1
    assert (page, sorted(record["inputs"]["n"] for record in seen)) == (3, [0, 1, 2, 3, 4])
    ids = [record["dataset_record_id"] for record in seen]
    assert (await v3(api, "DELETE", f"datasets/{dataset}/records", dataset_record_ids=ids[:2])) == {"deleted_count": 2}
    assert [record["dataset_record_id"] for record in await records_of(api, dataset)] == ids[2:]
    assert await refused(api, "GET", f"datasets/{dataset}/records", page_token="%%") == (
        400,
        "INVALID_PARAMETER_VALUE",
    )
    latin = base64.b64encode(b"\xff:1").decode()
    assert (await refused(api, "GET", f"datasets/{dataset}/records", page_token=latin))[0] == 400


async def test_where_a_record_came_from(api: Api, dataset: str) -> None:
    source = {"source_type": "trace", "source_data": {"trace_id": "tr-1"}}
    await put(api, dataset, {"inputs": {"q": 1}, "source": source})
    (record,) = await records_of(api, dataset)
    assert (record["source_type"], record["source_id"]) == ("TRACE", "tr-1")
    assert record["source"] == {"source_type": "TRACE", "source_data": {"trace_id": "tr-1"}}
    bad = json.dumps([{"inputs": {}, "source": {"source_type": "guess"}}])
    assert await refused(api, "POST", f"datasets/{dataset}/records", records=bad) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("records", ["", "{", "{}", "[1]", '[{"inputs": 1}]', '[{"tags": "x"}]', "[" * 100_000])
async def test_records_that_are_none(api: Api, dataset: str, records: str) -> None:
    answer = await refused(api, "POST", f"datasets/{dataset}/records", records=records)
    assert answer == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name = 'qa'", {"qa"}),
        ("name LIKE 'q%'", {"qa", "qb"}),
        ("name IN ('qb', 'c')", {"qb", "c"}),
        ("tags.kind = 'golden'", {"qb"}),
        ("created_by = 'ada'", {"qa"}),
        ("created_time > 0 AND name != 'c'", {"qa", "qb"}),
        ("last_update_time < 5", set()),
    ],
)
async def test_search(api: Api, dataset: str, text: str, found: set[str]) -> None:
    await v3(api, "POST", "datasets/create", name="qb", tags='{"kind": "golden"}')
    await v3(api, "POST", "datasets/create", name="c")
    answer = await v3(api, "POST", "datasets/search", filter_string=text, order_by=["name"])
    assert [one["name"] for one in answer["datasets"]] == sorted(found)


async def test_search_by_experiment_and_in_pages(api: Api, dataset: str) -> None:
    other = (await api.post("experiments/create", name="other"))["experiment_id"]
    for name in ("b", "c"):
        await v3(api, "POST", "datasets/create", name=name, experiment_ids=[other])
    assert [d["name"] for d in (await v3(api, "GET", "datasets/search", experiment_ids="0"))["datasets"]] == ["qa"]
    first = await v3(api, "POST", "datasets/search", max_results=2)
    second = await v3(api, "POST", "datasets/search", max_results=2, page_token=first["next_page_token"])
    assert [d["name"] for d in first["datasets"] + second["datasets"]] == ["c", "b", "qa"]
    assert "next_page_token" not in second


@pytest.mark.parametrize(
    "sent",
    [
        {"filter_string": "digest = 'x'"},
        {"filter_string": "params.a = 'x'"},
        {"filter_string": "name > 'x'"},
        {"order_by": ["created_by"]},
        {"order_by": ["tags.x"]},
        {"max_results": -1},
        {"max_results": 50_001},
    ],
)
async def test_searches_that_are_refused(api: Api, sent: Any) -> None:
    assert await refused(api, "POST", "datasets/search", **sent) == (400, "INVALID_PARAMETER_VALUE")


async def test_tags(api: Api, dataset: str) -> None:
    await v3(api, "PATCH", f"datasets/{dataset}/tags", tags='{"a": "1", "b": 2, "c": null}')
    await v3(api, "DELETE", f"datasets/{dataset}/tags/a")
    await v3(api, "DELETE", f"datasets/{dataset}/tags/never")
    found = (await v3(api, "GET", f"datasets/{dataset}"))["dataset"]
    assert json.loads(found["tags"]) == {"mlflow.user": "ada", "b": "2"}
    assert await refused(api, "PATCH", "datasets/d-no/tags", tags="{}") == (404, "RESOURCE_DOES_NOT_EXIST")
    assert await refused(api, "PATCH", f"datasets/{dataset}/tags") == (400, "INVALID_PARAMETER_VALUE")


async def test_experiments_come_and_go(api: Api, dataset: str) -> None:
    other = (await api.post("experiments/create", name="other"))["experiment_id"]
    added = await v3(api, "POST", f"datasets/{dataset}/add-experiments", experiment_ids=[other, "0"])
    assert set(added["dataset"]["experiment_ids"]) == {"0", other}
    await v3(api, "POST", f"datasets/{dataset}/remove-experiments", experiment_ids=["0", "77"])
    assert (await v3(api, "GET", f"datasets/{dataset}/experiment-ids")) == {"experiment_ids": [other]}
    path = f"datasets/{dataset}/add-experiments"
    assert await refused(api, "POST", path, experiment_ids=["987654"]) == (404, "RESOURCE_DOES_NOT_EXIST")


async def test_a_job_adds_and_does_not_delete(api: Api, dataset: str) -> None:
    job = api.as_job(await api.a_run())
    assert await put(job, dataset, {"inputs": {"q": 1}}) == (1, 0)
    assert (await refused(job, "DELETE", f"datasets/{dataset}"))[0] == 403
    assert (await refused(job, "DELETE", f"datasets/{dataset}/records", dataset_record_ids=["x"]))[0] == 403


async def test_datasets_are_of_one_workspace(api: Api, dataset: str) -> None:
    other = Api(api.http, workspace=api.workspace.replace("/ws", "/other"))
    assert await refused(other, "GET", f"datasets/{dataset}") == (404, "RESOURCE_DOES_NOT_EXIST")
    assert (await v3(other, "POST", "datasets/search"))["datasets"] == []
