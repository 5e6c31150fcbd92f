"""Sends progress on: of what comes in quick succession only the last."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from agentcorps.agent.errors import GatewayError
from agentcorps.agent.logs import log
from agentcorps.api.protocol import ProgressRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentcorps.agent.client import GatewayClient
    from agentcorps.api.protocol import Directives, TaskRef

INTERVAL_SECONDS = 1.0


class ProgressPump:
    """Progress of one attempt.

    Args:
        client: Speaks to the gateway.
        instance: Name of this process.
        ref: The attempt.
        obey: Called with what the gateway asks for in its answers.
    """

    def __init__(
        self,
        client: GatewayClient,
        instance: str,
        ref: TaskRef,
        obey: Callable[[Directives], object],
    ) -> None:
        self._client = client
        self._instance = instance
        self._ref = ref
        self._obey = obey
        self._loop = asyncio.get_running_loop()
        self._latest: ProgressRequest | None = None
        self._sender: asyncio.Task[None] | None = None
        self._closed = False

    def report(self, percent: int | None, message: str) -> None:
        """Take progress from any thread."""
        request = ProgressRequest(instance=self._instance, percent=percent, message=message)
        self._loop.call_soon_threadsafe(self._offer, request)

    def close(self) -> None:
        """Send nothing more: the outcome is known."""
        self._closed = True
        if self._sender is not None:
            self._sender.cancel()

    def _offer(self, request: ProgressRequest) -> None:
        self._latest = request
        if not self._closed and (self._sender is None or self._sender.done()):
            self._sender = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while self._latest is not None:
            request, self._latest = self._latest, None
            try:
                self._obey(await self._client.progress(self._ref, request))
            except GatewayError as error:
                # The next one says more than a repetition of this one would.
                log("progress was not delivered", logging.DEBUG, error=str(error))
            await asyncio.sleep(INTERVAL_SECONDS)
