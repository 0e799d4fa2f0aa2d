"""Block lists and appends: Put Block, Put Block List, Get Block List, Append Block."""

from __future__ import annotations

import base64
import binascii

from lazulite.storage.blob_writes import carry_over, new_record, written_headers
from lazulite.storage.conditions import check_read
from lazulite.storage.documents import block_list_document, parse_block_list
from lazulite.storage.errors import StorageError, invalid_query
from lazulite.storage.exchange import Answer, Exchange, version_headers
from lazulite.storage.leases import check_blob_lease
from lazulite.storage.spool import Spool
from lazulite.storage.store import APPEND_BLOB, BLOCK_BLOB, Blob, Block, BlockChoice, BlockMissing


async def put_block(exchange: Exchange) -> Answer:
    block = block_id(exchange)
    _check_kind(await _leased(exchange), BLOCK_BLOB)
    async with exchange.content(exchange.limits.block_bytes) as content:
        await keep_block(exchange, block, content)
        headers = {"x-ms-request-server-encrypted": "true"}
        if content.md5:
            headers["Content-MD5"] = content.md5
        return Answer(201, headers)


async def keep_block(exchange: Exchange, block: str, content: Spool) -> None:
    """Add an uncommitted block. Raises StorageError."""
    if content.size == 0:
        raise StorageError("InvalidHeaderValue", "A block must have at least one byte.")
    async with exchange.lock():
        _check_kind(await _leased(exchange), BLOCK_BLOB)
        await exchange.store.put_block(exchange.account, exchange.container, exchange.name, block, content)


async def put_block_list(exchange: Exchange) -> Answer:
    """Put Block List: make the blob from the named blocks, in their order."""
    request = exchange.request
    record = new_record(exchange, BLOCK_BLOB, own=False)
    record.content_md5 = request.header("x-ms-blob-content-md5")
    lines = parse_block_list(await request.document())
    if len(lines) > exchange.limits.blocks:
        raise StorageError("BlockCountExceedsLimit", f"A blob has at most {exchange.limits.blocks} blocks.")
    async with exchange.lock():
        blob = await exchange.writable()
        _check_kind(blob, BLOCK_BLOB)
        staged = await exchange.store.blocks(exchange.account, exchange.container, exchange.name)
        choice = _choose(lines, {block.id: block for block in staged}, blob)
        record.blocks = [(line.id, line.size) for line in choice]
        carry_over(record, blob, exchange.now())
        try:
            written = await exchange.store.commit(exchange.account, exchange.container, exchange.name, choice, record)
        except BlockMissing as error:
            raise _invalid_list(f"the block {error} is not there any more") from None
    return Answer(201, written_headers(written))


async def get_block_list(exchange: Exchange) -> Answer:
    wanted = exchange.request.query.get("blocklisttype", "committed").lower()
    if wanted not in ("committed", "uncommitted", "all"):
        raise invalid_query("blocklisttype", wanted, "it is none of committed, uncommitted, all")
    blob = await exchange.stat()
    staged = await exchange.store.blocks(exchange.account, exchange.container, exchange.name)
    if blob is None and not staged:
        blob = await exchange.existing()
    headers = {"Content-Type": "application/xml"}
    if blob is not None:
        check_read(exchange.request.headers, blob.etag, blob.modified)
        headers |= version_headers(blob) | {"x-ms-blob-content-length": str(blob.size)}
    sections: list[tuple[str, list[tuple[str, int]]]] = []
    if wanted != "uncommitted":
        sections.append(("CommittedBlocks", list(blob.record.blocks) if blob else []))
    if wanted != "committed":
        sections.append(("UncommittedBlocks", [(block.id, block.size) for block in staged]))
    return Answer(200, headers, block_list_document(sections))


async def append_block(exchange: Exchange) -> Answer:
    _check_append(exchange, await exchange.changeable(), 0)
    async with exchange.content(exchange.limits.append_bytes) as content:
        if content.size == 0:
            raise StorageError("InvalidHeaderValue", "An appended block must have at least one byte.")
        return await keep_append(exchange, content)


