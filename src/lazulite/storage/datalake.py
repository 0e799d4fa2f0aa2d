"""What clients call on the Data Lake endpoint (`.dfs.`): file systems, directories, files, appends and path listings.

File systems are containers and paths are blobs of the same store. A directory that was created is a blob that is marked
so; one that merely has something below it is listed all the same. Appended data waits as uncommitted blocks, named
after their position, until a flush.
"""

from __future__ import annotations

import base64
import binascii
import copy
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import unquote

import msgspec

from lazulite.storage.addressing import address
from lazulite.storage.authorization import Grant, Need
from lazulite.storage.blob_reads import get_properties
from lazulite.storage.blob_writes import carry_over, delete_blob, new_record, written_headers
from lazulite.storage.block_writes import keep_block
from lazulite.storage.containers import decode_marker, encode_marker, existing
from lazulite.storage.errors import StorageError, invalid_header, invalid_query
from lazulite.storage.exchange import Answer, Exchange, http_date, version_headers
from lazulite.storage.naming import add_metadata, check_blob
from lazulite.storage.store import BLOCK_BLOB, Blob, BlockChoice, ListQuery, Record

_MAX_RESULTS = 5000
_DELETE = Need("d", "o", "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete")
_PERMISSIONS = {"owner": "$superuser", "group": "$superuser", "permissions": "rw-r-----"}


async def create_path(exchange: Exchange) -> Answer:
    """Create a directory or an empty file, or rename what `x-ms-rename-source` names."""
    request = exchange.request
    if "x-ms-rename-source" in request.headers:
        return await _rename(exchange)
    kind = request.query.get("resource", "").lower()
    if kind not in ("directory", "file"):
        raise invalid_query("resource", kind, "it is neither directory nor file")
    record = _record(exchange)
    async with exchange.lock():
        blob = await exchange.writable()
        carry_over(record, blob, exchange.now())
        if kind == "directory":
            _refuse_other_kind(blob, directory=True)
            written = await exchange.store.make_directory(exchange.account, exchange.container, exchange.name, record)
        else:
            _refuse_other_kind(blob, directory=False)
            async with exchange.content(0) as nothing:
                written = await exchange.store.put(exchange.account, exchange.container, exchange.name, nothing, record)
    return Answer(201, written_headers(written))


async def update_path(exchange: Exchange) -> Answer:
    """Append, flush, or set properties."""
    action = exchange.request.query.get("action", "").lower()
    if action == "append":
        return await _append(exchange)
    if action == "flush":
        return await _flush(exchange)
    if action == "setproperties":
        return await _set_properties(exchange)
    if action in ("setaccesscontrol", "setaccesscontrolrecursive"):
        raise StorageError("NotImplemented", "Access control lists of paths are not built in this version of Lazulite.")
    raise invalid_query("action", action, "it is none of append, flush, setProperties")


async def path_properties(exchange: Exchange) -> Answer:
    """Properties of a path, also of a directory that exists by what lies below it."""
    blob = await exchange.stat()
    if blob is None:
        if not await exchange.store.is_directory(exchange.account, exchange.container, exchange.name):
            raise StorageError("PathNotFound", f"The path '{exchange.name[:200]}' does not exist.")
        headers = {"x-ms-resource-type": "directory", "Content-Length": "0"}
    else:
        answer = await get_properties(exchange)
        headers = answer.headers
        headers["x-ms-resource-type"] = "directory" if blob.record.directory else "file"
        headers["x-ms-properties"] = _encode_properties(blob.record.metadata)
    return Answer(200, headers | {f"x-ms-{name}": value for name, value in _PERMISSIONS.items()})


