"""The page of a job: where the links in clients' output lead to."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from tests.unit.server.job_world import BASE, GRAPH, PAGE, job, sign_in

from lazulite.core.extras import install_command
from lazulite.server.compose import DEFAULT_WORKSPACE, Platform
from lazulite.server.home import Keys
from lazulite.store import runs

STUDIO = f"/runs/p?wsid={DEFAULT_WORKSPACE}&tid=x"


@pytest.fixture
async def signed_in(browser: httpx.AsyncClient, keys: Keys) -> httpx.AsyncClient:
    answer = await sign_in(browser, keys.user, job="p")
    assert (answer.status_code, answer.headers["location"]) == (303, PAGE)
    return browser


async def test_the_studio_link_of_a_job_leads_to_its_page(signed_in: httpx.AsyncClient) -> None:
    link = await signed_in.get(STUDIO)
    assert (link.status_code, link.headers["location"]) == (303, PAGE)
    page = (await signed_in.get(PAGE)).text
    for told in ("running", "prices", "pipeline", f'href="{GRAPH}"', "lazulite job logs p --home "):
        assert told in page
    assert 'http-equiv="refresh"' in page
    assert "<title>p · Lazulite</title>" in page


async def test_a_failed_job_says_why_and_reloads_no_more(signed_in: httpx.AsyncClient) -> None:
    page = (await signed_in.get(PAGE.replace("/jobs/p", "/jobs/r1"))).text
    assert 'class="state failed"' in page
    assert "Execution failed.\nError: &lt;b&gt;no disk&lt;/b&gt;" in page
    assert "<th>step of</th><td>p</td>" in page
    assert "refresh" not in page


async def test_its_logs_are_there_to_read(signed_in: httpx.AsyncClient, platform: Platform, tmp_path: Path) -> None:
    (account,) = (tmp_path / "home" / "storage").iterdir()
    log = account / "azureml" / "ExperimentRun" / "dcid.p" / "user_logs" / "std_log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {n} <i>\n" for n in range(5000)))
    page = (await signed_in.get(PAGE)).text
    assert "line 4999 &lt;i&gt;</code>" in page
    assert "line 4900" not in page
    text = await signed_in.get(f"{PAGE}/logs/user_logs/std_log.txt")
    assert text.text == log.read_text()
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "file", ["user_logs/none.txt", "outputs/model.pkl", "user_logs/%2e%2e/%2e%2e/dcid.r1/x", "..%2fx"]
)
async def test_what_is_no_log_of_it_is_not_there(file: str, signed_in: httpx.AsyncClient) -> None:
    assert (await signed_in.get(f"{PAGE}/logs/{file}")).status_code == 404


async def test_a_job_that_is_not_there(signed_in: httpx.AsyncClient, keys: Keys) -> None:
    page = await signed_in.get(PAGE.replace("/jobs/p", "/jobs/no_such_job"))
    assert page.status_code == 404
    assert "There is no job &#x27;no_such_job&#x27;" in page.text
    refused = await sign_in(signed_in, keys.user, job="no_such_job")
    assert (refused.status_code, refused.json()["error"]["target"]) == (404, "job")


async def test_who_is_not_signed_in_learns_nothing_but_how(browser: httpx.AsyncClient) -> None:
    link = await browser.get(STUDIO)
    there, missing = await browser.get(PAGE), await browser.get(PAGE.replace("/jobs/p", "/jobs/missing"))
    assert (link.status_code, there.status_code, missing.status_code) == (303, 401, 401)
    assert missing.text.replace("missing", "p") == there.text
    for fact in ("prices", ">running<", "<table>"):
        assert fact not in there.text
    assert (await browser.get(f"{PAGE}/logs/user_logs/std_log.txt")).status_code == 401


async def test_the_sign_in_page_names_the_command_that_leads_back(browser: httpx.AsyncClient) -> None:
    said = (await browser.get(PAGE)).text
    assert re.search(r"<code>lazulite ui --job p --home \S+</code>", said)
    assert install_command("mlflow-ui") not in said
    team = PAGE.replace("mlw-default", "mlw-team").replace("/jobs/p", "/jobs/a%3Bb")
    said = (await browser.get(team)).text
    assert re.search(r"<code>lazulite ui --job &#x27;a;b&#x27; --home \S+ --workspace mlw-team</code>", said)
    # Without MLflow's pages `lazulite ui` alone would be refused.
    said = (await browser.get("/lazulite/sign-in")).text
    assert "lazulite ui --job NAME" in said
    assert "mlflow-ui" in said


async def test_folders_of_the_server_are_shown_to_its_own_machine_alone(platform: Platform, tmp_path: Path) -> None:
    far = httpx.ASGITransport(platform.application, client=("192.0.2.7", 4711))
    async with httpx.AsyncClient(transport=far, base_url=BASE) as browser:
        for address in (PAGE, "/lazulite/sign-in", "/mlflow/mlw-default"):
            said = (await browser.get(address)).text
            assert str(tmp_path) not in said
            assert "pip install" not in said
        assert "<code>lazulite ui --job p</code>" in (await browser.get(PAGE)).text


@pytest.mark.parametrize(
    "wsid", ["", "x", "/subscriptions/s/resourceGroups/$(x)/providers/P/workspaces/`y`", "//evil.example"]
)
async def test_a_link_without_a_workspace_leads_nowhere(wsid: str, browser: httpx.AsyncClient) -> None:
    page = await browser.get("/runs/p", params={"wsid": wsid})
    assert page.status_code == 400
    assert "wsid" in page.text


async def test_a_run_that_an_mlflow_client_made_has_a_page(signed_in: httpx.AsyncClient, platform: Platform) -> None:
    platform.database.write_sync(
        lambda c: runs.create(c, DEFAULT_WORKSPACE, "m1", experiment_name="notes", name="first try", user="ana")
    )
    page = (await signed_in.get(PAGE.replace("/jobs/p", "/jobs/m1"))).text
    for told in ("first try", "MLflow run", "notes"):
        assert told in page
    assert "lazulite job" not in page


async def test_the_page_of_the_servers_address_is_named_once(browser: httpx.AsyncClient) -> None:
    assert "<title>Lazulite</title>" in (await browser.get("/")).text


async def test_commands_name_the_workspace(signed_in: httpx.AsyncClient, platform: Platform) -> None:
    platform.database.write_sync(lambda c: job(c, "q", {"jobType": "Command"}, {"state": "Completed"}))
    page = (await signed_in.get(PAGE.replace("/jobs/p", "/jobs/q"))).text
    assert re.search(r"lazulite job rerun q --home \S+<", page)
    assert GRAPH.replace("/jobs/p", "/jobs/q") not in page
