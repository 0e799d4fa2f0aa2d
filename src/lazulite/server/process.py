"""One server process: both ports on one event loop, from the lock on its home to the last write."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Iterator
from typing import Any

import uvicorn

from lazulite.core.clock import now_iso
from lazulite.core.version import VERSION
from lazulite.server import home, tls
from lazulite.server.app import Application
from lazulite.server.compose import Addresses, compose
from lazulite.server.settings import Settings

log = logging.getLogger("lazulite.server")
_SHUTDOWN_S = 5
_GOODBYE_S = 0.2


class PortTaken(Exception):
    """A port is in use; the message names it and the way out."""


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises HomeInUse, PortTaken and SettingsError before anything is served."""
    with home.locked(settings.home):
        keys = home.prepare(settings)
        certificates = tls.ensure(settings.tls_root, settings.public_host)
        with contextlib.ExitStack() as stack:
            secure = stack.enter_context(_listen(settings.host, settings.port))
            plain = stack.enter_context(_listen("127.0.0.1", settings.http_port))
            ports = secure.getsockname()[1], plain.getsockname()[1]
            addresses = Addresses(
                f"https://{settings.public_host}:{ports[0]}", f"http://localhost:{ports[1]}", str(certificates.bundle)
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
    servers = [_server(platform.application, str(certificates.server)), _server(platform.application, None)]
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, servers)
    note = {
        "pid": os.getpid(),
        "port": secure.getsockname()[1],
        "http_port": plain.getsockname()[1],
        "https_url": addresses.https_url,
        "http_url": addresses.http_url,
        "started": now_iso(),
        "version": VERSION,
        "isolation": {"kind": platform.isolation.kind, "detail": platform.isolation.detail},
        "runtime": {"kind": platform.runtime.kind, "detail": platform.runtime.detail},
    }
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


def _server(application: Application, pem: str | None) -> _Server:
    config = uvicorn.Config(
        application,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_SHUTDOWN_S,
        ssl_certfile=pem,
        ssl_keyfile=pem,
    )
    return _Server(config)


def _stop(servers: list[_Server]) -> None:
    for server in servers:
        server.should_exit = True


class _Server(uvicorn.Server):
    """Two servers share one loop, so neither may take the process's signals for itself."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Pooled connections of a client never answer TLS's goodbye; waiting for it would hold up every stop.
        goodbye = asyncio.get_running_loop().call_later(_GOODBYE_S, self._drop_idle)
        try:
            await super().shutdown(sockets)
        finally:
            goodbye.cancel()

    def _drop_idle(self) -> None:
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            if (cycle is None or cycle.response_complete) and connection.transport is not None:
                connection.transport.abort()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"port {port} of {host} cannot be used ({error.strerror}); `--port 0 --http-port 0` picks free ones"
        ) from None
    listener.listen(512)
    return listener


def _loop(main: Coroutine[Any, Any, None]) -> None:
    if sys.platform == "win32":
        asyncio.run(main)
        return
    import uvloop

    uvloop.run(main)
