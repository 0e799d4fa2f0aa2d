"""`lazulite principal` switches whom a shell's clients act as, and replaces keys."""

from __future__ import annotations

import json

import pytest
from azure.ai.ml import MLClient
from azure.core.exceptions import HttpResponseError
from azure.identity import DefaultAzureCredential
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tests.clients.job_tokens import ask
from tests.server_fixture import GROUP, SUBSCRIPTION, WORKSPACE, WORKSPACE_ID, RunningServer

from lazulite.cli.main import main

pytestmark = pytest.mark.clients


def printed(server: RunningServer, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, str | None]:
    """What a command prints as JSON."""
    capsys.readouterr()
    assert main([*words, "--home", str(server.home)]) == 0
    found: dict[str, str | None] = json.loads(capsys.readouterr().out)
    return found


def apply(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)


def test_every_client_of_a_shell_becomes_the_principal(
    server: RunningServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(monkeypatch, printed(server, capsys, "env", "--shell", "json"))
    MlflowClient().create_run("0")
    create = ("principal", "create", "viewer", "--role", "Reader")
    apply(monkeypatch, printed(server, capsys, *create, "--shell", "json"))
    MlflowClient().search_runs(["0"])
    with pytest.raises(MlflowException, match="'viewer' does not have authorization"):
        MlflowClient().create_run("0")
    client = MLClient(DefaultAzureCredential(), SUBSCRIPTION, GROUP, WORKSPACE)
    with pytest.raises(HttpResponseError, match="'viewer' does not have authorization"):
        client.compute.begin_delete("none").result()
    found = printed(server, capsys, *create, "--json-auth")
    assert {"clientId", "clientSecret", "subscriptionId", "tenantId", "resourceManagerEndpointUrl"} <= found.keys()


def test_keys_are_replaced_by_name(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    made = printed(server, capsys, "principal", "create", "ci", "--role", "Reader", "--shell", "json")
    fresh = printed(server, capsys, "principal", "rotate", "ci", "--shell", "json")
    assert fresh["AZURE_CLIENT_ID"] == made["AZURE_CLIENT_ID"]
    assert ask(server, str(made["MLFLOW_TRACKING_TOKEN"]), "GET", f"{WORKSPACE_ID}/models")[0] == 401
    assert ask(server, str(fresh["MLFLOW_TRACKING_TOKEN"]), "GET", f"{WORKSPACE_ID}/models")[0] == 200
    assert main(["principal", "rotate", "nobody", "--home", str(server.home)]) == 1
    assert "no principal is called 'nobody'" in capsys.readouterr().err


def test_the_owners_key_is_replaced_in_the_home_and_stays_so(
    server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    file = server.home / "secrets" / "user.key"
    before, old = file.read_text(), server.token()
    assert main(["principal", "rotate", "local user", "--home", str(server.home)]) == 0
    assert "Set the variables of every shell again" in capsys.readouterr().out
    assert (file.read_text() == before, file.stat().st_mode & 0o077) == (False, 0)
    for restarted in (False, True):
        if restarted:
            server.stop()
            server.start(same_ports=True)
        assert ask(server, old, "GET", f"{WORKSPACE_ID}/models")[0] == 401
        assert ask(server, server.token(), "GET", f"{WORKSPACE_ID}/models")[0] == 200
