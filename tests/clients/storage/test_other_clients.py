"""obstore (Rust) and adlfs against the same gateway."""

from __future__ import annotations

import base64
import os
import uuid
from typing import Any

import obstore
import pytest
from obstore.store import AzureStore

from lazulite.storage.store import ContainerRecord

KEY = base64.b64encode(b"k" * 64).decode()
pytestmark = pytest.mark.clients


@pytest.fixture
async def container(server: Any) -> str:
    name = f"c-{uuid.uuid4().hex}"
    await server.store.create_container("acct1", name, ContainerRecord())
    return name


def test_obstore(server: Any, container: str) -> None:
    store = AzureStore(
        container,
        account_name="acct1",
        account_key=KEY,
        endpoint=server.plain_url,
        client_options={"allow_invalid_certificates": True},
        retry_config={"max_retries": 0},
    )
    data = os.urandom(12 * 1024 * 1024)
    obstore.put(store, "small one.txt", b"hello")
    obstore.put(store, "folder/big", data)
    assert bytes(obstore.get(store, "small one.txt").bytes()) == b"hello"
    assert bytes(obstore.get(store, "folder/big").bytes()) == data
    assert bytes(obstore.get_range(store, "folder/big", start=5, length=7)) == data[5:12]
    listed = sorted(meta["path"] for page in obstore.list(store) for meta in page)
    assert listed == ["folder/big", "small one.txt"]
    assert obstore.list_with_delimiter(store)["common_prefixes"] == ["folder"]
    obstore.copy(store, "small one.txt", "copy")
    obstore.delete(store, "small one.txt")
    assert bytes(obstore.get(store, "copy").bytes()) == b"hello"
    with pytest.raises(FileNotFoundError):
        obstore.head(store, "small one.txt")
    with pytest.raises(obstore.exceptions.AlreadyExistsError):
        obstore.put(store, "copy", b"x", mode="create")


def test_adlfs(server: Any, container: str) -> None:
    adlfs = pytest.importorskip("adlfs")
    connection = f"DefaultEndpointsProtocol=http;AccountName=acct1;AccountKey={KEY};BlobEndpoint={server.http_url}"
    files = adlfs.AzureBlobFileSystem(connection_string=connection, skip_instance_cache=True)
    data = os.urandom(9 * 1024 * 1024)
    with files.open(f"{container}/a/b.bin", "wb") as file:
        file.write(data)
    assert files.cat(f"{container}/a/b.bin") == data
    assert files.ls(f"{container}/a") == [f"{container}/a/b.bin"]
    assert files.find(container) == [f"{container}/a/b.bin"]
    assert files.info(f"{container}/a/b.bin")["size"] == len(data)
    files.pipe(f"{container}/x", b"1")
    files.mv(f"{container}/x", f"{container}/y")
    assert files.cat(f"{container}/y") == b"1"
    files.rm(f"{container}/a", recursive=True)
    assert not files.exists(f"{container}/a/b.bin")
