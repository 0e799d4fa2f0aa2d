"""Telling webhooks what happened: signed requests, sent after the commit by a worker that survives a restart."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import http.client
import ipaddress
import logging
import re
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from lazulite.core.clock import now_ms
from lazulite.store import webhooks as store
from lazulite.store.database import Database
from lazulite.store.webhooks import Delivery, Webhook
from lazulite.vault.sealed import SealedSecrets

SECRET = "secret"
TIMEOUT_S, MOST_BODY = 10.0, 16 * 1024
ATTEMPTS = 4
_TOGETHER, _WORKERS = 64, 8
_RETRIED = frozenset({429, 500, 502, 503, 504})
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_log = logging.getLogger(__name__)


class Refused(Exception):
    """A request must not be sent, or could not be; `again` says whether it may go better later."""

    def __init__(self, message: str, *, again: bool = False) -> None:
        super().__init__(message)
        self.again = again


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: str


@dataclass(frozen=True, slots=True)
class WebhookSender:
    """Signs and sends. Without `private`, only to public addresses and only over TLS."""

    secrets: SealedSecrets
    private: bool = False

    def check(self, url: str) -> None:
        """Raises Refused where the URL alone says that nothing may be sent there. Asks no name server."""
        parts = _parts(url)
        schemes = ("https", "http") if self.private else ("https",)
        if parts.scheme not in schemes:
            raise Refused(f"Invalid webhook URL scheme: '{parts.scheme}'. Allowed schemes are: {', '.join(schemes)}.")
        host = parts.hostname
        if not host:
            raise Refused(f"Webhook URL must include a hostname: '{url}'")
        if not self.private and (host == "localhost" or host.endswith(".localhost") or not _may_be_public(host)):
            raise Refused(f"Webhook URL must not resolve to a non-public IP address: '{host}'")

    def send(self, webhook: Webhook, secret: str | None, delivery_id: str, body: bytes, now: int) -> Answer:
        """Blocks until there is an answer, whatever its status. Raises Refused."""
        self.check(webhook.url)
        timestamp = str(now // 1000)
        headers = {
            "Content-Type": "application/json",
            "X-MLflow-Delivery-Id": delivery_id,
            "X-MLflow-Timestamp": timestamp,
        }
        if secret:
            headers["X-MLflow-Signature"] = signature(secret, delivery_id, timestamp, body)
        try:
            return self._post(_parts(webhook.url), headers, body)
        except (OSError, http.client.HTTPException, ValueError) as failed:
            raise Refused(f"{type(failed).__name__}: {failed}", again=True) from None

    def _post(self, parts: SplitResult, headers: dict[str, str], body: bytes) -> Answer:
        host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        connection.sock = self._connect(host, port)
        try:
            if parts.scheme == "https":
                connection.sock = ssl.create_default_context().wrap_socket(connection.sock, server_hostname=host)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            netloc = parts.netloc.rpartition("@")[2]
            connection.request("POST", path, body, {"Host": netloc, **headers})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read1(MOST_BODY).decode(errors="replace"))
        finally:
            connection.close()

    def _connect(self, host: str, port: int) -> socket.socket:
        """To an address that was looked at: a name that resolves elsewhere the next time gains nothing."""
        failed: OSError = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            if not self.private and not _is_public(str(address[0])):
                raise Refused(f"Webhook connection blocked: {address[0]} is not a public IP address.")
            found = socket.socket(family, kind, protocol)
            found.settimeout(TIMEOUT_S)
            try:
                found.connect(address)
            except OSError as error:
                found.close()
                failed = error
            else:
                return found
        raise failed


class WebhookCourier:
    """Sends what is due, tries again what failed for a while, and gives up after `ATTEMPTS`.

    A delivery that was under way when the server was killed is sent again, under the same id.
    """

    def __init__(self, database: Database, sender: WebhookSender, clock: Callable[[], int] = now_ms) -> None:
        self._database = database
        self._sender = sender
        self._clock = clock
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="webhook")
        database.subscribe(self._hint)

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._main = asyncio.create_task(self._run(), name="webhooks")

    async def stop(self) -> None:
        self._loop = None
        if self._main is not None:
            self._main.cancel()
            with suppress(asyncio.CancelledError):
                await self._main
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def deliver_due(self) -> float | None:
        """Send all that is due; return in how many seconds something will be, or None where nothing waits."""
        while found := await self._database.read(lambda c: store.due(c, self._clock(), _TOGETHER)):
            await asyncio.gather(*map(self._deliver, found))
        due = await self._database.read(store.next_due)
        return None if due is None else max(0.0, (due - self._clock()) / 1000)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                wait_s = await self.deliver_due()
            except Exception:
                _log.exception("webhooks")
                wait_s = 5.0
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait_s)

    async def _deliver(self, delivery: Delivery) -> None:
        problem = await asyncio.get_running_loop().run_in_executor(self._workers, self._attempt, delivery)
        again = problem is not None and problem.again and delivery.attempts + 1 < ATTEMPTS
        if problem is not None:
            then = "will be tried again" if again else "was given up"
            _log.warning("a delivery to webhook '%s' failed and %s: %s", delivery.webhook.name, then, problem)
        until = self._clock() + 1000 * 2**delivery.attempts
        if again:
            await self._database.write(lambda c: store.postpone(c, delivery, until))
        else:
            await self._database.write(lambda c: store.forget(c, delivery))

    def _attempt(self, delivery: Delivery) -> Refused | None:
        if delivery.webhook.status != "ACTIVE":
            return None
        try:
            kept = self._database.read_sync(lambda c: self._sender.secrets.get(c, delivery.webhook.scope, SECRET))
            secret = kept[SECRET] if kept else None
            answer = self._sender.send(delivery.webhook, secret, delivery.delivery_id, delivery.body, self._clock())
        except Refused as refused:
            return refused
        except ValueError as unreadable:
            return Refused(str(unreadable))
        if answer.status >= 400:
            return Refused(f"it answered {answer.status}", again=answer.status in _RETRIED)
        return None

    def _hint(self, keys: frozenset[str]) -> None:
        loop = self._loop
        if loop is not None and any("/webhooks/" in key for key in keys):
            with suppress(RuntimeError):  # the event loop closed in between
                loop.call_soon_threadsafe(self._wake.set)


def signature(secret: str, delivery_id: str, timestamp: str, body: bytes) -> str:
    """What `X-MLflow-Signature` carries: HMAC-SHA256 over id, time and body."""
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise Refused(f"Invalid webhook URL '{url}': {error}") from None
    if any(ord(ch) <= 32 or ord(ch) == 127 for ch in url):
        raise Refused(f"Invalid webhook URL '{url}': it has a space or a control character")
    return parts


def _may_be_public(host: str) -> bool:
    """Whether a host is a name, or a public address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return re.fullmatch("[0-9.]+", host) is None
    return _is_public(host)


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        found = inner or found
    return found.is_global and not found.is_multicast
