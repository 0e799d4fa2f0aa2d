"""The whole server in process, with a small tree of files in place of MLflow's pages."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import escape
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import httpx
import pytest

from lazulite.core.arm_id import PROVIDER
from lazulite.core.extras import install_command
from lazulite.server import mlflow_pages
from lazulite.server.compose import DEFAULT_WORKSPACE, Addresses, Platform, compose
from lazulite.server.home import Keys, prepare
from lazulite.server.settings import Settings, SettingsError
from lazulite.store import resources, runs

BASE = "http://localhost:8080"
ROOT = f"/mlflow/rest{DEFAULT_WORKSPACE}"
OWN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def built(tmp_path: Path) -> Path:
    folder = tmp_path / "build"
    (folder / "static" / "js").mkdir(parents=True)
    (folder / "index.html").write_text("<title>MLflow</title>")
    (folder / "static" / "js" / "main.c2f5f8d4.js").write_text("let a = 1")
    (folder / "manifest.json").write_text("{}")
    return folder


@pytest.fixture
def settings(tmp_path: Path, built: Path) -> Settings:
    return Settings(tmp_path / "home", mlflow_pages=str(built), isolation="process")


@pytest.fixture
def keys(settings: Settings) -> Keys:
    return prepare(settings)


@pytest.fixture
async def platform(settings: Settings, keys: Keys) -> AsyncIterator[Platform]:
    made = await compose(settings, keys, Addresses("https://localhost:8443", BASE, ""))
    yield made
    made.database.close()


@pytest.fixture
async def browser(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    async with client(platform) as made:
        yield made


def client(platform: Platform) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(platform.application), base_url=BASE)


async def bearer(platform: Platform, secret: str) -> dict[str, str]:
    async with client(platform) as program:
        asked = await program.get("/msi/token?resource=x", headers={"X-IDENTITY-HEADER": secret})
    return {"Authorization": f"Bearer {asked.json()['access_token']}"}


async def code_for(platform: Platform, secret: str, workspace: str = DEFAULT_WORKSPACE) -> httpx.Response:
    async with client(platform) as program:
        headers = await bearer(platform, secret)
        return await program.post("/lazulite/sign-in-codes", json={"workspace": workspace}, headers=headers)


async def sign_in(platform: Platform, browser: httpx.AsyncClient, secret: str, **form: str) -> httpx.Response:
    code = (await code_for(platform, secret)).json()["code"]
    return await browser.post("/lazulite/sign-in", data={"code": code, **form}, headers=OWN)


async def test_a_link_signs_in_once_and_leads_to_the_pages(
    platform: Platform, keys: Keys, browser: httpx.AsyncClient
) -> None:
    made = (await code_for(platform, keys.user)).json()
    assert (await browser.get(made["page"])).status_code == 200
    signed_in = await browser.post("/lazulite/sign-in", data={"code": made["code"]}, headers=OWN)
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, f"{ROOT}/")
    page = await browser.get(signed_in.headers["location"])
    assert (page.status_code, page.text) == (200, "<title>MLflow</title>")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"
    again = await browser.post("/lazulite/sign-in", data={"code": made["code"]}, headers=OWN)
    assert again.status_code == 401
    assert "set-cookie" not in again.headers


async def test_who_is_not_signed_in_is_told_how(browser: httpx.AsyncClient) -> None:
    for address in (f"{ROOT}/", "/mlflow/mlw-default"):
        refused = await browser.get(address)
        assert refused.status_code == 401
        assert "lazulite ui" in refused.text
    api = await browser.get(f"{ROOT}/ajax-api/2.0/mlflow/experiments/search?max_results=5")
    assert (api.status_code, api.json()["error_code"]) == (401, "UNAUTHENTICATED")


async def test_the_script_of_the_page_is_the_one_that_may_run(browser: httpx.AsyncClient) -> None:
    import base64
    import hashlib

    page = await browser.get("/lazulite/sign-in")
    script = re.search(r"<script>(.*?)</script>", page.text, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"


async def test_the_pages_calls_are_made_with_the_session(
    platform: Platform, keys: Keys, browser: httpx.AsyncClient
) -> None:
    await sign_in(platform, browser, keys.user)
    made = await browser.post(f"{ROOT}/ajax-api/2.0/mlflow/experiments/create", json={"name": "seen"}, headers=OWN)
    assert made.status_code == 200
    found = await browser.get(f"{ROOT}/ajax-api/2.0/mlflow/experiments/search?max_results=5", headers=OWN)
    assert "seen" in [one["name"] for one in found.json()["experiments"]]
    foreign = await browser.post(
        f"{ROOT}/ajax-api/2.0/mlflow/experiments/create",
        json={"name": "unseen"},
        headers={"Origin": "http://localhost:9000", "Sec-Fetch-Site": "same-site"},
    )
    assert (foreign.status_code, foreign.json()["error_code"]) == (403, "PERMISSION_DENIED")


async def test_the_session_reaches_nothing_but_tracking(
    platform: Platform, keys: Keys, browser: httpx.AsyncClient
) -> None:
    await sign_in(platform, browser, keys.user)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    assert cookie.startswith("lazulite_8080=")
    for path in (f"{DEFAULT_WORKSPACE}?api-version=2024-04-01", "/lazulite/principals", "/lazulite/whoami"):
        assert (await browser.get(path, headers={"Cookie": cookie, **OWN})).status_code == 401
    bearer_cookie = {"Authorization": f"Bearer {cookie.split('=', 1)[1]}"}
    assert (await browser.get(f"{ROOT}/version", headers=bearer_cookie)).status_code == 401


async def test_roles_hold_for_sessions_as_for_tokens(
    platform: Platform, keys: Keys, browser: httpx.AsyncClient
) -> None:
    owner = await bearer(platform, keys.user)
    body = {"name": "reader", "role": "Reader", "scope": DEFAULT_WORKSPACE}
    reader = (await browser.post("/lazulite/principals", json=body, headers=owner)).json()
    await sign_in(platform, browser, reader["secret"])
    assert (await browser.get(f"{ROOT}/")).status_code == 200
    create = f"{ROOT}/ajax-api/2.0/mlflow/experiments/create"
    assert (await browser.post(create, json={"name": "x"}, headers=OWN)).status_code == 403
    async with client(platform) as program:
        await program.delete(f"/lazulite/principals/{reader['id']}", headers=owner)
    assert (await browser.get(f"{ROOT}/")).status_code == 401


async def test_a_workspace_one_may_not_read_gives_no_code(
    platform: Platform, keys: Keys, browser: httpx.AsyncClient
) -> None:
    owner = await bearer(platform, keys.user)
    other = f"{DEFAULT_WORKSPACE.rsplit('/', 1)[0]}/other"
    made = await browser.put(f"{other}?api-version=2024-04-01", json={"location": "local"}, headers=owner)
    assert made.status_code in (200, 201)
    body = {"name": "r", "role": "Reader", "scope": other}
    reader = (await browser.post("/lazulite/principals", json=body, headers=owner)).json()
    assert (await code_for(platform, reader["secret"])).status_code == 404
    assert (await code_for(platform, keys.user, f"{other}-not")).status_code == 404
    assert (await code_for(platform, keys.user, DEFAULT_WORKSPACE.split("/providers")[0])).status_code == 404
    code = (await code_for(platform, reader["secret"], other)).json()["code"]
    await browser.post("/lazulite/sign-in", data={"code": code}, headers=OWN)
    assert (await browser.get("/mlflow/other")).headers["location"] == f"/mlflow/rest{other}/"
    assert (await browser.get("/mlflow/mlw-default")).status_code == 404
    assert (await browser.get(f"{ROOT}/")).status_code == 403


@pytest.mark.parametrize("behalf", [False, True])
async def test_a_job_signs_no_browser_in(
    platform: Platform, keys: Keys, browser: httpx.AsyncClient, behalf: bool
) -> None:
    claims: Any = platform.application._claims  # type: ignore[attr-defined]
    spec = {"properties": {"identity": {"identityType": "UserIdentity"}}, "submittedBy": keys.tenant}
    row = resources.new(f"{DEFAULT_WORKSPACE}/jobs/j", f"{PROVIDER}/workspaces/jobs", spec, state="Running")
    await platform.database.write(lambda c: resources.insert(c, row, by="somebody"))
    job = await claims.of_job(DEFAULT_WORKSPACE, "j", keys.tenant)
    caller = await claims.of_submitter(job) if behalf else job
    headers = {"Authorization": f"Bearer {claims.issuer.issue(caller, 'x')[0]}"}
    refused = await browser.post("/lazulite/sign-in-codes", json={"workspace": DEFAULT_WORKSPACE}, headers=headers)
    assert refused.status_code == 403


@pytest.mark.parametrize(
    ("to", "expected"),
    [("/mlflow/mlw-default", "/mlflow/mlw-default"), ("https://evil.example/", None), ("//evil.example/", None),
     ("/mlflow", None), ("/mlflow/../lazulite/sign-out", None), ("/mlflow/%2e%2e/lazulite/sign-out", None),
     ("/mlflow/a/../b/?c=/../d", "/mlflow/b/?c=/../d"), ("/mlflow/..", None), ("/mlflow\\..\\lazulite", None),
     ("/mlflow/a\r\nSet-Cookie: x=y", "/mlflow/a%0D%0ASet-Cookie:%20x=y")],
)  # fmt: skip
async def test_signing_in_leads_back_to_our_own_pages_alone(
    platform: Platform, keys: Keys, browser: httpx.AsyncClient, to: str, expected: str | None
) -> None:
    answer = await sign_in(platform, browser, keys.user, to=to)
    assert answer.headers["location"] == (expected or f"{ROOT}/")


async def test_other_pages_sign_nobody_in_or_out(platform: Platform, keys: Keys, browser: httpx.AsyncClient) -> None:
    code = (await code_for(platform, keys.user)).json()["code"]
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert (await browser.post("/lazulite/sign-in", data={"code": code}, headers=foreign)).status_code == 403
    assert (await browser.post("/lazulite/sign-out", headers=foreign)).status_code == 403


async def test_signing_out_ends_the_session(platform: Platform, keys: Keys, browser: httpx.AsyncClient) -> None:
    await sign_in(platform, browser, keys.user)
    assert (await browser.get(f"{ROOT}/")).status_code == 200
    await browser.post("/lazulite/sign-out", headers=OWN)
    assert (await browser.get(f"{ROOT}/")).status_code == 401


async def test_files_are_cached_by_their_hash_and_stay_below_their_folder(
    browser: httpx.AsyncClient, built: Path
) -> None:
    (built.parent / "secret.txt").write_text("s")
    (built / "link.txt").symlink_to(built.parent / "secret.txt")
    script = await browser.get(f"{ROOT}/static-files/static/js/main.c2f5f8d4.js")
    assert (script.text, script.headers["content-type"]) == ("let a = 1", "text/javascript; charset=utf-8")
    assert "immutable" in script.headers["cache-control"]
    assert (await browser.get(f"{ROOT}/static-files/manifest.json")).headers["cache-control"] == "no-cache"
    for name in ("none.js", "..%2Fsecret.txt", "%2e%2e/secret.txt", "link.txt", "static", "a%00b"):
        assert (await browser.get(f"{ROOT}/static-files/{name}")).status_code == 404, name


async def test_the_address_is_a_folder(platform: Platform, keys: Keys, browser: httpx.AsyncClient) -> None:
    await sign_in(platform, browser, keys.user)
    answer = await browser.get(ROOT)
    assert (answer.status_code, answer.headers["location"]) == (308, f"{ROOT}/")


async def test_the_page_of_a_run_leads_to_mlflows(platform: Platform, keys: Keys, browser: httpx.AsyncClient) -> None:
    platform.database.write_sync(
        lambda c: runs.create(c, DEFAULT_WORKSPACE, "j1", experiment_name="e", name="j1", user="ana")
    )
    await sign_in(platform, browser, keys.user)
    page = await browser.get(f"/mlflow/pages{DEFAULT_WORKSPACE}/jobs/j1")
    assert f'href="{ROOT}/#/runs/j1"' in page.text
    assert "href" not in (await browser.get('/runs/j1?wsid="javascript:alert(1)')).text


async def test_without_the_pages_the_addresses_say_what_to_install(
    settings: Settings, keys: Keys, monkeypatch: Any
) -> None:
    monkeypatch.setattr(mlflow_pages, "folder", lambda: None)
    bare = Settings(settings.home, isolation="process")
    platform = await compose(bare, keys, Addresses("https://localhost:8443", BASE, ""))
    async with client(platform) as browser:
        for address in (f"{ROOT}/", "/mlflow/mlw-default"):
            answer = await browser.get(address)
            assert answer.status_code == 501
            assert escape(install_command("mlflow-ui")) in answer.text
    refused = await code_for(platform, keys.user)
    assert (refused.status_code, install_command("mlflow-ui") in refused.json()["error"]["message"]) == (501, True)
    platform.database.close()


async def test_a_folder_without_pages_is_refused_at_start(settings: Settings, keys: Keys, tmp_path: Path) -> None:
    wrong = Settings(settings.home, mlflow_pages=str(tmp_path))
    with pytest.raises(SettingsError, match=re.escape("index.html")):
        await compose(wrong, keys, Addresses("https://localhost:8443", BASE, ""))


@pytest.mark.parametrize("whole", [True, False])
def test_the_pages_are_found_in_a_whole_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    built = tmp_path / "mlflow" / "server" / "js" / "build"
    built.mkdir(parents=True)
    if whole:
        (built / "index.html").touch()
    spec = ModuleSpec("mlflow", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / "mlflow")]
    monkeypatch.setattr(mlflow_pages, "find_spec", lambda name: spec)
    assert mlflow_pages.folder() == (built if whole else None)
