"""Who may do what: shared keys, shared access signatures and bearer tokens.

Every refusal says which of the checks failed and against what; none tells a key or an expected signature.
"""

from __future__ import annotations

import base64
import datetime as dt
import email.utils
import hashlib
import hmac
import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol
from urllib.parse import unquote

from lazulite.core import sas
from lazulite.core.clock import Clock, parse_iso, utc_now
from lazulite.core.numbers import whole_number
from lazulite.storage.accounts import StorageAccount
from lazulite.storage.addressing import Address
from lazulite.storage.errors import StorageError
from lazulite.storage.request import Request
from lazulite.storage.shared_key import strings_to_sign
from lazulite.storage.store import AccessPolicy

_MAX_SKEW = dt.timedelta(minutes=15)
_ANY = "*"


@dataclass(frozen=True, slots=True)
class Need:
    """What an operation needs: one of the SAS permission letters `sas`, the account SAS resource type `kind` (one of
    `s`, `c`, `o`), and the Azure data action `action`. With `container_sas` false only an account SAS will do."""

    sas: str
    kind: str
    action: str
    container_sas: bool = True


@dataclass(frozen=True, slots=True)
class Grant:
    """`permissions` are SAS letters, `*` for all; `rule` says where they come from, if not from a signature.

    `object_id` and `tenant` are a bearer's, who may have a user delegation key; `salt` is what that is derived with.
    """

    permissions: str = _ANY
    overrides: tuple[tuple[str, str], ...] = ()
    object_id: str = ""
    tenant: str = ""
    salt: str = ""
    rule: str = ""

    def allows(self, letters: str) -> bool:
        return self.permissions == _ANY or any(letter in self.permissions for letter in letters)

    def within(self, other: Grant) -> Grant:
        """What both grants allow, with the overrides of this one."""
        if other.permissions == _ANY:
            return self
        return replace(self, permissions="".join(p for p in self.permissions if other.allows(p)), rule=other.rule)

    def refuse(self, letters: str) -> StorageError:
        """What to raise where these letters are needed, and none is granted."""
        if self.rule:
            return StorageError("AuthorizationPermissionMismatch", self.rule)
        return StorageError(
            "AuthorizationPermissionMismatch",
            f"The signature grants '{self.permissions}'; this operation needs "
            f"{' or '.join(repr(letter) for letter in letters)}.",
        )


class Unauthenticated(Exception):
    """A token, or the principal behind a signature, is not good; the argument says why."""


class Identities(Protocol):
    """Who is behind a token or a user delegation key, and what that principal may do at an address."""

    async def of_token(self, token: str, address: Address, need: Need) -> Grant:
        """Raises StorageError 403, and Unauthenticated."""
        ...

    async def of_key(self, object_id: str, mark: str, address: Address, need: Need) -> Grant:
        """Of a user delegation key given to `object_id`; `mark` is the signature's `scid`.

        Raises StorageError 403, and Unauthenticated.
        """
        ...

    def salt(self, object_id: str, mark: str) -> str:
        """What the key of such a signature was derived with besides its fields. Raises Unauthenticated."""
        ...


