"""Signatures: what is minted here is, byte for byte, what the SDK of Microsoft mints."""

from __future__ import annotations

import base64
import datetime as dt
from typing import Any
from urllib.parse import parse_qsl

import pytest
from azure.storage.blob import UserDelegationKey, generate_account_sas, generate_blob_sas, generate_container_sas

from lazulite.core import sas

KEY = base64.b64encode(b"k" * 64).decode()
EXPIRES = dt.datetime(2030, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


def query_of(token: str) -> dict[str, str]:
    return dict(parse_qsl(token, keep_blank_values=True))


@pytest.mark.parametrize(
    "extra", [{}, {"ip": "1.2.3.4-1.2.3.9", "protocol": "https"}, {"content_type": "a/b", "start": EXPIRES}]
)
def test_service_signatures_of_the_sdk(extra: dict[str, Any]) -> None:
    token = generate_blob_sas("acct", "c", "a/b c", account_key=KEY, permission="rw", expiry=EXPIRES, **extra)
    query = query_of(token)
    assert sas.sign(KEY, sas.service_string_to_sign("/blob/acct/c/a/b c", query)) == query["sig"]
    token = generate_container_sas(
        "acct", "c", account_key=KEY, permission="rl", expiry=EXPIRES, policy_id="p", **extra
    )
    query = query_of(token)
    assert sas.sign(KEY, sas.service_string_to_sign("/blob/acct/c", query)) == query["sig"]


def test_account_signature_of_the_sdk() -> None:
    query = query_of(generate_account_sas("acct", KEY, "sco", "rwl", EXPIRES, services="b"))
    assert sas.sign(KEY, sas.account_string_to_sign("acct", query)) == query["sig"]


def test_user_delegation_signature_of_the_sdk() -> None:
    fields = {
        "skoid": "o",
        "sktid": "t",
        "skt": "2029-01-01T00:00:00Z",
        "ske": "2031-01-01T00:00:00Z",
        "sks": "b",
        "skv": "2021-08-06",
    }
    key = UserDelegationKey()
    key.signed_oid, key.signed_tid, key.signed_start = fields["skoid"], fields["sktid"], fields["skt"]
    key.signed_expiry, key.signed_service, key.signed_version = fields["ske"], fields["sks"], fields["skv"]
    key.signed_delegated_user_tid = None
    key.value = sas.delegation_key(KEY, fields)
    token = generate_blob_sas(
        "acct", "c", "b", user_delegation_key=key, permission="r", expiry=EXPIRES,
        request_headers={"x-ms-a": "1"}, request_query_params={"q": "2"},
    )  # fmt: skip
    query = query_of(token)
    text = sas.service_string_to_sign("/blob/acct/c/b", query, ("x-ms-a:1\n", "\nq:2"))
    assert sas.sign(sas.delegation_key(KEY, query), text) == query["sig"]


def test_minting_and_verifying_agree() -> None:
    for token, resource in (
        (sas.container_sas("acct", KEY, "c", "rl", EXPIRES, start=EXPIRES), "c"),
        (sas.blob_sas("acct", KEY, "c", "ü/x y", "r", EXPIRES), "c/ü/x y"),
    ):
        query = query_of(token)
        assert query["spr"] == "https"
        assert sas.sign(KEY, sas.service_string_to_sign(f"/blob/acct/{resource}", query)) == query["sig"]


def test_a_delegation_key_depends_on_all_that_it_is_for() -> None:
    fields = {"skoid": "o", "sktid": "t", "skt": "1", "ske": "2", "sks": "b", "skv": "v"}
    keys = {sas.delegation_key(KEY, fields | {name: "other"}) for name in fields}
    assert len(keys | {sas.delegation_key(KEY, fields), sas.delegation_key(KEY, fields, "s")}) == len(fields) + 2


@pytest.mark.parametrize("name", ["sp", "st", "se", "sip", "spr", "si", "scid", "rscc", "rsct", "sr", "ses"])
def test_no_signed_field_goes_over_two_lines(name: str) -> None:
    query = {"sv": sas.VERSION, name: "a\nb"}
    for sign in (
        lambda: sas.service_string_to_sign("/blob/a/c", query),
        lambda: sas.account_string_to_sign("a", query),
    ):
        with pytest.raises(ValueError, match=f"'{name}' has a control character"):
            sign()


@pytest.mark.parametrize("version", ["", "2021-08-06x", "2021-8-6", "9", "a"])
def test_a_version_that_is_no_date_is_not_signed_for(version: str) -> None:
    for sign in (
        lambda: sas.service_string_to_sign("/blob/a/c", {"sv": version}),
        lambda: sas.account_string_to_sign("a", {"sv": version}),
    ):
        with pytest.raises(ValueError, match="sv"):
            sign()
