"""Where the requests begin: every route of the server, the recorded requests of the tests, and the blob operations."""

from __future__ import annotations

import asyncio
import random
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lazulite.core.web import PUBLIC
from lazulite.server.compose import all_routes
from tests.clients.test_bad_input import CORPUS
from tests.server_fixture import GROUP, SUBSCRIPTION, WORKSPACE, WORKSPACE_ID
from tests.unit.tracking import evaluation_requests, mlflow_requests, review_requests, webhook_requests

_KNOWN = {"subscription": SUBSCRIPTION, "group": GROUP, "workspace": WORKSPACE, "subscriptionId": SUBSCRIPTION}
_PARAMETER = re.compile(r"\{(\w+)(:path)?\}")
#: What would take the ground from under the requests that follow.
_SPARED = re.compile(
    rf"DELETE {WORKSPACE_ID}/?$|DELETE /subscriptions/{SUBSCRIPTION}(/resource[gG]roups/{GROUP})?/?$"
    r"|\w+ .*/(rotate|principals)\b|DELETE .*/storageAccounts/[^/]*$",
    re.IGNORECASE,
)
_BLOB_METHODS = ("GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "OPTIONS")


@dataclass(frozen=True)
class Seed:
    """A request before it is spoiled. `public` routes may be answered without a token."""

    method: str
    path: str
    body: Any = None
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    public: bool = False

    @property
    def spared(self) -> bool:
        return _SPARED.match(f"{self.method} {self.path}") is not None


def all_seeds(account: str, chance: random.Random) -> list[list[Seed]]:
    """By kind: each kind is worth as many requests as the others."""
    kinds = (_routes(chance), _corpus(), _recorded(), _blobs(account))
    return [[seed for seed in kind if not seed.spared] for kind in kinds]


def _routes(chance: random.Random) -> list[Seed]:
    with tempfile.TemporaryDirectory() as folder:
        routes = asyncio.run(all_routes(Path(folder)))

    def filled(match: re.Match[str]) -> str:
        return _KNOWN.get(match[1]) or chance.choice(("a", "b", "1"))

    return [
        Seed(route.method, _PARAMETER.sub(filled, route.path), {"properties": {}}, public=route.permission == PUBLIC)
        for route in routes
    ]


def _corpus() -> list[Seed]:
    return [Seed(bad.method, bad.path, bad.body, headers=bad.headers) for bad in CORPUS if bad.raw is None]


def _recorded() -> list[Seed]:
    root = f"/mlflow/rest{WORKSPACE_ID}/api"
    plain = [(method, f"2.0/mlflow/{path}", body) for method, path, body, *_ in mlflow_requests.SAME]
    later = [
        (method, path, body)
        for table in (evaluation_requests.SAME, review_requests.SAME, webhook_requests.SAME)
        for method, path, body, *_ in table
    ]
    return [Seed(method, f"{root}/{path}".replace("$", ""), body) for method, path, body in [*plain, *later]]


def _blobs(account: str) -> list[Seed]:
    services = {name: f"/storage/v1/{account}/_.{name}.core.windows.net" for name in ("blob", "dfs", "file")}
    comps = ("", "block&blockid=AAAA", "blocklist", "metadata", "lease", "tags", "properties", "list&restype=container",
             "appendblock", "copy", "batch", "snapshot", "page", "acl&restype=container", "undelete",
             "userdelegationkey&restype=service", "directory&restype=directory", "range", "seal", "query", "tier")  # fmt: skip
    headers = {"x-ms-version": "2023-11-03", "x-ms-blob-type": "BlockBlob"}
    return [
        Seed(method, f"{root}/{path}", query=f"comp={comp}" if comp else "", headers=headers)
        for root in services.values()
        for path in ("", "fuzz", "fuzz/a", "fuzz/a/b.txt")
        for method in _BLOB_METHODS
        for comp in comps
    ]
