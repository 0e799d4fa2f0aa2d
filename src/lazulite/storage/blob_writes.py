"""Writing blobs: Put Blob, properties, metadata, tags, tier, leases and Delete Blob."""

from __future__ import annotations

from urllib.parse import parse_qsl

from lazulite.storage.conditions import check_write
from lazulite.storage.documents import parse_tags
from lazulite.storage.errors import StorageError, invalid_header, missing_header, not_built
from lazulite.storage.exchange import Answer, Exchange, version_headers
from lazulite.storage.leases import change, check_blob_lease
from lazulite.storage.store import APPEND_BLOB, BLOCK_BLOB, Blob, Record

_EARLY_BYTES = 1024 * 1024
_TIERS = ("Hot", "Cool", "Cold", "Archive")


async def put_blob(exchange: Exchange) -> Answer:
    """Put Blob: a block blob with its content, or an empty append blob."""
    kind = _kind(exchange)
    record = new_record(exchange, kind)
    if (exchange.request.content_length or _EARLY_BYTES) >= _EARLY_BYTES:
        await exchange.writable()  # do not take a long body in that cannot be kept
    limit = exchange.limits.put_bytes if kind == BLOCK_BLOB else 0
    async with exchange.content(limit, md5=kind == BLOCK_BLOB) as content:
        if kind == BLOCK_BLOB:
            _check_md5(exchange, content.md5)
            record.content_md5 = exchange.request.header("x-ms-blob-content-md5") or content.md5
        async with exchange.lock():
            carry_over(record, await exchange.writable(), exchange.now())
            if is_directory_marker(record) and content.size == 0:
                blob = await exchange.store.make_directory(exchange.account, exchange.container, exchange.name, record)
            else:
                blob = await exchange.store.put(exchange.account, exchange.container, exchange.name, content, record)
    headers = written_headers(blob)
    if record.content_md5:
        headers["Content-MD5"] = record.content_md5
    return Answer(201, headers)


async def set_metadata(exchange: Exchange) -> Answer:
    found = exchange.request.metadata
    async with exchange.lock():
        blob = await exchange.changeable()
        blob.record.metadata = found
        return Answer(200, written_headers(await _update(exchange, blob)))


async def set_properties(exchange: Exchange) -> Answer:
    """Set Blob Properties: what is not named is cleared."""
    async with exchange.lock():
        blob = await exchange.changeable()
        if "x-ms-blob-content-length" in exchange.request.headers:
            raise not_built("Resizing page blobs")
        _content_headers(blob.record, exchange, own=False)
        blob.record.content_md5 = exchange.request.header("x-ms-blob-content-md5")
        return Answer(200, version_headers(await _update(exchange, blob)))


async def set_tags(exchange: Exchange) -> Answer:
    tags = parse_tags(await exchange.request.document())
    async with exchange.lock():
        blob = await exchange.changeable()
        blob.record.tags = tags
        await _update(exchange, blob, touch=False)
    return Answer(204)


async def set_tier(exchange: Exchange) -> Answer:
    """Set Blob Tier: kept and told, without any effect."""
    tier = exchange.request.header("x-ms-access-tier")
    if tier is None:
        raise missing_header("x-ms-access-tier")
    if tier not in _TIERS:
        raise invalid_header("x-ms-access-tier", tier, f"it is none of {', '.join(_TIERS)}")
    async with exchange.lock():
        blob = await exchange.changeable()
        blob.record.tier = tier
        await _update(exchange, blob, touch=False)
    return Answer(200)


async def lease_blob(exchange: Exchange) -> Answer:
    async with exchange.lock():
        blob = await exchange.existing()
        check_write(exchange.request.headers, blob.etag, blob.modified)
        outcome = change(blob.record.lease, exchange.request.headers, exchange.now())
        blob.record.lease = outcome.lease
        blob = await _update(exchange, blob, touch=False)
    return Answer(outcome.status, version_headers(blob) | outcome.headers)


async def delete_blob(exchange: Exchange) -> Answer:
    if "snapshot" in exchange.request.query or exchange.request.headers.get("x-ms-delete-snapshots") == "only":
        raise not_built("Blob snapshots")
    async with exchange.lock():
        blob = await exchange.existing()
        check_write(exchange.request.headers, blob.etag, blob.modified)
        check_blob_lease(blob.record.lease, exchange.request.headers.get("x-ms-lease-id"), exchange.now(), writing=True)
        await exchange.store.delete(exchange.account, exchange.container, exchange.name)
    return Answer(202, {"x-ms-delete-type-permanent": "true"})


def new_record(exchange: Exchange, kind: str, *, own: bool = True) -> Record:
    """The record that the request's headers describe. With `own`, its Content-* headers are the blob's."""
    request = exchange.request
    record = Record(kind=kind, created=exchange.now(), metadata=request.metadata)
    _content_headers(record, exchange, own=own)
    tags = request.header("x-ms-tags")
    if tags:
        record.tags = dict(parse_qsl(tags, keep_blank_values=True))
    tier = request.header("x-ms-access-tier")
    if tier is not None:
        if tier not in _TIERS:
            raise invalid_header("x-ms-access-tier", tier, f"it is none of {', '.join(_TIERS)}")
        record.tier = tier
    return record


def carry_over(record: Record, old: Blob | None, now: float) -> None:
    """What survives when a blob is written anew."""
    record.created = now
    if old is not None:
        record.lease = old.record.lease
        record.created = old.record.created or old.modified


def is_directory_marker(record: Record) -> bool:
    """Whether this is how clients of flat accounts write a directory."""
    return any(name.lower() == "hdi_isfolder" and value.lower() == "true" for name, value in record.metadata.items())


def written_headers(blob: Blob) -> dict[str, str]:
    return version_headers(blob) | {"x-ms-request-server-encrypted": "true"}


async def _update(exchange: Exchange, blob: Blob, *, touch: bool = True) -> Blob:
    return await exchange.store.update(exchange.account, exchange.container, blob, touch=touch)


def _kind(exchange: Exchange) -> str:
    kind = exchange.request.header("x-ms-blob-type")
    if kind is None:
        raise missing_header("x-ms-blob-type")
    if kind == "PageBlob":
        raise not_built("Put Blob for page blobs")
    if kind not in (BLOCK_BLOB, APPEND_BLOB):
        raise invalid_header("x-ms-blob-type", kind, "it is none of BlockBlob, AppendBlob, PageBlob")
    if kind == APPEND_BLOB and (exchange.request.content_length or 0) > 0:
        raise invalid_header("Content-Length", str(exchange.request.content_length), "an append blob is created empty")
    return kind


def _check_md5(exchange: Exchange, actual: str) -> None:
    claimed = exchange.request.header("x-ms-blob-content-md5")
    if claimed and claimed != actual:
        raise StorageError("Md5Mismatch", f"x-ms-blob-content-md5 says {claimed}; the content's MD5 is {actual}.")


def _content_headers(record: Record, exchange: Exchange, *, own: bool) -> None:
    request = exchange.request

    def value(name: str) -> str | None:
        return request.header(f"x-ms-blob-{name}") or (request.header(name) if own else None)

    record.content_type = value("content-type") or ("application/octet-stream" if own else None)
    record.content_encoding = value("content-encoding")
    record.content_language = value("content-language")
    record.content_disposition = request.header("x-ms-blob-content-disposition")
    record.cache_control = value("cache-control")
