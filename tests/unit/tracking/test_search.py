"""Searching runs, experiments and logged models."""

from __future__ import annotations

import time
from typing import Any

import pytest


async def found(api: Any, filter: str = "", *, order_by: list[str] | None = None, **more: Any) -> list[str]:
    body = {"experiment_ids": ["0"], "filter": filter, "order_by": order_by or [], **more}
    return [run["info"]["run_name"] for run in (await api.post("runs/search", **body))["runs"]]


@pytest.fixture
async def three(api: Any) -> None:
    """Runs one, two and three; `one` is the oldest and has no metric `late`."""
    for number, name in enumerate(("one", "two", "three"), 1):
        tags = [{"key": "kind", "value": "LR" if number < 3 else "lr"}, {"key": "n o", "value": str(number)}]
        if number == 3:
            tags.append({"key": "mlflow.parentRunId", "value": "p"})
        made = await api.post("runs/create", experiment_id="0", run_name=name, start_time=number * 100, tags=tags)
        run_id = made["run"]["info"]["run_id"]
        metrics = [{"key": "auc", "value": number / 10, "timestamp": 1}]
        if number > 1:
            metrics.append({"key": "val/late", "value": "NaN" if number == 2 else 5, "timestamp": 1})
        params = [{"key": "Regularization rate", "value": f"0.{number}"}]
        await api.post("runs/log-batch", run_id=run_id, metrics=metrics, params=params)
        context = [{"key": "mlflow.data.context", "value": "train" if number == 1 else "eval"}]
        dataset = {"name": f"d{number}", "digest": "x", "source_type": "s", "source": "s"}
        await api.post("runs/log-inputs", run_id=run_id, datasets=[{"dataset": dataset, "tags": context}])


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("filter", "names"),
    [
        ("", ["three", "two", "one"]),
        ("metrics.auc > 0.15", ["three", "two"]),
        ("metrics.auc > 0.15 and tags.kind = 'LR'", ["two"]),
        ("metrics.auc >= .1 AND metrics.auc <= 2e-1", ["two", "one"]),
        ("metric.`val/late` > 1", ["three"]),
        ('metrics."val/late" != 7', ["three"]),
        ("params.`Regularization rate` = '0.2'", ["two"]),
        ('params."Regularization rate" != "0.2"', ["three", "one"]),
        ("tags.kind LIKE 'L%'", ["two", "one"]),
        ("tags.kind ILIKE 'l_'", ["three", "two", "one"]),
        ("tags.`n o` = '3'", ["three"]),
        ("tags.nothing IS NULL", ["three", "two", "one"]),
        ("tags.kind is not null", ["three", "two", "one"]),
        ("tags.mlflow.parentRunId = 'p'", ["three"]),
        ("tags.`mlflow.runName` = 'one'", ["one"]),
        ("attributes.run_name IN ('one', 'two')", ["two", "one"]),
        ("run_name not in ('one')", ["three", "two"]),
        ("attributes.start_time >= 200 and status = 'RUNNING'", ["three", "two"]),
        ("attribute.`Run name` = 'one'", ["one"]),
        ("created < 150", ["one"]),
        ("dataset.name = 'd2'", ["two"]),
        ("datasets.context = 'train'", ["one"]),
        ("user_id = 'nobody'", []),
    ],
)
async def test_the_grammar(api: Any, filter: str, names: list[str]) -> None:
    assert await found(api, filter) == names


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("order_by", "names"),
    [
        ("metrics.auc ASC", ["one", "two", "three"]),
        ("metrics.auc DESC", ["three", "two", "one"]),
        ("metrics.`val/late`", ["three", "two", "one"]),  # numbers, then NaN, then those without
        ("params.`Regularization rate` desc", ["three", "two", "one"]),
        ("start_time", ["one", "two", "three"]),
        ("attributes.run_name ASC", ["one", "three", "two"]),
    ],
)
async def test_the_order(api: Any, order_by: str, names: list[str]) -> None:
    assert await found(api, order_by=[order_by]) == names


