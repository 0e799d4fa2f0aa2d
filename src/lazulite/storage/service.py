"""Operations on the account: listing containers, service properties, account information, user delegation keys."""

from __future__ import annotations

import datetime as dt

from lazulite.core import sas
from lazulite.core.clock import parse_iso
from lazulite.storage.containers import MAX_RESULTS, decode_marker, encode_marker
from lazulite.storage.documents import HEAD, attribute, element, metadata_element, parse
from lazulite.storage.errors import StorageError
from lazulite.storage.exchange import Answer, Exchange, http_date
from lazulite.storage.leases import lease_headers
from lazulite.storage.store import Container

_PROPERTIES = (
    "<StorageServiceProperties><Logging><Version>1.0</Version><Read>false</Read><Write>false</Write>"
    "<Delete>false</Delete><RetentionPolicy><Enabled>false</Enabled></RetentionPolicy></Logging>"
    "<HourMetrics><Version>1.0</Version><Enabled>false</Enabled><RetentionPolicy><Enabled>false</Enabled>"
    "</RetentionPolicy></HourMetrics><MinuteMetrics><Version>1.0</Version><Enabled>false</Enabled>"
    "<RetentionPolicy><Enabled>false</Enabled></RetentionPolicy></MinuteMetrics><Cors/>"
    "<DefaultServiceVersion>2021-08-06</DefaultServiceVersion>"
    "<DeleteRetentionPolicy><Enabled>false</Enabled></DeleteRetentionPolicy>"
    "<StaticWebsite><Enabled>false</Enabled></StaticWebsite></StorageServiceProperties>"
)
_MAX_KEY_AGE = dt.timedelta(days=7)


async def list_containers(exchange: Exchange) -> Answer:
    query = exchange.request.query
    limit = exchange.request.query_number("maxresults", MAX_RESULTS, 1, MAX_RESULTS)
    prefix, after = query.get("prefix", ""), decode_marker(query.get("marker", ""))
    with_metadata = "metadata" in query.get("include", "").lower()
    found = [
        container
        for container in await exchange.store.containers(exchange.account)
        if container.name.startswith(prefix) and container.name > after
    ]
    shown = found[:limit]
    endpoint = f"{exchange.authority}{exchange.request.address.lead}/"
    parts = [
        HEAD,
        f"<EnumerationResults ServiceEndpoint={attribute(endpoint)}>",
        element("Prefix", prefix),
        element("Marker", query.get("marker", "")),
        element("MaxResults", limit),
        "<Containers>",
        *(_container_element(container, with_metadata, exchange.now()) for container in shown),
        "</Containers>",
        element("NextMarker", encode_marker(shown[-1].name) if len(found) > limit else ""),
        "</EnumerationResults>",
    ]
    return Answer(200, {"Content-Type": "application/xml"}, "".join(parts).encode())


async def get_service_properties(exchange: Exchange) -> Answer:
    """What is on: nothing of logging, metrics, CORS, soft delete and web sites."""
    return Answer(200, {"Content-Type": "application/xml"}, (HEAD + _PROPERTIES).encode())


async def set_service_properties(exchange: Exchange) -> Answer:
    """Accepts what asks for nothing. Raises StorageError 501 for what would have to be done."""
    document = parse(await exchange.request.document(), "StorageServiceProperties")
    enabled = any((node.text or "").lower() == "true" for node in document.iter("Enabled"))
    if enabled or len(document.find("Cors") or ()) > 0:
        raise StorageError(
            "NotImplemented", "Logging, metrics, CORS, soft delete and static web sites of storage are not built."
        )
    return Answer(202)


async def get_account_information(exchange: Exchange) -> Answer:
    headers = {"x-ms-sku-name": "Standard_LRS", "x-ms-account-kind": "StorageV2", "x-ms-is-hns-enabled": "false"}
    return Answer(200, headers)


async def get_user_delegation_key(exchange: Exchange) -> Answer:
    """A key that signs for the bearer of the token, for at most seven days."""
    if not exchange.grant.object_id:
        raise StorageError(
            "AuthorizationFailure",
            "A user delegation key is given to the tokens of people and service principals alone, not to an account "
            "key, a SAS or a job.",
        )
    info = parse(await exchange.request.document(), "KeyInfo")
    now = dt.datetime.fromtimestamp(exchange.now(), dt.UTC)
    start = _moment(info.findtext("Start") or sas.moment(now), "Start")
    expiry = _moment(info.findtext("Expiry") or "", "Expiry")
    if not (now < expiry <= now + _MAX_KEY_AGE + dt.timedelta(minutes=15)) or expiry <= start:
        raise StorageError(
            "InvalidXmlNodeValue",
            f"Expiry must be after the start and within seven days of the server's clock, {sas.moment(now)}.",
        )
    account = exchange.accounts.get(exchange.account)
    assert account is not None
    fields = {
        "skoid": exchange.grant.object_id,
        "sktid": exchange.grant.tenant,
        "skt": sas.moment(start),
        "ske": sas.moment(expiry),
        "sks": "b",
        "skv": exchange.request.headers.get("x-ms-version") or sas.VERSION,
    }
    delegated = info.findtext("DelegatedUserTid")
    if delegated:
        if sas.has_control(delegated):
            raise StorageError("InvalidXmlNodeValue", "DelegatedUserTid has a control character.")
        fields["skdutid"] = delegated
    tags = dict(zip(fields, _KEY_TAGS, strict=False))
    body = "".join(element(tags[name], value) for name, value in fields.items())
    body += element("Value", sas.delegation_key(account.keys[0], fields, exchange.grant.salt))
    return Answer(
        200,
        {"Content-Type": "application/xml"},
        f"{HEAD}<UserDelegationKey>{body}</UserDelegationKey>".encode(),
    )


_KEY_TAGS = (
    "SignedOid",
    "SignedTid",
    "SignedStart",
    "SignedExpiry",
    "SignedService",
    "SignedVersion",
    "SignedDelegatedUserTid",
)


def _moment(text: str, name: str) -> dt.datetime:
    try:
        return parse_iso(text)
    except ValueError:
        raise StorageError("InvalidXmlNodeValue", f"<{name}> '{text[:60]}' is not an ISO 8601 time.") from None


def _container_element(container: Container, with_metadata: bool, now: float) -> str:
    lease = lease_headers(container.record.lease, now)
    properties = (
        element("Last-Modified", http_date(int(container.modified)))
        + element("Etag", f'"{container.etag}"')
        + element("LeaseStatus", lease["x-ms-lease-status"])
        + element("LeaseState", lease["x-ms-lease-state"])
        + "<HasImmutabilityPolicy>false</HasImmutabilityPolicy><HasLegalHold>false</HasLegalHold>"
    )
    kept = metadata_element(container.record.metadata) if with_metadata else ""
    return f"<Container>{element('Name', container.name)}<Properties>{properties}</Properties>{kept}</Container>"