class Authorizer:
    def __init__(self, identities: Identities, authority: str, tenant: str = "common", clock: Clock = utc_now) -> None:
        self._identities = identities
        self._authority = authority.rstrip("/")
        self._netloc = self._authority.partition("://")[2]
        self._tenant = tenant
        self._clock = clock

    async def authorize(
        self, request: Request, account: StorageAccount, need: Need, policies: dict[str, AccessPolicy]
    ) -> Grant:
        """The grant under which the request may go on. Raises StorageError 401 or 403."""
        header = request.headers.get("authorization", "")
        if header:
            scheme, _, value = header.partition(" ")
            if scheme.lower() in ("sharedkey", "sharedkeylite"):
                return self._shared_key(request, account, scheme.lower(), value)
            if scheme.lower() == "bearer":
                return await self._bearer_token(request, need, value.strip())
            raise StorageError(
                "InvalidAuthenticationInfo", f"The Authorization scheme '{scheme}' is none that storage knows."
            )
        if "sig" in request.query:
            return await self._sas(request, account, need, policies)
        raise self._challenge(
            "NoAuthenticationInformation",
            "The request carries neither an Authorization header nor a shared access signature.",
        )

    def _challenge(self, code: str, message: str) -> StorageError:
        challenge = f"Bearer authorization_uri={self._authority}/{self._tenant}/oauth2/authorize "
        headers = {"WWW-Authenticate": challenge + "resource_id=https://storage.azure.com"}
        return StorageError(code, message, headers=headers, status=401)

    # ---- bearer

    async def _bearer_token(self, request: Request, need: Need, token: str) -> Grant:
        try:
            grant = await self._identities.of_token(token, request.address, need)
        except Unauthenticated as error:
            raise self._challenge("InvalidAuthenticationInfo", str(error)) from None
        if not grant.allows(need.sas):
            raise grant.refuse(need.sas)
        return grant

    # ---- shared key

    def _shared_key(self, request: Request, account: StorageAccount, scheme: str, value: str) -> Grant:
        name, colon, signature = value.strip().rpartition(":")
        if not colon or not name or not signature:
            raise StorageError(
                "InvalidAuthenticationInfo", "The Authorization header is not SharedKey <account>:<sig>."
            )
        self._check_date(request)
        for text in strings_to_sign(request, scheme, name):
            if _signed_by(account.keys, text, signature):
                return Grant()
        text = next(strings_to_sign(request, scheme, name))
        raise StorageError(
            "AuthenticationFailed",
            "Server failed to authenticate the request: the MAC signature in the Authorization header is not the one "
            f"that a key of account '{account.name}' makes. Server used following string to sign: '{text}'.",
        )

    def _check_date(self, request: Request) -> None:
        text = request.headers.get("x-ms-date") or request.headers.get("date")
        if not text:
            raise StorageError("AuthenticationFailed", "A signed request must carry x-ms-date or Date.")
        stamp = _http_date(text)
        now = self._clock()
        if stamp is None or abs(now.timestamp() - stamp) > _MAX_SKEW.total_seconds():
            raise StorageError(
                "AuthenticationFailed",
                f"The date of the request, '{text}', is more than 15 minutes from the server's clock, "
                f"{email.utils.format_datetime(now, usegmt=True)}.",
            )

    # ---- shared access signatures

    async def _sas(
        self, request: Request, account: StorageAccount, need: Need, policies: dict[str, AccessPolicy]
    ) -> Grant:
        # A bare `+` in it has become a blank, and does not match: as on Azure, it must be sent as %2B.
        query = dict(request.query)
        try:
            sas.check(query)
        except ValueError as error:
            raise StorageError("AuthenticationFailed", str(error)) from None
        if "ss" in query or "srt" in query:
            self._account_signature(request, account, query)
            _check_account_scope(query, request.address.service, need)
        else:
            self._service_signature(request, account, query)
            _check_resource(query, request.address, need)
            query = _with_policy(query, policies)
        self._check_times(query)
        _check_origin(query, request)
        grant = Grant(query.get("sp", ""), tuple((k, query[k]) for k in _OVERRIDES if k in query))
        if not grant.allows(need.sas):
            raise grant.refuse(need.sas)
        if "skoid" in query:
            grant = grant.within(await self._delegated(query, request.address, need))
            if not grant.allows(need.sas):
                raise grant.refuse(need.sas)
        return grant

    async def _delegated(self, query: Mapping[str, str], address: Address, need: Need) -> Grant:
        """What the principal may do now to whom the key of this signature was given."""
        try:
            return await self._identities.of_key(query["skoid"], query.get("scid", ""), address, need)
        except Unauthenticated as error:
            raise _ended(error) from None

    def _salt(self, query: Mapping[str, str]) -> str:
        try:
            return self._identities.salt(query["skoid"], query.get("scid", ""))
        except Unauthenticated as error:
            raise _ended(error) from None

    def _account_signature(self, request: Request, account: StorageAccount, query: Mapping[str, str]) -> None:
        for alias in self._aliases(account.name, request.address):
            if _signed_by(account.keys, sas.account_string_to_sign(alias, query), query["sig"]):
                return
        raise _mismatch(account.name, sas.account_string_to_sign(account.name, query))

    def _service_signature(self, request: Request, account: StorageAccount, query: Mapping[str, str]) -> None:
        keys = account.keys
        signed = ("", "")
        if "skoid" in query:
            self._check_delegation(query)
            salt = self._salt(query)
            keys = (sas.delegation_key(keys[0], query, salt), sas.delegation_key(keys[1], query, salt))
            signed = _signed_request(query, request)
        resource = _signed_resource(query, request.address)
        for alias in self._aliases(account.name, request.address):
            for kind in ("blob", "file") if request.address.service == "file" else ("blob",):
                text = sas.service_string_to_sign(f"/{kind}/{alias}/{resource}", query, signed)
                if _signed_by(keys, text, query["sig"]):
                    return
        text = sas.service_string_to_sign(f"/blob/{account.name}/{resource}", query, signed)
        raise _mismatch(account.name, text)

    def _aliases(self, account: str, address: Address) -> Iterator[str]:
        """The names a client may know the account by: its own, and those that path-style addresses suggest."""
        yield account
        styled = f"storage/v1/{account}/_"
        yield from (styled, f"{self._netloc}/{styled}", f"storage/v1/{account}")
        lead = address.lead.strip("/")
        if lead:
            yield lead
            yield f"{self._netloc}/{lead}"

    def _check_delegation(self, query: Mapping[str, str]) -> None:
        now = self._clock()
        if query.get("sduoid"):
            raise StorageError(
                "AuthenticationFailed", "A signature bound to one user (sduoid) must come with that user's token."
            )
        for name, late in (("skt", False), ("ske", True)):
            when = _moment(query.get(name, ""), name)
            if (now > when) if late else (now + _MAX_SKEW < when):
                word = "expired" if late else "is not valid before"
                raise StorageError(
                    "AuthenticationFailed",
                    f"The user delegation key {word} {query.get(name)}; the server's clock is {sas.moment(now)}.",
                )

    def _check_times(self, query: Mapping[str, str]) -> None:
        now = self._clock()
        if not query.get("se"):
            raise StorageError("AuthenticationFailed", "The signature has no expiry time (se).")
        if now >= _moment(query["se"], "se"):
            raise StorageError(
                "AuthenticationFailed",
                f"Signature not valid in the specified time frame: it expired at {query['se']}, and the server's clock "
                f"is {sas.moment(now)}. Ask for a new one.",
            )
        if query.get("st") and now < _moment(query["st"], "st"):
            raise StorageError(
                "AuthenticationFailed",
                f"Signature not valid in the specified time frame: it starts at {query['st']}, and the server's clock "
                f"is {sas.moment(now)}.",
            )


