"""A page of any listing costs the same number of statements, however many rows it holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from tests.unit.server.served import Served, serving

from lazulite.core.arm_id import PROVIDER
from lazulite.core.clock import now_ms
from lazulite.server.compose import DEFAULT_WORKSPACE
from lazulite.store import experiments, resources, run_data, runs

FEW, MANY = 2, 40
_SEARCH = "/mlflow/rest" + DEFAULT_WORKSPACE + "/api/2.0/mlflow"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as made:
        yield made


def assets(c: Connection, first: int, last: int) -> None:
    for number in range(first, last):
        for collection, properties in (
            ("data", {"dataType": "uri_file", "dataUri": "azureml://datastores/x/paths/y"}),
            ("models", {"modelUri": "azureml://datastores/x/paths/y"}),
            ("environments", {"image": "i"}),
            ("components", {"componentSpec": {"type": "command"}}),
            ("codes", {"codeUri": "https://example.org/c"}),
        ):
            row(c, f"{collection}/a{number}", {"tags": {}, "properties": {}})
            for version in ("1", "2"):
                row(c, f"{collection}/a{number}/versions/{version}", {"tags": {}, "properties": {}, **properties})
            row(c, f"{collection}/one/versions/{number}", {"tags": {}, "properties": {}, **properties})


def jobs(c: Connection, first: int, last: int) -> None:
    for number in range(first, last):
        for name, job in ((f"job{number}", True), (f"run{number}", False)):
            made = runs.create(c, DEFAULT_WORKSPACE, name, name=name, user="u", tags={"a": "b"}, job=job)
            point = run_data.LoggedPoint("m", 1.0, now_ms(), 0)
            run_data.log_points(c, made.number, made.experiment_number, [point])
        row(c, f"jobs/job{number}", {"jobType": "Command", "services": None}, {"state": "Completed", "states": []})
        runs.create(c, DEFAULT_WORKSPACE, f"child{number}", name="c", user="u", parent="run0", tags={"a": "b"})
        experiments.set_tags(c, experiments.ensure(c, DEFAULT_WORKSPACE, f"e{number}"), {"a": "b"})


def others(c: Connection, first: int, last: int) -> None:
    for number in range(first, last):
        inner = {"vmSize": "x", "scaleSettings": {}}
        row(c, f"computes/c{number}", {"computeType": "AmlCompute", "properties": inner})
        row(c, f"datastores/d{number}", {"datastoreType": "AzureBlob", "accountName": "a", "containerName": "c"})


def row(c: Connection, path: str, properties: Any, status: Any = None) -> None:
    type_ = f"{PROVIDER}/workspaces/" + "/".join(path.split("/")[::2])
    new = resources.new(f"{DEFAULT_WORKSPACE}/{path}", type_, {"properties": properties}, status=status or {})
    resources.insert(c, new, by="t")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        *(("GET", f"{DEFAULT_WORKSPACE}/{collection}", None) for collection in ("data", "models", "environments")),
        *(
            ("GET", f"{DEFAULT_WORKSPACE}/{collection}/one/versions", None)
            for collection in ("data", "models", "codes")
        ),
        *(("GET", f"{DEFAULT_WORKSPACE}/{collection}", None) for collection in ("components", "codes", "jobs")),
        *(("GET", f"{DEFAULT_WORKSPACE}/{collection}", None) for collection in ("computes", "datastores")),
        ("GET", f"/history/v1.0{DEFAULT_WORKSPACE}/experiments/Default/runs/run0/children", None),
        ("GET", f"{_SEARCH}/registered-models/search", None),
        ("GET", f"{_SEARCH}/model-versions/search", None),
        ("POST", f"{_SEARCH}/experiments/search", {"max_results": 100}),
        ("POST", f"{_SEARCH}/runs/search", {"experiment_ids": ["0"], "max_results": 100}),
    ],
)
async def test_statements_do_not_rise_with_rows(served: Served, method: str, path: str, body: Any) -> None:
    counted = []
    for first, last in ((0, FEW), (FEW, MANY)):
        for fill in (assets, jobs, others):
            await served.platform.database.write(lambda c, fill=fill, first=first, last=last: fill(c, first, last))
        counted.append(await statements(served, method, path, body))
    assert counted[0][0] < counted[1][0]
    assert counted[0][1] == counted[1][1]
    assert counted[1][1] < 15


async def statements(served: Served, method: str, path: str, body: Any) -> tuple[int, int]:
    """How many items a page holds, and how many statements it took."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        seen.append(statement)

    engine = served.platform.database.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        answer = await served.client.request(method, path, json=body, params={"api-version": "2024-10-01"})
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    assert answer.status_code == 200, answer.text
    lists = [value for value in answer.json().values() if isinstance(value, list)]
    return len(lists[0]), len(seen)
