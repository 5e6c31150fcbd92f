"""Probes for the kubelet: plain HTTP, apart from the agents' server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentcorps.gateway.problems import Handler

    Checks = Callable[[], list[str]]


def build_probes(live: Checks, ready: Checks) -> web.Application:
    """Build the probes' application.

    Args:
        live: Names of the checks that fail; ``/healthz`` is 200 while there are none.
        ready: The same for ``/readyz``.
    """
    app = web.Application()
    app.router.add_get("/healthz", _probe(live))
    app.router.add_get("/readyz", _probe(ready))
    return app


def _probe(checks: Checks) -> Handler:
    """Answer 200 or 503, either way with the failing checks."""

    async def probe(_: web.Request) -> web.StreamResponse:
        failing = checks()
        return web.Response(
            status=503 if failing else 200,
            body=orjson.dumps({"failing": failing}),
            content_type="application/json",
        )

    return probe
