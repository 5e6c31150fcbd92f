"""Brings outcomes to the gateway: kept and sent again until there is a final answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agentcorps.agent.backoff import Backoff
from agentcorps.agent.errors import GatewayError, Refused
from agentcorps.agent.outcome import Completed, Failed
from agentcorps.api.protocol import CompleteRequest, FailRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentcorps.agent.client import GatewayClient
    from agentcorps.agent.outcome import Outcome
    from agentcorps.api.protocol import Directives, TaskRef

TOO_LARGE = 413
MALFORMED = 422
FINAL = frozenset({403, 404, 409, TOO_LARGE, MALFORMED})
"""Refusals that sending again cannot change."""


class Reporter:
    """Reports outcomes of one process.

    Args:
        client: Speaks to the gateway.
        instance: Name of this process.
        obey: Called with what the gateway asks for in its answers.
        lost: Called when the gateway does not know this process: somebody must say hello.
    """

    def __init__(
        self,
        client: GatewayClient,
        instance: str,
        obey: Callable[[Directives], object],
        lost: Callable[[], object],
    ) -> None:
        self._client = client
        self._instance = instance
        self._obey = obey
        self._lost = lost

    async def report(self, ref: TaskRef, outcome: Outcome) -> str:
        """Report until there is a final answer.

        Returns:
            What became of it, for the log.
        """
        backoff = Backoff()
        while True:
            try:
                directives = await self._send(ref, outcome)
            except GatewayError as error:
                refused = error if isinstance(error, Refused) else None
                if refused is not None and self._is_final(refused):
                    instead = _instead(outcome, refused)
                    if instead is None:
                        return f"refused: {refused.status} {refused.title}"
                    outcome = instead
                    continue
                await asyncio.sleep(backoff.next(refused.retry_after if refused else None))
            else:
                self._obey(directives)
                return "completed" if isinstance(outcome, Completed) else outcome.reason

    def _is_final(self, refused: Refused) -> bool:
        if refused.session_lost:
            self._lost()
            return False
        return refused.status in FINAL

    async def _send(self, ref: TaskRef, outcome: Outcome) -> Directives:
        if isinstance(outcome, Completed):
            body = CompleteRequest(instance=self._instance, result=outcome.result)
            return await self._client.complete(ref, body)
        return await self._client.fail(
            ref,
            FailRequest(
                instance=self._instance,
                reason=outcome.reason,
                message=outcome.message,
                retryable=outcome.retryable,
            ),
        )


def _instead(outcome: Outcome, refused: Refused) -> Failed | None:
    """What to report in place of a result that the gateway will never take."""
    if isinstance(outcome, Completed) and refused.status == TOO_LARGE:
        return Failed("ResultTooLarge", refused.detail, retryable=False)
    if isinstance(outcome, Completed) and refused.status == MALFORMED:
        return Failed("ResultInvalid", refused.detail, retryable=False)
    return None