_OVERRIDES = ("rscc", "rscd", "rsce", "rscl", "rsct")


def _signed_by(keys: tuple[str, str], text: str, signature: str) -> bool:
    data, given = text.encode(), signature.encode()
    found = False
    for key in keys:
        begun = _keyed(key).copy()
        begun.update(data)
        found |= hmac.compare_digest(base64.b64encode(begun.digest()), given)
    return found


@lru_cache(maxsize=1024)
def _keyed(key: str) -> hmac.HMAC:
    # Copied for every signature: preparing the key is most of the work.
    return hmac.new(base64.b64decode(key), digestmod=hashlib.sha256)


def _ended(error: Unauthenticated) -> StorageError:
    return StorageError("AuthenticationFailed", f"The user delegation key is not good any more: {error}")


def _mismatch(account: str, text: str) -> StorageError:
    return StorageError(
        "AuthenticationFailed",
        f"Signature did not match: no key of account '{account}' makes this one. String to sign used was {text}",
    )


def _check_account_scope(query: Mapping[str, str], service: str, need: Need) -> None:
    letter = "f" if service == "file" else "b"
    if letter not in query.get("ss", ""):
        raise StorageError(
            "AuthorizationServiceMismatch",
            f"The account signature is for services '{query.get('ss', '')}', and this one needs '{letter}'.",
        )
    if need.kind not in query.get("srt", ""):
        raise StorageError(
            "AuthorizationResourceTypeMismatch",
            f"The account signature is for resource types '{query.get('srt', '')}'; this needs '{need.kind}'.",
        )


