"""Requests as no client of ours would send them."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from tests.server_fixture import RunningServer


@dataclass(frozen=True)
class Bad:
    """A request, and what its refusal must hold."""

    name: str
    method: str
    path: str
    body: Any = None
    status: int = 400
    says: str = ""
    target: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None


def send(server: RunningServer, bad: Bad) -> tuple[int, Any]:
    data = bad.raw if bad.raw is not None else (None if bad.body is None else json.dumps(bad.body).encode())
    headers = {"Authorization": f"Bearer {server.token()}", "Content-Type": "application/json", **bad.headers}
    headers = {name: value for name, value in headers.items() if value}
    request = urllib.request.Request(f"{server.https_url}{bad.path}", data=data, method=bad.method, headers=headers)
    context = ssl.create_default_context(cafile=server.bundle)
    try:
        with urllib.request.urlopen(request, context=context) as answer:
            content = answer.read()
            return answer.status, json.loads(content) if content else None
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
