"""Callers other than the home's owner: service principals with one role."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from tests.clients.raw_requests import Bad, send
from tests.server_fixture import RunningServer


def principal(server: RunningServer, role: str, scope: str) -> dict[str, Any]:
    """A new service principal with `role` at `scope`: its `id` and `secret`."""
    body = {"name": f"sp {role}", "role": role, "scope": scope}
    status, made = send(server, Bad("", "POST", "/lazulite/principals", body))
    assert status == 201, made
    return dict(made)


def credential(server: RunningServer, made: dict[str, Any]) -> ClientSecretCredential:
    return ClientSecretCredential("adfs", made["id"], made["secret"], authority=server.https_url)


def allowed(call: Callable[[], object]) -> bool:
    """Whether a call of a client is let through."""
    try:
        call()
    except HttpResponseError as error:
        if error.status_code != 403:
            raise
        return False
    return True
