"""Which account, service, container and blob a URL means: path-style and host-style."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from lazulite.storage.errors import StorageError

#: What every path-style address begins with.
PREFIX = "/storage/v1/"

_HOST = re.compile(r"([a-z0-9]{3,24})(?:-secondary)?\.(blob|dfs|file)\.", re.IGNORECASE)
_MARK = re.compile(r"_\.(blob|dfs|file)\.")


@dataclass(frozen=True, slots=True)
class Address:
    """`lead` is the raw path before the container, without a slash at its end. An empty container means the account,
    an empty blob the container. `listed` is set for listings by prefix alone: what to put before every name."""

    account: str
    service: str
    container: str
    blob: str
    lead: str = ""
    listed: str = ""
    prefix: str = ""


def host_account(host: str) -> bool:
    """Whether a Host header addresses a storage account."""
    return _HOST.match(host) is not None


def address(raw_path: str, host: str, query: Mapping[str, str]) -> Address:
    """Read the address. Raises StorageError when it is none."""
    found = _HOST.match(host)
    if found and not raw_path.startswith(PREFIX):
        return _split(raw_path[1:], found[1].lower(), found[2].lower(), "")
    if raw_path.startswith(PREFIX):
        account, _, rest = raw_path[len(PREFIX) :].partition("/")
        mark, slash, below = rest.partition("/")
        service = _MARK.match(mark)
        if service:
            return _split(below if slash else "", account, service[1], f"{PREFIX}{account}/{mark}")
        return _split(rest, account, "blob", f"{PREFIX}{account}")
    if raw_path.rstrip("/") == "/storage" and query.get("prefix", "").startswith("v1/"):
        return _by_prefix(query["prefix"])
    raise StorageError(
        "InvalidUri",
        f"'{raw_path[:200]}' addresses no storage account; addresses begin with {PREFIX}<account>/ or have the host "
        "<account>.blob.<domain>.",
    )


def _split(rest: str, account: str, service: str, lead: str) -> Address:
    container, _, blob = rest.partition("/")
    try:
        return Address(
            unquote(account, errors="strict"),
            service,
            unquote(container, errors="strict"),
            unquote(blob, errors="strict") if "%" in blob else blob,
            lead,
        )
    except UnicodeDecodeError:
        raise StorageError("InvalidUri", "The path is not UTF-8 after percent-decoding.") from None


def _by_prefix(prefix: str) -> Address:
    # One client takes the first segment of the path for the container and the rest of the address for a name prefix.
    parts = prefix.split("/", 4)
    service = _MARK.match(parts[2]) if len(parts) > 2 else None
    first = 3 if service else 2
    if len(parts) <= first or not parts[first]:
        raise StorageError("InvalidUri", f"The prefix '{prefix[:200]}' names no container.")
    lead = "/".join(parts[: first + 1])
    rest = prefix[len(lead) + 1 :]
    return Address(parts[1], service[1] if service else "blob", parts[first], "", "/storage", lead + "/", rest)
