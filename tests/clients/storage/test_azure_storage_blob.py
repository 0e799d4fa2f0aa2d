"""The unmodified azure-storage-blob over TLS."""

from __future__ import annotations

import base64
import datetime as dt
import http.client
import io
import json
import os
import uuid
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.credentials import AccessToken
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import (
    AccessPolicy,
    AccountSasPermissions,
    BlobBlock,
    BlobClient,
    BlobLeaseClient,
    BlobSasPermissions,
    BlobServiceClient,
    ContainerClient,
    ContainerSasPermissions,
    ContentSettings,
    ResourceTypes,
    StandardBlobTier,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)

from lazulite.core import sas as minted

ACCOUNT = "acct1"
KEY = base64.b64encode(b"k" * 64).decode()
pytestmark = pytest.mark.clients


def soon(minutes: int = 60) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)


def options(server: Any) -> dict[str, Any]:
    return {"connection_verify": str(server.ca), "retry_total": 0}


@pytest.fixture
def service(server: Any) -> BlobServiceClient:
    return BlobServiceClient(server.account_url, credential=KEY, **options(server))


@pytest.fixture
def container(service: BlobServiceClient) -> ContainerClient:
    client = service.get_container_client(f"c-{uuid.uuid4().hex}")
    client.create_container(metadata={"purpose": "test"})
    return client


def test_round_trip(container: ContainerClient, server: Any) -> None:
    blob = container.get_blob_client("folder/näme with space+plus%.txt")
    blob.upload_blob(b"hello", metadata={"a": "1"}, content_settings=ContentSettings(content_type="text/x-mine"))
    assert blob.download_blob().readall() == b"hello"
    properties = blob.get_blob_properties()
    assert properties.size == 5
    assert properties.metadata == {"a": "1"}
    assert properties.content_settings.content_type == "text/x-mine"
    assert bytes(properties.content_settings.content_md5 or b"") == base64.b64decode("XUFAKrxLKna5cZ2REBfFkg==")
    assert (server.root / ACCOUNT / container.container_name / blob.blob_name).read_bytes() == b"hello"
    blob.delete_blob()
    assert not blob.exists()
    with pytest.raises(ResourceNotFoundError) as caught:
        blob.download_blob()
    assert caught.value.error_code == "BlobNotFound"


def test_no_overwrite_and_conditions(container: ContainerClient) -> None:
    blob = container.get_blob_client("b")
    first = blob.upload_blob(b"1")
    with pytest.raises(ResourceExistsError) as caught:
        blob.upload_blob(b"2")
    assert caught.value.error_code == "BlobAlreadyExists"
    blob.upload_blob(b"2", overwrite=True)
    with pytest.raises(ResourceModifiedError):
        blob.upload_blob(b"3", overwrite=True, etag=first["etag"], match_condition=MatchConditions.IfNotModified)
    now = blob.get_blob_properties().etag
    with pytest.raises(HttpResponseError) as unchanged:
        blob.download_blob(etag=now, match_condition=MatchConditions.IfModified)
    assert unchanged.value.status_code == 304


@pytest.mark.parametrize("concurrency", [1, 4])
def test_large_upload_in_blocks_and_ranged_download(server: Any, container: ContainerClient, concurrency: int) -> None:
    client = BlobServiceClient(
        server.account_url,
        credential=KEY,
        max_single_put_size=1 << 20,
        max_block_size=1 << 20,
        max_single_get_size=1 << 20,
        max_chunk_get_size=1 << 20,
        **options(server),
    )
    data = os.urandom(9 * (1 << 20) + 17)
    blob = client.get_blob_client(container.container_name, "big")
    blob.upload_blob(io.BytesIO(data), max_concurrency=concurrency)
    assert blob.download_blob(max_concurrency=concurrency).readall() == data
    assert blob.download_blob(offset=5_000_000, length=3_000_000).readall() == data[5_000_000:8_000_000]
    assert sum(block.size for block in blob.get_block_list()[0]) == len(data)


