"""The protocol's rules that need no store: names, ranges, conditions, addresses, leases, listings' XML."""

from __future__ import annotations

import random

import pytest

from lazulite.storage import leases
from lazulite.storage.addressing import address
from lazulite.storage.conditions import check_read, check_write
from lazulite.storage.documents import name_element
from lazulite.storage.errors import StorageError
from lazulite.storage.folder_blocks import expected_offset
from lazulite.storage.folder_names import path_parts, segment_name
from lazulite.storage.naming import check_container
from lazulite.storage.ranges import byte_range
from lazulite.storage.request import parse_query

BLOB = "/storage/v1/acct/_.blob.core.windows.net"
DFS = "/storage/v1/acct/_.dfs.core.windows.net"


def test_every_name_has_one_path_and_comes_back() -> None:
    pieces = ["", ".", "..", "a", ".lz%", ".lz%x", ".lz%.lz%", "%2F", "ü", "b c"]
    chance = random.Random(3)
    seen: dict[tuple[str, ...], str] = {}
    for _ in range(5000):
        name = "/".join(chance.choice(pieces) for _ in range(chance.randint(1, 5)))
        parts = path_parts(name)
        assert all(part not in ("", ".", "..") and "/" not in part for part in parts)
        assert "/".join(segment_name(part) or "" for part in parts) == name
        assert seen.setdefault(tuple(parts), name) == name


def test_files_that_are_no_escaped_name_are_no_blobs() -> None:
    assert segment_name(".lz%x") is None
    assert segment_name("\udcff") is None


@pytest.mark.parametrize("name", ["ab", "a" * 64, "A-b", "a--b", "-ab", "ab-", "a_b", ".lazulite", "..", "a/b", "a\n"])
def test_container_names_that_azure_refuses(name: str) -> None:
    with pytest.raises(StorageError):
        check_container(name)


@pytest.mark.parametrize("name", ["abc", "a-b-c", "0ab", "a" * 63, "$root", "azureml-blobstore-" + "1" * 36])
def test_container_names_that_azure_takes(name: str) -> None:
    check_container(name)


@pytest.mark.parametrize("size", range(5))
@pytest.mark.parametrize("first", ["", "0", "1", "4", "9"])
@pytest.mark.parametrize("last", ["", "0", "1", "4", "9"])
def test_ranges_never_leave_the_content(size: int, first: str, last: str) -> None:
    beyond = int(first) >= size if first else last == "0" or (last and size == 0)
    backwards = first and last and int(last) < int(first)
    if beyond and not backwards:
        with pytest.raises(StorageError) as caught:
            byte_range(f"bytes={first}-{last}", size)
        assert caught.value.status == 416
        return
    span = byte_range(f"bytes={first}-{last}", size)
    assert span is None or 0 <= span[0] <= span[1] < size
    assert (span is None) == bool(backwards or not (first or last))


def test_conditions_on_what_does_not_exist() -> None:
    check_write({"if-none-match": "*"}, None, 0)
    with pytest.raises(StorageError, match="does not exist"):
        check_write({"if-match": "*"}, None, 0)


def test_weak_and_listed_etags() -> None:
    check_read({"if-match": 'W/"a", "b"'}, "b", 0)
    with pytest.raises(StorageError):
        check_read({"if-none-match": '"a", "b"'}, "b", 0)


@pytest.mark.parametrize(
    ("path", "host", "expected"),
    [
        ("/storage/v1/acct/c/a/b", "localhost", ("acct", "blob", "c", "a/b", "/storage/v1/acct")),
        (f"{BLOB}/c/a%2Fb", "h", ("acct", "blob", "c", "a/b", BLOB)),
        (f"{DFS}/c", "h", ("acct", "dfs", "c", "", DFS)),
        ("/storage/v1/acct/", "h", ("acct", "blob", "", "", "/storage/v1/acct")),
        ("/c/b", "acct.blob.core.example.com:8443", ("acct", "blob", "c", "b", "")),
        ("/", "acct.file.core.example.com", ("acct", "file", "", "", "")),
        ("/c//b", "acct.blob.x", ("acct", "blob", "c", "/b", "")),
    ],
)  # fmt: skip
def test_addresses(path: str, host: str, expected: tuple[str, ...]) -> None:
    found = address(path, host, {})
    assert (found.account, found.service, found.container, found.blob, found.lead) == expected


def test_the_address_in_a_prefix() -> None:
    found = address("/storage", "h", {"prefix": "v1/acct/_.blob.core.windows.net/c/a/b"})
    assert (found.account, found.container, found.prefix) == ("acct", "c", "a/b")
    assert found.listed == "v1/acct/_.blob.core.windows.net/c/"


def test_queries_are_read_once_and_in_lower_case() -> None:
    assert dict(parse_query("Comp=list&a=1+2%2B3&a=second&flag")) == {"comp": "list", "a": "1 2+3", "flag": ""}


def test_block_ids_that_tell_where_they_go() -> None:
    assert expected_offset("MDAwMDAwMDA=", 100) == 0
    assert expected_offset("MDAwMDAwMDM=", 100) == 300
    assert expected_offset("AAAA", 100) is None
    assert expected_offset("MTExMTExMTExMTExMTExMTExMTExMTEx", 1) is None


def test_names_that_xml_cannot_hold_are_marked() -> None:
    assert name_element("a\x01<") == '<Name Encoded="true">a%01%3C</Name>'
    assert name_element("a<b>") == "<Name>a&lt;b&gt;</Name>"


def test_the_life_of_a_lease() -> None:
    taken = leases.change(None, {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "15"}, 100).lease
    assert taken is not None
    assert leases.state(taken, 114) == "leased"
    assert leases.state(taken, 115) == "expired"
    breaking = leases.change(taken, {"x-ms-lease-action": "break", "x-ms-lease-break-period": "5"}, 101)
    assert breaking.headers == {"x-ms-lease-time": "5"}
    assert leases.state(breaking.lease, 105) == "breaking"
    assert leases.state(breaking.lease, 106) == "broken"
    with pytest.raises(StorageError) as caught:
        leases.change(breaking.lease, {"x-ms-lease-action": "renew", "x-ms-lease-id": taken.id}, 106)
    assert caught.value.code == "LeaseIsBrokenAndCannotBeRenewed"
    again = leases.change(breaking.lease, {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "-1"}, 106).lease
    assert leases.state(again, 10**9) == "leased"
