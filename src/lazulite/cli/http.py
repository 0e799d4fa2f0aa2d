"""JSON over the server's plain loopback address, past any proxy the shell has set."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

_PIECE = 1 << 16
_NOTHING_THERE = 416
#: No connection, an answer that breaks off or is none, an address that cannot be sent.
_BROKEN = (OSError, http.client.HTTPException, UnicodeError)


class Unreachable(Exception):
    """Nothing answers at the address, or what answers does not speak our JSON."""


class Refused(Exception):
    """The server answered with an error; `message` is its own explanation."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def get_json(url: str, *, headers: Mapping[str, str] | None = None, timeout_s: float = 10) -> dict[str, Any]:
    """GET `url`. Raises Unreachable, or Refused for a 4xx or 5xx answer."""
    return request_json("GET", url, headers=headers, timeout_s=timeout_s)


def request_json(
    method: str,
    url: str,
    body: Mapping[str, Any] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 10,
) -> dict[str, Any]:
    """One request; an empty answer reads as {}. Raises Unreachable, or Refused for a 4xx or 5xx answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)  # noqa: S310
    try:
        with _OPENER.open(request, timeout=timeout_s) as answer:
            raw = answer.read()
    except urllib.error.HTTPError as error:
        raise Refused(error.code, _explanation(_rest(error)) or str(error.reason)) from None
    except _BROKEN as error:
        raise Unreachable(f"{url}: {error}") from None
    try:
        document = json.loads(raw or b"{}")
    except ValueError:
        raise Unreachable(f"{url} answers, but not with JSON") from None
    if not isinstance(document, dict):
        raise Unreachable(f"{url} answers with another kind of JSON")
    return document


def read_file(url: str, start: int, bundle: Path, *, timeout_s: float = 30) -> Iterator[bytes]:
    """A file at an address of the blob gateway over TLS, from the byte `start` on. Raises Unreachable or Refused."""
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=_trusting(bundle)))
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"})  # noqa: S310
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout_s) as answer:
            while piece := answer.read(_PIECE):
                yield piece
    except urllib.error.HTTPError as error:
        if error.code != _NOTHING_THERE:  # nothing has been written beyond `start`
            raise Refused(error.code, _explanation(_rest(error)) or str(error.reason)) from None
    except _BROKEN as error:
        raise Unreachable(f"{url.split('?')[0]}: {error}") from None


@lru_cache
def _trusting(bundle: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(bundle))


def _rest(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read()
    except _BROKEN:
        return b""


def _explanation(raw: bytes) -> str:
    try:
        error = json.loads(raw)["error"]
        return str(error["message"])
    except (ValueError, KeyError, TypeError):
        return raw.decode(errors="replace")[:500].strip()


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
