"""What clients call on the Files endpoint (`.file.`): shares, directories, files and ranges of files.

Shares are containers and files are blobs of the same store. A file is created with its length before its ranges come;
ranges wait as uncommitted blocks until they fill the file, which then appears whole. A range written to a file that is
whole replaces those bytes at once.
"""

from __future__ import annotations

import base64

from lazulite.storage.blob_reads import get_blob, get_properties
from lazulite.storage.blob_writes import carry_over, delete_blob, new_record, written_headers
from lazulite.storage.block_writes import keep_block
from lazulite.storage.containers import decode_marker, encode_marker, existing
from lazulite.storage.documents import HEAD, attribute, element, name_element
from lazulite.storage.errors import StorageError, invalid_header, missing_header, not_built
from lazulite.storage.exchange import Answer, Exchange, blob_not_found, version_headers
from lazulite.storage.ranges import byte_range
from lazulite.storage.store import BLOCK_BLOB, Blob, Block, BlockChoice, ListQuery, Record

_MAX_RESULTS = 5000
_MAX_FILE = 4 * 1024**4


async def create_directory(exchange: Exchange) -> Answer:
    record = Record(created=exchange.now(), metadata=exchange.request.metadata)
    async with exchange.lock():
        await existing(exchange)
        if await exchange.store.is_directory(exchange.account, exchange.container, exchange.name):
            raise StorageError("ResourceAlreadyExists", f"The directory '{exchange.name[:200]}' exists already.")
        blob = await exchange.store.make_directory(exchange.account, exchange.container, exchange.name, record)
    return Answer(201, written_headers(blob))


async def directory_properties(exchange: Exchange) -> Answer:
    """Of a directory, also one that exists by what lies below it, and of the share's root."""
    blob = await exchange.stat() if exchange.name else None
    if blob is not None and blob.record.directory:
        headers = version_headers(blob)
        headers |= {"x-ms-meta-" + name: value for name, value in blob.record.metadata.items()}
        return Answer(200, headers | {"x-ms-server-encrypted": "true"})
    await _require_directory(exchange)
    return Answer(200, {"x-ms-server-encrypted": "true"})


async def set_directory_metadata(exchange: Exchange) -> Answer:
    async with exchange.lock():
        await _require_directory(exchange)
        blob = await exchange.stat()
        record = blob.record if blob else Record(created=exchange.now())
        record.metadata = exchange.request.metadata
        written = await exchange.store.make_directory(exchange.account, exchange.container, exchange.name, record)
    return Answer(200, written_headers(written))


async def delete_directory(exchange: Exchange) -> Answer:
    async with exchange.lock():
        await _require_directory(exchange)
        query = ListQuery(exchange.name + "/", limit=1)
        if (await exchange.store.list(exchange.account, exchange.container, query)).entries:
            raise StorageError("DirectoryNotEmpty", "The directory is not empty.")
        await exchange.store.delete_directory(exchange.account, exchange.container, exchange.name)
    return Answer(202)


async def list_directory(exchange: Exchange) -> Answer:
    """The files and directories right below a directory."""
    query = exchange.request.query
    await existing(exchange)
    await _require_directory(exchange)
    limit = exchange.request.query_number("maxresults", _MAX_RESULTS, 1, _MAX_RESULTS)
    base = exchange.name + "/" if exchange.name else ""
    prefix = query.get("prefix", "")
    listing = ListQuery(base + prefix, decode_marker(query.get("marker", "")), limit, shallow=True)
    page = await exchange.store.list(exchange.account, exchange.container, listing)
    last = page.entries[-1] if page.entries else ""
    following = encode_marker(last if isinstance(last, str) else last.name) if page.more else ""
    seen: set[str] = set()
    entries = "".join(_entry(entry, len(base), seen) for entry in page.entries)
    endpoint = f"{exchange.authority}{exchange.request.address.lead}/"
    body = (
        f"{HEAD}<EnumerationResults ServiceEndpoint={attribute(endpoint)} ShareName={attribute(exchange.container)} "
        f"DirectoryPath={attribute(exchange.name)}>{element('Prefix', prefix)}"
        f"{element('Marker', query.get('marker', ''))}{element('MaxResults', limit)}"
        f"<Entries>{entries}</Entries>{element('NextMarker', following)}</EnumerationResults>"
    )
    return Answer(200, {"Content-Type": "application/xml"}, body.encode())


