"""What every store must do behind the gateway: blobs."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from typing import Any

import pytest

from lazulite.storage import BlobStore
from lazulite.storage.obstore_store import ObstoreStore

ID = [base64.b64encode(f"{n:08d}".encode()).decode() for n in range(10)]


def names_in(text: str) -> list[str]:
    return re.findall(r"<Name>([^<]*)</Name>", text)


@pytest.mark.parametrize("size", [0, 1, 4096, 70_000, 9 * 1024 * 1024 + 3])
async def test_put_then_get(client: Any, size: int) -> None:
    data = os.urandom(size)
    answer = await client.put("a/b.bin", data)
    assert answer.status_code == 201
    digest = base64.b64encode(hashlib.md5(data).digest()).decode()
    assert answer.headers["content-md5"] == digest
    got = await client.get("a/b.bin")
    assert (got.status_code, got.content) == (200, data)
    assert got.headers["etag"] == answer.headers["etag"]
    head = await client.send("HEAD", "c01/a/b.bin")
    assert (head.headers["content-length"], head.headers["x-ms-blob-type"]) == (str(size), "BlockBlob")


async def test_a_chunked_body(client: Any) -> None:
    async def pieces() -> Any:
        for _ in range(5):
            yield b"piece"

    assert (await client.put("chunked", pieces())).status_code == 201
    assert (await client.get("chunked")).content == b"piece" * 5


async def test_overwriting_changes_the_etag(client: Any) -> None:
    etags = {(await client.put("same", b"same")).headers["etag"] for _ in range(20)}
    assert len(etags) == 20


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        ("bytes=0-3", 206, b"0123"),
        ("bytes=4-", 206, b"456789"),
        ("bytes=-2", 206, b"89"),
        ("bytes=8-100", 206, b"89"),
        ("bytes=10-", 416, None),
        ("bytes=3-1", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
        ("bytes=0-1,3-4", 200, b"0123456789"),
    ],
)
async def test_ranges(client: Any, asked: str, status: int, expected: bytes | None) -> None:
    await client.put("ten", b"0123456789")
    got = await client.get("ten", x_ms_range=asked)
    assert got.status_code == status
    if expected is not None:
        assert got.content == expected
    else:
        assert got.headers["content-range"] == "bytes */10"


async def test_conditions(client: Any) -> None:
    etag = (await client.put("c", b"1")).headers["etag"]
    assert (await client.get("c", if_match=etag)).status_code == 200
    assert (await client.get("c", if_match='"other"')).status_code == 412
    unchanged = await client.get("c", if_none_match=etag)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert (await client.put("c", b"2", if_none_match="*")).headers["x-ms-error-code"] == "BlobAlreadyExists"
    assert (await client.put("c", b"2", if_match='"other"')).status_code == 412
    assert (await client.put("new", b"2", if_match=etag)).status_code == 412
    assert (await client.put("c", b"2", if_match=etag)).status_code == 201
    assert (await client.get("c", if_modified_since="Fri, 01 Jan 2100 00:00:00 GMT")).status_code == 304
    assert (await client.get("c", if_unmodified_since="Fri, 01 Jan 2010 00:00:00 GMT")).status_code == 412


async def test_metadata_survives_and_moves_the_etag(client: Any) -> None:
    put = await client.put("m", b"content", x_ms_meta_a="1", x_ms_blob_content_type="text/x", x_ms_tags="k=v")
    changed = await client.send("PUT", "c01/m", "comp=metadata", {"x-ms-meta-b": "2" * 5000})
    assert changed.status_code == 200
    assert changed.headers["etag"] != put.headers["etag"]
    got = await client.get("m")
    assert got.content == b"content"
    assert got.headers["x-ms-meta-b"] == "2" * 5000
    assert "x-ms-meta-a" not in got.headers
    assert (got.headers["content-type"], got.headers["x-ms-tag-count"]) == ("text/x", "1")
    assert got.headers["etag"] == changed.headers["etag"]
    await client.put("m", b"anew")
    assert "x-ms-meta-b" not in (await client.get("m")).headers


async def test_blocks_out_of_order_and_reused(client: Any) -> None:
    for index in (2, 0, 1):
        answer = await client.send("PUT", "c01/b", f"comp=block&blockid={ID[index]}", content=bytes([65 + index]) * 3)
        assert answer.status_code == 201
    assert (await client.get("b")).status_code == 404
    await commit(client, [("Latest", ID[0]), ("Uncommitted", ID[1]), ("Latest", ID[2])])
    assert (await client.get("b")).content == b"AAABBBCCC"
    await client.send("PUT", "c01/b", f"comp=block&blockid={ID[1]}", content=b"new")
    await commit(client, [("Committed", ID[1]), ("Latest", ID[1]), ("Latest", ID[0])])
    assert (await client.get("b")).content == b"BBBnewAAA"
    listed = (await client.send("GET", "c01/b", "comp=blocklist&blocklisttype=all")).text
    assert listed.count("<Block>") == 3
    assert "<UncommittedBlocks></UncommittedBlocks>" in listed
    bad = await client.send("PUT", "c01/b", "comp=blocklist", content=block_list([("Latest", ID[7])]))
    assert bad.headers["x-ms-error-code"] == "InvalidBlockList"
    await commit(client, [])
    assert (await client.get("b")).content == b""


async def test_a_block_put_twice_counts_once_with_the_last(client: Any) -> None:
    for data in (b"first", b"second"):
        await client.send("PUT", "c01/b", f"comp=block&blockid={ID[0]}", content=data)
    await commit(client, [("Latest", ID[0])])
    assert (await client.get("b")).content == b"second"


async def test_put_blob_drops_nothing_it_should_not(client: Any) -> None:
    await client.send("PUT", "c01/b", f"comp=block&blockid={ID[0]}", content=b"block")
    listed = await client.send("GET", "c01", "restype=container&comp=list&include=uncommittedblobs")
    assert names_in(listed.text) == ["b"]
    assert names_in((await client.send("GET", "c01", "restype=container&comp=list")).text) == []


async def test_append(client: Any) -> None:
    assert (await client.put("log", b"", x_ms_blob_type="AppendBlob")).status_code == 201
    for index, line in enumerate((b"one", b"two", b"three")):
        answer = await client.send("PUT", "c01/log", "comp=appendblock", content=line)
        assert answer.headers["x-ms-blob-committed-block-count"] == str(index + 1)
    assert (await client.get("log")).content == b"onetwothree"
    full = await client.send("PUT", "c01/log", "comp=appendblock", content=b"x")
    assert full.headers["x-ms-error-code"] == "BlockCountExceedsLimit"
    long = await client.send("PUT", "c01/log", "comp=appendblock", content=b"x" * 1025)
    assert long.status_code in (409, 413)
    await client.put("plain", b"")
    wrong = await client.send("PUT", "c01/plain", "comp=appendblock", content=b"x")
    assert wrong.headers["x-ms-error-code"] == "InvalidBlobType"


async def test_lease_expires(client: Any, clock: Any) -> None:
    await client.put("l", b"1")
    taken = await client.send(
        "PUT", "c01/l", "comp=lease", {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "15"}
    )
    lease = taken.headers["x-ms-lease-id"]
    assert (await client.put("l", b"2")).headers["x-ms-error-code"] == "LeaseIdMissing"
    assert (await client.put("l", b"2", x_ms_lease_id=lease)).status_code == 201
    assert (await client.put("l", b"2", x_ms_lease_id="00000000-0000-0000-0000-000000000000")).status_code == 412
    clock.pass_time(16)
    assert (await client.send("HEAD", "c01/l")).headers["x-ms-lease-state"] == "expired"
    assert (await client.put("l", b"3")).status_code == 201


ODD_NAMES = ["a//b", "d/", "./x", "../x", "a/../b", ".lz%x", "q?&#%", "ü/é", "tab\there", "x" * 200 + "/y", "..."]


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_odd_names_are_kept_exactly(client: Any, store: BlobStore, name: str) -> None:
    from urllib.parse import quote

    coded = quote(name, safe="").replace(".", "%2E")
    answer = await client.put(coded, name.encode())
    if isinstance(store, ObstoreStore) and "\t" in name:
        assert (answer.status_code, answer.headers["x-ms-error-code"]) == (400, "InvalidResourceName")
        return
    assert answer.status_code == 201
    assert (await client.get(coded)).content == name.encode()
    listed = (await client.send("GET", "c01", "restype=container&comp=list")).text
    assert names_in(listed.replace("&amp;", "&")) == [name]
    assert (await client.send("DELETE", f"c01/{coded}")).status_code == 202
    assert (await client.get(coded)).status_code == 404


async def test_listing_in_pages_meets_every_name_once(client: Any) -> None:
    names = sorted(f"{top}{rest}" for top in ("a", "b/", "b-", "c/d/") for rest in ("1", "2", "3"))
    for name in names:
        await client.put(name)
    for delimiter, expected in (("", names), ("/", ["a1", "a2", "a3", "b-1", "b-2", "b-3", "b/", "c/"])):
        found: list[str] = []
        marker = ""
        while True:
            query = f"restype=container&comp=list&maxresults=2&delimiter={delimiter}&marker={marker}"
            text = (await client.send("GET", "c01", query)).text
            found += names_in(text)
            marker = re.search("<NextMarker>([^<]*)</NextMarker>", text)[1]  # type: ignore[index]
            if not marker:
                break
        assert found == expected


async def test_the_account_listing_by_prefix(client: Any) -> None:
    await client.put("dir/x", b"1")
    lead = "v1/acct1/_.blob.core.windows.net/c01/"
    answer = await client.http.get(f"/storage?comp=list&restype=container&prefix={lead}dir/&{client._query}")
    assert names_in(answer.text) == [lead + "dir/x"]


async def test_copy_within(client: Any) -> None:
    await client.put("source", b"payload", x_ms_meta_a="1")
    url = f"https://localhost:8443/storage/v1/acct1/c01/source?{client._query.replace('https%2Chttp', 'https%2Chttp')}"
    answer = await client.send("PUT", "c01/target", headers={"x-ms-copy-source": url})
    assert (answer.status_code, answer.headers["x-ms-copy-status"]) == (202, "success")
    got = await client.get("target")
    assert (got.content, got.headers["x-ms-meta-a"]) == (b"payload", "1")
    unsigned = await client.send("PUT", "c01/t2", headers={"x-ms-copy-source": url.partition("?")[0]})
    assert (unsigned.status_code, unsigned.headers["x-ms-error-code"]) == (403, "CannotVerifyCopySource")


async def test_a_reader_keeps_what_it_opened(store: BlobStore, client: Any) -> None:
    await client.put("r", b"old" * 10)
    reader = await store.open("acct1", "c01", "r")
    assert reader is not None
    await client.put("r", b"new")
    # Whole old bytes, or a short read that the client notices: never a mixture.
    assert await reader.read(0, 30) in (b"old" * 10, b"")
    reader.close()


async def test_data_lake_directories(client: Any) -> None:
    lead = "_.dfs.core.windows.net/c01"
    assert (await client.send("PUT", f"{lead}/d/e", "resource=directory")).status_code == 201
    assert (await client.send("PUT", f"{lead}/d/e/f", "resource=file")).status_code == 201
    await client.send("PATCH", f"{lead}/d/e/f", "action=append&position=0", content=b"one")
    assert (await client.send("PATCH", f"{lead}/d/e/f", "action=flush&position=3")).status_code == 200
    assert (await client.get("d/e/f")).content == b"one"
    listed = (await client.send("GET", lead, "resource=filesystem&recursive=true")).json()
    assert [path["name"] for path in listed["paths"]] == ["d", "d/e", "d/e/f"]
    assert (await client.send("DELETE", f"{lead}/d", "recursive=false")).status_code == 409
    moved = await client.send("PUT", f"{lead}/z", headers={"x-ms-rename-source": "/c01/d"})
    assert moved.status_code == 201
    assert (await client.get("z/e/f")).content == b"one"
    assert (await client.send("DELETE", f"{lead}/z", "recursive=true")).status_code == 200
    assert (await client.send("GET", "c01", "restype=container&comp=list")).text.count("<Blob>") == 0


async def commit(client: Any, lines: list[tuple[str, str]]) -> None:
    answer = await client.send("PUT", "c01/b", "comp=blocklist", content=block_list(lines))
    assert answer.status_code == 201, answer.text


def block_list(lines: list[tuple[str, str]]) -> bytes:
    return ("<BlockList>" + "".join(f"<{k}>{v}</{k}>" for k, v in lines) + "</BlockList>").encode()
