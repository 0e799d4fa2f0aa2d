"""JSON over the server's plain loopback address, past any proxy the shell has set."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any


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
        raise Refused(error.code, _explanation(error.read()) or str(error.reason)) from None
    except OSError as error:
        raise Unreachable(f"{url}: {error}") from None
    try:
        document = json.loads(raw or b"{}")
    except ValueError:
        raise Unreachable(f"{url} answers, but not with JSON") from None
    if not isinstance(document, dict):
        raise Unreachable(f"{url} answers with another kind of JSON")
    return document


def _explanation(raw: bytes) -> str:
    try:
        error = json.loads(raw)["error"]
        return str(error["message"])
    except (ValueError, KeyError, TypeError):
        return raw.decode(errors="replace")[:500].strip()


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
