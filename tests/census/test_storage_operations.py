"""The table of storage operations against the routes: what works is routed, what is not built says so."""

from __future__ import annotations

import base64
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from lazulite.core import sas
from lazulite.storage import BlobGateway, FolderStore, StorageAccount, routing
from lazulite.storage.authorization import Grant
from lazulite.storage.store import ContainerRecord, Record
from tests.census.evidence import ROOT, sources_of
from tests.census.storage_table import StorageOperation, storage_operations

KEY = base64.b64encode(b"k" * 64).decode()
ROUTES = {
    "blob": (
        routing._SERVICE_OPERATIONS,
        routing._CONTAINER_OPERATIONS,
        routing._BLOB_OPERATIONS,
        routing._COPIES,
    ),
    "dfs": (routing._FILE_SYSTEM_OPERATIONS, routing._PATH_OPERATIONS),
    "file": (routing._SHARE_OPERATIONS, routing._FILE_OPERATIONS),
}
WORKS = [one for one in storage_operations() if one.test]
NOT_BUILT = [one for one in storage_operations() if not one.test]


def test_every_route_is_an_operation_of_the_list() -> None:
    routed = {(endpoint, found.name) for endpoint, tables in ROUTES.items() for t in tables for found in t.values()}
    assert routed == {(one.endpoint, one.routed().name) for one in WORKS}


def test_each_has_a_test_that_is_there() -> None:
    for one in WORKS:
        file, name = str(one.test).split("::")
        assert (ROOT / file).is_file()
        assert name in sources_of(file), f"{one.name}: there is no {one.test}"


class Accounts:
    def get(self, name: str) -> StorageAccount | None:
        return StorageAccount(name, (KEY, KEY)) if name == "acct" else None


class Everybody:
    async def of_token(self, *_arguments: object) -> Grant:
        return Grant()

    async def of_key(self, *_arguments: object) -> Grant:
        return Grant()

    def salt(self, *_arguments: str) -> str:
        return ""


@pytest.fixture
async def gateway(tmp_path: Path) -> Any:
    store = FolderStore(tmp_path)
    await store.create_container("acct", "con", ContainerRecord())
    content = store.spool("acct")
    await content.finish()
    await store.put("acct", "con", "b", content, Record())
    yield BlobGateway(Accounts(), store, identities=Everybody(), authority="https://localhost")
    store.close()


@pytest.mark.parametrize("one", NOT_BUILT, ids=lambda one: f"{one.service}: {one.name}")
async def test_not_built_says_501(gateway: BlobGateway, one: StorageOperation) -> None:
    scope = one.scope()
    token = sas.account_sas(
        "acct", KEY, "bf", "sco", "rwdlacup", dt.datetime.now(dt.UTC) + dt.timedelta(hours=1), protocol="https"
    )
    scope["query_string"] = b"&".join(filter(None, (scope["query_string"], token.encode())))
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await gateway(scope, receive, send)
    headers = dict(sent[0]["headers"])
    body = b"".join(message.get("body", b"") for message in sent[1:]).decode()
    assert (sent[0]["status"], headers.get(b"x-ms-error-code")) == (501, b"NotImplemented"), body
    assert one.name.partition(" (")[0] in body or one.service != "Blob", body
