"""Shared access signatures of Azure Storage: how they are minted, and the exact strings that are signed.

Whoever verifies one builds the same strings from the query that arrived, so there is one truth of them.
Nothing here reads a clock, a file or a setting.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

#: The service version that what is minted here is signed for.
VERSION = "2021-08-06"

_ENCRYPTION_SCOPE_SINCE = "2020-12-06"
_SNAPSHOT_SINCE = "2018-11-09"
_DELEGATED_USER_SINCE = "2025-07-05"
_SIGNED_REQUEST_SINCE = "2026-04-06"
_RESPONSE_HEADERS = ("rscc", "rscd", "rsce", "rscl", "rsct")
_ONE_LINE = frozenset(
    {"sv", "sp", "st", "se", "sip", "spr", "sr", "snapshot", "ses", "si", "ss", "srt", "sdd", "srh", "srq", "skoid"}
    | {"sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid", "skdutid", "sduoid", *_RESPONSE_HEADERS}
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_VERSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def container_sas(
    account: str,
    key: str,
    container: str,
    permissions: str,
    expires: dt.datetime,
    *,
    start: dt.datetime | None = None,
    protocol: str = "https",
) -> str:
    """The query string (no `?`) of a service SAS for a container and its blobs.

    `key` is the account key in base64, `permissions` letters of `racwdxltmei` in that order.
    """
    return _service_sas(account, key, f"{container}", "c", permissions, expires, start, protocol)


def blob_sas(
    account: str,
    key: str,
    container: str,
    blob: str,
    permissions: str,
    expires: dt.datetime,
    *,
    start: dt.datetime | None = None,
    protocol: str = "https",
) -> str:
    """The query string (no `?`) of a service SAS for one blob. `blob` is the plain name, not percent-encoded."""
    return _service_sas(account, key, f"{container}/{blob}", "b", permissions, expires, start, protocol)


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a user delegation SAS is made for: object id, tenant, a mark of the signer's own (`scid`), and what the key is
    derived with besides."""

    object_id: str
    tenant: str
    mark: str = ""
    salt: str = ""


def delegated_sas(
    account: str,
    key: str,
    container: str,
    permissions: str,
    expires: dt.datetime,
    holder: Holder,
    *,
    start: dt.datetime,
    blob: str = "",
) -> str:
    """The query string of a user delegation SAS for a container, or one blob of it: it ends with `holder`."""
    query = _base(permissions, expires, None, "https") | {
        "sr": "b" if blob else "c",
        "skoid": holder.object_id,
        "sktid": holder.tenant,
        "skt": moment(start),
        "ske": moment(expires),
        "sks": "b",
        "skv": VERSION,
        "scid": holder.mark,
    }
    text = service_string_to_sign(f"/blob/{account}/{container}{'/' if blob else ''}{blob}", query)
    return _signed(query, delegation_key(key, query, holder.salt), text)


def account_sas(
    account: str,
    key: str,
    services: str,
    resource_types: str,
    permissions: str,
    expires: dt.datetime,
    *,
    start: dt.datetime | None = None,
    protocol: str = "https",
) -> str:
    """The query string of an account SAS. `services` of `bqtf`, `resource_types` of `sco`."""
    query = _base(permissions, expires, start, protocol) | {"ss": services, "srt": resource_types}
    return _signed(query, key, account_string_to_sign(account, query))


def sign(key: str, text: str) -> str:
    """Base64 of HMAC-SHA256 of `text` under the base64 `key`."""
    return base64.b64encode(hmac.digest(base64.b64decode(key), text.encode(), hashlib.sha256)).decode()


def check(query: Mapping[str, str]) -> None:
    """Refuse what would let one signature stand for several queries: what is signed has one field a line, and the
    version says which. Raises ValueError."""
    _check_lines(query)
    if not _VERSION.fullmatch(query.get("sv", "")):
        raise ValueError(f"The version (sv) is {query.get('sv', '')!r} and must be a date, as {VERSION}.")