def test_blocks_from_the_present_blob(container: ContainerClient) -> None:
    blob = container.get_blob_client("blocks")
    for name in ("aa", "bb", "cc"):
        blob.stage_block(name, name.encode() * 2)
    committed, staged = blob.get_block_list("all")
    assert (len(committed), [block.id for block in staged]) == (0, ["aa", "bb", "cc"])
    assert [b.name for b in container.list_blobs(include=["uncommittedblobs"])] == ["blocks"]
    blob.commit_block_list([BlobBlock("cc"), BlobBlock("aa")])
    assert blob.download_blob().readall() == b"ccccaaaa"
    blob.stage_block("dd", b"DD")
    blob.commit_block_list([BlobBlock("aa"), BlobBlock("dd"), BlobBlock("cc")])
    assert blob.download_blob().readall() == b"aaaaDDcccc"
    assert blob.get_block_list("uncommitted")[1] == []
    with pytest.raises(HttpResponseError) as caught:
        blob.commit_block_list([BlobBlock("bb")])
    assert caught.value.error_code == "InvalidBlockList"


def test_append(container: ContainerClient) -> None:
    blob = container.get_blob_client("log")
    blob.create_append_blob(content_settings=ContentSettings(content_type="text/plain"))
    blob.append_block(b"one\n")
    answer = blob.append_block(b"two\n", appendpos_condition=4)
    assert answer["blob_append_offset"] == "4"
    assert answer["blob_committed_block_count"] == 2
    with pytest.raises(HttpResponseError) as caught:
        blob.append_block(b"x", appendpos_condition=4)
    assert caught.value.error_code == "AppendPositionConditionNotMet"
    with pytest.raises(HttpResponseError) as caught:
        blob.append_block(b"xxx", maxsize_condition=9)
    assert caught.value.error_code == "MaxBlobSizeConditionNotMet"
    assert blob.download_blob().readall() == b"one\ntwo\n"
    assert blob.get_blob_properties().blob_type == "AppendBlob"
    container.upload_blob("log2", b"abc", blob_type="AppendBlob")
    container.upload_blob("log2", b"def", blob_type="AppendBlob")
    assert container.download_blob("log2").readall() == b"abcdef"


def test_ranges(container: ContainerClient) -> None:
    container.upload_blob("r", bytes(range(100)))
    blob = container.get_blob_client("r")
    assert blob.download_blob(offset=90, length=50).readall() == bytes(range(90, 100))
    assert blob.download_blob(offset=10, length=5, validate_content=True).readall() == bytes(range(10, 15))
    with pytest.raises(HttpResponseError) as caught:
        blob.download_blob(offset=100, length=5)
    assert caught.value.error_code == "InvalidRange"
    container.upload_blob("empty", b"")
    assert container.download_blob("empty").readall() == b""


MIXED = {"DocId": "7", "lower": "x", "UPPER_2": "x"}


def test_names_of_metadata_keep_their_case(service: BlobServiceClient, container: ContainerClient) -> None:
    container.set_container_metadata(MIXED)
    assert container.get_container_properties().metadata == MIXED
    listed = service.list_containers(name_starts_with=container.container_name, include_metadata=True)
    assert [one.metadata for one in listed] == [MIXED]
    new = service.create_container(f"c-{uuid.uuid4().hex}", metadata=MIXED)
    assert new.get_container_properties().metadata == MIXED
    put, blocks, append, copied, late = (container.get_blob_client(name) for name in ("p", "b", "a", "c", "l"))
    put.upload_blob(b"x", metadata=MIXED)
    blocks.stage_block("a1", b"x")
    blocks.commit_block_list([BlobBlock("a1")], metadata=MIXED)
    append.create_append_blob(metadata=MIXED)
    copied.start_copy_from_url(put.url, metadata=MIXED)
    late.upload_blob(b"x", metadata={"docid": "6"})
    late.set_blob_metadata(MIXED)
    for blob in (put, blocks, append, copied, late):
        assert blob.get_blob_properties().metadata == MIXED, blob.blob_name
        assert blob.download_blob().properties.metadata == MIXED or blob is append
    assert {one.name: one.metadata for one in container.list_blobs(include=["metadata"])} == dict.fromkeys(
        "abclp", MIXED
    )
    inherited = container.get_blob_client("i")
    inherited.start_copy_from_url(put.url)
    assert inherited.get_blob_properties().metadata == MIXED


