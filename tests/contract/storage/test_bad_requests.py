"""Bad requests: each is refused with a cause, none with a 5xx, and none leaves anything behind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from lazulite.storage import BlobStore, FolderStore

BLOCK = "MDAwMA=="
LONG_AGO = "Mon, 01 Jan 2024 00:00:00 GMT"

REQUESTS: list[tuple[str, str, str, dict[str, str], bytes]] = [
    ("PUT", "c01/x", "", {}, b"no type"),
    ("PUT", "c01/x", "", {"x-ms-blob-type": "Nonsense"}, b"x"),
    ("PUT", "c01/x", "", {"x-ms-blob-type": "AppendBlob"}, b"not empty"),
    ("PUT", "c01/x", "", {"x-ms-blob-type": "BlockBlob", "content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, b"x"),
    ("PUT", "c01/x", "", {"x-ms-blob-type": "BlockBlob", "x-ms-blob-content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, b"x"),
    ("PUT", "c01/x", "", {"x-ms-blob-type": "BlockBlob", "x-ms-meta-1bad": "x"}, b"x"),
    ("PUT", "c01/x", "", {"x-ms-blob-type": "BlockBlob", "x-ms-meta-": "x"}, b"x"),
    ("PUT", "c01/x", "", {"x-ms-blob-type": "BlockBlob", "x-ms-meta-big": "x" * 9000}, b"x"),
    ("PUT", "c01/x", "", {"x-ms-blob-type": "BlockBlob", "x-ms-access-tier": "Lukewarm"}, b"x"),
    ("PUT", "c01/present", "", {"x-ms-blob-type": "BlockBlob", "if-modified-since": "yesterday"}, b"x"),
    ("PUT", "c01/x", "", {"x-ms-blob-type": "BlockBlob", "x-ms-structured-body": "XSM/1.0"}, b"x"),
    ("PUT", "c01/x", "", {"x-ms-blob-type": "BlockBlob", "x-ms-lease-id": "nonsense"}, b"x"),
    ("PUT", "c01/x", "", {"x-ms-blob-type": "BlockBlob"}, b"x" * (20 * 1024 * 1024 + 1)),
    ("PUT", "c01/" + "s" * 256, "", {"x-ms-blob-type": "BlockBlob"}, b"x"),
    ("PUT", "c01/" + "s/" * 600, "", {"x-ms-blob-type": "BlockBlob"}, b"x"),
    ("PUT", "c01/a%00b", "", {"x-ms-blob-type": "BlockBlob"}, b"x"),
    ("PUT", "c01/a%FFb", "", {"x-ms-blob-type": "BlockBlob"}, b"x"),
    ("PUT", "c01/present/below", "", {"x-ms-blob-type": "Nope"}, b"x"),
    ("PUT", "nothere/x", "", {"x-ms-blob-type": "BlockBlob"}, b"x"),
    ("PUT", "nothere/x", f"comp=block&blockid={BLOCK}", {}, b"x"),
    ("PUT", ".lazulite/x", "", {"x-ms-blob-type": "BlockBlob"}, b"x"),
    ("PUT", "..%2F..%2Fetc/x", "", {"x-ms-blob-type": "BlockBlob"}, b"x"),
    ("PUT", "%2e%2e/x", "", {"x-ms-blob-type": "BlockBlob"}, b"x"),
    ("PUT", "UPPER", "restype=container", {}, b""),
    ("PUT", "a--b", "restype=container", {}, b""),
    ("PUT", "ab", "restype=container", {}, b""),
    ("PUT", ".lazulite", "restype=container", {}, b""),
    ("PUT", "fine", "restype=nonsense", {}, b""),
    ("PUT", "c01/x", "comp=block", {}, b"x"),
    ("PUT", "c01/x", "comp=block&blockid=%21%21", {}, b"x"),
    ("PUT", "c01/x", f"comp=block&blockid={'QUFB' * 40}", {}, b"x"),
    ("PUT", "c01/x", f"comp=block&blockid={BLOCK}", {}, b""),
    ("PUT", "c01/x", "comp=blocklist", {}, b"not xml"),
    ("PUT", "c01/x", "comp=blocklist", {}, b"<Wrong/>"),
    ("PUT", "c01/x", "comp=blocklist", {}, b"<BlockList><Latest/></BlockList>"),
    ("PUT", "c01/x", "comp=blocklist", {}, b"<BlockList><Latest>eHg=</Latest></BlockList>"),
    ("PUT", "c01/x", "comp=blocklist", {}, b"<!DOCTYPE a [<!ENTITY e 'x'>]><BlockList>&e;</BlockList>"),
    ("PUT", "c01/x", "comp=blocklist", {}, b"<?xml version='1.0' encoding='utf-99'?><BlockList/>"),
    ("PUT", "c01/x", "comp=appendblock", {}, b"x"),
    ("PUT", "c01/present", "comp=appendblock", {}, b"x"),
    ("PUT", "c01/present", "comp=lease", {}, b""),
    ("PUT", "c01/present", "comp=lease", {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "5"}, b""),
    ("PUT", "c01/present", "comp=lease", {"x-ms-lease-action": "renew"}, b""),
    ("PUT", "c01/present", "comp=tags", {}, b"<Tags><TagSet><Tag><Key></Key></Tag></TagSet></Tags>"),
    ("PUT", "c01/present", "comp=tier", {"x-ms-access-tier": "Nope"}, b""),
    ("PUT", "c01/present", "comp=nonsense", {}, b""),
    ("PUT", "c01/x", "", {"x-ms-copy-source": "not a url"}, b""),
    ("PUT", "c01/x", "", {"x-ms-copy-source": "http://169.254.169.254/latest"}, b""),
    ("PUT", "c01/x", "", {"x-ms-copy-source": "https://localhost:8443/storage/v1/acct1/c01"}, b""),
    ("PUT", "c01/x", "", {"x-ms-copy-source": "https://[::1/x"}, b""),
    ("GET", "c01/present", "", {"x-ms-range": "bytes=99999999999999999999-"}, b""),
    ("GET", "c01", "restype=container&comp=list&maxresults=0", {}, b""),
    ("GET", "c01", "restype=container&comp=list&maxresults=many", {}, b""),
    ("GET", "c01", "restype=container&comp=list&marker=%21%21%21", {}, b""),
    ("GET", "c01", "restype=container&comp=nonsense", {}, b""),
    ("GET", "c01", "", {}, b""),
    ("GET", "", "comp=nonsense", {}, b""),
    ("GET", "c01/x", "snapshot=2020-01-01T00:00:00.0000000Z", {}, b""),
    ("PUT", "", "restype=service&comp=properties", {}, b"<nope"),
    ("PUT", "c01", "restype=container&comp=acl", {}, b"<SignedIdentifiers><SignedIdentifier/></SignedIdentifiers>"),
    ("POST", "", "restype=service&comp=userdelegationkey", {}, b"<KeyInfo/>"),
    ("PATCH", "c01/present", "", {}, b""),
    ("DELETE", "c01/nothere", "", {}, b""),
    ("DELETE", "", "", {}, b""),
    ("PATCH", "_.dfs.core.windows.net/c01/present", "action=append&position=x", {}, b"x"),
    ("PATCH", "_.dfs.core.windows.net/c01/present", "action=flush&position=999", {}, b""),
    ("PUT", "_.dfs.core.windows.net/c01/new", "resource=nonsense", {}, b""),
    ("PUT", "_.file.core.windows.net/c01/new", "", {}, b""),
    ("PUT", "_.file.core.windows.net/c01/new", "", {"x-ms-content-length": "many"}, b""),
    ("PUT", "_.file.core.windows.net/c01/new", "", {"x-ms-content-length": "9" * 18}, b""),
    ("PUT", "_.file.core.windows.net/c01/new", "comp=range", {"x-ms-range": "bytes=0-1"}, b"xx"),
    ("PUT", "_.file.core.windows.net/c01/present", "comp=range", {"x-ms-range": "bytes=0-1"}, b"xxx"),
    ("PUT", "_.file.core.windows.net/c01/present", "comp=range", {}, b"xxx"),
    ("GET", "_.file.core.windows.net/c01/present", "restype=directory&comp=list", {}, b""),
    ("DELETE", "_.file.core.windows.net/c01/nothere", "restype=directory", {}, b""),
    ("PUT", "_.dfs.core.windows.net/c01/new", "", {"x-ms-rename-source": "/c01/nothere"}, b""),
    ("GET", "_.dfs.core.windows.net/c01", "resource=filesystem&directory=nothere", {}, b""),
]


@pytest.mark.parametrize("case", REQUESTS, ids=[f"{i}-{r[0]}-{r[1][:20]}-{r[2][:30]}" for i, r in enumerate(REQUESTS)])
async def test_is_refused_and_leaves_nothing(client: Any, store: BlobStore, case: Any, tmp_path: Path) -> None:
    await client.put("present", b"present")
    before = await everything(client)
    files = sorted(str(path) for path in tmp_path.rglob("*") if path.is_file())
    method, path, query, headers, body = case
    answer = await client.send(method, path, query, headers, body)
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
    code = answer.headers["x-ms-error-code"]
    assert f"<Code>{code}</Code><Message>" in answer.text
    assert len(re.search("<Message>(.*)</Message>", answer.text, re.DOTALL)[1]) > 15  # type: ignore[index]
    assert answer.headers["x-ms-request-id"]
    assert await everything(client) == before
    if isinstance(store, FolderStore):
        left = sorted(str(path) for path in tmp_path.rglob("*") if path.is_file())
        assert [path for path in left if path not in files and "/blocks/" not in path] == []


async def everything(client: Any) -> Any:
    listed = await client.send("GET", "c01", "restype=container&comp=list&include=metadata,uncommittedblobs")
    containers = await client.send("GET", "", "comp=list")
    return re.findall("<Name>[^<]*</Name>|<Etag>[^<]*</Etag>", listed.text + containers.text)


@pytest.mark.parametrize(
    ("headers", "query", "status", "code", "text"),
    [
        ({}, "", 401, "NoAuthenticationInformation", "neither"),
        ({"authorization": "Basic x"}, "", 400, "InvalidAuthenticationInfo", "Basic"),
        ({"authorization": "SharedKey nonsense"}, "", 400, "InvalidAuthenticationInfo", "SharedKey"),
        ({"authorization": "SharedKey acct1:x"}, "", 403, "AuthenticationFailed", "x-ms-date"),
        ({"authorization": "SharedKey acct1:x", "date": LONG_AGO}, "", 403, "AuthenticationFailed", "15 minutes"),
        ({"authorization": "Bearer x"}, "", 401, "InvalidAuthenticationInfo", "no bearer here"),
        ({}, "sv=2021-08-06&sig=x", 403, "AuthenticationFailed", "String to sign"),
        ({}, "sv=2021-08-06&sig=x&sv=2021-08-06&ss=b&srt=sco&sp=r&se=2000-01-01", 403, "AuthenticationFailed", "did not match"),
        ({}, "sig=%FF&sr=c&sv=2099-01-01", 403, "AuthenticationFailed", "did not match"),
        ({}, "sv=2021-08-06&sig=x&sr=d&sv=2021-08-06", 403, "AuthenticationFailed", "sdd"),
        ({}, "sv=2021-08-06&sig=x&sr=c&skoid=1&ske=nonsense", 403, "AuthenticationFailed", "ISO 8601"),
    ],
)  # fmt: skip
async def test_credentials_are_refused_with_the_cause(
    client: Any, headers: dict[str, str], query: str, status: int, code: str, text: str
) -> None:
    answer = await client.http.get(f"/storage/v1/acct1/c01/x?{query}", headers=headers)
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (status, code)
    assert text in answer.text
    if status == 401:
        assert "authorization_uri=https://localhost:8443" in answer.headers["www-authenticate"]


@pytest.mark.parametrize("path", ["/storage/v1/unknown1/c/x", "/storage/v1/", "/storage/v1/acct1%2F..%2Fx/c", "/other"])
async def test_addresses_of_nothing(client: Any, path: str) -> None:
    answer = await client.http.get(path)
    assert answer.status_code in (400, 404)


async def test_a_name_below_a_blob_is_a_conflict_in_folders(client: Any, store: BlobStore) -> None:
    if not isinstance(store, FolderStore):
        pytest.skip("object stores hold both")
    await client.put("present", b"1")
    answer = await client.put("present/below", b"2")
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (409, "PathConflict")
    await client.put("dir/file", b"1")
    answer = await client.put("dir", b"2")
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (409, "PathConflict")
    await client.send("DELETE", "c01/dir/file")
    assert (await client.put("dir", b"2")).status_code == 201
