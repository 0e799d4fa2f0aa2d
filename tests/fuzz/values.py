"""What nobody should send: names, numbers, headers and documents, drawn by chance."""

from __future__ import annotations

import json
import random
from typing import Any

NAMES = (
    "a", "A" * 256, "x" * 1025, ".", "..", "../../etc/passwd", "%2e%2e%2f", "a%2Fb", "a/b", "a%00b", "%ff%fe", "%C0%AF",
    "é", "名前", "%F0%9F%92%A9", "a b", "a+b", "a%20b", "a#b", "a;b", "a:b", "@latest", "labels", "-1", "0", "con.", "~", "$",
    "*", "%", "%zz", "'", '"', "`id`", "${{inputs.a}}", "<script>", "null", "true", "1e999", "²", "٣", "\u202e", "%E2%80%AE",
)  # fmt: skip
NUMBERS: tuple[Any, ...] = (
    0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**400, 1.5, -0.0, 1e308, 1e-320, float("inf"), float("nan"),
    True, "1", "²", "9" * 5000, "0x10", "1_000", " 7 ", "",
)  # fmt: skip
TEXTS = (
    "", " ", "a", "x" * 10_000, "\x00", "\ud800", "é" * 300, "\u2028", "\r\nX: y", "$" * 50, "${{", "${{" * 200, "azureml:",
    "azureml:a:b:c", "azureml://", "azureml://datastores/x/paths/../../y", "/subscriptions/x", "https://", "https://[::1",
    "http://127.0.0.1:1/", "file:///etc/passwd", "P1D", "PT" + "9" * 300 + "S", "2026-13-45T99:99:99Z", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.9999999Z", "(" * 3000, "a and " * 3000, "' or 1=1 --", "%s%n", "\\" * 99,
)  # fmt: skip
QUERIES = (
    "api-version=2024-04-01", "$top=²", "$top=-1", "$top=1e9", "$skip=x", "$skip=AAAA", "$skipToken=%00", "$filter=a eq 'b'",
    "$filter=((((", "$orderBy=nope", "listViewType=All", "listViewType=x", "api-version=", "api-version=a&api-version=b",
    "comp=list", "comp=block&blockid=%%%", "comp=blocklist", "comp=lease", "comp=metadata", "comp=nope", "restype=container",
    "restype=container&comp=list&maxresults=²", "resource=filesystem&recursive=x", "sv=2020-02-10&sig=a&se=x&sp=r&sr=b",
    "sv=x&ss=b&srt=o&sp=r&se=9999&sig=%00", "timeout=" + "9" * 5000, "max_results=0", "max_results=1e3", "page_token=e30=",
    "lifetime_s=²", "resource=", "path=../..", "path=%2e%2e", "&&&=", "a=" + "b" * 3000, "x=%ff", "%00=1",
)  # fmt: skip
HEADERS = (
    ("If-Match", "*"), ("If-Match", '"nope"'), ("If-None-Match", "*"), ("If-Modified-Since", "yesterday"), ("Range", "bytes=9-1"),
    ("Range", "bytes=" + "9" * 400 + "-"), ("x-ms-range", "bytes=-"), ("x-ms-date", "never"), ("x-ms-version", "²"),
    ("x-ms-lease-duration", "²"), ("x-ms-lease-id", "x"), ("x-ms-lease-action", "steal"), ("x-ms-blob-type", "PageBlob"),
    ("x-ms-blob-type", "BlockBlob"), ("x-ms-copy-source", "http://["), ("x-ms-copy-source", "file:///etc/passwd"),
    ("x-ms-rename-source", "/a/%00"), ("x-ms-meta-a b", "1"), ("x-ms-meta-x", "é"), ("x-ms-blob-content-length", "-5"),
    ("x-ms-tags", "a=b&a=b"), ("Content-MD5", "x"), ("Content-Encoding", "gzip"), ("Content-Type", "text/xml"),
    ("Content-Type", "application/x-www-form-urlencoded"), ("Content-Type", "multipart/mixed; boundary="), ("Expect", "x"),
    ("Accept", "*/*;q=²"), ("Cookie", "lazulite=" + "a" * 4000), ("Origin", "https://evil.example"), ("X-HTTP-Method", "PATCH"),
    ("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-Proto", "ftp"), ("x-ms-client-request-id", "a" * 4000),
    ("X-IDENTITY-HEADER", "é"), ("Metadata", "true"), ("Transfer-Encoding", "gzip"), ("Upgrade", "websocket"),
)  # fmt: skip
BODIES = (
    b"", b" ", b"null", b"[]", b'""', b"{", b"}", b'{"a":', b"\xff\xfe", b"\x00" * 64, b"{'a': 1}", b'{"a":1,"a":2}', b"NaN",
    b'{"properties":' * 400, b"[" * 20_000, b'{"a":' + b"[" * 900 + b"]" * 900 + b"}", b"<?xml", b"<a>" * 5000,
    b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b"<BlockList><Latest>%%</Latest></BlockList>", b"a=b&c", b"--x\r\n\r\n--x--",
    b'{"properties":{"tags":{' + b",".join(b'"%d":"x"' % n for n in range(3000)) + b"}}}", b"0" * 200_000,
)  # fmt: skip


def wrong(value: Any, chance: random.Random) -> Any:
    """`value` with one thing in it that is wrong."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(list(value))
        if chance.random() < 0.15:
            return {name: kept for name, kept in value.items() if name != key}
        if chance.random() < 0.15:
            return {**value, chance.choice(TEXTS): value[key]}
        return {**value, key: wrong(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.7:
        at = chance.randrange(len(value))
        return [*value[:at], wrong(value[at], chance), *value[at + 1 :]]
    return any_value(chance)


def any_value(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.randrange(6 if depth < 3 else 4)
    if kind == 0:
        return None
    if kind == 1:
        return chance.choice(NUMBERS)
    if kind in (2, 3):
        return chance.choice(TEXTS)
    items = [any_value(chance, depth + 1) for _ in range(chance.randrange(4))]
    return items if kind == 4 else {chance.choice(TEXTS): item for item in items}


def encoded(document: Any) -> bytes:
    """JSON as Python writes it, NaN and half characters included."""
    return json.dumps(document).encode("utf-8", "surrogatepass")
