"""Reading blobs: Get Blob, its properties, metadata and tags."""

from __future__ import annotations

import base64
import hashlib

from lazulite.storage.conditions import check_read
from lazulite.storage.documents import tags_document
from lazulite.storage.errors import StorageError
from lazulite.storage.exchange import Answer, Exchange, blob_headers, blob_not_found, version_headers
from lazulite.storage.leases import check_blob_lease
from lazulite.storage.ranges import byte_range
from lazulite.storage.store import Blob, BlobReader

_MAX_HASHED_RANGE = 4 * 1024 * 1024
_OVERRIDE_HEADERS = {
    "rscc": "Cache-Control",
    "rscd": "Content-Disposition",
    "rsce": "Content-Encoding",
    "rscl": "Content-Language",
    "rsct": "Content-Type",
}


async def get_blob(exchange: Exchange) -> Answer:
    """Get Blob, whole or a range."""
    reader = await exchange.store.open(exchange.account, exchange.container, exchange.name)
    if reader is None:
        raise blob_not_found(exchange.name)
    try:
        _check(exchange, reader.blob)
        return await _answer(exchange, reader)
    except BaseException:
        reader.close()
        raise


async def get_properties(exchange: Exchange) -> Answer:
    """Get Blob Properties (HEAD)."""
    blob = await exchange.existing()
    _check(exchange, blob)
    headers = _headers(exchange, blob)
    headers["Content-Length"] = str(blob.size)
    return Answer(200, headers)


async def get_metadata(exchange: Exchange) -> Answer:
    blob = await exchange.existing()
    _check(exchange, blob)
    headers = version_headers(blob)
    headers.update({"x-ms-meta-" + name: value for name, value in blob.record.metadata.items()})
    return Answer(200, headers)


async def get_tags(exchange: Exchange) -> Answer:
    blob = await exchange.existing()
    _check(exchange, blob)
    return Answer(200, {"Content-Type": "application/xml"}, tags_document(blob.record.tags))


def _check(exchange: Exchange, blob: Blob) -> None:
    request = exchange.request
    if "snapshot" in request.query or "versionid" in request.query:
        raise StorageError("ResourceNotFound", "There are no snapshots or versions of blobs here.")
    check_read(request.headers, blob.etag, blob.modified)
    check_blob_lease(blob.record.lease, request.headers.get("x-ms-lease-id"), exchange.now(), writing=False)


def _headers(exchange: Exchange, blob: Blob) -> dict[str, str]:
    headers = blob_headers(blob, exchange.now())
    for name, value in exchange.grant.overrides:
        headers[_OVERRIDE_HEADERS[name]] = value
    return headers


async def _answer(exchange: Exchange, reader: BlobReader) -> Answer:
    blob = reader.blob
    headers = _headers(exchange, blob)
    asked = exchange.request.header("x-ms-range") or exchange.request.header("range")
    span = byte_range(asked, blob.size) if asked else None
    if span is None:
        headers["Content-Length"] = str(blob.size)
        return Answer(200, headers, reader=reader, span=(0, blob.size))
    first, last = span
    headers["Content-Length"] = str(last - first + 1)
    headers["Content-Range"] = f"bytes {first}-{last}/{blob.size}"
    whole = headers.pop("Content-MD5", None)
    if whole:
        headers["x-ms-blob-content-md5"] = whole
    if exchange.request.flag("x-ms-range-get-content-md5"):
        headers["Content-MD5"] = await _range_md5(reader, first, last - first + 1)
    return Answer(206, headers, reader=reader, span=(first, last - first + 1))


async def _range_md5(reader: BlobReader, first: int, length: int) -> str:
    if length > _MAX_HASHED_RANGE:
        raise StorageError(
            "InvalidHeaderValue", "x-ms-range-get-content-md5 takes ranges of at most 4 MiB.", status=400
        )
    data = await reader.read(first, length)
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
