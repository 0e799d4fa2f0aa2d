"""Copying from a URL: Copy Blob, Put Blob From URL, Put Block From URL, Append Block From URL.

A source on this gateway is opened in the store, authorised as if it were read by its own URL. Sources elsewhere are
fetched only where the operator allows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import urllib.request
import uuid
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from lazulite.storage.addressing import PREFIX, address, host_account
from lazulite.storage.authorization import Grant, Need
from lazulite.storage.blob_writes import carry_over, new_record, written_headers
from lazulite.storage.block_writes import block_id, keep_append, keep_block
from lazulite.storage.conditions import check_read
from lazulite.storage.errors import StorageError, invalid_header
from lazulite.storage.exchange import Answer, Exchange
from lazulite.storage.ranges import byte_range
from lazulite.storage.request import Request, parse_query
from lazulite.storage.spool import Spool
from lazulite.storage.store import BLOCK_BLOB, Blob, BlobReader, ContainerMissing, CopyRecord, Record

_PIECE = 4 * 1024 * 1024
_READ = Need("r", "o", "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read")
_FETCH_SECONDS = 30


async def copy_blob(exchange: Exchange) -> Answer:
    """Copy Blob. Done when it answers, so the status is `success` at once."""
    await exchange.writable()
    async with _source(exchange) as (content, source):
        record = new_record(exchange, BLOCK_BLOB, own=False)
        if source is not None:
            _inherit(record, source.record, keep_metadata=not record.metadata)
        copy = CopyRecord(str(uuid.uuid4()), _plain_source(exchange), exchange.now(), content.size)
        record.copy = copy
        blob = await _put(exchange, content, record)
    headers = written_headers(blob)
    return Answer(202, headers | {"x-ms-copy-id": copy.id, "x-ms-copy-status": "success"})


async def put_blob_from_url(exchange: Exchange) -> Answer:
    await exchange.writable()
    async with _source(exchange, md5=True) as (content, source):
        record = new_record(exchange, BLOCK_BLOB, own=False)
        if source is not None and exchange.request.headers.get("x-ms-copy-source-blob-properties", "true") == "true":
            _inherit(record, source.record, keep_metadata=False)
        record.content_md5 = content.md5
        blob = await _put(exchange, content, record)
    return Answer(201, written_headers(blob) | {"Content-MD5": content.md5})


async def put_block_from_url(exchange: Exchange) -> Answer:
    block = block_id(exchange)
    async with _source(exchange) as (content, _):
        await keep_block(exchange, block, content)
    return Answer(201, {"x-ms-request-server-encrypted": "true"})


async def append_block_from_url(exchange: Exchange) -> Answer:
    async with _source(exchange) as (content, _):
        return await keep_append(exchange, content)


async def abort_copy(exchange: Exchange) -> Answer:
    raise StorageError("NoPendingCopyOperation", "Copies end before they are answered, so there is none to abort.")


async def _put(exchange: Exchange, content: Spool, record: Record) -> Blob:
    async with exchange.lock():
        carry_over(record, await exchange.writable(), exchange.now())
        return await exchange.store.put(exchange.account, exchange.container, exchange.name, content, record)


def _inherit(record: Record, source: Record, *, keep_metadata: bool) -> None:
    for name in ("content_type", "content_encoding", "content_language", "content_disposition", "cache_control"):
        if getattr(record, name) is None:
            setattr(record, name, getattr(source, name))
    record.content_md5 = source.content_md5
    if keep_metadata:
        record.metadata = dict(source.metadata)


def _plain_source(exchange: Exchange) -> str:
    # The query may hold a signature, which is nobody else's to read.
    return exchange.request.headers["x-ms-copy-source"].partition("?")[0]


@contextlib.asynccontextmanager
async def _source(exchange: Exchange, *, md5: bool = False) -> AsyncIterator[tuple[Spool, Blob | None]]:
    """The source's bytes (or the range asked for), gathered, and its blob when it lies here."""
    url = exchange.request.headers["x-ms-copy-source"]
    try:
        urlsplit(url)
    except ValueError as error:
        raise invalid_header("x-ms-copy-source", url[:100], str(error)) from None
    spool = exchange.store.spool(exchange.account)
    if md5:
        spool.hash_content()
    try:
        blob = None
        if _is_here(exchange, url):
            blob = await _gather_here(exchange, url, spool)
        else:
            await _gather_elsewhere(exchange, url, spool)
        await spool.finish()
        yield spool, blob
    finally:
        spool.discard()


