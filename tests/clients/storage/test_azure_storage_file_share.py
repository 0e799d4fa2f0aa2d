"""The unmodified azure-storage-file-share, as datastores of file shares use it."""

from __future__ import annotations

import base64
import datetime as dt
import os
import uuid
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.fileshare import ShareClient, ShareDirectoryClient, generate_share_sas

from lazulite.core import sas

KEY = base64.b64encode(b"k" * 64).decode()
EXPIRES = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
pytestmark = pytest.mark.clients


@pytest.fixture
def share(server: Any) -> ShareClient:
    credential = {"account_name": "acct1", "account_key": KEY}
    client = ShareClient(url_of(server), f"s-{uuid.uuid4().hex}", credential=credential, **options(server))
    client.create_share()
    return client


def url_of(server: Any) -> str:
    return str(server.account_url.replace("_.blob.", "_.file."))


def options(server: Any) -> dict[str, Any]:
    return {"connection_verify": str(server.ca), "retry_total": 0}


@pytest.mark.parametrize("concurrency", [1, 4])
def test_upload_list_download_delete(share: ShareClient, server: Any, concurrency: int) -> None:
    root = share.get_directory_client("assets")
    root.create_directory()
    with pytest.raises(ResourceExistsError):
        root.create_directory()
    below = root.create_subdirectory("one")
    data = os.urandom(9 * 1024 * 1024 + 5)
    below.upload_file("big.bin", data, max_concurrency=concurrency)
    below.upload_file("empty", b"")
    below.upload_file("small", b"small", validate_content=True)
    assert [(item["name"], item["is_directory"]) for item in below.list_directories_and_files()] == [
        ("big.bin", False), ("empty", False), ("small", False),
    ]  # fmt: skip
    assert [item["name"] for item in root.list_directories_and_files() if item["is_directory"]] == ["one"]
    assert below.get_file_client("big.bin").download_file(max_concurrency=2).readall() == data
    assert (server.root / "acct1" / share.share_name / "assets/one/big.bin").read_bytes() == data
    file = below.get_file_client("small")
    file.upload_range(b"MALL", 1, 4)
    assert file.download_file().readall() == b"sMALL"
    below.set_directory_metadata({"name": "x"})
    assert below.get_directory_properties().metadata == {"name": "x"}
    for name in ("big.bin", "empty", "small"):
        below.delete_file(name)
    below.delete_directory()
    with pytest.raises(ResourceNotFoundError):
        below.get_directory_properties()


@pytest.mark.parametrize("kind", ["share", "container"])
def test_signatures(share: ShareClient, server: Any, kind: str) -> None:
    name = str(share.share_name)
    token = (
        generate_share_sas("acct1", name, KEY, permission="rwcdl", expiry=EXPIRES)
        if kind == "share"
        else sas.container_sas("acct1", KEY, name, "rcwdl", EXPIRES)
    )
    client = ShareDirectoryClient(url_of(server), name, "", credential=token, **options(server))
    client.upload_file("x", b"1")
    assert client.get_file_client("x").download_file().readall() == b"1"
    assert [item["name"] for item in client.list_directories_and_files()] == ["x"]


def test_names_of_metadata_keep_their_case(share: ShareClient) -> None:
    mixed = {"DocId": "7", "lower": "x"}
    made = share.create_directory("made", metadata=mixed)
    late = share.create_directory("late")
    late.set_directory_metadata(mixed)
    for folder in (made, late):
        assert folder.get_directory_properties().metadata == mixed
    file = made.get_file_client("file")
    file.create_file(3, metadata=mixed)
    assert file.get_file_properties().metadata == mixed
    file.set_file_metadata(mixed | {"More": "y"})
    assert file.get_file_properties().metadata == mixed | {"More": "y"}


def test_the_share_itself(share: ShareClient, server: Any) -> None:
    assert share.get_share_properties().name == share.share_name
    share.delete_share()
    assert not (server.root / "acct1" / share.share_name).exists()
    with pytest.raises(ResourceNotFoundError):
        share.get_share_properties()


def test_what_is_not_built_says_so(share: ShareClient) -> None:
    for operation in (share.create_snapshot, share.get_share_stats, share.get_share_access_policy):
        with pytest.raises(HttpResponseError) as caught:
            operation()
        assert (caught.value.status_code, caught.value.error_code) == (501, "NotImplemented")