def test_names_of_metadata_that_differ_in_case_alone_are_one(server: Any, container: ContainerClient) -> None:
    token = minted.container_sas(ACCOUNT, KEY, container.container_name, "rcw", soon(), protocol="https,http")
    path = f"/storage/v1/{ACCOUNT}/{container.container_name}/x?{token}"
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
    pair = {"x-ms-meta-DocId": "7", "X-MS-Meta-docid": "8"}
    connection.request("PUT", path, b"x", {"x-ms-blob-type": "BlockBlob"} | pair)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["x-ms-error-code"]) == (400, "InvalidMetadata")
    assert "'DocId' and 'docid'" in answer.read().decode()
    assert not container.get_blob_client("x").exists()
    connection.request("PUT", path, b"x", {"x-ms-blob-type": "BlockBlob", "X-MS-META-Two": "2"})
    assert connection.getresponse().read() == b""
    assert container.get_blob_client("x").get_blob_properties().metadata == {"Two": "2"}
    connection.close()


def test_metadata_headers_tags_tier(container: ContainerClient) -> None:
    blob = container.get_blob_client("p")
    blob.upload_blob(b"x", tags={"team": "red"})
    before = blob.get_blob_properties()
    blob.set_blob_metadata({"k": "v"})
    blob.set_http_headers(ContentSettings(content_type="application/json", cache_control="no-cache"))
    after = blob.get_blob_properties()
    assert after.etag != before.etag
    assert after.metadata == {"k": "v"}
    assert (after.content_settings.content_type, after.content_settings.cache_control) == (
        "application/json",
        "no-cache",
    )
    assert blob.get_blob_tags() == {"team": "red"}
    blob.set_blob_tags({"team": "blue", "n": "1"})
    assert blob.get_blob_tags() == {"team": "blue", "n": "1"}
    blob.set_standard_blob_tier(StandardBlobTier.COOL)
    assert blob.get_blob_properties().blob_tier == "Cool"


def test_listing(container: ContainerClient) -> None:
    names = ["a.txt", "a/1", "a/2", "a/b/3", "a-b", "z&<>", "ü/x", "a//c", "d/"]
    for name in names:
        container.upload_blob(name, b"x", metadata={"n": "1"})
    assert [b.name for b in container.list_blobs()] == sorted(names)
    assert [b.name for b in container.list_blobs(results_per_page=2)] == sorted(names)
    assert [b.name for b in container.list_blobs(name_starts_with="a/")] == ["a//c", "a/1", "a/2", "a/b/3"]
    assert list(container.list_blob_names(name_starts_with="a-")) == ["a-b"]
    walked = sorted(b.name for b in container.walk_blobs())
    assert walked == ["a-b", "a.txt", "a/", "d/", "z&<>", "ü/"]
    assert [b.name for b in container.walk_blobs("a/", results_per_page=1)] == ["a//", "a/1", "a/2", "a/b/"]
    assert sorted(b.name for b in container.walk_blobs("a", delimiter="-"))[0] == "a-"
    assert next(iter(container.list_blobs(include=["metadata"]))).metadata == {"n": "1"}


def test_containers_and_account(service: BlobServiceClient, container: ContainerClient) -> None:
    with pytest.raises(ResourceExistsError):
        container.create_container()
    properties = container.get_container_properties()
    assert properties.metadata == {"purpose": "test"}
    container.set_container_metadata({"x": "y"})
    assert container.get_container_properties().metadata == {"x": "y"}
    listed = {c.name: c for c in service.list_containers(include_metadata=True)}
    assert listed[container.container_name].metadata == {"x": "y"}
    assert service.get_account_information()["sku_name"] == "Standard_LRS"
    assert service.get_service_properties()["static_website"].enabled is False
    container.upload_blob("x", b"x")
    container.delete_container()
    assert not container.exists()
    with pytest.raises(ResourceNotFoundError) as caught:
        container.upload_blob("x", b"x")
    assert caught.value.error_code == "ContainerNotFound"


