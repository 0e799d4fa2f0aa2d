"""Text compares and orders alike on both databases."""

from __future__ import annotations

from typing import Any


async def test_like_takes_a_backslash_as_it_stands(api: Any) -> None:
    paths = {"a": "c:\\data", "b": "c:data", "c": "c:\\"}
    experiment = (await api.post("experiments/create", name="paths"))["experiment_id"]
    for name, path in paths.items():
        await api.a_run(experiment, run_name=name, tags=[{"key": "path", "value": path}])
    for text, found in (("LIKE 'c:\\%'", {"a", "c"}), ("ILIKE 'C:\\'", {"c"}), ("LIKE 'c:d%'", {"b"})):
        page = await api.post("runs/search", experiment_ids=[experiment], filter=f"tags.path {text}")
        assert {run["info"]["run_name"] for run in page["runs"]} == found, text


async def test_names_order_by_code_point(api: Any) -> None:
    for name in ("b", "B", "a_1", "a1", "Ä", "a"):
        await api.post("experiments/create", name=name)
    page = await api.post("experiments/search", max_results=10, order_by=["name ASC"])
    names = [one["name"] for one in page["experiments"]]
    assert names == sorted(names)
    assert len(names) >= 6