async def delete_path(exchange: Exchange) -> Answer:
    if not await exchange.store.is_directory(exchange.account, exchange.container, exchange.name):
        try:
            await delete_blob(exchange)
        except StorageError as error:
            if error.code == "BlobNotFound":
                raise StorageError("PathNotFound", f"The path '{exchange.name[:200]}' does not exist.") from None
            raise
        return Answer(200)
    async with exchange.lock():
        if exchange.request.query.get("recursive", "").lower() != "true":
            query = ListQuery(exchange.name + "/", limit=1)
            if (await exchange.store.list(exchange.account, exchange.container, query)).entries:
                raise StorageError("DirectoryNotEmpty", "The directory is not empty; ask for recursive=true.")
        await exchange.store.delete_directory(exchange.account, exchange.container, exchange.name)
    return Answer(200)


async def list_paths(exchange: Exchange) -> Answer:
    """The paths below a directory, one level or all."""
    query = exchange.request.query
    await existing(exchange)
    directory = query.get("directory", "").strip("/")
    recursive = query.get("recursive", "").lower() == "true"
    if directory and not await exchange.store.is_directory(exchange.account, exchange.container, directory):
        raise StorageError("PathNotFound", f"The directory '{directory[:200]}' does not exist.")
    limit = exchange.request.query_number("maxresults", _MAX_RESULTS, 1, _MAX_RESULTS)
    after = decode_marker(query.get("continuation", ""))
    prefix = directory + "/" if directory else ""
    page = await exchange.store.list(
        exchange.account, exchange.container, ListQuery(prefix, after, limit, shallow=not recursive)
    )
    headers = {"Content-Type": "application/json"}
    if page.more:
        last = page.entries[-1]
        headers["x-ms-continuation"] = encode_marker(last if isinstance(last, str) else last.name)
    paths = list(_paths(page.entries, prefix, after))
    return Answer(200, headers, msgspec.json.encode({"paths": paths}))


def _paths(entries: list[Blob | str], prefix: str, after: str) -> Iterator[dict[str, str]]:
    told: set[str] = set()
    for entry in entries:
        name = entry.rstrip("/") if isinstance(entry, str) else entry.name
        for parent in _ancestors(name, prefix):
            if parent not in told and not after.startswith(parent + "/"):
                told.add(parent)
                yield {"name": parent, "isDirectory": "true", "contentLength": "0", **_PERMISSIONS}
        if name in told:
            continue
        if isinstance(entry, str):
            told.add(name)
            yield {"name": name, "isDirectory": "true", "contentLength": "0", **_PERMISSIONS}
        else:
            yield _path(entry, told)


def _path(blob: Blob, told: set[str]) -> dict[str, str]:
    told.add(blob.name)
    item = {
        "name": blob.name,
        "contentLength": str(blob.size),
        "etag": blob.etag,
        "lastModified": http_date(int(blob.modified)),
        **_PERMISSIONS,
    }
    if blob.record.directory:
        item["isDirectory"] = "true"
    return item


def _ancestors(name: str, prefix: str) -> Iterator[str]:
    at = name.find("/", len(prefix))
    while at >= 0:
        yield name[:at]
        at = name.find("/", at + 1)


async def _append(exchange: Exchange) -> Answer:
    position = _position(exchange)
    _require_file(await exchange.existing())
    async with exchange.content(exchange.limits.block_bytes) as content:
        await keep_block(exchange, _block(position), content)
    if exchange.request.query.get("flush", "").lower() == "true":
        headers = (await _flush(exchange, position + content.size)).headers
        return Answer(202, headers)
    return Answer(202, {"x-ms-request-server-encrypted": "true"})


async def _flush(exchange: Exchange, position: int | None = None) -> Answer:
    end = _position(exchange) if position is None else position
    async with exchange.lock():
        blob = await exchange.changeable()
        _require_file(blob)
        staged = await exchange.store.blocks(exchange.account, exchange.container, exchange.name)
        sizes = {block.id: block.size for block in staged}
        choice = [BlockChoice("present", blob.size, 0)] if blob.size else []
        at = blob.size
        while at < end and (block := _block(at)) in sizes:
            choice.append(BlockChoice(block, sizes[block]))
            at += sizes[block]
        if at != end:
            raise StorageError(
                "InvalidOperation", f"The file can be flushed up to {at} bytes, not to {end}.", status=400
            )
        if at > blob.size:
            blob.record.blocks = []
            blob.record.content_md5 = None
            blob = await exchange.store.commit(exchange.account, exchange.container, exchange.name, choice, blob.record)
    return Answer(200, written_headers(blob))


