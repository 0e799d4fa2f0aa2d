"""How much a run and an experiment may hold: as much as MLflow's and Azure's clients send, on both databases."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from lazulite.core.arm_id import workspace_id
from lazulite.store import experiments, run_tables
from lazulite.store.database import Database

POINTS = 12_000
RUNS = 2_500


async def test_a_long_history_is_read_to_its_end(api: Any) -> None:
    run = await api.a_run()
    for first in range(0, POINTS, 1000):
        points = [{"key": "m", "value": n / 2, "timestamp": n, "step": n} for n in range(first, first + 1000)]
        await api.post("runs/log-batch", run_id=run, metrics=points)
    steps: list[int] = []
    token = ""
    while token is not None:
        page = await api.get("metrics/get-history", run_id=run, metric_key="m", max_results=5000, page_token=token)
        assert all(point["value"] == point["step"] / 2 for point in page["metrics"])
        steps += [point["step"] for point in page["metrics"]]
        token = page.get("next_page_token")
    assert steps == list(range(POINTS))
    chart = await api.get("metrics/get-history-bulk-interval", run_ids=run, metric_key="m", max_results=320)
    shown = [point["step"] for point in chart["metrics"]]
    assert (shown[0], shown[-1]) == (0, POINTS - 1)
    assert 300 <= len(shown) <= 321
    gaps = {after - before for before, after in itertools.pairwise(shown)}
    assert max(gaps) <= 2 * POINTS // 320, "a chart has its points spread evenly"


async def test_a_run_has_250_tags_and_more(api: Any) -> None:
    run = await api.a_run()
    tags = {f"tag {n}/{'x' * 200}": f"{n}" * 3 for n in range(400)}
    pairs = [{"key": key, "value": value} for key, value in tags.items()]
    await api.post("runs/log-batch", run_id=run, tags=pairs[:250])
    for pair in pairs[250:]:
        await api.post("runs/set-tag", run_id=run, **pair)
    data = (await api.get("runs/get", run_id=run))["run"]["data"]
    found = {tag["key"]: tag["value"] for tag in data["tags"]}
    assert tags.items() <= found.items()


async def test_a_batch_may_be_larger_than_a_megabyte(api: Any) -> None:
    run = await api.a_run()
    long = "ä" * 6000  # two bytes each
    metrics = [{"key": f"metric{n}", "value": n, "timestamp": 1, "step": 0} for n in range(800)]
    params = [{"key": f"param{n}", "value": f"{long[:-3]}{n:03}"} for n in range(100)]
    tags = [{"key": f"tag{n}", "value": f"{n:03}" + "t" * 7997} for n in range(100)]
    await api.post("runs/log-batch", run_id=run, metrics=metrics, params=params, tags=tags)
    data = (await api.get("runs/get", run_id=run))["run"]["data"]
    assert {metric["key"]: metric["value"] for metric in data["metrics"]} == {m["key"]: m["value"] for m in metrics}
    assert {param["key"]: param["value"] for param in data["params"]} == {p["key"]: p["value"] for p in params}
    found = {tag["key"]: tag["value"] for tag in data["tags"]}
    assert {tag["key"]: tag["value"] for tag in tags}.items() <= found.items()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("runs/log-batch", {"metrics": [{"key": "m", "value": 1, "timestamp": 1, "step": n} for n in range(1001)]}),
        ("runs/log-batch", {"params": [{"key": f"p{n}", "value": "1"} for n in range(101)]}),
        ("runs/set-tag", {"key": "k" * 251, "value": "v"}),
        ("runs/log-parameter", {"key": "k" * 251, "value": "v"}),
        ("runs/log-metric", {"key": "k" * 251, "value": 1, "timestamp": 1, "step": 0}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_beyond_is_refused_whole(api: Any, path: str, body: dict[str, Any]) -> None:
    run = await api.a_run()
    assert (await api.refused("POST", path, run_id=run, **body))[:2] == (400, "INVALID_PARAMETER_VALUE")
    data = (await api.get("runs/get", run_id=run))["run"]["data"]
    assert not data.get("metrics")
    assert not data.get("params")


async def test_an_experiment_of_many_runs_is_paged_to_its_end(api: Any, database: Database) -> None:
    experiment = (await api.post("experiments/create", name="many"))["experiment_id"]
    workspace = experiments.workspace_number(workspace_id("sub", "rg", "ws"))
    rows = [
        {
            "workspace": workspace,
            "key": f"run{n}",
            "run_id": f"run{n}",
            "experiment": int(experiment),
            "name": f"run{n}",
            "user": "ada",
            "status": "FINISHED",
            "start_ms": n // 7,  # runs that began at the same moment fall on both sides of a page's end
            "lifecycle": "active",
            "job": False,
            "created_ms": n,
        }
        for n in range(RUNS)
    ]
    await database.write(lambda c: c.execute(run_tables.runs.insert(), rows))
    for order in ([], ["start_time ASC"], ["attributes.run_name DESC"], ["metrics.none ASC"]):
        seen: list[str] = []
        token: str | None = ""
        while token is not None:
            body = {"experiment_ids": [experiment], "max_results": 400, "page_token": token, "order_by": order}
            page = await api.post("runs/search", **body)
            seen += [run["info"]["run_id"] for run in page.get("runs", ())]
            token = page.get("next_page_token")
        assert len(seen) == RUNS, order
        assert set(seen) == {f"run{n}" for n in range(RUNS)}, order
