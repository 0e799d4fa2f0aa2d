"""One server process: both ports on one event loop, from the lock on its home to the last write."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import sys
from collections.abc import Coroutine
from typing import Any

from lazulite.core.clock import now_iso
from lazulite.core.version import VERSION
from lazulite.server import ending, home, log_file, ports, tls
from lazulite.server.compose import Addresses, compose
from lazulite.server.listener import bind, listener
from lazulite.server.settings import Settings

log = logging.getLogger("lazulite.server")


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises HomeInUse, PortTaken and SettingsError before anything is served."""
    with home.locked(settings.home):
        log_file.rotate(settings.home)
        keys = home.prepare(settings)
        certificates = tls.ensure(settings.tls_root, settings.public_host)
        with contextlib.ExitStack() as stack:
            before = ports.last(settings.home)
            secure = stack.enter_context(bind(settings.host, settings.port, before.get("port", 0)))
            plain = stack.enter_context(bind("127.0.0.1", settings.http_port, before.get("http_port", 0)))
            port, http_port = secure.getsockname()[1], plain.getsockname()[1]
            ports.remember(settings.home, port, http_port)
            addresses = Addresses(
                f"https://{settings.public_host}:{port}", f"http://localhost:{http_port}", str(certificates.bundle)
            )
            run = _run(settings, keys, addresses, certificates, secure, plain)
            _loop(run)


async def _run(
    settings: Settings,
    keys: home.Keys,
    addresses: Addresses,
    certificates: tls.Certificates,
    secure: socket.socket,
    plain: socket.socket,
) -> None:
    platform = await compose(settings, keys, addresses)
    servers = [listener(platform.application, settings, pem) for pem in (str(certificates.server), None)]
    note = {
        "pid": os.getpid(),
        "port": secure.getsockname()[1],
        "http_port": plain.getsockname()[1],
        "https_url": addresses.https_url,
        "http_url": addresses.http_url,
        "started": now_iso(),
        "version": VERSION,
        "isolation": {"kind": platform.isolation.kind, "detail": platform.isolation.detail},
        "limits": platform.limiting.detail,
        "runtime": {"kind": platform.runtime.kind, "detail": platform.runtime.detail},
    }
    ending.heed(servers, settings.home / home.NOTE)
    await platform.start()
    _spare_the_collector()
    tasks = [asyncio.create_task(server.serve([sock])) for server, sock in zip(servers, (secure, plain), strict=True)]
    try:
        while not all(server.started for server in servers) and not any(t.done() for t in tasks):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        with home.announced(settings.home, note):
            log.info("ready at %s and %s", addresses.https_url, addresses.http_url)
            await asyncio.gather(*tasks)
    finally:
        await platform.stop()


def _spare_the_collector() -> None:
    """What is here now stays: look through it no more, and look less often at what requests leave behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _loop(main: Coroutine[Any, Any, None]) -> None:
    if sys.platform == "win32":
        asyncio.run(main)
        return
    import uvloop

    uvloop.run(main)
