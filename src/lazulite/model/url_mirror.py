"""Public addresses whose content lies in folders of this machine: what a machine without a network works with. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

_STORAGE = re.compile(r"^(?:wasbs?|abfss?)://(?P<container>[^@/]+)@(?P<host>[^/]+)/?(?P<path>.*)$", re.IGNORECASE)


def https_form(url: str) -> str:
    """The address over HTTPS of what a `wasbs://` or `abfss://` address names; others as they are."""
    found = _STORAGE.match(url)
    if not found:
        return url
    host = found["host"].replace(".dfs.", ".blob.")
    return f"https://{host}/{found['container']}/{found['path']}"


def find(mirror: Mapping[str, str], url: str) -> tuple[str, str] | None:
    """The folder that stands for the longest prefix of the address, and the path below it; None where none does."""
    wanted = _plain(url)
    for prefix, folder in sorted(mirror.items(), key=lambda pair: -len(_plain(pair[0]))):
        start = _plain(prefix).rstrip("/")
        if wanted == start or wanted.startswith(start + "/"):
            return folder, wanted.removeprefix(start).strip("/")
    return None


def _plain(url: str) -> str:
    """Without a query, over HTTPS, with the host in lower case, and without percent signs in the path."""
    text = https_form(url.partition("?")[0])
    scheme, separator, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    scheme = "https" if scheme.lower() == "http" else scheme.lower()
    return f"{scheme}{separator}{host.lower().replace('.dfs.', '.blob.')}{slash}{unquote(path)}"
