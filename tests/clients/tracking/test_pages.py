"""MLflow's real pages in a real browser, where both are named.

LAZULITE_TEST_MLFLOW_PAGES is the folder `mlflow/server/js/build` of an installed mlflow, LAZULITE_TEST_BROWSER a Chromium;
playwright must be importable.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.server_fixture import RunningServer

PAGES, BROWSER = os.environ.get("LAZULITE_TEST_MLFLOW_PAGES"), os.environ.get("LAZULITE_TEST_BROWSER")
pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(not PAGES or not BROWSER, reason="names neither MLflow's pages nor a browser"),
]
LOG = """
import mlflow
with mlflow.start_run(run_name="trial") as run:
    for step in range(20):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_param("lr", 0.1)
    mlflow.log_text("hello", "notes.txt")
with mlflow.start_span("agent") as span:
    span.set_inputs({"q": "why"})
mlflow.flush_trace_async_logging()
print(run.info.run_id)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    started = RunningServer(tmp_path / "home", {"mlflow_pages": str(PAGES)}).start()
    yield started
    started.stop()


def lazulite(server: RunningServer, *arguments: str) -> str:
    command = [sys.executable, "-m", "lazulite.cli.main", arguments[0], "--home", str(server.home), *arguments[1:]]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_every_page_shows_what_was_logged_and_no_call_fails(server: RunningServer) -> None:
    sync_api: Any = pytest.importorskip("playwright.sync_api")
    run = lazulite(server, "run", "--", sys.executable, "-c", LOG).split()[-1]
    link = re.search(r"http\S+", lazulite(server, "ui", "--link"))
    assert link is not None
    failed: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
        page.on("response", lambda r: failed.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        page.goto(link[0])
        page.wait_for_url("**/workspaces/**")
        root = page.url.split("#")[0]
        shown = (
            ("#/experiments", "Default"), ("#/experiments/0/runs", "trial"), (f"#/runs/{run}", "Finished"),
            (f"#/experiments/0/runs/{run}/model-metrics", "loss"), (f"#/experiments/0/runs/{run}/artifacts", "notes.txt"),
            ("#/models", "Registered Models"), ("#/experiments/0/traces", "why"),
        )  # fmt: skip
        for address, text in shown:
            page.goto("about:blank")
            page.goto(root + address)
            page.get_by_text(text).first.wait_for(state="attached", timeout=30_000)
        browser.close()
    # MLflow's own server does not know it either, unless it has users and passwords of its own.
    assert [one for one in failed if not one.endswith("/users/current")] == []