def _is_here(exchange: Exchange, url: str) -> bool:
    parts = urlsplit(url)
    here = {urlsplit(exchange.authority).netloc, exchange.request.headers.get("host", "")}
    if parts.netloc in here and (parts.path.startswith(PREFIX) or host_account(parts.netloc)):
        return True
    account, _, domain = parts.netloc.partition(".")
    own = exchange.request.headers.get("host", "").partition(".")[2]
    return host_account(parts.netloc) and domain == own and exchange.accounts.get(account) is not None


async def _gather_here(exchange: Exchange, url: str, spool: Spool) -> Blob:
    reader = await _open(exchange, url)
    try:
        headers = exchange.request.headers
        check_read(headers, reader.blob.etag, reader.blob.modified, "x-ms-source-")
        span = byte_range(headers.get("x-ms-source-range", ""), reader.blob.size)
        first, last = span if span else (0, reader.blob.size - 1)
        while first <= last:
            piece = await reader.read(first, min(_PIECE, last - first + 1))
            if not piece:
                raise StorageError("CannotVerifyCopySource", "The source became shorter while it was copied.")
            first += len(piece)
            await spool.write(piece)
        return reader.blob
    except StorageError as error:
        if error.status == 304:
            raise StorageError("ConditionNotMet", f"Of the source: {error.message}") from None
        raise
    finally:
        reader.close()


async def _open(exchange: Exchange, url: str) -> BlobReader:
    source = await _authorised_source(exchange, url)
    place = source.address
    try:
        reader = await exchange.store.open(place.account, place.container, place.blob)
    except ContainerMissing:
        reader = None
    if reader is None:
        raise StorageError("CannotVerifyCopySource", f"The source '{place.container}/{place.blob}' does not exist.")
    return reader


async def _authorised_source(exchange: Exchange, url: str) -> Request:
    parts = urlsplit(url)
    request = exchange.request
    source = Request.__new__(Request)
    source.method, source.scheme, source.client = "GET", request.scheme, request.client
    source.raw_path, source.query = parts.path, parse_query(parts.query)
    source.headers = {"host": parts.netloc}
    bearer = request.header("x-ms-copy-source-authorization")
    if bearer:
        source.headers["authorization"] = bearer
    elif "sig" not in source.query and request.headers.get("authorization", "").lower().startswith("bearer "):
        source.headers["authorization"] = request.headers["authorization"]
    source.address = address(parts.path, parts.netloc, source.query)
    if source.address.service != "blob" or not source.address.blob:
        raise invalid_header("x-ms-copy-source", parts.path[:200], "it names no blob")
    await _authorise(exchange, source)
    return source


async def _authorise(exchange: Exchange, source: Request) -> None:
    account = exchange.accounts.get(source.address.account)
    if account is None:
        raise StorageError("CannotVerifyCopySource", f"There is no account '{source.address.account[:80]}'.")
    signed = "sig" in source.query or "authorization" in source.headers
    if not signed and account.name == exchange.account and exchange.grant == Grant():
        return  # the account's own key reads all of it
    container = await exchange.store.container(account.name, source.address.container)
    policies = container.record.policies if container else {}
    try:
        await exchange.authorizer.authorize(source, account, _READ, policies)
    except StorageError as error:
        raise StorageError("CannotVerifyCopySource", f"Of the source: {error.message}", status=403) from None


async def _gather_elsewhere(exchange: Exchange, url: str, spool: Spool) -> None:
    if not exchange.limits.external_copies:
        raise StorageError(
            "CannotVerifyCopySource",
            f"The source lies on another server ('{urlsplit(url).netloc[:100]}'), and this one does not fetch from "
            "others. Download it and upload it here.",
            status=409,
        )
    if urlsplit(url).scheme != "https":
        raise invalid_header("x-ms-copy-source", url[:100], "only https sources are fetched")
    loop = asyncio.get_running_loop()
    try:
        response = await loop.run_in_executor(None, lambda: _fetch(exchange, url))
        with response:
            while piece := await loop.run_in_executor(None, response.read, _PIECE):
                await spool.write(piece)
                if spool.size > exchange.limits.put_bytes:
                    raise StorageError("RequestBodyTooLarge", "The source is larger than a blob may be.")
    except OSError as error:
        raise StorageError("CannotVerifyCopySource", f"The source could not be fetched: {error}.") from None


def _fetch(exchange: Exchange, url: str):  # type: ignore[no-untyped-def]
    request = urllib.request.Request(url)  # noqa: S310 - https is checked
    wanted = exchange.request.header("x-ms-source-range")
    if wanted:
        request.add_header("Range", wanted)
    return urllib.request.urlopen(request, timeout=_FETCH_SECONDS)  # noqa: S310