def test_properties_of_the_service(service: BlobServiceClient) -> None:
    before = service.get_service_properties()
    service.set_service_properties(cors=[])
    assert service.get_service_properties()["cors"] == before["cors"] == []


def test_leases(container: ContainerClient) -> None:
    blob = container.get_blob_client("leased")
    blob.upload_blob(b"1")
    lease = blob.acquire_lease(15)
    with pytest.raises(HttpResponseError) as caught:
        blob.upload_blob(b"2", overwrite=True)
    assert caught.value.error_code == "LeaseIdMissing"
    with pytest.raises(HttpResponseError) as caught:
        blob.acquire_lease(15)
    assert caught.value.error_code == "LeaseAlreadyPresent"
    blob.upload_blob(b"2", overwrite=True, lease=lease)
    assert blob.get_blob_properties().lease.state == "leased"
    lease.renew()
    new = str(uuid.uuid4())
    lease.change(new)
    assert lease.id == new
    lease.release()
    blob.upload_blob(b"3", overwrite=True)
    blob.acquire_lease(-1)
    assert BlobLeaseClient(blob).break_lease(0) == 0
    blob.delete_blob()
    held = container.acquire_lease(-1)
    with pytest.raises(HttpResponseError):
        container.delete_container()
    container.delete_container(lease=held)


def test_copies(server: Any, service: BlobServiceClient, container: ContainerClient) -> None:
    source = container.get_blob_client("source")
    source.upload_blob(b"payload", metadata={"m": "1"}, content_settings=ContentSettings(content_type="text/x"))
    target = container.get_blob_client("target")
    assert target.start_copy_from_url(source.url)["copy_status"] == "success"
    assert target.download_blob().readall() == b"payload"
    assert target.get_blob_properties().metadata == {"m": "1"}
    token = generate_blob_sas(
        ACCOUNT, container.container_name, "source", account_key=KEY, permission="r", expiry=soon()
    )
    container.get_blob_client("two").upload_blob_from_url(f"{source.url}?{token}")
    assert container.download_blob("two").readall() == b"payload"
    three = container.get_blob_client("three")
    three.stage_block_from_url("a1", f"{source.url}?{token}", source_offset=3, source_length=4)
    three.commit_block_list([BlobBlock("a1")])
    assert three.download_blob().readall() == b"load"
    with pytest.raises(HttpResponseError) as caught:
        target.start_copy_from_url("https://example.invalid/x?sig=secret")
    assert caught.value.error_code == "CannotVerifyCopySource"
    with pytest.raises(HttpResponseError) as caught:
        target.start_copy_from_url(source.url + "nope")
    assert caught.value.status_code == 404


def test_wrong_key(server: Any) -> None:
    wrong = BlobServiceClient(server.account_url, credential=base64.b64encode(b"x" * 64).decode(), **options(server))
    with pytest.raises(ClientAuthenticationError) as caught:
        list(wrong.list_containers())
    assert caught.value.error_code == "AuthenticationFailed"
    assert "string to sign" in str(caught.value)


def test_container_sas_of_the_client_and_of_ours(server: Any, container: ContainerClient) -> None:
    container.upload_blob("x/y", b"1")
    theirs = generate_container_sas(
        ACCOUNT,
        container.container_name,
        account_key=KEY,
        permission=ContainerSasPermissions(read=True, list=True),
        expiry=soon(),
        start=soon(-5),
    )
    ours = minted.container_sas(ACCOUNT, KEY, container.container_name, "rl", soon())
    for token in (theirs, ours):
        for url in (server.account_url, server.plain_url):
            client = ContainerClient(url, container.container_name, credential=token, **options(server))
            assert client.download_blob("x/y").readall() == b"1"
            assert [b.name for b in client.list_blobs()] == ["x/y"]
            with pytest.raises(HttpResponseError) as caught:
                client.upload_blob("new", b"1")
            assert caught.value.error_code == "AuthorizationPermissionMismatch"


