"""Whom the server believes about where a request comes from."""

from __future__ import annotations

import datetime as dt
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tests.server_fixture import WORKSPACE_ID, RunningServer

FORWARDED = {"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize(("trusted", "status"), [("", 403), ("192.0.2.0/24", 403), ("127.0.0.0/8", 200)])
def test_forwarded_headers_are_a_named_proxys_alone(tmp_path: Path, trusted: str, status: int) -> None:
    server = RunningServer(tmp_path / "home", {"trusted_proxies": trusted} if trusted else {})
    server.home.mkdir()
    server.start()
    try:
        for limit in ({"ip": "10.0.0.1"}, {"protocol": "https"}):
            assert _read(server, limit, FORWARDED) == status
            assert _read(server, limit, {}) == 403
    finally:
        server.stop()


def _read(server: RunningServer, limit: dict[str, str], headers: dict[str, str]) -> int:
    """The status of a listing over plain HTTP, by a signature with this limit."""
    from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

    account, key = _account(server)
    until = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    sas = generate_account_sas(
        account, key, ResourceTypes(container=True), AccountSasPermissions(list=True), until, **limit
    )
    request = urllib.request.Request(
        f"{server.http_url}/storage/v1/{account}/azureml?restype=container&comp=list&{sas}", headers=headers
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _account(server: RunningServer) -> tuple[str, str]:
    """Name and key of the default workspace's storage account."""
    request = urllib.request.Request(
        f"{server.http_url}{WORKSPACE_ID}/listKeys?api-version=2024-04-01",
        headers={"Authorization": f"Bearer {server.token()}"},
        method="POST",
    )
    with urllib.request.urlopen(request) as answer:
        keys = json.load(answer)
    return keys["userStorageResourceId"].rsplit("/", 1)[1], keys["userStorageKey"]