def _check_resource(query: Mapping[str, str], address: Address, need: Need) -> None:
    kind = query.get("sr", "")
    if not kind and address.service != "file":
        raise StorageError("AuthenticationFailed", "The signature names no resource kind (sr).")
    if not address.container or not need.container_sas:
        raise StorageError(
            "AuthorizationResourceTypeMismatch",
            "A service signature does not reach this operation; use an account one.",
        )
    if kind in ("b", "f") and not address.blob and need.kind != "c":
        raise StorageError("AuthorizationResourceTypeMismatch", "The signature is for one blob.")
    if kind in ("b", "f") and not address.blob:
        raise StorageError("AuthorizationResourceTypeMismatch", "The signature is for one blob, not for its container.")


def _signed_resource(query: Mapping[str, str], address: Address) -> str:
    kind = query.get("sr", "")
    if kind in ("c", "s") or not address.blob:
        return address.container
    if kind == "d":
        depth = whole_number(query.get("sdd", ""))
        if depth is None:
            raise StorageError("AuthenticationFailed", "A directory signature must say its depth (sdd).")
        path = "/".join(address.blob.split("/")[:depth])
        return f"{address.container}/{path}" if path else address.container
    return f"{address.container}/{address.blob}"


def _with_policy(query: dict[str, str], policies: dict[str, AccessPolicy]) -> dict[str, str]:
    name = query.get("si")
    if not name:
        return query
    policy = policies.get(name)
    if policy is None:
        raise StorageError("AuthenticationFailed", f"The container has no stored access policy '{name}'.")
    given = {"st": policy.start, "se": policy.expiry, "sp": policy.permission}
    return query | {key: value for key, value in given.items() if value and not query.get(key)}


def _signed_request(query: Mapping[str, str], request: Request) -> tuple[str, str]:
    headers = [unquote(name) for name in query.get("srh", "").split(",") if name]
    names = [unquote(name) for name in query.get("srq", "").split(",") if name]
    if any(sas.has_control(text) for text in (*headers, *names, *(request.query.get(n.lower(), "") for n in names))):
        raise StorageError("AuthenticationFailed", "A signed header or query parameter has a control character.")
    return (
        "".join(f"{name}:{request.headers.get(name.lower(), '')}\n" for name in headers),
        "".join(f"\n{name}:{request.query.get(name.lower(), '')}" for name in names),
    )


def _check_origin(query: Mapping[str, str], request: Request) -> None:
    if query.get("spr") == "https" and request.scheme != "https":
        raise StorageError("AuthorizationProtocolMismatch", "The signature allows https only, and this came by http.")
    allowed = query.get("sip")
    if not allowed:
        return
    first, _, last = allowed.partition("-")
    try:
        low, high = ipaddress.ip_address(first), ipaddress.ip_address(last or first)
        client = ipaddress.ip_address(request.client)
        inside = low.version == client.version and int(low) <= int(client) <= int(high)
    except ValueError:
        inside = False
    if not inside:
        raise StorageError(
            "AuthorizationSourceIPMismatch", f"The signature is for {allowed}, and this came from {request.client}."
        )


def _moment(text: str, name: str) -> dt.datetime:
    try:
        return parse_iso(text)
    except ValueError:
        raise StorageError("AuthenticationFailed", f"The time '{text}' ({name}) is not ISO 8601.") from None


@lru_cache(maxsize=64)
def _http_date(text: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
