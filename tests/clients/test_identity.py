"""Who may come in, and what they may do: real clients, every way of getting a token."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import AmlCompute, Data
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
from tests.clients.principals import allowed, credential, principal
from tests.clients.raw_requests import Bad, send
from tests.server_fixture import GROUP, SUBSCRIPTION, WORKSPACE, WORKSPACE_ID, RunningServer

pytestmark = pytest.mark.clients


@pytest.mark.parametrize(
    "audience",
    ["https://management.azure.com", "https://ml.azure.com", "https://storage.azure.com", "https://ml.azure."],
)
def test_any_audience_is_issued_as_asked(server: RunningServer, audience: str) -> None:
    token = ManagedIdentityCredential().get_token(f"{audience}/.default").token
    claims = _claims(token)
    assert claims["aud"] == audience
    assert claims["tid"]
    assert claims["exp"] > claims["iat"]


def test_wrong_identity_header(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    with pytest.raises(ClientAuthenticationError, match="not the key of a user"):
        ManagedIdentityCredential().get_token("https://management.azure.com/.default")


@pytest.mark.parametrize(
    ("role", "reads", "writes_data", "writes_compute"),
    [
        ("Owner", True, True, True),
        ("Contributor", True, True, True),
        ("Reader", True, False, False),
        ("AzureML Data Scientist", True, True, False),
    ],
)
def test_service_principals_by_role(
    server: RunningServer, role: str, reads: bool, writes_data: bool, writes_compute: bool
) -> None:
    made = principal(server, role, WORKSPACE_ID)
    client = MLClient(credential(server, made), SUBSCRIPTION, GROUP, WORKSPACE)
    slug = role.replace(" ", "").lower()
    assert allowed(lambda: list(client.datastores.list())) is reads
    data = Data(name=f"d-{slug}", path="https://example.com/x", type="uri_file", version="1")
    assert allowed(lambda: client.data.create_or_update(data)) is writes_data
    cluster = AmlCompute(name=f"c-{slug[:8]}", size="Standard_DS3_v2")
    assert allowed(lambda: client.compute.begin_create_or_update(cluster).result()) is writes_compute
    assert allowed(lambda: client.workspaces.get("mlw-default")) is reads


def test_a_role_reaches_its_scope_and_no_other(server: RunningServer) -> None:
    made = principal(server, "Contributor", WORKSPACE_ID)
    client = MLClient(credential(server, made), SUBSCRIPTION, GROUP)
    with pytest.raises(HttpResponseError) as refused:
        list(client.workspaces.list())
    assert refused.value.error.code == "AuthorizationFailed"


def test_removed_principal_is_out(server: RunningServer) -> None:
    made = principal(server, "Reader", "/")
    token = credential(server, made).get_token("https://management.azure.com/.default").token
    send(server, Bad("", "DELETE", f"/lazulite/principals/{made['id']}"))
    status, _ = send(server, Bad("", "GET", f"{WORKSPACE_ID}/jobs", headers={"Authorization": f"Bearer {token}"}))
    assert status == 401
    with pytest.raises(ClientAuthenticationError):
        credential(server, made).get_token("https://ml.azure.com/.default")


def test_roles_on_a_deleted_workspace_do_not_come_back_with_its_name(server: RunningServer) -> None:
    scope = WORKSPACE_ID.replace(WORKSPACE, "mlw-short")
    assert send(server, Bad("", "PUT", scope, {"location": "local"}))[0] == 200
    made = principal(server, "Contributor", scope)
    token = credential(server, made).get_token("https://management.azure.com/.default").token
    read = Bad("", "GET", f"{scope}/jobs", headers={"Authorization": f"Bearer {token}"})
    assert send(server, read)[0] == 200
    assert send(server, Bad("", "DELETE", scope))[0] in (200, 202)
    assert send(server, Bad("", "PUT", scope, {"location": "local"}))[0] == 200
    assert send(server, read)[0] == 403
    listed = send(server, Bad("", "GET", "/lazulite/principals"))[1]["value"]
    assert [one["roles"] for one in listed if one["id"] == made["id"]] == [[]]


def test_wrong_client_secret(server: RunningServer) -> None:
    made = principal(server, "Reader", "/")
    with pytest.raises(ClientAuthenticationError, match="not those of a service principal"):
        credential(server, {**made, "secret": "wrong"}).get_token("https://management.azure.com/.default")


def test_only_those_who_may_assign_roles_make_principals(server: RunningServer) -> None:
    made = principal(server, "Contributor", "/")
    token = credential(server, made).get_token("https://management.azure.com/.default").token
    bad = Bad("", "POST", "/lazulite/principals", {"name": "x"}, headers={"Authorization": f"Bearer {token}"})
    assert send(server, bad)[0] == 403


def test_tampered_token(server: RunningServer) -> None:
    header, payload, signature = server.token().split(".")
    claims = {**_claims(f"{header}.{payload}."), "oid": "someone-else"}
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    for token in (f"{header}.{forged}.{signature}", f"{_none()}.{forged}.", f"{header}.{payload}."):
        bad = Bad("", "GET", f"{WORKSPACE_ID}/jobs", headers={"Authorization": f"Bearer {token}"})
        assert send(server, bad)[0] == 401


def test_secrets_are_in_no_log_and_no_open_file(server: RunningServer) -> None:
    DefaultAzureCredential().get_token("https://management.azure.com/.default")
    key = (server.home / "secrets" / "user.key").read_text()
    log = (server.home.parent / f"{server.home.name}.log").read_bytes()
    assert key.encode() not in log
    for file in (server.home / "secrets").iterdir():
        assert file.stat().st_mode & 0o077 == 0
    for file in server.home.glob("lazulite.db*"):
        assert key.encode() not in file.read_bytes()


def test_health_and_metadata_need_no_token(server: RunningServer) -> None:
    for path in ("/healthz", "/metadata/endpoints"):
        with urllib.request.urlopen(f"{server.http_url}{path}") as answer:
            assert answer.status == 200


def _claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


def _none() -> str:
    return base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()


def test_a_runs_token_is_renewed_and_reaches_that_run_alone(server: RunningServer) -> None:
    import mlflow

    with mlflow.start_run() as mine:
        pass
    with mlflow.start_run() as other:
        pass
    path = f"/history/v1.0{WORKSPACE_ID}/experimentids/0/runs"
    status, renewed = send(server, Bad("", "GET", f"{path}/{mine.info.run_id}/token"))
    assert (status, _claims(renewed["token"])["lz_run"]) == (200, mine.info.run_id)
    as_run = {"Authorization": f"Bearer {renewed['token']}"}
    assert send(server, Bad("", "GET", f"{path}/{mine.info.run_id}/token", headers=as_run))[0] == 200
    assert send(server, Bad("", "GET", f"{path}/{other.info.run_id}/token", headers=as_run))[0] == 403
    patched = Bad("", "PATCH", f"{path}/{other.info.run_id}", {"tags": {"a": "b"}}, headers=as_run)
    assert send(server, patched)[0] == 403
    assert send(server, replace(patched, path=f"{path}/{mine.info.run_id}"))[0] == 200
    beside = f"/mlflow/rest{WORKSPACE_ID}/experimentids/0/runs"
    assert send(server, replace(patched, path=f"{beside}/{other.info.run_id}"))[0] == 403
    assert send(server, replace(patched, path=f"{beside}/{mine.info.run_id}"))[0] == 200
    wanted = {"properties": {"computeType": "AmlCompute"}}
    assert send(server, Bad("", "PUT", f"{WORKSPACE_ID}/computes/sneaky", wanted, headers=as_run))[0] == 403
    elsewhere = WORKSPACE_ID.replace("mlw-default", "another")
    assert send(server, Bad("", "GET", f"{elsewhere}/jobs", headers=as_run))[0] == 403
