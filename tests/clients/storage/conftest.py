"""A gateway behind uvicorn and TLS on a free port, for real clients."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
import uvicorn
from tests.census.evidence import ROOT
from tests.census.storage_table import shown_by

from lazulite.server.connection import Connection
from lazulite.storage import BlobGateway, FolderStore, StorageAccount, gateway
from lazulite.storage.addressing import Address
from lazulite.storage.authorization import Grant, Need, Unauthenticated
from lazulite.storage.gateway import _route
from lazulite.storage.request import Request
from lazulite.storage.routing import Operation

ACCOUNT = "acct1"
KEYS = (base64.b64encode(b"k" * 64).decode(), base64.b64encode(b"s" * 64).decode())


class Accounts:
    def get(self, name: str) -> StorageAccount | None:
        return StorageAccount(name, KEYS) if name in (ACCOUNT, "acct2") else None


@dataclass
class Running:
    port: int
    http_port: int
    ca: Path
    root: Path
    store: FolderStore

    @property
    def account_url(self) -> str:
        """The address that the SDK builds on a laptop."""
        return f"https://localhost:{self.port}/storage/v1/{ACCOUNT}/_.blob.core.windows.net"

    @property
    def http_url(self) -> str:
        """Without TLS, for clients that take no certificate authority."""
        return f"http://127.0.0.1:{self.http_port}/storage/v1/{ACCOUNT}"

    @property
    def plain_url(self) -> str:
        return f"https://localhost:{self.port}/storage/v1/{ACCOUNT}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("storage")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1", "acct1.blob.core.localhost")
    ca = folder / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    store = FolderStore(folder / "root")
    config = uvicorn.Config(
        lambda: None,
        http=Connection,
        host="127.0.0.1",
        port=0,
        log_level="warning",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    runner = uvicorn.Server(config)
    sockets = [config.bind_socket()]
    port = sockets[0].getsockname()[1]
    config.load()
    config.ssl = context
    config.loaded_app = BlobGateway(Accounts(), store, identities=Bearers(), authority=f"https://localhost:{port}")
    plain = uvicorn.Server(
        uvicorn.Config(
            config.loaded_app,
            http=Connection,
            host="127.0.0.1",
            port=0,
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
    )
    plain_sockets = [plain.config.bind_socket()]

    async def serve() -> None:
        await asyncio.gather(runner.serve(sockets), plain.serve(plain_sockets))

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not (runner.started and plain.started) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert plain.started
    yield Running(port, plain_sockets[0].getsockname()[1], ca, folder / "root", store)
    runner.should_exit = plain.should_exit = True
    thread.join(10)
    store.close()


class Bearers:
    """Everybody whose token says that it is good."""

    async def of_token(self, token: str, _address: Address, _need: Need) -> Grant:
        if not token.endswith(".good"):
            raise Unauthenticated("the token is not good")
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return Grant(object_id=claims["oid"], tenant=claims["tid"])

    async def of_key(self, _object_id: str, _mark: str, _address: Address, _need: Need) -> Grant:
        return Grant()

    def salt(self, *_arguments: str) -> str:
        return ""


@pytest.fixture(autouse=True)
def shown(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every operation that the list says this test shows was asked of the gateway by the time the test is over."""
    asked: set[tuple[str, str]] = set()

    def route(incoming: Request) -> Operation:
        found = _route(incoming)
        asked.add((incoming.address.service, found.name))
        return found

    monkeypatch.setattr(gateway, "_route", route)
    yield
    test = f"{request.path.relative_to(ROOT)}::{request.node.originalname}"
    assert shown_by(test) <= asked, f"{shown_by(test) - asked} are not asked for here"
