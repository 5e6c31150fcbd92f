"""Keeps each pool's history at its limit: deletes the finished Tasks that are too many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentcorps.core import retention

if TYPE_CHECKING:
    from agentcorps.control.apply import TaskApplier
    from agentcorps.core.state import State
    from agentcorps.ports import Clock

INTERVAL_SECONDS: Final = 5.0


class RetainTasks:
    """One step over all pools. Slow on purpose: work goes before tidying up."""

    def __init__(self, state: State, applier: TaskApplier, clock: Clock) -> None:
        self._state = state
        self._applier = applier
        self._clock = clock

    async def step(self) -> float | None:
        """Decide and start what is to be deleted; the next look is due after the interval."""
        for surplus in retention.surplus(self._state, self._clock.now()):
            self._applier.start(surplus)
        return None
