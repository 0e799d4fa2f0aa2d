"""storage_operations.toml: what each operation of the storage services does here, and which of our own it is."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lazulite.storage.gateway import _route
from lazulite.storage.request import Request
from lazulite.storage.routing import Operation

FILE = Path(__file__).with_name("storage_operations.toml")
TESTS = "tests/clients/storage/"
_ENDPOINTS = {"Blob": "blob", "Data Lake": "dfs", "Files": "file"}


@dataclass(frozen=True, slots=True)
class StorageOperation:
    """`test` is the id of the test that shows it; None where it answers 501."""

    service: str
    name: str
    request: str
    test: str | None

    @property
    def endpoint(self) -> str:
        return _ENDPOINTS[self.service]

    def scope(self) -> dict[str, Any]:
        """The request as the server gets it, of the blob `b` in the container `con`."""
        line, *given = self.request.split(" | ")
        method, address = line.split(" ")
        path, _, query = address.format(container="con", path="b").partition("?")
        whole = f"/storage/v1/acct/_.{self.endpoint}.core.windows.net{path}"
        headers = [(b"host", b"localhost"), (b"content-length", b"0")]
        for header in given:
            name, _, value = header.partition(": ")
            headers.append((name.encode(), value.encode()))
        return {
            "type": "http",
            "method": method,
            "scheme": "https",
            "path": whole,
            "raw_path": whole.encode(),
            "query_string": query.encode(),
            "headers": headers,
            "client": ("127.0.0.1", 1),
        }

    def routed(self) -> Operation:
        """The operation of ours that answers it. Raises StorageError where there is none."""
        return _route(Request(self.scope(), _nothing))


@cache
def storage_operations() -> tuple[StorageOperation, ...]:
    return read(FILE.read_text(encoding="utf-8"))


def read(text: str) -> tuple[StorageOperation, ...]:
    """Raises tomllib.TOMLDecodeError, also where an operation stands twice under one heading."""
    return tuple(
        StorageOperation(service, name, given[0], TESTS + given[1] if given[1:] else None)
        for service, found in tomllib.loads(text).items()
        for name, given in found.items()
    )


def shown_by(test: str) -> set[tuple[str, str]]:
    """(endpoint, name of ours) of the operations that a test, by its id, is said to show."""
    return {(one.endpoint, one.routed().name) for one in storage_operations() if one.test == test}


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b""}