@pytest.mark.usefixtures("three")
async def test_pages_go_on_where_the_last_ended(api: Any) -> None:
    first = await api.post("runs/search", experiment_ids=["0"], max_results=2)
    rest = await found(api, page_token=first["next_page_token"])
    assert [r["info"]["run_name"] for r in first["runs"]] == ["three", "two"]
    assert rest == ["one"]


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize("text", ["", "metrics.a > 2", "metrics.b > 2", "params.p = 'x'"])
async def test_pages_by_a_metric_are_what_one_long_page_is(api: Any, direction: str, text: str) -> None:
    for n in range(23):
        made = await api.post("runs/create", experiment_id="0", start_time=n % 5)
        run_id = made["run"]["info"]["run_id"]
        metrics = [] if n % 4 == 0 else [("a", "NaN" if n % 6 == 1 else n % 7), ("b", n % 5)][: 1 + n % 2]
        logged = [{"key": key, "value": value, "timestamp": 1, "step": 0} for key, value in metrics]
        await api.post("runs/log-batch", run_id=run_id, metrics=logged, params=[{"key": "p", "value": "xy"[n % 2]}])
    wanted = {"experiment_ids": ["0"], "order_by": [f"metrics.a {direction}"], "filter": text}
    whole = (await api.post("runs/search", **wanted))["runs"]
    values = [value for run in whole for value in [{m["key"]: m["value"] for m in run["data"]["metrics"]}.get("a")]]
    numbers = [value for value in values if isinstance(value, int | float)]
    assert numbers == sorted(numbers, reverse=direction == "DESC")
    assert values == numbers + ["NaN"] * values.count("NaN") + [None] * values.count(None)
    pages, token = [], None
    while page := await api.post("runs/search", **wanted, max_results=4, **({"page_token": token} if token else {})):
        pages += page["runs"]
        if (token := page.get("next_page_token")) is None:
            break
    assert [run["info"]["run_id"] for run in pages] == [run["info"]["run_id"] for run in whole]


@pytest.mark.parametrize(
    "body",
    [
        {"filter": "metrics.auc > '1'"},
        {"filter": "metrics.auc LIKE 1"},
        {"filter": "tags.a = 1"},
        {"filter": "tags.a = 'x' or tags.a = 'y'"},
        {"filter": "tags.a"},
        {"filter": "nonsense.a = 'x'"},
        {"filter": "attributes.nonsense = 'x'"},
        {"filter": "start_time = 'x'"},
        {"filter": "dataset.nonsense = 'x'"},
        {"filter": "status = 'a'; drop table runs"},
        {"order_by": ["nonsense.a"]},
        {"order_by": ["metrics.a upwards"]},
        {"max_results": 50001},
        {"max_results": 0},
        {"page_token": "nonsense"},
        {"run_view_type": "SOME"},
        {"experiment_ids": "0"},
        {"experiment_ids": [0]},
    ],
)
async def test_bad_searches_are_refused(api: Any, body: dict[str, Any]) -> None:
    status, code, _ = await api.refused("POST", "runs/search", **{"experiment_ids": ["0"], **body})
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.usefixtures("three")
async def test_deleted_runs_are_seen_by_those_who_ask_for_them(api: Any) -> None:
    everything = (await api.post("runs/search", experiment_ids=["0"]))["runs"]
    await api.post("runs/delete", run_id=everything[0]["info"]["run_id"])
    assert await found(api) == ["two", "one"]
    assert await found(api, run_view_type="DELETED_ONLY") == ["three"]
    assert await found(api, run_view_type="ALL") == ["three", "two", "one"]


async def test_runs_of_no_experiment_are_none(api: Any) -> None:
    await api.a_run()
    assert (await api.post("runs/search", experiment_ids=[]))["runs"] == []
    assert (await api.post("runs/search", experiment_ids=["999"]))["runs"] == []


async def test_experiments_are_found_by_name_and_tag(api: Any) -> None:
    for name in ("diabetes-training", "Diabetes-other"):
        await api.post("experiments/create", name=name, tags=[{"key": "team", "value": name[0]}])

    async def names(**body: Any) -> list[str]:
        return [e["name"] for e in (await api.post("experiments/search", max_results=100, **body))["experiments"]]

    assert await names() == ["Diabetes-other", "diabetes-training", "Default"]
    assert await names(filter="name LIKE 'diabetes%'") == ["diabetes-training"]
    assert await names(filter="tags.team = 'D'") == ["Diabetes-other"]
    assert await names(order_by=["name ASC"]) == ["Default", "Diabetes-other", "diabetes-training"]


