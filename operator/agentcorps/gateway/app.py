"""The application: leading? authenticated? parsed? Then a use case answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from agentcorps.control.refusals import ProtocolError
from agentcorps.gateway.limits import LIMITS, Limits
from agentcorps.gateway.parsing import bearer_token
from agentcorps.gateway.problems import problem_response, problems
from agentcorps.gateway.routes import ROUTES, Route

if TYPE_CHECKING:
    from aiohttp.typedefs import Middleware

    from agentcorps.gateway.calls import AgentCalls
    from agentcorps.gateway.problems import Handler
    from agentcorps.ports import Identities, Leadership, PodIdentity

MAX_BODY_BYTES = 96 * 1024
"""A result of 64 KiB with its envelope and some escaping; the exact cap is the session's."""
BODY_SECONDS = 10.0
"""Time that a client has for sending its body."""
NOT_LEADING_RETRY_SECONDS = 1.0


def build_app(
    calls: AgentCalls,
    identities: Identities,
    leadership: Leadership,
    limits: Limits | None = None,
    *,
    body_seconds: float = BODY_SECONDS,
) -> web.Application:
    """Build the gateway's application from the route table.

    Args:
        calls: The use cases that answer.
        identities: Tells whose token it is.
        leadership: While this process does not lead, everything is answered 503.
        limits: What one caller may ask; counted together with the connections of ``serve``.
        body_seconds: Time that a client has for sending its body.
    """
    limits = limits or Limits()
    guard = _Guard(identities, limits)
    app = web.Application(
        middlewares=[problems, _only_while_leading(leadership)], client_max_size=MAX_BODY_BYTES
    )
    app[LIMITS] = limits
    for route in ROUTES:
        app.router.add_post(
            route.path, _handler(route, calls, guard, body_seconds), name=route.operation
        )
    return app


def _only_while_leading(leadership: Leadership) -> Middleware:
    """Answer 503 before anything else is looked at."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if leadership.leading:
            return await handler(request)
        return problem_response(
            ProtocolError(
                503,
                "NotLeading",
                "this replica of the operator does not lead; connect again",
                NOT_LEADING_RETRY_SECONDS,
            )
        )

    return middleware


def _handler(route: Route, calls: AgentCalls, guard: _Guard, body_seconds: float) -> Handler:
    """The handler of one route."""

    async def handle(request: web.Request) -> web.StreamResponse:
        identity = await guard.authenticate(request)
        raw = await _read(request, body_seconds)
        answer = await route.call(calls, identity, request.match_info, raw)
        if answer is None:
            return web.Response(status=204)
        return web.Response(
            body=answer.model_dump_json(by_alias=True).encode(), content_type="application/json"
        )

    return handle


class _Guard:
    """Tells which pod is calling, and whether it may, before its body is looked at."""

    def __init__(self, identities: Identities, limits: Limits) -> None:
        self._identities = identities
        self._limits = limits

    async def authenticate(self, request: web.Request) -> PodIdentity:
        """Return the pod that calls.

        Raises:
            ProtocolError: 401 without a good token, 429 when this caller asks too often.
        """
        token = bearer_token(request.headers.get("Authorization"))
        identity = self._identities.known(token) or await self._ask(request, token)
        self._limits.admit(request, identity)
        return identity

    async def _ask(self, request: web.Request, token: str) -> PodIdentity:
        self._limits.suspect(request)
        identity = await self._identities.identify(token)
        if identity is None:
            raise ProtocolError(
                401,
                "Unauthorized",
                "the token is foreign, expired or not bound to a pod: "
                "read the projected token file again",
            )
        self._limits.trust(request)
        return identity


async def _read(request: web.Request, seconds: float) -> bytes:
    """Read the body within the time and size that it may take."""
    if request.content.is_eof():
        return await request.read()  # it came with the head, and nothing has to be waited for
    try:
        async with asyncio.timeout(seconds):
            return await request.read()
    except TimeoutError:
        raise ProtocolError(
            408, "RequestTimeout", f"the body did not arrive within {seconds:g} seconds"
        ) from None
