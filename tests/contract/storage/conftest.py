"""The gateway in this process over every store, driven through ASGI."""

from __future__ import annotations

import base64
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lazulite.core import sas
from lazulite.storage import BlobGateway, BlobStore, FolderStore, StorageAccount
from lazulite.storage.authorization import Grant, Unauthenticated
from lazulite.storage.exchange import Limits
from lazulite.storage.folder_records import FolderRecords
from lazulite.storage.obstore_store import ObstoreStore

ACCOUNT = "acct1"
KEY = base64.b64encode(b"k" * 64).decode()


class Accounts:
    def get(self, name: str) -> StorageAccount | None:
        return StorageAccount(name, (KEY, KEY)) if name in (ACCOUNT, "acct2") else None


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.moment = dt.datetime.now(dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.moment

    def pass_time(self, seconds: float) -> None:
        self.moment += dt.timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """An S3 of the test run's own, on a free loopback port."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def s3_store(endpoint: str) -> BlobStore:
    from obstore.store import from_url

    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    httpx.put(f"{endpoint}/{bucket}").raise_for_status()
    config = {
        "endpoint": endpoint,
        "region": "us-east-1",
        "access_key_id": "test",
        "secret_access_key": "test",
        "virtual_hosted_style_request": False,
    }
    return ObstoreStore(from_url(f"s3://{bucket}", config=config, client_options={"allow_http": True}))


@pytest.fixture(params=["folder", "folder-without-attributes", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobStore]:
    if request.param == "s3":
        yield s3_store(request.getfixturevalue("s3_endpoint"))
        return
    if request.param == "memory":
        memory = pytest.importorskip("obstore.store").MemoryStore()
        yield ObstoreStore(memory)
        return
    if request.param == "folder-without-attributes":
        monkeypatch.setattr("lazulite.storage.folder_records._supported", lambda folder: False)
        assert not FolderRecords(tmp_path).attributes
    folder = FolderStore(tmp_path / "root")
    yield folder
    folder.close()


class Client:
    """Sends requests to one container with a SAS that may do everything."""

    def __init__(self, http: httpx.AsyncClient, query: str) -> None:
        self.http = http
        self._query = query

    async def send(
        self, method: str, path: str, query: str = "", headers: dict[str, str] | None = None, content: Any = None
    ) -> httpx.Response:
        url = f"/storage/v1/{ACCOUNT}/{path}?{query}&{self._query}"
        return await self.http.request(method, url, headers=headers, content=content)

    async def put(self, name: str, content: Any = b"x", **headers: str) -> httpx.Response:
        sent = {"x-ms-blob-type": "BlockBlob"} | {key.replace("_", "-"): value for key, value in headers.items()}
        return await self.send("PUT", f"c01/{name}", headers=sent, content=content)

    async def get(self, name: str, **headers: str) -> httpx.Response:
        return await self.send("GET", f"c01/{name}", headers={k.replace("_", "-"): v for k, v in headers.items()})


class Nobody:
    async def of_token(self, *_arguments: object) -> Grant:
        raise Unauthenticated("no bearer here")

    async def of_key(self, *_arguments: object) -> Grant:
        raise Unauthenticated("nobody has a key here")

    def salt(self, *_arguments: str) -> str:
        return ""


@pytest.fixture
def limits() -> Limits:
    return Limits(put_bytes=20 * 1024 * 1024, append_bytes=1024, append_blocks=3)


@pytest.fixture
async def client(store: BlobStore, clock: Clock, limits: Limits) -> AsyncIterator[Client]:
    gateway = BlobGateway(
        Accounts(),
        store,
        identities=Nobody(),
        authority="https://localhost:8443",
        clock=clock,
        limits=limits,
    )
    transport = httpx.ASGITransport(app=gateway, raise_app_exceptions=True)
    expires = clock() + dt.timedelta(days=1)
    query = sas.account_sas(ACCOUNT, KEY, "bf", "sco", "racwdlxtup", expires, protocol="https,http")
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8443") as http:
        made = Client(http, query)
        assert (await made.send("PUT", "c01", "restype=container")).status_code == 201
        yield made
