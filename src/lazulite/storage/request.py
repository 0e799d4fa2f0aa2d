"""One storage request as it arrived."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

from lazulite.core.numbers import whole_number
from lazulite.storage import naming
from lazulite.storage.addressing import Address, address
from lazulite.storage.errors import StorageError, invalid_header, invalid_query

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: Bodies that are documents (block lists, properties) and not content.
MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
_METADATA_HEADER = naming.METADATA_HEADER.encode()


class Disconnected(Exception):
    """The client went away before its body was complete."""


class Request:
    """`query` and `headers` have lower-case names and decoded values; `raw_path` is as the client sent it."""

    __slots__ = ("_receive", "_scope", "address", "client", "headers", "method", "query", "raw_path", "scheme")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._scope = scope
        self.method: str = scope["method"]
        self.scheme: str = scope["scheme"]
        self.headers = {name.decode("latin-1"): _text(value) for name, value in scope["headers"]}
        self.raw_path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        self.query: Mapping[str, str] = parse_query(scope["query_string"].decode("latin-1"))
        self.client: str = (scope.get("client") or ("",))[0]
        self.address: Address = address(self.raw_path, self.headers.get("host", ""), self.query)

    @property
    def metadata(self) -> dict[str, str]:
        """The `x-ms-meta-*` headers by the names that follow, in the client's spelling. Raises StorageError 400."""
        fields = [field for field in self._scope["headers"] if field[0].startswith(_METADATA_HEADER)]
        names = self._scope.get(naming.SPELLED_NAMES) or [name for name, _ in fields]
        start = len(_METADATA_HEADER)
        return naming.metadata(
            (name[start:].decode("latin-1"), _text(value)) for name, (_, value) in zip(names, fields, strict=True)
        )

    @property
    def content_length(self) -> int | None:
        """None for a chunked body. Raises StorageError for nonsense."""
        text = self.headers.get("content-length")
        if text is None:
            return None if "transfer-encoding" in self.headers else 0
        length = whole_number(text)
        if length is None:
            raise invalid_header("Content-Length", text[:100], "it is not a number")
        return length

    def header(self, name: str) -> str | None:
        return self.headers.get(name) or None

    def flag(self, name: str) -> bool:
        return self.headers.get(name, "").lower() == "true"

    def number(self, name: str, default: int | None = None) -> int | None:
        """A header that is a whole number, not negative."""
        text = self.headers.get(name)
        if not text:
            return default
        number = whole_number(text)
        if number is None:
            raise invalid_header(name, text[:100], "it is not a whole number")
        return number

    def query_number(self, name: str, default: int, least: int, most: int) -> int:
        text = self.query.get(name)
        if not text:
            return default
        number = whole_number(text)
        if number is None:
            raise invalid_query(name, text[:100], "it is not a whole number")
        if number < least:
            raise StorageError("OutOfRangeQueryParameterValue", f"The query parameter {name} is {text}, below {least}.")
        return min(number, most)

    async def stream(self, limit: int) -> AsyncIterator[bytes]:
        """The body, piece by piece. Raises StorageError 413 beyond `limit` bytes, Disconnected."""
        length = self.content_length
        if length is not None and length > limit:
            raise too_large(limit)
        total = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            body = message.get("body", b"")
            total += len(body)
            if total > limit:
                raise too_large(limit)
            if body:
                yield body
            if not message.get("more_body", False):
                return

    async def document(self) -> bytes:
        """A small body, whole."""
        return b"".join([piece async for piece in self.stream(MAX_DOCUMENT_BYTES)])


def too_large(limit: int) -> StorageError:
    return StorageError(
        "RequestBodyTooLarge",
        f"The body is larger than the {limit} bytes that this operation takes; upload larger content in blocks.",
    )


@lru_cache(maxsize=2048)
def parse_query(text: str) -> Mapping[str, str]:
    """Names in lower case, values decoded; of several with one name the first counts.

    Clients repeat their signatures for every request, so the latest are remembered.
    """
    query: dict[str, str] = {}
    if text:
        for pair in text.split("&"):
            name, _, value = pair.partition("=")
            if "%" in value or "+" in value:
                value = unquote_plus(value)
            if "%" in name:
                name = unquote_plus(name)
            query.setdefault(name.lower(), value)
    return query


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
