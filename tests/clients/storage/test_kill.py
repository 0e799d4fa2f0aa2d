"""A server killed during uploads has lost nothing that it acknowledged, and shows nothing half."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lazulite.storage import FolderStore
from lazulite.storage.store import ListQuery

pytestmark = pytest.mark.clients

SERVER = """
import sys
from pathlib import Path
import uvicorn
from lazulite.storage import BlobGateway, FolderStore, StorageAccount
from lazulite.storage.authorization import Grant
class Accounts:
    def get(self, name):
        return StorageAccount(name, ("a2V5", "a2V5"))
class Everybody:
    async def of_token(self, *a):
        return Grant()
app = BlobGateway(Accounts(), FolderStore(Path(sys.argv[1])), identities=Everybody(), authority="https://x")
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", lifespan="off")
"""
BASE = "/storage/v1/acct1/box"


def request(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    sent = {"Authorization": "Bearer x", **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request(method, path, body, sent)
    answer = connection.getresponse()
    answer.read()
    return answer


def start(root: Path) -> tuple[subprocess.Popen[bytes], int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(root), str(port)])
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            request(port, "PUT", f"{BASE}?restype=container")
            return process, port
        except OSError:
            time.sleep(0.05)
    process.kill()
    raise TimeoutError


async def test_kill_during_uploads(tmp_path: Path) -> None:
    process, port = start(tmp_path / "root")
    acknowledged: dict[str, str] = {}
    appended: list[int] = []

    def upload(number: int) -> None:
        count = 0
        while True:
            data = os.urandom(200_000 if count % 3 == 0 else 3000)
            name = f"w{number}/{count % 7}"
            digest = hashlib.sha256(data).hexdigest()
            acknowledged.pop(name, None)  # while it is under way, either content may stand
            try:
                put = request(port, "PUT", f"{BASE}/{name}", data, x_ms_blob_type="BlockBlob", x_ms_meta_sha=digest)
            except (OSError, http.client.HTTPException):
                return
            assert put.status == 201
            acknowledged[name] = digest
            count += 1

    def append() -> None:
        request(port, "PUT", f"{BASE}/log", x_ms_blob_type="AppendBlob")
        while True:
            try:
                answer = request(port, "PUT", f"{BASE}/log?comp=appendblock", b"%019d\n" % len(appended))
            except (OSError, http.client.HTTPException):
                return
            assert answer.status == 201
            appended.append(1)

    block = base64.b64encode(b"0000").decode()
    assert request(port, "PUT", f"{BASE}/staged?comp=block&blockid={block}", b"staged").status == 201
    threads = [threading.Thread(target=upload, args=(number,)) for number in range(4)]
    threads.append(threading.Thread(target=append))
    for thread in threads:
        thread.start()
    await asyncio.sleep(1.5)  # the uploads run in threads
    process.send_signal(signal.SIGKILL)
    process.wait()
    for thread in threads:
        thread.join()
    assert len(acknowledged) > 10
    assert appended

    store = FolderStore(tmp_path / "root")
    for name, digest in acknowledged.items():
        assert hashlib.sha256(await store.read("acct1", "box", name) or b"").hexdigest() == digest
    for entry in (await store.list("acct1", "box", ListQuery("w"))).entries:
        assert not isinstance(entry, str)
        data = await store.read("acct1", "box", entry.name) or b""
        assert entry.record.metadata["sha"] == hashlib.sha256(data).hexdigest()
    log = await store.read("acct1", "box", "log") or b""
    lines = log.decode().splitlines()
    assert [int(line) for line in lines] == list(range(len(lines)))
    assert len(appended) <= len(lines) <= len(appended) + 1
    assert len(log) == 20 * len(lines)
    assert [b.size for b in await store.blocks("acct1", "box", "staged")] == [6]
    assert list((tmp_path / "root/acct1/.lazulite/tmp").iterdir()) == []
    store.close()
