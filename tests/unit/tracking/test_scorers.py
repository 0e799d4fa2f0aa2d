"""Scorers over MLflow's REST API."""

from __future__ import annotations

import json

import pytest

from .conftest import Api
from .test_evaluation_datasets import refused, v3

JUDGE = json.dumps({"name": "polite", "instructions": "Is {{ outputs }} polite?", "model": "openai:/gpt-4o"})


async def register(api: Api, name: str = "polite", experiment_id: str = "0", text: str = JUDGE) -> int:
    sent = {"experiment_id": experiment_id, "name": name, "serialized_scorer": text}
    return int((await v3(api, "POST", "scorers/register", **sent))["version"])


async def test_versions_count_up(api: Api) -> None:
    assert [await register(api, text=f'{{"n": {n}}}') for n in range(3)] == [1, 2, 3]
    newest = (await v3(api, "GET", "scorers/get", experiment_id="0", name="polite"))["scorer"]
    assert (newest["scorer_version"], newest["serialized_scorer"], newest["experiment_id"]) == (3, '{"n": 2}', 0)
    second = (await v3(api, "GET", "scorers/get", experiment_id="0", name="polite", version=2))["scorer"]
    assert (second["scorer_version"], second["scorer_id"]) == (2, newest["scorer_id"])
    found = (await v3(api, "GET", "scorers/versions", experiment_id="0", name="polite"))["scorers"]
    assert [one["scorer_version"] for one in found] == [1, 2, 3]


async def test_lists_are_of_the_newest(api: Api) -> None:
    other = (await api.post("experiments/create", name="other"))["experiment_id"]
    for name, experiment in (("b", "0"), ("a", "0"), ("a", "0"), ("c", other)):
        await register(api, name, experiment)

    async def listed(**query: str) -> list[tuple[str, int]]:
        found = (await v3(api, "GET", "scorers/list", **query))["scorers"]
        return [(one["scorer_name"], one["scorer_version"]) for one in found]

    assert await listed(experiment_id="0") == [("a", 2), ("b", 1)]
    assert await listed() == [("a", 2), ("b", 1), ("c", 1)]
    assert await listed(experiment_ids=other) == [("c", 1)]
    await api.post("experiments/delete", experiment_id=other)
    assert await listed() == [("a", 2), ("b", 1)]
    assert await refused(api, "GET", "scorers/list", experiment_id="0", experiment_ids="0") == (
        400,
        "INVALID_PARAMETER_VALUE",
    )


async def test_one_version_goes_or_all(api: Api) -> None:
    for _ in range(3):
        await register(api)
    await v3(api, "DELETE", "scorers/delete", experiment_id="0", name="polite", version=3)
    assert (await v3(api, "GET", "scorers/get", experiment_id="0", name="polite"))["scorer"]["scorer_version"] == 2
    missing = (404, "RESOURCE_DOES_NOT_EXIST")
    assert await refused(api, "DELETE", "scorers/delete", experiment_id="0", name="polite", version=3) == missing
    await v3(api, "DELETE", "scorers/delete", experiment_id="0", name="polite")
    for path in ("scorers/get", "scorers/versions"):
        assert await refused(api, "GET", path, experiment_id="0", name="polite") == missing
    assert (await refused(api.as_job(await api.a_run()), "DELETE", "scorers/delete", experiment_id="0", name="x"))[
        0
    ] == 403


@pytest.mark.parametrize(
    ("name", "text"), [(" ", JUDGE), ("x", "{"), ("x", '{"scorers": [{"call_source": "import os"}]}'), ("", JUDGE)]
)
async def test_what_is_refused(api: Api, name: str, text: str) -> None:
    answer = await refused(api, "POST", "scorers/register", experiment_id="0", name=name, serialized_scorer=text)
    assert answer == (400, "INVALID_PARAMETER_VALUE")


async def test_an_experiment_must_be_there(api: Api) -> None:
    sent = {"name": "x", "serialized_scorer": JUDGE}
    assert (await refused(api, "POST", "scorers/register", experiment_id="4242", **sent))[0] == 404
    gone = (await api.post("experiments/create", name="gone"))["experiment_id"]
    await api.post("experiments/delete", experiment_id=gone)
    assert (await refused(api, "POST", "scorers/register", experiment_id=gone, **sent))[0] == 400


async def test_the_server_runs_none(api: Api) -> None:
    assert await v3(api, "GET", "scorers/online-configs", scorer_ids="x") == {"configs": []}
    sent = {"experiment_id": "0", "name": "polite", "sample_rate": 1}
    assert await refused(api, "PUT", "scorers/online-config", **sent) == (501, "NOT_IMPLEMENTED")
