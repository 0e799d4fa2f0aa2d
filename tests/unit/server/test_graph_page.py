"""The picture of a job in a browser: the whole server in process, without MLflow's pages."""

from __future__ import annotations

import re

import httpx
from tests.unit.server.job_world import GRAPH, sign_in

from lazulite.server.home import Keys


async def test_the_picture_is_there_without_mlflows_pages(browser: httpx.AsyncClient, keys: Keys) -> None:
    await sign_in(browser, keys.user, job="p")
    page = await browser.get(GRAPH)
    assert page.status_code == 200
    assert "2 steps: 1 failed · 1 not started" in page.text
    assert "&lt;b&gt;no disk&lt;/b&gt;" in page.text
    assert re.search(r"lazulite job debug p --node load --home \S+\n", page.text)
    assert 'http-equiv="refresh"' in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_without_a_job_the_link_still_needs_mlflows_pages(browser: httpx.AsyncClient, keys: Keys) -> None:
    assert (await sign_in(browser, keys.user)).status_code == 501


async def test_nobody_sees_it_unsigned(browser: httpx.AsyncClient) -> None:
    page = await browser.get(GRAPH)
    assert page.status_code == 401
    assert "no disk" not in page.text
    assert 'id="sign-in"' in page.text


async def test_no_page_of_another_site_reads_it(browser: httpx.AsyncClient, keys: Keys) -> None:
    await sign_in(browser, keys.user, job="p")
    assert (await browser.get(GRAPH, headers={"Sec-Fetch-Site": "cross-site"})).status_code == 403


async def test_a_job_that_is_not_there(browser: httpx.AsyncClient, keys: Keys) -> None:
    await sign_in(browser, keys.user, job="p")
    page = await browser.get(GRAPH.replace("/jobs/p", "/jobs/q"))
    assert page.status_code == 404
    assert "There is no job &#x27;q&#x27;" in page.text
