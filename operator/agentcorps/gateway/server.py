"""Listening: TLS, timeouts against slow clients, an end for handlers whose client is gone."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from pathlib import Path

IDLE_SECONDS = 75.0
"""A connection that sends no complete request head for this long is closed."""
LINGER_SECONDS = 5.0
SHUTDOWN_SECONDS = 1.0
BACKLOG = 1024
"""After a failover every agent connects within seconds."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening server."""

    runner: web.AppRunner
    port: int

    async def close(self) -> None:
        """Stop listening; open polls are cancelled after a moment."""
        await self.runner.cleanup()


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
    site = web.TCPSite(runner, host, port, ssl_context=ssl_context, backlog=BACKLOG)
    try:
        await site.start()
    except BaseException:
        await runner.cleanup()
        raise
    return Listener(runner, site.port)
