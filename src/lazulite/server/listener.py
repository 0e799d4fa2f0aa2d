"""One of the server's two ports: what is spoken there, and how it is opened, watched and closed."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import Iterator
from dataclasses import replace

import uvicorn

from lazulite.server.app import AsgiApp
from lazulite.server.connection import Connection, Limits
from lazulite.server.settings import Settings

_SHUTDOWN_S = 2
_GOODBYE_S = 0.2
_TLS_GOODBYE_S = 2.0
_LOOK_TICKS = 10  # of a tenth of a second


class PortTaken(Exception):
    """A port is in use; the message names it and the way out."""


class Listener(uvicorn.Server):
    """Two of them share one loop, so neither may take the process's signals for itself."""

    def __init__(self, config: uvicorn.Config, connection: type[Connection]) -> None:
        super().__init__(config)
        self._make = connection

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's, but that a TLS handshake has an end."""
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                self._connection,
                sock=sock,
                ssl=self.config.ssl,
                backlog=self.config.backlog,
                ssl_handshake_timeout=self._make.limits.head_s if self.config.ssl else None,
                ssl_shutdown_timeout=_TLS_GOODBYE_S if self.config.ssl else None,
            )
            for sock in sockets or ()
        ]
        self.started = True

    async def on_tick(self, counter: int) -> bool:
        if counter % _LOOK_TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.look(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Pooled connections of a client never answer TLS's goodbye; waiting for it would hold up every stop.
        goodbye = asyncio.get_running_loop().call_later(_GOODBYE_S, self._drop_idle)
        try:
            await super().shutdown(sockets)
        finally:
            goodbye.cancel()

    def _connection(self) -> asyncio.Protocol:
        return self._make(self.config, self.server_state, self.lifespan.state)

    def _drop_idle(self) -> None:
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection) and connection.unserved:
                connection.transport.abort()


def listener(application: AsgiApp, settings: Settings, pem: str | None) -> Listener:
    """`pem` holds certificate and key; without it, plain HTTP is spoken."""
    connection = _with_limits(settings)
    config = uvicorn.Config(
        application,
        http=connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # Who forwards for others is believed where it was named, and nobody else.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=int(connection.limits.idle_s),
        timeout_graceful_shutdown=_SHUTDOWN_S,
        ssl_certfile=pem,
        ssl_keyfile=pem,
    )
    return Listener(config, connection)


def _with_limits(settings: Settings) -> type[Connection]:
    most = min(settings.max_connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 3)
    given = replace(
        Limits(),
        head_s=settings.header_timeout_seconds,
        body_s=settings.body_timeout_seconds,
        connections=most,
        from_one_address=max(1, most // 4),
    )
    return type("LimitedConnection", (Connection,), {"limits": given})


def bind(host: str, port: int, before: int = 0) -> socket.socket:
    """A socket that listens; port 0 takes the one from `before` where it is free, else any. Raises PortTaken."""
    if port == 0 and before:
        with contextlib.suppress(PortTaken):
            return bind(host, before)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise PortTaken(
            f"port {port} of {host} cannot be used ({error.strerror}); `--port 0 --http-port 0` picks free ones"
        ) from None
    listening.listen(512)
    return listening
