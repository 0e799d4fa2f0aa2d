"""A server has two addresses, one over TLS and one without it on loopback. Which of them a link holds."""

from __future__ import annotations

from urllib.parse import urlsplit

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def for_links(https_url: str, http_url: str) -> str:
    """The address for what a person may open: without TLS on this machine, since browsers do not know our authority.

    A server with a name that others reach it by is linked to by that name, over TLS.
    """
    return http_url if urlsplit(https_url).hostname in LOOPBACK else https_url