def test_sas_for_aliases_of_the_account(server: Any, container: ContainerClient) -> None:
    container.upload_blob("x", b"1")
    for alias in (
        f"localhost:{server.port}/storage/v1/{ACCOUNT}/_",
        f"storage/v1/{ACCOUNT}/_.blob.core.windows.net",
    ):
        token = generate_blob_sas(
            alias,
            container.container_name,
            "x",
            account_key=KEY,
            permission=BlobSasPermissions(read=True),
            expiry=soon(),
        )
        url = f"{server.account_url}/{container.container_name}/x?{token}"
        assert BlobClient.from_blob_url(url, **options(server)).download_blob().readall() == b"1"


def test_blob_sas_limits(server: Any, container: ContainerClient) -> None:
    container.upload_blob("x", b"1")
    name = container.container_name
    token = minted.blob_sas(ACCOUNT, KEY, name, "x", "r", soon())
    assert BlobClient(server.account_url, name, "x", credential=token, **options(server)).download_blob().readall()
    with pytest.raises(HttpResponseError):
        BlobClient(server.account_url, name, "y", credential=token, **options(server)).download_blob()
    late = minted.blob_sas(ACCOUNT, KEY, name, "x", "r", soon(-1))
    with pytest.raises(HttpResponseError) as caught:
        BlobClient(server.account_url, name, "x", credential=late, **options(server)).download_blob()
    assert "expired at" in str(caught.value)
    create = minted.blob_sas(ACCOUNT, KEY, name, "n", "c", soon())
    client = BlobClient(server.account_url, name, "n", credential=create, **options(server))
    client.upload_blob(b"1", overwrite=True)
    with pytest.raises(HttpResponseError) as caught:
        client.upload_blob(b"2", overwrite=True)
    assert caught.value.error_code == "AuthorizationPermissionMismatch"


def test_stored_access_policy(server: Any, container: ContainerClient) -> None:
    container.set_container_access_policy(
        {"readers": AccessPolicy(ContainerSasPermissions(read=True), expiry=soon(), start=soon(-5))}
    )
    assert [p.id for p in container.get_container_access_policy()["signed_identifiers"]] == ["readers"]
    container.upload_blob("x", b"1")
    token = generate_container_sas(ACCOUNT, container.container_name, account_key=KEY, policy_id="readers")
    client = ContainerClient(server.account_url, container.container_name, credential=token, **options(server))
    assert client.download_blob("x").readall() == b"1"


def test_account_sas(server: Any, container: ContainerClient) -> None:
    token = generate_account_sas(
        ACCOUNT,
        account_key=KEY,
        resource_types=ResourceTypes(container=True, object=True),
        permission=AccountSasPermissions(read=True, write=True, list=True, create=True),
        expiry=soon(),
    )
    service = BlobServiceClient(server.account_url, credential=token, **options(server))
    client = service.get_container_client(container.container_name)
    client.upload_blob("x", b"1")
    assert [b.name for b in client.list_blobs()] == ["x"]
    with pytest.raises(HttpResponseError) as caught:
        list(service.list_containers())
    assert caught.value.error_code == "AuthorizationResourceTypeMismatch"


class Token:
    def __init__(self, ending: str) -> None:
        payload = base64.urlsafe_b64encode(json.dumps({"oid": "o-1", "tid": "t-1"}).encode()).decode().rstrip("=")
        self.value = f"h.{payload}.{ending}"

    def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
        return AccessToken(self.value, int(soon().timestamp()))


def test_bearer_and_user_delegation_sas(server: Any, container: ContainerClient) -> None:
    service = BlobServiceClient(server.account_url, credential=Token("good"), **options(server))
    client = service.get_container_client(container.container_name)
    client.upload_blob("x", b"1")
    key = service.get_user_delegation_key(soon(-5), soon())
    token = generate_blob_sas(
        ACCOUNT, container.container_name, "x", user_delegation_key=key, permission="r", expiry=soon()
    )
    blob = BlobClient(server.account_url, container.container_name, "x", credential=token, **options(server))
    assert blob.download_blob().readall() == b"1"
    bad = BlobServiceClient(server.account_url, credential=Token("bad"), **options(server))
    with pytest.raises(HttpResponseError) as caught:
        bad.get_blob_client(container.container_name, "x").download_blob()
    assert (caught.value.status_code, caught.value.error_code) == (401, "InvalidAuthenticationInfo")


