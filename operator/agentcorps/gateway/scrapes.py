"""The metrics over HTTPS, for whom the API server says may read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web

from agentcorps.control.refusals import ProtocolError
from agentcorps.gateway.limits import LIMITS, Limits
from agentcorps.gateway.parsing import bearer_token
from agentcorps.ports import Admission, ClusterError

if TYPE_CHECKING:
    from agentcorps.gateway.problems import Handler
    from agentcorps.ports import Exposition, Scrapers

PATH: Final = "/metrics"
MOST_CONNECTIONS: Final = 64
RETRY_SECONDS: Final = 5

log = structlog.get_logger(__name__)


def build_scrapes(
    scrapers: Scrapers, exposition: Exposition, limits: Limits | None = None
) -> web.Application:
    """Build the application that answers ``GET /metrics``.

    Args:
        scrapers: Tells who may.
        exposition: The metrics.
        limits: How many connections there may be, and how many bad tokens of one address.
    """
    limits = limits or Limits(strangers=MOST_CONNECTIONS)
    app = web.Application(client_max_size=1)
    app[LIMITS] = limits
    app.router.add_get(PATH, _handler(scrapers, exposition, limits), allow_head=False)
    return app


def _handler(scrapers: Scrapers, exposition: Exposition, limits: Limits) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        refusal = await _refusal(request, scrapers, limits)
        if refusal is not None:
            return refusal
        text, content_type = await exposition.expose(request.headers.get("Accept", ""))
        return web.Response(body=text, headers={"Content-Type": content_type})

    return handle


async def _refusal(request: web.Request, scrapers: Scrapers, limits: Limits) -> web.Response | None:
    """Say why somebody may not read the metrics; None when he may."""
    try:
        token = bearer_token(request.headers.get("Authorization"))
        limits.suspect(request)
        admission = await scrapers.admit(token)
    except ProtocolError as error:
        if error.status == web.HTTPUnauthorized.status_code:
            return _unauthorized("send a ServiceAccount's token as 'Authorization: Bearer TOKEN'")
        return web.Response(status=error.status, text=f"{error.detail}\n")
    except ClusterError as error:
        log.warning("the API server does not say who scrapes", why=str(error))
        return web.Response(
            status=503,
            text="the API server cannot be asked now who this is; try again\n",
            headers={"Retry-After": str(RETRY_SECONDS)},
        )
    if admission is Admission.UNKNOWN:
        return _unauthorized("the API server does not know this token")
    limits.trust(request)
    if admission is Admission.FORBIDDEN:
        told = f"this account lacks the right to get the nonResourceURL {PATH}"
        return web.Response(
            status=403, text=f"{told}: bind the ClusterRole agentcorps-metrics-reader to it\n"
        )
    return None


def _unauthorized(told: str) -> web.Response:
    return web.Response(
        status=401, text=f"{told}\n", headers={"WWW-Authenticate": 'Bearer realm="agentcorps.dev"'}
    )
