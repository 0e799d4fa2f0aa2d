"""What a signature reaches, over every store."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest
from tests.contract.storage.conftest import ACCOUNT, KEY

from lazulite.core import sas
from lazulite.core.clock import utc_now


def soon(**more: int) -> dt.datetime:
    return utc_now() + dt.timedelta(hours=1, **more)


def of_folder(folder: str) -> str:
    """A SAS that may do everything below a folder."""
    query = {"sv": sas.VERSION, "sp": "racwdl", "se": sas.moment(soon()), "sr": "d", "sdd": str(folder.count("/") + 1)}
    signature = sas.sign(KEY, sas.service_string_to_sign(f"/blob/{ACCOUNT}/c01/{folder}", query))
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in (query | {"sig": signature}).items())


async def test_a_bare_plus_in_a_signature_is_a_blank(client: Any) -> None:
    await client.put("x")
    signed = (sas.container_sas(ACCOUNT, KEY, "c01", "r", soon(seconds=n), protocol="https,http") for n in range(1000))
    query = next(one for one in signed if "%2B" in one.split("sig=")[1])
    address = f"/storage/v1/{ACCOUNT}/c01/x?{query}"
    assert (await client.http.get(address)).status_code == 200
    assert (await client.http.get(address.replace("%2B", "+"))).status_code == 403


async def test_a_bare_plus_in_a_block_id_is_a_blank(client: Any) -> None:
    query = "comp=block&blockid={}"
    assert (await client.send("PUT", "c01/y", query.format("%2B%2B%2B%2B"), content=b"1")).status_code == 201
    refused = await client.send("PUT", "c01/y", query.format("++++"), content=b"1")
    assert (refused.status_code, refused.headers["x-ms-error-code"]) == (400, "InvalidBlockId")


async def test_a_rename_needs_the_right_to_delete_what_it_takes(client: Any) -> None:
    for name in ("own/a", "other/a"):
        await client.put(name)
    lead = f"/storage/v1/{ACCOUNT}/_.dfs.core.windows.net/c01"
    for source, status in (("other/a", 403), ("own/a", 201)):
        headers = {"x-ms-rename-source": f"/c01/{source}"}
        moved = await client.http.put(f"{lead}/own/b?{of_folder('own')}", headers=headers)
        assert moved.status_code == status
    assert (await client.get("other/a")).status_code == 200


def decoded(query: str) -> dict[str, str]:
    return dict(parse_qsl(query, keep_blank_values=True))


def encoded(query: dict[str, str]) -> str:
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())


async def test_a_mark_is_not_moved_into_another_field(client: Any) -> None:
    """The text to sign is the same, line for line, and the mark that holds the bearer to a job is gone."""
    holder = sas.Holder("someone", "tenant", "birth/job/subscriptions/s")
    query = decoded(sas.delegated_sas(ACCOUNT, KEY, "c01", "racwdl", soon(), holder, start=utc_now()))
    moved = {name: value for name, value in query.items() if name not in ("scid", "sip", "sv")}
    moved |= {"spr": f"\n{holder.mark}", "rscc": f"https\n{sas.VERSION}\nc\n\n\n"}
    refused = await client.http.get(f"/storage/v1/{ACCOUNT}/c01/x?{encoded(moved)}")
    assert (refused.status_code, "control character" in refused.text) == (403, True)
    honest = await client.http.get(f"/storage/v1/{ACCOUNT}/c01/x?{encoded(query | {'spr': 'https,http'})}")
    assert "Signature did not match" in honest.text


@pytest.mark.parametrize("wrong", [{"sv": ""}, {"sv": "9"}, {"sp": "r\n"}, {"rscc": "a\r\nb: c"}])
async def test_signatures_of_an_account_have_a_version_and_no_line_breaks(client: Any, wrong: dict[str, str]) -> None:
    query = decoded(sas.account_sas(ACCOUNT, KEY, "b", "sco", "rl", soon(), protocol="https,http"))
    assert (await client.http.get(f"/storage/v1/{ACCOUNT}/?comp=list&{encoded(query)}")).status_code == 200
    refused = await client.http.get(f"/storage/v1/{ACCOUNT}/?comp=list&{encoded(query | wrong)}")
    assert (refused.status_code, refused.headers["x-ms-error-code"]) == (403, "AuthenticationFailed")
    assert "control character" in refused.text or "must be a date" in refused.text