async def create_file(exchange: Exchange) -> Answer:
    """Create a file of a length; its content comes by ranges."""
    request = exchange.request
    if request.headers.get("x-ms-type", "file").lower() != "file":
        raise invalid_header("x-ms-type", request.headers["x-ms-type"], "it is not file")
    length = request.number("x-ms-content-length")
    if length is None:
        raise missing_header("x-ms-content-length")
    if length > _MAX_FILE:
        raise invalid_header("x-ms-content-length", str(length), f"a file has at most {_MAX_FILE} bytes")
    record = new_record(exchange, BLOCK_BLOB, own=False)
    record.content_type = request.header("x-ms-content-type")
    record.length = length
    async with exchange.lock(), exchange.content(0) as nothing:
        carry_over(record, await exchange.writable(), exchange.now())
        await exchange.store.commit(exchange.account, exchange.container, exchange.name, [], record)
        blob = await exchange.store.put(exchange.account, exchange.container, exchange.name, nothing, record)
    return Answer(201, written_headers(blob))


async def put_range(exchange: Exchange) -> Answer:
    request = exchange.request
    if request.headers.get("x-ms-write", "update").lower() != "update" or "x-ms-copy-source" in request.headers:
        raise not_built("Clearing ranges of files and writing them from a URL")
    blob = await exchange.existing()
    total = max(blob.record.length, blob.size)
    span = byte_range(request.headers.get("x-ms-range") or request.headers.get("range", ""), total)
    if span is None:
        raise missing_header("x-ms-range")
    first, last = span
    async with exchange.content(exchange.limits.block_bytes) as content:
        if content.size != last - first + 1:
            raise invalid_header("x-ms-range", f"{first}-{last}", f"the body has {content.size} bytes")
        await keep_block(exchange, _block(first), content)
        headers = {"Content-MD5": content.md5} if content.md5 else {}
    async with exchange.lock():
        blob = await exchange.changeable()
        staged = await exchange.store.blocks(exchange.account, exchange.container, exchange.name)
        choice = _fill(blob, staged)
        if choice is not None:
            blob.record.length = 0
            blob.record.content_md5 = None
            blob = await exchange.store.commit(exchange.account, exchange.container, exchange.name, choice, blob.record)
    return Answer(201, written_headers(blob) | headers)


async def get_file(exchange: Exchange) -> Answer:
    answer = await get_blob(exchange)
    answer.headers["x-ms-type"] = "File"
    return answer


async def file_properties(exchange: Exchange) -> Answer:
    blob = await exchange.existing()
    if blob.record.directory:
        raise blob_not_found(exchange.name)
    answer = await get_properties(exchange)
    answer.headers["x-ms-type"] = "File"
    answer.headers["Content-Length"] = str(max(blob.size, blob.record.length))
    return answer


async def delete_file(exchange: Exchange) -> Answer:
    return await delete_blob(exchange)


def _fill(blob: Blob, staged: object) -> list[BlockChoice] | None:
    """The list that makes the file whole; None while ranges are missing."""
    blocks = {int(base64.b64decode(b.id)): b for b in staged if isinstance(b, Block)}  # type: ignore[attr-defined]
    total = max(blob.record.length, blob.size)
    choice, at = [], 0
    for start in sorted(blocks):
        if start < at:
            return None
        if start > at:
            if start > blob.size:
                return None
            choice.append(BlockChoice("present", start - at, at))
        choice.append(BlockChoice(blocks[start].id, blocks[start].size))
        at = start + blocks[start].size
    if at < total:
        if blob.size < total:
            return None
        choice.append(BlockChoice("present", total - at, at))
    return choice


def _entry(entry: Blob | str, cut: int, seen: set[str]) -> str:
    name = (entry.rstrip("/") if isinstance(entry, str) else entry.name)[cut:]
    if name in seen:
        return ""
    seen.add(name)
    if isinstance(entry, str) or entry.record.directory:
        return f"<Directory>{name_element(name)}<Properties/></Directory>"
    size = element("Content-Length", max(entry.size, entry.record.length))
    return f"<File>{name_element(name)}<Properties>{size}</Properties></File>"


async def _require_directory(exchange: Exchange) -> None:
    if not exchange.name:
        await existing(exchange)
    elif not await exchange.store.is_directory(exchange.account, exchange.container, exchange.name):
        await existing(exchange)
        raise StorageError("ResourceNotFound", f"The directory '{exchange.name[:200]}' does not exist.")


def _block(start: int) -> str:
    return base64.b64encode(f"{start:020d}".encode()).decode()
