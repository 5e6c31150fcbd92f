"""What one caller may ask of the gateway; generous to agents, and a bound for anybody else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from aiohttp import web

from agentcorps.control.refusals import ProtocolError
from agentcorps.gateway.crowd import MOST_STRANGERS, Crowd
from agentcorps.gateway.rates import Rates

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from agentcorps.ports import PodIdentity

CALLS_PER_SECOND: Final = 50.0
CALLS_AT_ONCE: Final = 150.0
"""Of one pod. A task costs two calls, so this is some twenty tasks a second on one agent."""
BAD_TOKENS_PER_SECOND: Final = 10.0
BAD_TOKENS_AT_ONCE: Final = 200.0
"""Of one address: each unknown token costs a request to the API server."""


class Limits:
    """Counts calls per pod, bad tokens per address, and connections."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, strangers: int = MOST_STRANGERS
    ) -> None:
        """Prepare.

        Args:
            clock: Monotonic seconds.
            strangers: Connections at a time that have not shown a good token.
        """
        self.crowd: Crowd[asyncio.BaseTransport] = Crowd(_abort, strangers=strangers)
        self._calls: Rates[str] = Rates(CALLS_PER_SECOND, CALLS_AT_ONCE, clock)
        self._unknown: Rates[str] = Rates(BAD_TOKENS_PER_SECOND, BAD_TOKENS_AT_ONCE, clock)

    def admit(self, request: web.Request, identity: PodIdentity) -> None:
        """Count a call of a pod.

        Raises:
            ProtocolError: 429 when it makes too many.
        """
        if request.transport is not None:
            self.crowd.recognise(request.transport, identity.pod_uid)
        wait = self._calls.take(identity.pod_uid)
        if wait:
            raise ProtocolError(
                429,
                "TooManyCalls",
                f"this pod makes more than {CALLS_PER_SECOND:g} calls a second",
                wait,
            )

    def suspect(self, request: web.Request) -> None:
        """Count a token that nobody has seen yet.

        Raises:
            ProtocolError: 429 when too many of this address's were bad.
        """
        wait = self._unknown.take(_address(request))
        if wait:
            raise ProtocolError(
                429,
                "TooManyBadTokens",
                "too many tokens from this address were not good ones",
                wait,
            )

    def trust(self, request: web.Request) -> None:
        """The token turned out to be good."""
        self._unknown.give_back(_address(request))


LIMITS: Final = web.AppKey("limits", Limits)
"""Where an application keeps its limits, so that ``serve`` counts its connections."""


def _address(request: web.Request) -> str:
    return request.remote or "unknown"


def _abort(connection: asyncio.BaseTransport) -> None:
    """Close without waiting for anything that the other side would have to do."""
    abort = getattr(connection, "abort", connection.close)
    abort()
