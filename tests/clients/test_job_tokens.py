"""What a job's token is good for, and for how long: every gateway asks what it claims."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest
from azure.ai.ml import MLClient, Output, UserIdentityConfiguration, command
from azure.ai.ml.entities import AmlCompute, Data, Model, Workspace
from azure.ai.ml.identity import AzureMLOnBehalfOfCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
from azure.storage.blob import BlobServiceClient, generate_container_sas
from tests.clients.job_tokens import Held, ask, held, renewed
from tests.clients.principals import credential, principal
from tests.clients.raw_requests import Bad, send
from tests.clients.small_jobs import BARE, ended
from tests.server_fixture import GROUP, SUBSCRIPTION, WORKSPACE, WORKSPACE_ID, RunningServer

pytestmark = pytest.mark.clients
_RULE = "It may write to its own run"
_MLFLOW = f"/mlflow/rest{WORKSPACE_ID}/api/2.0/mlflow"


@pytest.fixture(scope="module")
def jobs(server: RunningServer, ml_client: MLClient) -> Iterator[tuple[Held, Held]]:
    """Two jobs of the workspace that go on, of which the first attacks the second."""
    ml_client.environments.create_or_update(BARE)
    found = held(server, ml_client), held(server, ml_client)
    yield found
    for one in found:
        ml_client.jobs.begin_cancel(one.name)


@pytest.fixture(scope="module")
def account(ml_client: MLClient) -> str:
    """The path of the storage account of the default workspace."""
    return f"/storage/v1/{ml_client.workspaces.get(WORKSPACE).storage_account.rsplit('/', 1)[1]}"


def doors(account: str, run: str) -> dict[str, tuple[str, str]]:
    """A read through each gateway that takes a bearer token."""
    return {
        "ARM": ("GET", f"{WORKSPACE_ID}/models"),
        "MLflow": ("GET", f"{_MLFLOW}/runs/get?run_id={run}"),
        "run history": ("GET", f"/history/v1.0{WORKSPACE_ID}/runs/{run}"),
        "run token": ("GET", f"/history/v1.0{WORKSPACE_ID}/experimentids/0/runs/{run}/token"),
        "blobs": ("GET", f"{account}/azureml?restype=container&comp=list"),
        "files": ("GET", f"{account}/_.dfs.core.windows.net/azureml?resource=filesystem&recursive=false"),
    }


def statuses(server: RunningServer, token: str, account: str, run: str) -> dict[str, int]:
    return {name: ask(server, token, *door)[0] for name, door in doors(account, run).items()}


def test_a_token_ends_with_its_job(server: RunningServer, ml_client: MLClient, account: str) -> None:
    ml_client.environments.create_or_update(BARE)
    one = held(server, ml_client)
    status, second = renewed(server, one.token)
    assert status == 200
    assert renewed(server, one.token, 7 * 24 * 3600)[0] == 200
    status, text = renewed(server, one.token, 7 * 24 * 3600 + 1)
    assert (status, "between 60 and 604800" in text) == (400, True)
    assert set(statuses(server, second, account, one.name).values()) == {200}
    ml_client.jobs.begin_cancel(one.name)
    assert ended(ml_client, one.name).status == "Canceled"
    for token in (one.token, second):
        assert set(statuses(server, token, account, one.name).values()) == {401}
        status, text = renewed(server, token)
        assert (status, "is over or gone" in text) == (401, True)
    status, text, headers = ask(server, one.token, "GET", f"{account}/azureml?restype=container&comp=list")
    assert headers["x-ms-error-code"] == "InvalidAuthenticationInfo"
    assert headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")


def test_a_token_ends_with_who_submitted_the_job(server: RunningServer, ml_client: MLClient, account: str) -> None:
    ml_client.environments.create_or_update(BARE)
    made = principal(server, "Contributor", f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}")
    client = MLClient(credential(server, made), SUBSCRIPTION, GROUP, WORKSPACE)
    one = held(server, client)
    assert ask(server, one.token, "GET", f"{WORKSPACE_ID}/models")[0] == 200
    own = credential(server, made).get_token("https://storage.azure.com/.default").token
    assert ask(server, own, "GET", f"{account}/azureml?restype=container&comp=list")[0] == 200
    assert send(server, Bad("", "DELETE", f"/lazulite/principals/{made['id']}"))[0] == 204
    assert set(statuses(server, one.token, account, one.name).values()) == {401}
    assert renewed(server, one.token)[0] == 401
    assert ask(server, own, "GET", f"{account}/azureml?restype=container&comp=list")[0] == 401
    ml_client.jobs.begin_cancel(one.name)


def test_a_token_ends_with_its_workspace_also_when_one_of_that_name_is_made(
    server: RunningServer, ml_client: MLClient
) -> None:
    def make() -> MLClient:
        ml_client.workspaces.begin_create(Workspace(name="again", location="local")).result()
        return MLClient(DefaultAzureCredential(), SUBSCRIPTION, GROUP, "again")

    client = make()
    client.environments.create_or_update(BARE)
    one = held(server, client)
    models = f"{WORKSPACE_ID.rsplit('/', 1)[0]}/again/models"
    assert ask(server, one.token, "GET", models)[0] == 200
    ml_client.workspaces.begin_delete("again", delete_dependent_resources=False).result()
    status, text, _ = ask(server, one.token, "GET", models)
    assert (status, "workspace of the job" in text) == (401, True)
    make()
    assert ask(server, one.token, "GET", models)[0] == 401
    assert renewed(server, one.token)[0] == 401


def attacks(account: str, own: str, other: str) -> dict[str, tuple[str, str, object, dict[str, str]]]:
    """Writes and deletions with the token of the job `own`, by gateway."""
    logs = f"{account}/azureml/ExperimentRun/dcid.{other}/user_logs"
    dfs = account + "/_.dfs.core.windows.net/azureml"
    put = {"x-ms-blob-type": "BlockBlob", "x-ms-version": "2021-08-06"}
    data = {"properties": {"dataUri": "https://example.com/other", "dataType": "uri_file"}}
    tags = {"properties": {"dataUri": "https://example.com/x", "dataType": "uri_file", "isArchived": True}}
    rename = {"x-ms-rename-source": f"/azureml/ExperimentRun/dcid.{other}/user_logs/std_log.txt"}
    mine = f"/ExperimentRun/dcid.{own}"
    delegation = b"<KeyInfo><Start>2026-01-01T00:00:00Z</Start><Expiry>2099-01-01T00:00:00Z</Expiry></KeyInfo>"
    form = b"<?xml version='1.0'?><BlockList></BlockList>"
    return {
        "blob over another's log": ("PUT", f"{logs}/std_log.txt", b"forged", put),
        "new blob beside it": ("PUT", f"{logs}/more.txt", b"forged", put),
        "block": ("PUT", f"{logs}/std_log.txt?comp=block&blockid=QUFB", b"forged", {}),
        "block list": ("PUT", f"{logs}/std_log.txt?comp=blocklist", form, {}),
        "metadata": ("PUT", f"{logs}/std_log.txt?comp=metadata", b"", {"x-ms-meta-a": "b"}),
        "lease": ("PUT", f"{logs}/std_log.txt?comp=lease", b"", {"x-ms-lease-action": "acquire"}),
        "delete blob": ("DELETE", f"{logs}/std_log.txt", None, {}),
        "delete container": ("DELETE", f"{account}/azureml?restype=container", None, {}),
        "make container": ("PUT", f"{account}/another?restype=container", None, {}),
        "access policy": ("PUT", f"{account}/azureml?restype=container&comp=acl", b"", {}),
        "delegation key": ("POST", f"{account}/?restype=service&comp=userdelegationkey", delegation, {}),
        "data of everybody": ("PUT", f"{account}/azureml/somewhere.txt", b"x", put),
        "path over another's log": ("PUT", f"{dfs}/ExperimentRun/dcid.{other}/user_logs/std_log.txt?resource=file",
                                    None, {}),
        "delete path": ("DELETE", f"{dfs}/ExperimentRun/dcid.{other}?recursive=true", None, {}),
        "rename to its own": ("PUT", f"{dfs}{mine}/taken.txt", None, rename),
        "delete data": ("DELETE", f"{WORKSPACE_ID}/data/kept/versions/1", None, {}),
        "delete all versions": ("DELETE", f"{WORKSPACE_ID}/data/kept", None, {}),
        "overwrite data": ("PUT", f"{WORKSPACE_ID}/data/kept/versions/1", data, {}),
        "archive data": ("PUT", f"{WORKSPACE_ID}/data/kept/versions/1", tags, {}),
        "archive all versions": ("PUT", f"{WORKSPACE_ID}/data/kept", {"properties": {"isArchived": True}}, {}),
        "delete model": ("DELETE", f"{WORKSPACE_ID}/models/kept/versions/1", None, {}),
        "delete code": ("DELETE", f"{WORKSPACE_ID}/codes/kept/versions/1", None, {}),
        "delete model in MLflow": ("DELETE", f"{_MLFLOW}/model-versions/delete", {"name": "kept", "version": "1"}, {}),
        "tag a run": ("POST", f"{_MLFLOW}/runs/set-tag", {"run_id": other, "key": "a", "value": "b"}, {}),
        "delete a run": ("POST", f"{_MLFLOW}/runs/delete", {"run_id": other}, {}),
        "artifact": ("PUT", f"/mlflow/rest{WORKSPACE_ID}/api/2.0/mlflow-artifacts/artifacts/0/{other}/artifacts/f",
                     b"x", {}),
        "delete artifact": ("DELETE", f"/mlflow/rest{WORKSPACE_ID}/api/2.0/mlflow-artifacts/artifacts/0/{other}/"
                            "artifacts/f", None, {}),
        "run history": ("PATCH", f"/history/v1.0{WORKSPACE_ID}/experimentids/0/runs/{other}", {"displayName": "x"}, {}),
        "artifacts of run history": ("POST", f"/artifact/v2.0{WORKSPACE_ID}/artifacts/ExperimentRun/"
                                     f"dcid.{other}/batch/metadata", {"paths": [{"path": "x"}]}, {}),
        "cancel": ("POST", f"{WORKSPACE_ID}/jobs/{other}/cancel", {}, {}),
        "another's token": ("GET", f"/history/v1.0{WORKSPACE_ID}/experimentids/0/runs/{other}/token", None, {}),
        "keys of the account": ("POST", f"{WORKSPACE_ID}/listKeys", {}, {}),
        "browser": ("POST", "/lazulite/sign-in-codes", {"workspace": WORKSPACE_ID, "job": other}, {}),
    }  # fmt: skip


def test_no_gateway_lets_a_job_write_what_is_not_its_own(
    server: RunningServer, ml_client: MLClient, jobs: tuple[Held, Held], account: str, tmp_path: Path
) -> None:
    ml_client.data.create_or_update(Data(name="kept", version="1", path="https://example.com/x", type="uri_file"))
    (tmp_path / "model.txt").write_text("weights")
    ml_client.models.create_or_update(Model(name="kept", version="1", path=str(tmp_path / "model.txt")))
    one, other = jobs
    answers = {}
    for name, (method, path, body, headers) in attacks(account, one.name, other.name).items():
        answers[name] = ask(server, one.token, method, path, body, **headers)
    assert {name: status for name, (status, _, _) in answers.items() if status != 403} == {"overwrite data": 409}
    silent = {name for name, (_, text, _) in answers.items() if _RULE not in text}
    assert silent == {"overwrite data", "another's token", "browser"}
    ml_client.data.get("kept", "1")
    ml_client.models.get("kept", "1")


def secret(server: RunningServer, token: str, store: str = "workspaceblobstore") -> str:
    path = f"{WORKSPACE_ID}/datastores/{store}/listSecrets"
    status, text, _ = ask(server, token, "POST", path, {"expirableSecret": True, "expireAfterHours": 1})
    assert status == 200, text
    return str(json.loads(text)["sasToken"])


def test_what_a_job_is_given_of_a_datastore_is_held_to_the_rule_and_ends_with_it(
    server: RunningServer, ml_client: MLClient, jobs: tuple[Held, Held], account: str
) -> None:
    one = held(server, ml_client)
    put = {"x-ms-blob-type": "BlockBlob"}
    artifacts = f"{account}/_.blob.core.windows.net/azureml/ExperimentRun"
    sas = secret(server, one.token, "workspaceartifactstore")
    own, others = f"{artifacts}/dcid.{one.name}/x.txt?{sas}", f"{artifacts}/dcid.{jobs[1].name}/x.txt?{sas}"
    assert ask(server, "", "PUT", own, b"1", **put)[0] == 201
    assert ask(server, "", "DELETE", own)[0] == 202
    status, text, _ = ask(server, "", "PUT", others, b"1", **put)
    assert (status, _RULE in text) == (403, True)
    assert ask(server, "", "GET", f"{artifacts}/dcid.{jobs[1].name}/user_logs/std_log.txt?{sas}")[0] == 200
    blobs = secret(server, one.token)
    assert "srt=" not in blobs
    assert ask(server, "", "GET", f"{account}/_.blob.core.windows.net/?comp=list&{blobs}")[0] == 403
    status, text, _ = ask(server, one.token, "GET", f"/datastore/v1.0{WORKSPACE_ID}/datastores/workspaceblobstore")
    section = json.loads(text)["azureStorageSection"]
    assert "skoid=" in section["sasToken"]
    # Without the mark of the job the signature would be its submitter's.
    assert ask(server, "", "GET", own.replace("scid=", "none="))[0] == 403
    ml_client.jobs.begin_cancel(one.name)
    ended(ml_client, one.name)
    status, text, _ = ask(server, "", "GET", f"{artifacts}/dcid.{jobs[1].name}/user_logs/std_log.txt?{sas}")
    assert (status, "is over or gone" in text) == (403, True)


def test_a_job_writes_to_the_places_of_its_outputs_alone(
    server: RunningServer, ml_client: MLClient, jobs: tuple[Held, Held]
) -> None:
    one = held(server, ml_client, outputs={"out": Output(type="uri_folder")})
    store = ml_client.datastores.get("workspaceblobstore")
    blobs = f"/storage/v1/{store.account_name.split('/v1/')[-1]}.blob.core.windows.net/{store.container_name}"
    own = f"{blobs}/azureml/{one.name}/out/more/x.txt"
    for _ in range(2):  # what is its own it writes over, too
        assert ask(server, one.token, "PUT", own, b"1", x_ms_blob_type="BlockBlob")[0] == 201
    assert ask(server, one.token, "GET", own)[1] == "1"
    beside = f"{blobs}/azureml/{one.name}/other/x.txt"
    for token, address in ((jobs[0].token, own), (one.token, beside)):
        status, text, _ = ask(server, token, "PUT", address, b"2", x_ms_blob_type="BlockBlob")
        assert (status, _RULE in text) == (403, True)
    assert ask(server, one.token, "DELETE", own)[0] == 202
    ml_client.jobs.begin_cancel(one.name)


def test_a_job_reads_the_workspace_and_makes_assets(
    server: RunningServer, ml_client: MLClient, jobs: tuple[Held, Held], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = jobs
    (tmp_path / "folder").mkdir()
    for name in ("a", "b"):
        (tmp_path / "folder" / name).write_text(f"{name} of {one.name}")
    with monkeypatch.context() as inside:
        inside.setenv("IDENTITY_HEADER", one.token)
        client = MLClient(ManagedIdentityCredential(), SUBSCRIPTION, GROUP, WORKSPACE)
        made = client.data.create_or_update(Data(name="made", path=str(tmp_path / "folder"), type="uri_folder"))
        model = client.models.create_or_update(Model(name="made", path=str(tmp_path / "folder"), description="first"))
        model.description = "second"
        assert client.models.create_or_update(model).description == "second"
        client.models.download("made", model.version, download_path=str(tmp_path / "down"))
        assert len(list((tmp_path / "down").rglob("[ab]"))) == 2
        with pytest.raises(HttpResponseError, match="may not"):
            client.models.archive("made", model.version)
    # Registered, they are an upload no more; nor are they another job's.
    where = made.path.split("/paths/")[1].rstrip("/")
    store = ml_client.datastores.get("workspaceblobstore")
    base = f"/storage/v1/{store.account_name.split('/v1/')[-1]}.blob.core.windows.net/{store.container_name}"
    for token in (one.token, other.token):
        for name in ("a", "c"):
            answer = ask(server, token, "PUT", f"{base}/{where}/{name}", b"x", x_ms_blob_type="BlockBlob")
            assert (answer[0], _RULE in answer[1]) == (403, True)


def test_a_job_with_its_submitters_identity_submits_another_as_its_submitter(
    server: RunningServer, ml_client: MLClient, jobs: tuple[Held, Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = principal(server, "AzureML Data Scientist", WORKSPACE_ID)
    submitter = MLClient(credential(server, made), SUBSCRIPTION, GROUP, WORKSPACE)
    one = held(server, submitter, identity=UserIdentityConfiguration())
    monkeypatch.setenv("OBO_ENDPOINT", one.obo)
    inside = MLClient(AzureMLOnBehalfOfCredential(), SUBSCRIPTION, GROUP, WORKSPACE)
    second = inside.jobs.create_or_update(command(command="echo hello", environment="bare:1"))
    assert ended(ml_client, second.name).status == "Completed"
    row = f"/history/v1.0{WORKSPACE_ID}/runs/{second.name}"
    assert json.loads(ask(server, server.token(), "GET", row)[1])["createdBy"]["userObjectId"] == made["id"]
    with pytest.raises(HttpResponseError, match="computes"):  # no more than the submitter may
        inside.compute.begin_create_or_update(AmlCompute(name="sneaky", size="STANDARD_DS3_v2")).result()
    assert jobs[0].obo == ""
    status, text, _ = ask(
        server, "", "GET", f"{server.http_url}/obo/token/{jobs[0].token}?resource=https://ml.azure.com"
    )
    assert (status, "user_identity" in text) == (403, True)
    token = AzureMLOnBehalfOfCredential().get_token("https://management.azure.com/.default").token
    assert ask(server, token, "GET", f"{WORKSPACE_ID}/jobs")[0] == 200
    ml_client.jobs.begin_cancel(one.name)
    ended(ml_client, one.name)
    assert ask(server, token, "GET", f"{WORKSPACE_ID}/jobs")[0] == 401
    with pytest.raises(ClientAuthenticationError):
        AzureMLOnBehalfOfCredential().get_token("https://management.azure.com/.default")


def test_nothing_that_is_given_to_a_job_for_its_submitter_outlives_it(
    server: RunningServer, ml_client: MLClient, account: str
) -> None:
    one = held(server, ml_client, identity=UserIdentityConfiguration())
    _, text, _ = ask(server, "", "GET", f"{one.obo}?resource=https://storage.azure.com")
    token = json.loads(text).get("token") or json.loads(text)["access_token"]
    whole, put = f"{account}/_.blob.core.windows.net", {"x-ms-blob-type": "BlockBlob"}
    store = ml_client.datastores.get("workspaceblobstore").container_name
    given = {
        f"{whole}/{store}/x.txt?{secret(server, token)}",
        f"{whole}/azureml/x.txt?{secret(server, token, 'workspaceartifactstore')}",
    }
    for address in given:
        assert ask(server, "", "PUT", address, b"1", **put)[0] == 201  # it does what the submitter may
    info = (
        b"<KeyInfo><Expiry>" + (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    )
    info += b"</Expiry></KeyInfo>"
    status, text, _ = ask(server, token, "POST", f"{account}/?restype=service&comp=userdelegationkey", info)
    assert (status, "or a job" in text) == (403, True)
    ml_client.jobs.begin_cancel(one.name)
    ended(ml_client, one.name)
    for address in given:
        status, text, _ = ask(server, "", "GET", address)
        assert (status, "is over or gone" in text) == (403, True)


def test_the_addresses_of_a_jobs_files_end_with_it(server: RunningServer, ml_client: MLClient) -> None:
    one = held(server, ml_client)
    files = f"/artifact/v2.0{WORKSPACE_ID}/artifacts/ExperimentRun/dcid.{one.name}"
    _, text, _ = ask(server, one.token, "POST", f"{files}/batch/metadata", {"paths": [{"path": "a b/é.txt"}]})
    written = json.loads(text)["artifactContentInformation"]["a b/é.txt"]["contentUri"]
    path = urlsplit(written).path
    write = written.replace(path, quote(unquote(path)))
    assert ask(server, "", "PUT", write, b"1", x_ms_blob_type="BlockBlob")[0] == 201
    _, text, _ = ask(server, one.token, "GET", f"{files}/contentinfo?path=user_logs/std_log.txt")
    read = json.loads(text)["contentUri"]
    assert ask(server, "", "GET", read)[0] == 200
    model = f"/artifact/v2.0{WORKSPACE_ID}/artifacts/LoggedModels/m-1/batch/metadata"
    status, text, _ = ask(server, one.token, "POST", model, {"paths": [{"path": "MLmodel"}]})
    assert (status, _RULE in text) == (403, True)  # no model of the job's runs lies there
    upload = model.replace("LoggedModels/m-1", f"LocalUpload/{one.name}")
    _, text, _ = ask(server, one.token, "POST", upload, {"paths": [{"path": "MLmodel"}]})
    of_model = json.loads(text)["artifactContentInformation"]["MLmodel"]["contentUri"]
    assert ask(server, "", "PUT", of_model, b"1", x_ms_blob_type="BlockBlob")[0] == 201
    ml_client.jobs.begin_cancel(one.name)
    ended(ml_client, one.name)
    for method, address in (("GET", read), ("PUT", write), ("PUT", of_model)):
        status, text, _ = ask(
            server, "", method, address, None if method == "GET" else b"2", x_ms_blob_type="BlockBlob"
        )
        assert (status, "is over or gone" in text) == (403, True)
    _, text, _ = ask(server, server.token(), "GET", f"{files}/contentinfo?path=a%20b/%C3%A9.txt")
    assert ask(server, "", "GET", json.loads(text)["contentUri"])[1] == "1"


def test_who_steps_into_a_job_that_is_over_reads_with_what_a_datastore_gives(
    server: RunningServer, ml_client: MLClient, jobs: tuple[Held, Held], account: str
) -> None:
    ml_client.environments.create_or_update(BARE)
    over = ml_client.jobs.create_or_update(command(command="echo hello", environment="bare:1"))
    ended(ml_client, over.name)
    _, text, _ = ask(
        server, server.token(), "GET", f"/history/v1.0{WORKSPACE_ID}/experimentids/0/runs/{over.name}/token"
    )
    sas = secret(server, json.loads(text)["token"], "workspaceartifactstore")
    logs = f"{account}/_.blob.core.windows.net/azureml/ExperimentRun"
    assert ask(server, "", "GET", f"{logs}/dcid.{over.name}/user_logs/std_log.txt?{sas}")[0] == 200
    status, text, _ = ask(
        server, "", "PUT", f"{logs}/dcid.{jobs[1].name}/x.txt?{sas}", b"1", x_ms_blob_type="BlockBlob"
    )
    assert (status, _RULE in text) == (403, True)


def test_what_a_person_is_given_of_storage_ends_with_the_persons_key(server: RunningServer, account: str) -> None:
    made = principal(server, "Contributor", WORKSPACE_ID)
    whole = f"{account}/_.blob.core.windows.net"
    service = BlobServiceClient(
        f"{server.https_url}{whole}", credential=credential(server, made), connection_verify=server.bundle
    )
    start, end = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours) for hours in (-1, 1))
    key = service.get_user_delegation_key(start, end)
    name = account.rsplit("/", 1)[1]
    signed = generate_container_sas(name, "azureml", user_delegation_key=key, permission="rlwd", expiry=end)
    token = credential(server, made).get_token("https://management.azure.com/.default").token
    given = secret(server, token, "workspaceartifactstore")
    listings = [f"{whole}/azureml?restype=container&comp=list&{one}" for one in (signed, given)]
    assert [ask(server, "", "GET", one)[0] for one in listings] == [200, 200]
    # Who may sign for himself cannot make a signature that is held to nothing but its own words.
    free = re.search("scid=([^&]*)", given)
    assert free is not None
    forged = generate_container_sas(
        name, "azureml", user_delegation_key=key, permission="rlwd", expiry=end, correlation_id=unquote(free[1])
    )
    status, text, _ = ask(server, "", "GET", f"{whole}/azureml?restype=container&comp=list&{forged}")
    assert (status, "did not match" in text) == (403, True)
    assert send(server, Bad("", "POST", f"/lazulite/principals/{made['id']}/rotate", {}))[0] == 200
    assert [ask(server, "", "GET", one)[0] for one in listings] == [403, 403]


def test_a_removed_principals_delegation_ends(server: RunningServer, ml_client: MLClient, account: str) -> None:
    made = principal(server, "Contributor", WORKSPACE_ID)
    whole = f"{server.https_url}{account}/_.blob.core.windows.net"
    service = BlobServiceClient(whole, credential=credential(server, made), connection_verify=server.bundle)
    start, end = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours) for hours in (-1, 1))
    key = service.get_user_delegation_key(start, end)
    signed = generate_container_sas(
        account.rsplit("/", 1)[1], "azureml", user_delegation_key=key, permission="rlwd", expiry=end
    )
    listing = f"{account}/_.blob.core.windows.net/azureml?restype=container&comp=list&{signed}"
    assert ask(server, "", "GET", listing)[0] == 200
    send(server, Bad("", "DELETE", f"/lazulite/principals/{made['id']}"))
    status, text, _ = ask(server, "", "GET", listing)
    assert (status, "was deleted" in text) == (403, True)


def test_a_replaced_key_and_its_tokens_are_refused(server: RunningServer) -> None:
    made = principal(server, "Reader", WORKSPACE_ID)
    old = credential(server, made).get_token("https://management.azure.com/.default").token
    assert ask(server, old, "GET", f"{WORKSPACE_ID}/models")[0] == 200
    status, fresh = send(server, Bad("", "POST", f"/lazulite/principals/{made['id']}/rotate", {}))
    assert (status, fresh["id"], fresh["secret"] == made["secret"]) == (200, made["id"], False)
    status, text, _ = ask(server, old, "GET", f"{WORKSPACE_ID}/models")
    assert (status, "was replaced" in text) == (401, True)
    with pytest.raises(ClientAuthenticationError):
        credential(server, made).get_token("https://management.azure.com/.default")
    new = credential(server, fresh).get_token("https://management.azure.com/.default").token
    assert ask(server, new, "GET", f"{WORKSPACE_ID}/models")[0] == 200