async def test_an_experiment_lives_and_is_deleted(api: Any) -> None:
    made = (await api.post("experiments/create", name="e"))["experiment_id"]
    assert (await api.refused("POST", "experiments/create", name="e"))[1] == "RESOURCE_ALREADY_EXISTS"
    await api.post("experiments/update", experiment_id=made, new_name="f")
    await api.post("experiments/set-experiment-tag", experiment_id=made, key="a", value="b")
    got = (await api.get("experiments/get-by-name", experiment_name="f"))["experiment"]
    assert (got["experiment_id"], got["tags"]) == (made, [{"key": "a", "value": "b"}])
    await api.post("experiments/delete", experiment_id=made)
    assert (await api.refused("POST", "runs/create", experiment_id=made))[1] == "INVALID_PARAMETER_VALUE"
    assert "deleted state" in (await api.refused("POST", "experiments/create", name="f"))[2]
    await api.post("experiments/restore", experiment_id=made)
    await api.a_run(made)
    assert (await api.refused("GET", "experiments/get", experiment_id="424242"))[:2] == (404, "RESOURCE_DOES_NOT_EXIST")


async def test_logged_models_are_found_by_what_was_measured(api: Any) -> None:
    run_id = await api.a_run()
    ids = []
    for number in (1, 2):
        made = await api.post(
            "logged-models",
            experiment_id="0",
            name="model",
            source_run_id=run_id,
            params=[{"key": "depth", "value": str(number)}],
            tags=[{"key": "t", "value": "v"}],
        )
        ids.append(made["model"]["info"]["model_id"])
        await api.post(
            "runs/log-metric",
            run_id=run_id,
            key="f1",
            value=number / 10,
            timestamp=1,
            model_id=ids[-1],
            dataset_name="d",
            dataset_digest="x",
        )
        await api.patch(f"logged-models/{ids[-1]}", model_id=ids[-1], status="LOGGED_MODEL_READY")

    async def search(**body: Any) -> list[str]:
        answer = await api.post("logged-models/search", experiment_ids=["0"], **body)
        return [model["info"]["model_id"] for model in answer["models"]]

    assert set(await search()) == set(ids)
    assert await search(filter="metrics.f1 > 0.15") == [ids[1]]
    assert await search(filter="params.depth = '1' and tags.t = 'v'") == [ids[0]]
    assert await search(filter="name = 'model'", order_by=[{"field_name": "metrics.f1", "ascending": True}]) == ids
    assert await search(filter="metrics.f1 > 0", datasets=[{"dataset_name": "other"}]) == []
    assert await search(filter=f"source_run_id = '{run_id}' and status = 'READY'", max_results=1)
    got = (await api.get(f"logged-models/{ids[0]}"))["model"]
    assert got["info"]["artifact_uri"] == f"mlflow-artifacts:/0/{run_id}/artifacts/model"
    assert got["data"]["metrics"][0]["dataset_name"] == "d"
    second = (await api.get(f"logged-models/{ids[1]}"))["model"]["info"]["artifact_uri"]
    assert second == f"mlflow-artifacts:/0/{run_id}/artifacts/models/{ids[1]}"
    await api.delete(f"logged-models/{ids[0]}")
    assert await search() == [ids[1]]


@pytest.mark.usefixtures("three")
async def test_a_search_of_all_that_may_be_asked_is_answered_soon(api: Any) -> None:
    clauses = [f"{kind} != 'x{n}'" for n in range(25) for kind in ("tags.kind", "params.p", "run_name", "user_id")]
    orders = [f"metrics.m{n}" for n in range(20)]
    begun = time.perf_counter()
    assert await found(api, " and ".join(clauses), order_by=orders) == []
    assert await found(api, " and ".join(["metrics.auc > 0.15"] * 100)) == ["three", "two"]
    assert await names_of_many_experiments(api) == ["three", "two", "one"]
    assert time.perf_counter() - begun < 5


async def names_of_many_experiments(api: Any) -> list[str]:
    ids = ["0", *map(str, range(1_000_000, 1_009_000))]
    return [run["info"]["run_name"] for run in (await api.post("runs/search", experiment_ids=ids))["runs"]]
