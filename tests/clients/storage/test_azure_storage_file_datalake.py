"""The unmodified azure-storage-file-datalake, as datastores of Data Lake accounts use it."""

from __future__ import annotations

import base64
import datetime as dt
import http.client
import os
import uuid
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.filedatalake import DataLakeServiceClient, FileSystemClient

from lazulite.core import sas

KEY = base64.b64encode(b"k" * 64).decode()
EXPIRES = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
pytestmark = pytest.mark.clients


@pytest.fixture
def system(server: Any) -> FileSystemClient:
    url = server.account_url.replace("_.blob.", "_.dfs.")
    credential = {"account_name": "acct1", "account_key": KEY}
    service = DataLakeServiceClient(url, credential=credential, connection_verify=str(server.ca), retry_total=0)
    client = service.get_file_system_client(f"f-{uuid.uuid4().hex}")
    client.create_file_system()
    return client


def test_directories_and_files(system: FileSystemClient, server: Any) -> None:
    directory = system.create_directory("asset/one")
    directory.set_metadata({"name": "x", "version": "1"})
    assert directory.exists()
    assert directory.get_directory_properties().metadata == {"name": "x", "version": "1", "hdi_isfolder": "true"}
    data = os.urandom(300_000)
    directory.create_file("deep/file.bin").upload_data(data, overwrite=True)
    assert system.get_file_client("asset/one/deep/file.bin").download_file().readall() == data
    assert (server.root / "acct1" / system.file_system_name / "asset/one/deep/file.bin").read_bytes() == data
    names = [(p.name, p.is_directory) for p in system.get_paths("asset")]
    assert names == [("asset/one", True), ("asset/one/deep", True), ("asset/one/deep/file.bin", False)]
    assert [p.name for p in system.get_paths(recursive=False)] == ["asset"]
    assert not system.get_file_client("asset/none").exists()


def test_append_in_steps(system: FileSystemClient) -> None:
    file = system.create_file("log")
    file.append_data(b"one", 0)
    file.append_data(b"two", 3)
    file.flush_data(6)
    file.append_data(b"three", 6, flush=True)
    assert file.download_file().readall() == b"onetwothree"
    with pytest.raises(HttpResponseError):
        file.flush_data(100)


def test_rename_and_delete(system: FileSystemClient) -> None:
    file = system.create_file("a/b")
    file.upload_data(b"1", overwrite=True)
    renamed = file.rename_file(f"{system.file_system_name}/c/d")
    assert renamed.download_file().readall() == b"1"
    assert not file.exists()
    system.get_directory_client("c").delete_directory()
    assert [p.name for p in system.get_paths()] == ["a"] or list(system.get_paths()) == []
    with pytest.raises(HttpResponseError) as caught:
        list(system.get_paths("nowhere"))
    assert caught.value.error_code == "PathNotFound"


def test_names_of_metadata_keep_their_case(system: FileSystemClient) -> None:
    mixed = {"DocId": "7", "lower": "x"}
    system.set_file_system_metadata(mixed)
    assert system.get_file_system_properties().metadata == mixed
    made = system.get_file_client("made")
    made.create_file(metadata=mixed)
    late = system.get_file_client("late")
    late.create_file()
    late.set_metadata(mixed)
    for file in (made, late):
        assert file.get_file_properties().metadata == mixed
    folder = system.create_directory("folder", metadata=mixed)
    assert folder.get_directory_properties().metadata == mixed | {"hdi_isfolder": "true"}
    with pytest.raises(HttpResponseError, match="'DocId' and 'docid'"):
        system.get_file_client("twice").create_file(metadata={"DocId": "7", "docid": "8"})


def test_the_endpoint_itself(server: Any) -> None:
    """File systems, and reading: which the client does through the Blob endpoint."""
    token = sas.account_sas("acct1", KEY, "b", "sco", "rwdlc", EXPIRES, protocol="https,http")
    name = f"f-{uuid.uuid4().hex}"
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)

    def ask(method: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        lead = f"/storage/v1/acct1/_.dfs.core.windows.net/{name}"
        connection.request(method, f"{lead}{path}&{token}", headers={"content-length": "0", **headers})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()

    (server.root / "acct1").mkdir(exist_ok=True)
    assert ask("PUT", "?resource=filesystem")[0] == 201
    assert ask("HEAD", "?resource=filesystem")[0] == 200
    assert ask("PUT", "/a/b?resource=file")[0] == 201
    (server.root / "acct1" / name / "a" / "b").write_bytes(b"text")
    assert ask("GET", "/a/b?x=")[::2] == (200, b"text")
    status, headers, _ = ask("HEAD", "/a/b?x=")
    assert (status, headers["x-ms-resource-type"], headers["content-length"]) == (200, "file", "4")
    assert ask("DELETE", "?resource=filesystem")[0] == 202
    assert ask("HEAD", "?resource=filesystem")[0] == 404
    connection.close()
