"""Brings each pool to its number of agents: creates, drains, deletes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core import scaling

if TYPE_CHECKING:
    from agentcorps.control.fleet_writes import FleetApplier
    from agentcorps.control.remembered import Remembered
    from agentcorps.core.state import State
    from agentcorps.ports import Clock


class ScaleAgents:
    """One step over all pools, and over draining agents that stand alone."""

    def __init__(
        self, state: State, applier: FleetApplier, remembered: Remembered, clock: Clock
    ) -> None:
        self._state = state
        self._applier = applier
        self._remembered = remembered
        self._clock = clock

    async def step(self) -> float | None:
        """Decide and do; returns the seconds until a drain or a rest is over."""
        now = self._clock.now()
        resting = self._remembered.pools
        actions = [
            action
            for key in list(self._state.pools)
            if not resting.resting(key, now.monotonic)
            for action in scaling.replicas(self._state, key, now, self._remembered.first_hello)
        ]
        actions.extend(scaling.drained_alone(self._state, now))
        await self._applier.carry_out(actions)
        now = self._clock.now()
        due = scaling.next_due(self._state, now)
        pauses = [resting.next_due(now.monotonic), None if due is None else due - now.monotonic]
        return min((pause for pause in pauses if pause is not None), default=None)