def has_control(text: str) -> bool:
    return _CONTROL.search(text) is not None


def account_string_to_sign(account: str, query: Mapping[str, str]) -> str:
    """What the signature of an account SAS covers. Raises ValueError, as `check` does."""
    check(query)
    fields = [account, *(query.get(name, "") for name in ("sp", "ss", "srt", "st", "se", "sip", "spr", "sv"))]
    if query.get("sv", "") >= _ENCRYPTION_SCOPE_SINCE:
        fields.append(query.get("ses", ""))
    return "\n".join(fields) + "\n"


def service_string_to_sign(canonical: str, query: Mapping[str, str], request: tuple[str, str] = ("", "")) -> str:
    """What the signature of a service or user-delegation SAS covers.

    `canonical` is `/blob/<account>/<container>[/<blob>]` (`/file/...` for shares). A query with `skoid` is a
    user-delegation SAS; `request` then holds its signed headers and signed query parameters in their signed form.
    Raises ValueError, as `check` does.
    """
    check(query)
    version = query.get("sv", "")
    fields = [query.get("sp", ""), query.get("st", ""), query.get("se", ""), canonical]
    fields += _identity(version, query)
    fields += [query.get("sip", ""), query.get("spr", ""), version]
    if not canonical.startswith("/file/"):
        if version >= _SNAPSHOT_SINCE:
            fields += [query.get("sr", ""), query.get("snapshot", "")]
        if version >= _ENCRYPTION_SCOPE_SINCE:
            fields.append(query.get("ses", ""))
        if "skoid" in query and version >= _SIGNED_REQUEST_SINCE:
            fields += request
    fields += [query.get(name, "") for name in _RESPONSE_HEADERS]
    return "\n".join(fields)


def delegation_key(key: str, fields: Mapping[str, str], salt: str = "") -> str:
    """The user delegation key (base64) for its signed fields, derived from the account key: nothing is stored.

    `salt` is what it depends on besides, and what no signature says: the holder's own key, say.
    Raises ValueError where one of them has a control character.
    """
    _check_lines(fields)
    names = ("skoid", "sktid", "skt", "ske", "sks", "skv", "skdutid")
    values = [fields.get(name, "") for name in names] + ([salt] if salt else [])
    return sign(key, "user-delegation-key\n" + "\n".join(values))


def moment(value: dt.datetime) -> str:
    """A time as SAS queries carry it: UTC, whole seconds, Z."""
    return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _check_lines(query: Mapping[str, str]) -> None:
    for name, value in query.items():
        if name in _ONE_LINE and _CONTROL.search(value):
            raise ValueError(f"The parameter '{name}' has a control character.")


def _identity(version: str, query: Mapping[str, str]) -> list[str]:
    if "skoid" not in query:
        return [query.get("si", "")]
    names = ["skoid", "sktid", "skt", "ske", "sks", "skv"]
    if version >= "2020-02-10":
        names += ["saoid", "suoid", "scid"]
    if version >= _DELEGATED_USER_SINCE:
        names += ["skdutid", "sduoid"]
    return [query.get(name, "") for name in names]


def _service_sas(
    account: str,
    key: str,
    resource: str,
    kind: str,
    permissions: str,
    expires: dt.datetime,
    start: dt.datetime | None,
    protocol: str,
) -> str:
    query = _base(permissions, expires, start, protocol) | {"sr": kind}
    return _signed(query, key, service_string_to_sign(f"/blob/{account}/{resource}", query))


def _base(permissions: str, expires: dt.datetime, start: dt.datetime | None, protocol: str) -> dict[str, str]:
    query = {"sv": VERSION, "sp": permissions, "se": moment(expires), "spr": protocol}
    if start is not None:
        query["st"] = moment(start)
    return query


def _signed(query: dict[str, str], key: str, text: str) -> str:
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in (query | {"sig": sign(key, text)}).items())