async def keep_append(exchange: Exchange, content: Spool) -> Answer:
    """Append gathered content, under the conditions that the request sets."""
    async with exchange.lock():
        blob = await exchange.changeable()
        _check_append(exchange, blob, content.size)
        offset = blob.size
        blob.record.append_blocks += 1
        blob.record.content_md5 = None
        written = await exchange.store.append(exchange.account, exchange.container, exchange.name, content, blob)
    headers = written_headers(written)
    headers["x-ms-blob-append-offset"] = str(offset)
    headers["x-ms-blob-committed-block-count"] = str(written.record.append_blocks)
    return Answer(201, headers)


async def seal(exchange: Exchange) -> Answer:
    """Seal an append blob: nothing can be appended any more."""
    async with exchange.lock():
        blob = await exchange.changeable()
        _check_kind(blob, APPEND_BLOB)
        blob.record.sealed = True
        blob = await exchange.store.update(exchange.account, exchange.container, blob)
    return Answer(200, version_headers(blob) | {"x-ms-blob-sealed": "true"})


def block_id(exchange: Exchange) -> str:
    """The `blockid` parameter. Raises StorageError 400 unless it is base64 of 1 to 64 bytes.

    A bare `+` in it has become a blank, as on Azure: it must be sent as %2B.
    """
    text = exchange.request.query.get("blockid", "")
    if not text:
        raise StorageError("MissingRequiredQueryParameter", "Put Block needs the query parameter blockid.")
    try:
        size = len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise StorageError("InvalidBlockId", f"The block id '{text[:100]}' is not base64.") from None
    if not 1 <= size <= 64:
        raise StorageError("InvalidBlockId", f"The block id has {size} bytes; 1 to 64 are allowed.")
    return text


async def _leased(exchange: Exchange) -> Blob | None:
    blob = await exchange.stat()
    if blob is not None:
        check_blob_lease(blob.record.lease, exchange.request.headers.get("x-ms-lease-id"), exchange.now(), writing=True)
    return blob


def _check_kind(blob: Blob | None, kind: str) -> None:
    if blob is not None and (blob.record.kind != kind or blob.record.directory):
        actual = "directory" if blob.record.directory else blob.record.kind
        raise StorageError("InvalidBlobType", f"The blob is of type {actual}; the operation needs {kind}.")


def _choose(lines: list[tuple[str, str]], staged: dict[str, Block], blob: Blob | None) -> list[BlockChoice]:
    committed: dict[str, BlockChoice] = {}
    offset = 0
    for name, size in blob.record.blocks if blob else ():
        committed[name] = BlockChoice(name, size, offset)
        offset += size
    choice = []
    for where, name in lines:
        fresh = BlockChoice(name, staged[name].size) if name in staged and where != "Committed" else None
        found = fresh or (committed.get(name) if where != "Uncommitted" else None)
        if found is None:
            raise _invalid_list(f"there is no {where.lower()} block '{name[:100]}'")
        choice.append(found)
    return choice


def _invalid_list(why: str) -> StorageError:
    return StorageError("InvalidBlockList", f"The specified block list is invalid: {why}.")


def _check_append(exchange: Exchange, blob: Blob, length: int) -> None:
    _check_kind(blob, APPEND_BLOB)
    request = exchange.request
    position = request.number("x-ms-blob-condition-appendpos")
    if position is not None and position != blob.size:
        raise StorageError(
            "AppendPositionConditionNotMet", f"The append position is {position}, but the blob has {blob.size} bytes."
        )
    largest = request.number("x-ms-blob-condition-maxsize")
    if largest is not None and blob.size + length > largest:
        raise StorageError(
            "MaxBlobSizeConditionNotMet",
            f"The blob would grow to {blob.size + length} bytes; the request allows {largest}.",
        )
    if blob.record.append_blocks >= exchange.limits.append_blocks:
        raise StorageError(
            "BlockCountExceedsLimit", f"An append blob has at most {exchange.limits.append_blocks} blocks."
        )
    if blob.record.sealed:
        raise StorageError("InvalidOperation", "The append blob is sealed.")
