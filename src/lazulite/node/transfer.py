"""Fetching and storing files by address: plain HTTP, and the Blob protocol with a SAS query.

Slow libraries are imported on first use: most jobs fetch nothing.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from . import files

CHUNK = 1 << 20
BLOCK = 64 << 20
ATTEMPTS = 4
TIMEOUT_S = 60
CONNECT_S = 10
VERSION = {"x-ms-version": "2023-11-03"}
BLOB_URL = re.compile(r"(?P<account>https?://[^/]+(?:/[^?]*?/_\.blob\.[^/]+)?)/(?P<container>[^/?]+)/?(?P<path>[^?]*)")
Tick = Callable[[], None]
_reached: set[tuple[str, int]] = set()


class TransferError(Exception):
    """`status` is the HTTP status, 0 when no answer came; trying again is in vain where it is `final`."""

    def __init__(self, status: int, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.final = final


def download(url: str, query: str, target: str, ca_bundle: str | None, tick: Tick) -> int:
    """Write the answer of GET to `target`. Returns its bytes. Raises TransferError."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    aside = f"{target}.part"

    def receive() -> int:
        total = 0
        with request("GET", join(url, query), ca_bundle) as answer, open(aside, "wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                total += len(chunk)
                tick()
            expected = answer.headers.get("Content-Length")
        if expected is not None and int(expected) != total:
            raise TransferError(0, f"the connection ended after {total} of {expected} bytes")
        return total

    total: int = retried(receive, tick)
    os.rename(aside, target)
    return total


def download_folder(url: str, query: str, target: str, ca_bundle: str | None, tick: Tick) -> int:
    """Fetch every blob below the address into `target`. Returns how many there were. Raises TransferError."""
    account, container, prefix = split(url)
    prefix = f"{prefix.rstrip('/')}/" if prefix else ""
    count = 0
    for name in list_blobs(f"{account}/{container}", query, prefix, ca_bundle, tick):
        relative = os.path.normpath(name[len(prefix) :])
        if relative.startswith(("..", "/")) or name.endswith("/"):
            continue
        download(f"{account}/{container}/{quote(name)}", query, os.path.join(target, relative), ca_bundle, tick)
        count += 1
    return count


def list_blobs(container: str, query: str, prefix: str, ca_bundle: str | None, tick: Tick) -> Iterator[str]:
    from xml.etree import ElementTree

    marker = ""
    while True:
        asked = f"restype=container&comp=list&prefix={quote(prefix, '')}&marker={quote(marker, '')}"
        url = join(f"{container}?{asked}", query)

        def receive(url: str = url) -> bytes:
            with request("GET", url, ca_bundle) as answer:
                return bytes(answer.read())

        tree = ElementTree.fromstring(retried(receive, tick))  # noqa: S314 (our own storage's answer)
        yield from (blob.findtext("Name") or "" for blob in tree.iter("Blob"))
        marker = tree.findtext("NextMarker") or ""
        if not marker:
            return


def upload(source: int, url: str, query: str, ca_bundle: str | None, tick: Tick) -> None:
    """Store an open file as a block blob; large ones in blocks that are committed at once. Raises TransferError."""
    size = os.fstat(source).st_size
    with open(source, "rb", closefd=False) as file:
        if size <= BLOCK:
            put(join(url, query), file.read(), {"x-ms-blob-type": "BlockBlob"}, ca_bundle, tick)
            return
        import base64  # slow to import, and most runs upload nothing

        ids: list[str] = []
        while chunk := file.read(BLOCK):
            ids.append(base64.b64encode(b"%06d" % len(ids)).decode())
            put(join(url, query, f"comp=block&blockid={quote(ids[-1], '')}"), chunk, {}, ca_bundle, tick)
            tick()
    listing = "".join(f"<Latest>{name}</Latest>" for name in ids)
    body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listing}</BlockList>'.encode()
    put(join(url, query, "comp=blocklist"), body, {}, ca_bundle, tick)


def upload_folder(source: int, url: str, query: str, ca_bundle: str | None, tick: Tick) -> int:
    """Store every regular file below an open folder under the address. Returns how many. Raises TransferError."""
    count = 0
    for name, file in files.opened(source):
        upload(file, f"{url.rstrip('/')}/{quote(name)}", query, ca_bundle, tick)
        count += 1
        tick()
    return count


def split(url: str) -> tuple[str, str, str]:
    """(account address, container, unquoted blob path) of a blob's address, in either of its two layouts."""
    from urllib.parse import unquote

    match = BLOB_URL.match(url)
    if not match:
        raise TransferError(0, f"'{url}' is not the address of a blob")
    return match["account"], match["container"], unquote(match["path"])


def put(url: str, data: bytes, headers: dict[str, str], ca_bundle: str | None, tick: Tick) -> None:
    def send() -> None:
        with request("PUT", url, ca_bundle, data, headers):
            pass

    retried(send, tick)


def retried(action: Callable[[], Any], tick: Tick) -> Any:
    """Do it again after a lost connection or a server's failure, a few times with growing pauses."""
    for attempt in range(ATTEMPTS):
        try:
            return action()
        except TransferError as error:
            last = attempt == ATTEMPTS - 1
            if last or error.final or (error.status and error.status < 500 and error.status not in (408, 429)):
                raise
            tick()
            time.sleep(0.2 * 3**attempt)
    return None


def request(
    method: str, url: str, ca_bundle: str | None, data: bytes | None = None, headers: dict[str, str] | None = None
) -> Any:
    """An answer to read. Raises TransferError, whose message holds no query (it may be a signature)."""
    import http.client
    import ssl
    import urllib.error
    import urllib.request

    if not url.startswith(("http://", "https://")):
        raise TransferError(400, f"only http and https addresses can be fetched, not {url.partition('?')[0]}")
    reach(url)
    asked = urllib.request.Request(url, data=data, method=method, headers={**VERSION, **(headers or {})})  # noqa: S310
    context = ssl.create_default_context(cafile=ca_bundle) if url.startswith("https") else None
    try:
        return urllib.request.urlopen(asked, timeout=TIMEOUT_S, context=context)  # noqa: S310
    except urllib.error.HTTPError as error:
        raise TransferError(error.code, f"HTTP {error.code} {error.reason}") from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise TransferError(0, str(getattr(error, "reason", error))) from error


def reach(url: str) -> None:
    """Raises TransferError at once where nobody is to be reached: a machine without a network need not wait to say so.

    What is served on this machine itself may be restarting, and is waited for.
    """
    import socket
    import urllib.parse
    import urllib.request

    parts = urllib.parse.urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    local = host in ("localhost", "::1") or host.startswith("127.")
    if local or (host, port) in _reached or urllib.request.getproxies().get(parts.scheme):
        return
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except (OSError, UnicodeError) as error:  # a name that is none is an UnicodeError
        raise TransferError(0, f"{host} cannot be reached ({error})", final=True) from error
    _reached.add((host, port))


def join(url: str, *queries: str) -> str:
    text = "&".join(query for query in queries if query)
    return f"{url}{'&' if '?' in url else '?'}{text}" if text else url


def quote(text: str, safe: str = "/") -> str:
    import urllib.parse

    return urllib.parse.quote(text, safe)
