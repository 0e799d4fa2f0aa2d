"""Operations on containers, and listing the blobs in one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from lazulite.storage.conditions import check_write
from lazulite.storage.documents import HEAD, attribute, element, metadata_element, name_element, parse, tags_element
from lazulite.storage.errors import StorageError, invalid_query
from lazulite.storage.exchange import Answer, Exchange, content_type, http_date
from lazulite.storage.leases import change, check_blob_lease, lease_headers
from lazulite.storage.store import AccessPolicy, Blob, Container, ContainerMissing, ContainerRecord, ListQuery, Record

MAX_RESULTS = 5000


async def create_container(exchange: Exchange) -> Answer:
    request = exchange.request
    _check_private(exchange)
    record = ContainerRecord(metadata=request.metadata)
    async with exchange.lock():
        if await exchange.store.container(exchange.account, exchange.container) is not None:
            raise StorageError("ContainerAlreadyExists", f"The container '{exchange.container}' exists already.")
        container = await exchange.store.create_container(exchange.account, exchange.container, record)
    return Answer(201, _version(container))


async def get_container(exchange: Exchange) -> Answer:
    container = await existing(exchange)
    headers = _version(container)
    headers |= lease_headers(container.record.lease, exchange.now())
    headers |= {"x-ms-meta-" + name: value for name, value in container.record.metadata.items()}
    headers["x-ms-has-immutability-policy"] = headers["x-ms-has-legal-hold"] = "false"
    headers["x-ms-default-encryption-scope"] = "$account-encryption-key"
    headers["x-ms-deny-encryption-scope-override"] = "false"
    return Answer(200, headers)


async def delete_container(exchange: Exchange) -> Answer:
    async with exchange.lock():
        await _changeable(exchange)
        await exchange.store.delete_container(exchange.account, exchange.container)
    return Answer(202)


async def set_container_metadata(exchange: Exchange) -> Answer:
    found = exchange.request.metadata
    async with exchange.lock():
        container = await _changeable(exchange)
        container.record.metadata = found
        return Answer(200, _version(await _update(exchange, container.record)))


async def get_acl(exchange: Exchange) -> Answer:
    """The stored access policies."""
    container = await existing(exchange)
    policies = "".join(
        f"<SignedIdentifier>{element('Id', name)}<AccessPolicy>{element('Start', policy.start)}"
        f"{element('Expiry', policy.expiry)}{element('Permission', policy.permission)}"
        "</AccessPolicy></SignedIdentifier>"
        for name, policy in container.record.policies.items()
    )
    body = f"{HEAD}<SignedIdentifiers>{policies}</SignedIdentifiers>"
    return Answer(200, _version(container) | {"Content-Type": "application/xml"}, body.encode())


async def set_acl(exchange: Exchange) -> Answer:
    """Set the stored access policies. Anonymous access is not offered."""
    _check_private(exchange)
    policies = _parse_policies(await exchange.request.document())
    async with exchange.lock():
        container = await _changeable(exchange)
        container.record.policies = policies
        return Answer(200, _version(await _update(exchange, container.record)))


def _check_private(exchange: Exchange) -> None:
    public = exchange.request.header("x-ms-blob-public-access")
    if public:
        raise StorageError(
            "PublicAccessNotPermitted",
            f"Public access is not permitted on this storage account: x-ms-blob-public-access is '{public}'. Leave it "
            "out, and give readers a shared access signature.",
        )


async def lease_container(exchange: Exchange) -> Answer:
    async with exchange.lock():
        container = await existing(exchange)
        outcome = change(container.record.lease, exchange.request.headers, exchange.now())
        container.record.lease = outcome.lease
        await exchange.store.set_container(exchange.account, exchange.container, container.record)
    return Answer(outcome.status, _version(container) | outcome.headers)


async def list_blobs(exchange: Exchange) -> Answer:
    """List Blobs, flat or by a delimiter."""
    request, address = exchange.request, exchange.request.address
    query = request.query
    include = {word for word in query.get("include", "").lower().split(",") if word}
    limit = request.query_number("maxresults", MAX_RESULTS, 1, MAX_RESULTS)
    prefix = address.prefix if address.listed else query.get("prefix", "")
    delimiter = query.get("delimiter", "")
    after = decode_marker(query.get("marker", ""))
    names, more = await _collect(exchange, ListQuery(prefix, after, limit), delimiter, "uncommittedblobs" in include)
    next_marker = encode_marker(_name(names[-1])) if more and names else ""
    body = _list_document(exchange, names, include, prefix, delimiter, limit, next_marker)
    return Answer(200, {"Content-Type": "application/xml"}, body)


async def existing(exchange: Exchange) -> Container:
    """The container. Raises ContainerMissing."""
    container = await exchange.store.container(exchange.account, exchange.container)
    if container is None:
        raise ContainerMissing(exchange.container)
    return container


def encode_marker(name: str) -> str:
    """An opaque marker: the last name told."""
    return base64.urlsafe_b64encode(name.encode()).decode() if name else ""


def decode_marker(text: str) -> str:
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError, ValueError):
        raise invalid_query("marker", text[:100], "it was not given by an earlier answer") from None


async def _changeable(exchange: Exchange) -> Container:
    container = await existing(exchange)
    headers = exchange.request.headers
    check_write(headers, container.etag, container.modified)
    given = headers.get("x-ms-lease-id")
    deleting = exchange.request.method == "DELETE"
    check_blob_lease(container.record.lease, given, exchange.now(), writing=deleting, of="Container")
    return container


async def _update(exchange: Exchange, record: ContainerRecord) -> Container:
    record.modified = exchange.now()
    return await exchange.store.set_container(exchange.account, exchange.container, record)


def _version(container: Container) -> dict[str, str]:
    return {"ETag": f'"{container.etag}"', "Last-Modified": http_date(int(container.modified))}


def _parse_policies(data: bytes) -> dict[str, AccessPolicy]:
    found: dict[str, AccessPolicy] = {}
    for item in parse(data, "SignedIdentifiers") if data.strip() else ():
        name = item.findtext("Id") or ""
        policy = item.find("AccessPolicy")
        if not 1 <= len(name) <= 64:
            raise StorageError("InvalidXmlNodeValue", "A signed identifier has an Id of 1 to 64 characters.")
        values = [
            (policy.findtext(tag) or "") if policy is not None else "" for tag in ("Start", "Expiry", "Permission")
        ]
        found[name] = AccessPolicy(*values)
    if len(found) > 5:
        raise StorageError("InvalidXmlDocument", "A container has at most five stored access policies.")
    return found


async def _collect(
    exchange: Exchange, query: ListQuery, delimiter: str, uncommitted: bool
) -> tuple[list[Blob | str], bool]:
    store, account, container = exchange.store, exchange.account, exchange.container
    extra = await store.uncommitted(account, container, query.prefix) if uncommitted else ()
    if delimiter in ("", "/") and not extra:
        page = await store.list(
            account, container, ListQuery(query.prefix, query.after, query.limit, shallow=delimiter == "/")
        )
        return page.entries, page.more
    return await _collect_flat(exchange, query, delimiter, [name for name in extra if name > query.after])


async def _collect_flat(
    exchange: Exchange, query: ListQuery, delimiter: str, extra: list[str]
) -> tuple[list[Blob | str], bool]:
    # Any other delimiter, and blobs that exist by their uncommitted blocks alone: fold what the store lists flat.
    found: list[Blob | str] = []
    after, more = query.after, True
    while more:
        page = await exchange.store.list(
            exchange.account, exchange.container, ListQuery(query.prefix, after, MAX_RESULTS)
        )
        more = page.more
        blobs = [entry for entry in page.entries if isinstance(entry, Blob)]
        last = blobs[-1].name if more and blobs else None
        ready = [name for name in extra if last is None or name <= last]
        extra = extra[len(ready) :]
        for entry in _merge(blobs, ready):
            folded = _fold(entry, query.prefix, delimiter)
            if found and _name(folded) == _name(found[-1]):
                continue
            if isinstance(folded, str) and folded <= query.after:
                continue
            if len(found) == query.limit:
                return found, True
            found.append(folded)
        after = last or after
    return found, False


def _merge(blobs: list[Blob], uncommitted: list[str]) -> Iterator[Blob]:
    committed = {blob.name for blob in blobs}
    empty = [Blob(name, 0, 0, "", Record()) for name in uncommitted if name not in committed]
    yield from sorted([*blobs, *empty], key=lambda blob: blob.name)


def _fold(blob: Blob, prefix: str, delimiter: str) -> Blob | str:
    cut = blob.name.find(delimiter, len(prefix)) if delimiter else -1
    return blob if cut < 0 else blob.name[: cut + len(delimiter)]


def _name(entry: Blob | str) -> str:
    return entry if isinstance(entry, str) else entry.name


def _list_document(
    exchange: Exchange,
    entries: list[Blob | str],
    include: set[str],
    prefix: str,
    delimiter: str,
    limit: int,
    next_marker: str,
) -> bytes:
    address = exchange.request.address
    shown = "storage" if address.listed else exchange.container
    endpoint = f"{exchange.authority}{address.lead}/"
    parts = [
        HEAD,
        f"<EnumerationResults ServiceEndpoint={attribute(endpoint)} ContainerName={attribute(shown)}>",
        name_element(address.listed + prefix, "Prefix"),
        element("Marker", exchange.request.query.get("marker", "")),
        element("MaxResults", limit),
        element("Delimiter", delimiter) if delimiter else "",
        "<Blobs>",
    ]
    now = exchange.now()
    for entry in entries:
        if isinstance(entry, str):
            parts.append(f"<BlobPrefix>{name_element(address.listed + entry)}</BlobPrefix>")
        else:
            parts.append(_blob_element(entry, address.listed, include, now))
    parts.append(f"</Blobs>{element('NextMarker', next_marker)}</EnumerationResults>")
    return "".join(parts).encode()


def _blob_element(blob: Blob, lead: str, include: set[str], now: float) -> str:
    parts = ["<Blob>", name_element(lead + blob.name), "<Properties>", _properties(blob, now), "</Properties>"]
    if "metadata" in include:
        marked = {"hdi_isfolder": "true"} if blob.record.directory else {}
        parts.append(metadata_element(blob.record.metadata | marked))
    if "tags" in include and blob.record.tags:
        parts.append(tags_element(blob.record.tags))
    parts.append("</Blob>")
    return "".join(parts)


def _properties(blob: Blob, now: float) -> str:
    record = blob.record
    if not blob.etag:  # only uncommitted blocks
        return "<Content-Length>0</Content-Length><BlobType>BlockBlob</BlobType>"
    lease = lease_headers(record.lease, now)
    values = {
        "Creation-Time": http_date(int(record.created or blob.modified)),
        "Last-Modified": http_date(int(blob.modified)),
        "Etag": blob.etag,
        "Content-Length": blob.size,
        "Content-Type": content_type(blob),
        "Content-Encoding": record.content_encoding,
        "Content-Language": record.content_language,
        "Content-MD5": record.content_md5,
        "Content-Disposition": record.content_disposition,
        "Cache-Control": record.cache_control,
        "BlobType": record.kind,
        "AccessTier": record.tier or "Hot",
        "AccessTierInferred": None if record.tier else "true",
        "LeaseStatus": lease["x-ms-lease-status"],
        "LeaseState": lease["x-ms-lease-state"],
        "LeaseDuration": lease.get("x-ms-lease-duration"),
        "ServerEncrypted": "true",
        "ResourceType": "directory" if record.directory else None,
        "TagCount": len(record.tags) or None,
        "CopyId": record.copy.id if record.copy else None,
        "CopyStatus": "success" if record.copy else None,
    }
    return "".join(element(name, value) for name, value in values.items() if value is not None)
