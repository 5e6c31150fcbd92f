"""Gives each Agent its Pod, and takes away pods that no longer serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core import health

if TYPE_CHECKING:
    from agentcorps.control.fleet_writes import FleetApplier
    from agentcorps.control.remembered import Remembered
    from agentcorps.core.state import State
    from agentcorps.ports import Clock


class CreateAgents:
    """One step over all agents."""

    def __init__(
        self, state: State, applier: FleetApplier, remembered: Remembered, clock: Clock
    ) -> None:
        self._state = state
        self._applier = applier
        self._remembered = remembered
        self._clock = clock

    async def step(self) -> float | None:
        """Decide and do; returns the seconds until an agent's silence or a rest is over."""
        now = self._clock.now()
        resting = self._remembered.pods
        creations = [
            action
            for action in health.pods_to_create(self._state)
            if not resting.resting(action.agent, now.monotonic)
        ]
        deletions = health.doomed_pods(self._state, now, self._remembered.first_hello)
        await self._applier.carry_out([*creations, *deletions])
        now = self._clock.now()
        due = health.next_due(self._state, now, self._remembered.first_hello)
        pauses = [resting.next_due(now.monotonic), None if due is None else due - now.monotonic]
        return min((pause for pause in pauses if pause is not None), default=None)
