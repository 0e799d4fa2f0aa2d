"""Blob Batch: several deletions or tier changes in one multipart request, each with its own credentials."""

from __future__ import annotations

import http
import re
import uuid
from dataclasses import replace

from lazulite.storage import naming
from lazulite.storage.addressing import PREFIX, address
from lazulite.storage.authorization import Need
from lazulite.storage.blob_writes import delete_blob, set_tier
from lazulite.storage.errors import StorageError, invalid_header
from lazulite.storage.exchange import Answer, Exchange
from lazulite.storage.request import Request, parse_query
from lazulite.storage.store import ContainerMissing

MAX_PARTS = 256
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
_OPERATIONS = {
    ("DELETE", ""): (delete_blob, Need("d", "o", f"{_BLOBS}/delete")),
    ("PUT", "tier"): (set_tier, Need("w", "o", f"{_BLOBS}/write")),
}


async def submit_batch(exchange: Exchange) -> Answer:
    """Carry out every part, and answer each on its own."""
    kind = exchange.request.headers.get("content-type", "")
    boundary = re.search(r'boundary="?([^";]+)"?', kind)
    if not kind.lower().startswith("multipart/mixed") or not boundary:
        raise invalid_header("Content-Type", kind[:100], "a batch is multipart/mixed with a boundary")
    text = (await exchange.request.document()).decode("latin-1")
    parts = re.split(rf"(?:^|\r?\n)--{re.escape(boundary[1])}", text, maxsplit=MAX_PARTS + 2)[1:-1]
    if not 1 <= len(parts) <= MAX_PARTS:
        raise StorageError("InvalidInput", f"A batch has 1 to {MAX_PARTS} parts; this has {len(parts)}.")
    mark = f"batchresponse_{uuid.uuid4()}"
    answers = []
    for index, part in enumerate(parts):
        head, answer = await _part(exchange, part)
        content_id = re.search(r"^content-id:\s*(\S+)", head, re.IGNORECASE | re.MULTILINE)
        answers.append(_written(mark, content_id[1] if content_id else str(index), answer))
    body = "".join(answers) + f"--{mark}--\r\n"
    return Answer(202, {"Content-Type": f"multipart/mixed; boundary={mark}"}, body.encode())


async def _part(exchange: Exchange, part: str) -> tuple[str, Answer]:
    head, _, inner = part.replace("\r\n", "\n").lstrip("\n").partition("\n\n")
    try:
        return head, await _carry_out(exchange, inner)
    except StorageError as error:
        headers = {"x-ms-error-code": error.code, "Content-Type": "application/xml"}
        return head, Answer(error.status, headers, error.xml())
    except ContainerMissing:
        gone = StorageError("ContainerNotFound", "The specified container does not exist.")
        return head, Answer(gone.status, {"x-ms-error-code": gone.code}, gone.xml())


async def _carry_out(exchange: Exchange, text: str) -> Answer:
    request = _request(exchange, text)
    operation = _OPERATIONS.get((request.method, request.query.get("comp", "").lower()))
    if operation is None:
        raise StorageError("InvalidInput", "A batch holds deletions of blobs and changes of their tier alone.")
    handler, need = operation
    where = request.address
    if where.account != exchange.account or not where.blob:
        raise StorageError("InvalidInput", "A part of a batch names a blob of the account that the batch was sent to.")
    naming.check_container(where.container)
    naming.check_blob(where.blob)
    account = exchange.accounts.get(exchange.account)
    container = await exchange.store.container(exchange.account, where.container)
    assert account is not None
    policies = container.record.policies if container else {}
    try:
        grant = await exchange.authorizer.authorize(request, account, need, policies)
    except StorageError as error:
        whole = _whole_path(exchange, request.raw_path)
        if error.code != "AuthenticationFailed" or whole == request.raw_path:
            raise
        request.raw_path = whole  # some sign the whole path and send it without its beginning
        grant = await exchange.authorizer.authorize(request, account, need, policies)
    return await handler(replace(exchange, request=request, grant=grant, container=where.container, name=where.blob))


def _request(exchange: Exchange, text: str) -> Request:
    line, *lines = text.strip().split("\n")
    words = line.split(" ")
    if len(words) < 3 or not words[1].startswith("/"):
        raise StorageError("InvalidInput", f"'{line[:80]}' is not a request line.")
    outer = exchange.request
    request = Request.__new__(Request)
    request.method, request.scheme, request.client = words[0], outer.scheme, outer.client
    request.raw_path, _, query = words[1].partition("?")
    request.query = parse_query(query)
    pairs = (header.partition(":") for header in lines if ":" in header)
    request.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    request.address = address(_whole_path(exchange, request.raw_path), outer.headers.get("host", ""), {})
    return request


def _whole_path(exchange: Exchange, path: str) -> str:
    """The path as if it were sent alone: parts leave out what the batch's own address begins with."""
    outer = exchange.request.address
    if path.startswith(PREFIX) or not outer.lead:
        return path
    if outer.container and path.startswith(f"/{outer.account}/{outer.container}/"):
        return PREFIX[:-1] + path
    return outer.lead + path


def _written(mark: str, content_id: str, answer: Answer) -> str:
    reason = http.HTTPStatus(answer.status).phrase
    headers = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
    return (
        f"--{mark}\r\nContent-Type: application/http\r\nContent-ID: {content_id}\r\n\r\n"
        f"HTTP/1.1 {answer.status} {reason}\r\n{headers}Content-Length: {len(answer.body)}\r\n\r\n"
        f"{answer.body.decode()}\r\n"
    )
