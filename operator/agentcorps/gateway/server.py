"""Listening: TLS, timeouts against slow clients, an end for handlers whose client is gone."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from agentcorps.gateway.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentcorps.gateway.crowd import Crowd

IDLE_SECONDS = 75.0
"""A connection that sends no complete request head for this long is closed."""
HANDSHAKE_SECONDS = 15.0
"""A failover brings a thousand handshakes at once; who takes longer than this is not an agent."""
LINGER_SECONDS = 5.0
SHUTDOWN_SECONDS = 1.0
BACKLOG = 1024
"""After a failover every agent connects within seconds."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening server."""

    runner: web.AppRunner
    server: asyncio.Server
    port: int

    async def close(self) -> None:
        """Stop listening; open polls are cancelled after a moment."""
        self.server.close()
        await self.runner.cleanup()


class _Guest(asyncio.Protocol):
    """Passes a connection on to the HTTP protocol, and tells the crowd when it comes and goes."""

    def __init__(self, inner: asyncio.Protocol, crowd: Crowd[asyncio.BaseTransport]) -> None:
        self._inner = inner
        self._crowd = crowd
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._inner.connection_made(transport)
        self._crowd.enter(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._crowd.leave(self._transport)
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Build a server context for TLS 1.2 and newer from PEM files.

    ``load_cert_chain`` on the returned context replaces the certificate for new connections.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


async def serve(
    app: web.Application, ssl_context: ssl.SSLContext | None, host: str, port: int
) -> Listener:
    """Serve an application until the listener is closed.

    Args:
        app: What to serve.
        ssl_context: Server context; None serves plain HTTP (probes only).
        host: Address to bind.
        port: Port to bind; 0 takes a free one.
    """
    runner = web.AppRunner(
        app,
        # Without it a poll outlives its connection, and is handed a task that nobody receives.
        handler_cancellation=True,
        access_log=None,
        # Bodies are small and counted as they arrive; a compressed one could grow without bound.
        auto_decompress=False,
        keepalive_timeout=IDLE_SECONDS,
        lingering_time=LINGER_SECONDS,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        server = await asyncio.get_running_loop().create_server(
            _protocols(app, runner),
            host,
            port,
            ssl=ssl_context,
            ssl_handshake_timeout=None if ssl_context is None else HANDSHAKE_SECONDS,
            backlog=BACKLOG,
        )
    except BaseException:
        await runner.cleanup()
        raise
    return Listener(runner, server, server.sockets[0].getsockname()[1])


def _protocols(app: web.Application, runner: web.AppRunner) -> Callable[[], asyncio.Protocol]:
    handlers = runner.server
    if handlers is None:
        raise RuntimeError("the runner is not set up")
    limits = app.get(LIMITS)
    if limits is None:
        return handlers
    return lambda: _Guest(handlers(), limits.crowd)
