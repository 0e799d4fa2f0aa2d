"""The picture of a job in a browser: the whole server in process, without MLflow's pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.engine import Connection

from lazulite.server import mlflow_pages
from lazulite.server.compose import DEFAULT_WORKSPACE, Addresses, Platform, compose
from lazulite.server.home import Keys, prepare
from lazulite.server.settings import Settings
from lazulite.store import resources, runs

BASE = "http://localhost:8080"
PAGE = f"/mlflow/graphs{DEFAULT_WORKSPACE}/jobs/p"
JOBS = "Microsoft.MachineLearningServices/workspaces/jobs"
NODES = {
    "load": {"type": "command"},
    "train": {"type": "command", "inputs": {"data": "${{parent.jobs.load.outputs.made}}"}},
}


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return prepare(Settings(tmp_path / "home", isolation="process"))


@pytest.fixture
async def platform(tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Platform]:
    monkeypatch.setattr(mlflow_pages, "folder", lambda: None)
    settings = Settings(tmp_path / "home", isolation="process")
    made = await compose(settings, keys, Addresses("https://localhost:8443", BASE, ""))
    made.database.write_sync(store_pipeline)
    yield made
    made.database.close()


@pytest.fixture
async def browser(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(platform.application), base_url=BASE) as made:
        yield made


def store_pipeline(c: Connection) -> None:
    """A pipeline that runs, one of whose two steps has failed."""
    failure = {"code": "UserError", "message": "Execution failed.\nError: <b>no disk</b>"}
    job(c, "p", {"jobType": "Pipeline", "jobs": NODES}, {"state": "Running"})
    job(
        c,
        "r1",
        {"jobType": "Command", "properties": {"azureml.nodeid": "load"}},
        {"state": "Failed", "error": failure},
        "p",
    )


def job(
    c: Connection, name: str, properties: dict[str, Any], status: dict[str, Any], parent: str | None = None
) -> None:
    made = resources.new(
        f"{DEFAULT_WORKSPACE}/jobs/{name}", JOBS, {"properties": properties}, status=status, state=status["state"]
    )
    resources.insert(c, made, by="test")
    runs.create(c, DEFAULT_WORKSPACE, name, experiment_name="prices", name=name, user="test", parent=parent, job=True)


async def sign_in(browser: httpx.AsyncClient, secret: str, **wanted: str) -> httpx.Response:
    token = (await browser.get("/msi/token?resource=x", headers={"X-IDENTITY-HEADER": secret})).json()["access_token"]
    code = await browser.post(
        "/lazulite/sign-in-codes",
        json={"workspace": DEFAULT_WORKSPACE, **wanted},
        headers={"Authorization": f"Bearer {token}"},
    )
    if code.status_code != 200:
        return code
    return await browser.post(
        "/lazulite/sign-in", data={"code": code.json()["code"]}, headers={"Sec-Fetch-Site": "same-origin"}
    )


async def test_a_link_leads_to_the_picture_without_mlflows_pages(browser: httpx.AsyncClient, keys: Keys) -> None:
    signed = await sign_in(browser, keys.user, job="p")
    assert (signed.status_code, signed.headers["location"]) == (303, PAGE)
    page = await browser.get(PAGE)
    assert page.status_code == 200
    assert "2 steps: 1 failed · 1 not started" in page.text
    assert "&lt;b&gt;no disk&lt;/b&gt;" in page.text
    assert "lazulite job debug p --node load\n" in page.text
    assert 'http-equiv="refresh"' in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_without_a_job_the_link_still_needs_mlflows_pages(browser: httpx.AsyncClient, keys: Keys) -> None:
    assert (await sign_in(browser, keys.user)).status_code == 501


async def test_nobody_sees_it_unsigned(browser: httpx.AsyncClient) -> None:
    page = await browser.get(PAGE)
    assert page.status_code == 401
    assert "no disk" not in page.text
    assert 'id="sign-in"' in page.text


async def test_no_page_of_another_site_reads_it(browser: httpx.AsyncClient, keys: Keys) -> None:
    await sign_in(browser, keys.user, job="p")
    assert (await browser.get(PAGE, headers={"Sec-Fetch-Site": "cross-site"})).status_code == 403


async def test_a_job_that_is_not_there(browser: httpx.AsyncClient, keys: Keys) -> None:
    await sign_in(browser, keys.user, job="p")
    page = await browser.get(PAGE.replace("/jobs/p", "/jobs/q"))
    assert page.status_code == 404
    assert "There is no job &#x27;q&#x27;" in page.text


async def test_the_page_of_a_studio_link_leads_to_it_and_names_the_commands(browser: httpx.AsyncClient) -> None:
    page = await browser.get(f"/runs/p?wsid={DEFAULT_WORKSPACE}&tid=x")
    assert f'href="{PAGE}"' in page.text
    assert "lazulite job graph p " in page.text
    other = await browser.get(f"/runs/p?wsid={DEFAULT_WORKSPACE.replace('mlw-default', 'mlw-team')}")
    assert "lazulite job graph p --workspace mlw-team --group rg-lazulite " in other.text
    evil = await browser.get("/runs/p?wsid=/subscriptions/s/resourceGroups/$(x)/providers/P/workspaces/`y`")
    assert "--workspace" not in evil.text