def test_files_put_there_by_hand(server: Any, container: ContainerClient) -> None:
    folder = server.store.container_path(ACCOUNT, container.container_name)
    (folder / "made" / "by").mkdir(parents=True)
    (folder / "made" / "by" / "hand.json").write_text("{}")
    (folder / "made" / "link").symlink_to("/etc/passwd")
    properties = container.get_blob_client("made/by/hand.json").get_blob_properties()
    assert properties.content_settings.content_type == "application/json"
    assert [b.name for b in container.list_blobs()] == ["made/by/hand.json"]
    assert not container.get_blob_client("made/link").exists()
    (folder / "made" / "by" / "hand.json").write_text("{...}")
    assert container.get_blob_client("made/by/hand.json").get_blob_properties().etag != properties.etag


def test_batches(container: ContainerClient) -> None:
    for name in ("a", "b c", "d/e"):
        container.upload_blob(name, b"x")
    answers = list(container.delete_blobs("a", "b c", "none", "d/e", raise_on_any_failure=False))
    assert [answer.status_code for answer in answers] == [202, 202, 404, 202]
    assert list(container.list_blobs()) == []


def test_page_blobs_say_so(container: ContainerClient) -> None:
    with pytest.raises(HttpResponseError) as caught:
        container.get_blob_client("page").create_page_blob(512)
    assert caught.value.status_code == 501


def test_snapshots_and_searches_by_tags_say_so(service: BlobServiceClient, container: ContainerClient) -> None:
    container.upload_blob("b", b"x")
    for operation in (
        lambda: container.get_blob_client("b").create_snapshot(),
        lambda: list(service.find_blobs_by_tags("a='b'")),
        lambda: list(container.find_blobs_by_tags("a='b'")),
    ):
        with pytest.raises(HttpResponseError) as caught:
            operation()
        assert (caught.value.status_code, caught.value.error_code) == (501, "NotImplemented")


def test_metadata_of_its_own_request(server: Any, container: ContainerClient) -> None:
    """Which the client asks for with the properties instead."""
    container.upload_blob("b", b"x", metadata={"DocId": "7"})
    token = minted.container_sas(ACCOUNT, KEY, container.container_name, "r", soon(), protocol="https,http")
    path = f"/storage/v1/{ACCOUNT}/{container.container_name}"
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
    for query, name, value in (
        ("/b?comp=metadata", "DocId", "7"),
        ("?restype=container&comp=metadata", "purpose", "test"),
    ):
        connection.request("GET", f"{path}{query}&{token}")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        assert [(k, v) for k, v in answer.getheaders() if k.startswith("x-ms-meta-")] == [(f"x-ms-meta-{name}", value)]
    connection.close()


def test_append_from_elsewhere_and_seal(container: ContainerClient) -> None:
    container.upload_blob("source", b"0123456789")
    token = generate_blob_sas(
        ACCOUNT, container.container_name, "source", account_key=KEY, permission="r", expiry=soon()
    )
    log = container.get_blob_client("log")
    log.create_append_blob()
    log.append_block_from_url(f"{container.get_blob_client('source').url}?{token}", source_offset=2, source_length=3)
    assert log.seal_append_blob()["blob_sealed"] is True
    assert log.download_blob().readall() == b"234"
    with pytest.raises(HttpResponseError) as caught:
        log.append_block(b"more")
    assert caught.value.status_code == 409


def test_copies_in_one_request(container: ContainerClient) -> None:
    container.upload_blob("source", b"payload")
    token = generate_blob_sas(
        ACCOUNT, container.container_name, "source", account_key=KEY, permission="r", expiry=soon()
    )
    target = container.get_blob_client("target")
    copied = target.start_copy_from_url(f"{container.get_blob_client('source').url}?{token}", requires_sync=True)
    assert copied["copy_status"] == "success"
    assert target.download_blob().readall() == b"payload"
    with pytest.raises(HttpResponseError) as caught:
        target.abort_copy(copied["copy_id"])
    assert (caught.value.status_code, caught.value.error_code) == (409, "NoPendingCopyOperation")