async def _set_properties(exchange: Exchange) -> Answer:
    async with exchange.lock():
        blob = await exchange.changeable()
        described = _record(exchange)
        blob.record.metadata = described.metadata
        blob.record.content_type = described.content_type or blob.record.content_type
        blob = await exchange.store.update(exchange.account, exchange.container, blob)
    return Answer(200, version_headers(blob))


async def _rename(exchange: Exchange) -> Answer:
    source, _, query = exchange.request.headers["x-ms-rename-source"].partition("?")
    if "sig=" in query:
        raise StorageError("NotImplemented", "Renaming a source with a signature of its own is not built.")
    container, _, name = unquote(source).strip("/").partition("/")
    if source.startswith("/storage/"):
        place = address(source, "", {})
        container, name = place.container, place.blob
    if container != exchange.container or not name:
        raise invalid_header("x-ms-rename-source", source[:200], "it must lie in the same file system")
    check_blob(name)
    if not exchange.grant.allows("wd"):
        raise StorageError("AuthorizationPermissionMismatch", "Renaming needs the permissions to write and delete.")
    await _authorise_source(exchange, name)
    async with exchange.locks.hold(exchange.account, container, name), exchange.lock():
        await exchange.writable()
        try:
            await exchange.store.rename(exchange.account, container, name, exchange.container, exchange.name)
        except FileNotFoundError:
            raise StorageError("PathNotFound", f"The path '{name[:200]}' does not exist.") from None
    return Answer(201)


async def _authorise_source(exchange: Exchange, name: str) -> None:
    """A rename deletes what it takes: the caller must be allowed to. Raises StorageError 403."""
    if exchange.grant == Grant():
        return  # the account's own key
    source = copy.copy(exchange.request)
    source.address = replace(source.address, blob=name)
    account = exchange.accounts.get(exchange.account)
    container = await exchange.store.container(exchange.account, exchange.container)
    assert account is not None
    policies = container.record.policies if container else {}
    await exchange.authorizer.authorize(source, account, _DELETE, policies)


def _record(exchange: Exchange) -> Record:
    record = new_record(exchange, BLOCK_BLOB, own=False)
    record.content_type = exchange.request.header("x-ms-content-type")
    for name, value in _decode_properties(exchange.request.headers.get("x-ms-properties", "")):
        add_metadata(record.metadata, name, value)
    return record


def _decode_properties(text: str) -> Iterator[tuple[str, str]]:
    for item in text.split(",") if text else ():
        name, _, value = item.partition("=")
        try:
            yield name.strip(), base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise invalid_header("x-ms-properties", item[:100], "its value is not base64") from None


def _encode_properties(metadata: dict[str, str]) -> str:
    return ",".join(f"{name}={base64.b64encode(value.encode()).decode()}" for name, value in metadata.items())


def _refuse_other_kind(blob: Blob | None, *, directory: bool) -> None:
    if blob is not None and blob.record.directory != directory:
        raise StorageError("PathConflict", f"'{blob.name}' exists and is {'a file' if directory else 'a directory'}.")


def _require_file(blob: Blob) -> None:
    if blob.record.directory:
        raise StorageError("ResourceTypeMismatch", "The path is a directory; the operation needs a file.")


def _position(exchange: Exchange) -> int:
    if "position" not in exchange.request.query:
        raise StorageError("MissingRequiredQueryParameter", "The query parameter position is required.")
    return exchange.request.query_number("position", 0, 0, 1 << 62)


def _block(position: int) -> str:
    return base64.b64encode(f"{position:020d}".encode()).decode()
