"""What a token claims is asked at every use, from memory, and anew after each change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from lazulite.core.arm_id import PROVIDER, workspace_id
from lazulite.core.errors import ApiError
from lazulite.core.principal import Principal
from lazulite.identity.claims import Claims
from lazulite.identity.directory import Directory
from lazulite.identity.tokens import TokenIssuer, load_key
from lazulite.store import resources
from lazulite.store.database import Database, changed

WS = workspace_id("s", "g", "W")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    yield found
    found.close()


@pytest.fixture
def claims(database: Database, tmp_path: Path) -> Claims:
    issuer = TokenIssuer(load_key(tmp_path / "key.pem"), issuer="https://localhost:1", tenant="t")
    return Claims(issuer, Directory(database), database)


def make_workspace(database: Database) -> None:
    row = resources.new(WS, f"{PROVIDER}/workspaces", {})
    database.write_sync(lambda c: resources.insert(c, row, by="ada"))


def set_job(database: Database, submitter: str, state: str, identity: str = "AMLToken") -> None:
    spec: dict[str, Any] = {"properties": {"identity": {"identityType": identity}}, "submittedBy": submitter}
    row = resources.new(f"{WS}/jobs/j", f"{PROVIDER}/workspaces/jobs", spec, state=state)

    def write(c: Connection) -> None:
        there = resources.get(c, row.id) is not None
        (resources.update if there else resources.insert)(c, row, by="ada")

    database.write_sync(write)


async def refused(claims: Claims, token: str) -> str:
    with pytest.raises(ApiError) as error:
        await claims.verify(token)
    assert (error.value.status, error.value.headers["WWW-Authenticate"]) == (401, "Bearer")
    return error.value.message


async def test_a_jobs_token_holds_while_the_job_runs(claims: Claims, database: Database) -> None:
    ada, _ = await claims.directory.create("ada", "Contributor", "/")
    make_workspace(database)
    set_job(database, ada.id, "Queued")
    token, _ = claims.issuer.issue(await claims.of_job(WS, "j", ada.id), "a")
    for state in ("Queued", "Preparing", "Running", "Finalizing", "CancelRequested"):
        set_job(database, ada.id, state)
        assert (await claims.verify(token)).run == "j"
    for state in ("Completed", "Failed", "Canceled"):
        set_job(database, ada.id, state)
        assert "over or gone" in await refused(claims, token)
    set_job(database, ada.id, "Running")
    database.write_sync(lambda c: resources.delete(c, f"{WS}/jobs/j"))
    assert "over or gone" in await refused(claims, token)


async def test_it_ends_with_its_workspace_and_with_its_submitter(claims: Claims, database: Database) -> None:
    ada, _ = await claims.directory.create("ada", "Contributor", "/")
    make_workspace(database)
    set_job(database, ada.id, "Running")
    token, _ = claims.issuer.issue(await claims.of_job(WS, "j", ada.id), "a")
    await claims.verify(token)
    database.write_sync(lambda c: resources.delete(c, WS.rsplit("/providers/", 1)[0]))
    assert "workspace" in await refused(claims, token)
    make_workspace(database)
    set_job(database, ada.id, "Running")
    assert "workspace" in await refused(claims, token)
    again, _ = claims.issuer.issue(await claims.of_job(WS, "j", ada.id), "a")
    await claims.verify(again)
    await claims.directory.remove(ada.id)
    assert "was deleted" in await refused(claims, again)


async def test_a_replaced_key_ends_tokens_of_people_and_none_of_jobs(claims: Claims, database: Database) -> None:
    ada, key = await claims.directory.create("ada", "Contributor", "/")
    make_workspace(database)
    set_job(database, ada.id, "Completed")
    caller = claims.directory.authenticate(key)
    assert caller is not None
    by_hand = claims.issuer.issue(await claims.by_hand(WS, "j", caller), "a")[0]
    own = claims.issuer.issue(caller, "a")[0]
    assert (await claims.verify(by_hand)).run == "j"  # the job is over
    await claims.verify(own)
    set_job(database, ada.id, "Running")
    of_job = claims.issuer.issue(await claims.of_job(WS, "j", ada.id), "a")[0]
    await claims.directory.rotate(ada.id)
    assert "was replaced" in await refused(claims, own)
    assert "was replaced" in await refused(claims, by_hand)
    await claims.verify(of_job)


async def test_only_a_job_that_asks_for_it_acts_for_its_submitter(claims: Claims, database: Database) -> None:
    ada, _ = await claims.directory.create("ada", "Contributor", "/")
    make_workspace(database)
    set_job(database, ada.id, "Running")
    job = await claims.of_job(WS, "j", ada.id)
    with pytest.raises(ApiError, match="user_identity"):
        await claims.of_submitter(job)
    set_job(database, ada.id, "Running", "UserIdentity")
    token, _ = claims.issuer.issue(await claims.of_submitter(job), "a")
    found = await claims.verify(token)
    assert (found.id, found.run, found.behalf_of) == (ada.id, None, "j")
    set_job(database, ada.id, "Completed", "UserIdentity")
    assert "over or gone" in await refused(claims, token)


async def test_a_job_is_read_once_between_its_changes(
    claims: Claims, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, _ = await claims.directory.create("ada", "Contributor", "/")
    make_workspace(database)
    set_job(database, ada.id, "Running")
    token, _ = claims.issuer.issue(await claims.of_job(WS, "j", ada.id), "a")
    reads = 0
    read = database.read

    async def counted(function: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read(function)

    monkeypatch.setattr(database, "read", counted)
    set_job(database, ada.id, "Running")
    for _ in range(3):
        await claims.verify(token)
    assert reads == 1


@pytest.mark.parametrize("lacking", ["exp", "oid", "aud", "tid"])
async def test_a_signed_token_that_lacks_a_claim_is_refused(claims: Claims, lacking: str) -> None:
    from joserfc import jwt

    key = claims.issuer._key
    full = {"exp": 4102444800, "oid": "x", "aud": "a", "tid": "t"}
    token = jwt.encode({"alg": "RS256"}, {k: v for k, v in full.items() if k != lacking}, key, algorithms=["RS256"])
    assert lacking in await refused(claims, token)
    later = jwt.encode({"alg": "RS256"}, {**full, "nbf": 4102444700}, key, algorithms=["RS256"])
    assert "not valid yet" in await refused(claims, later)


def test_a_jobs_rights_are_no_more_than_its_submitters(database: Database) -> None:
    directory = Directory(database)
    job = Principal("nobody", "job j", "Job", run="j", workspace=WS)
    assert not directory.allows(job, f"{PROVIDER}/workspaces/models/read", WS)


async def test_what_changes_while_it_is_read_is_not_remembered(
    claims: Claims, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, _ = await claims.directory.create("ada", "Contributor", "/")
    make_workspace(database)
    set_job(database, ada.id, "Running")
    token, _ = claims.issuer.issue(await claims.of_job(WS, "j", ada.id), "a")
    set_job(database, ada.id, "Running")
    read = database.read

    async def overtaken(function: Any) -> Any:
        found = await read(function)
        set_job(database, ada.id, "Completed")
        return found

    with monkeypatch.context() as slow:
        slow.setattr(database, "read", overtaken)
        await claims.verify(token)
    assert "over or gone" in await refused(claims, token)


@pytest.mark.parametrize(("key", "kept"), [("computes", True), ("/erasures/7", True), ("/subscriptions/s", False)])
async def test_only_changes_of_what_jobs_lie_in_make_them_be_read_anew(
    claims: Claims, database: Database, key: str, kept: bool
) -> None:
    make_workspace(database)
    set_job(database, "ada", "Running")
    before = await claims.life(WS, "j")
    database.write_sync(lambda c: changed(c, [key]))
    assert (await claims.life(WS, "j") is before) is kept
