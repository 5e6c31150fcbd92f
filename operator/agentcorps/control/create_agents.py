"""Gives each Agent its Pod, and takes away pods that no longer serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.control.loop import soonest
from agentcorps.core import health

if TYPE_CHECKING:
    from agentcorps.control.fleet_writes import FleetApplier
    from agentcorps.control.remembered import Remembered
    from agentcorps.core.records import Key
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
        creations = [
            action
            for action in health.pods_to_create(self._state)
            if not self._rests(action.agent, now.monotonic)
        ]
        deletions = health.doomed_pods(self._state, now, self._remembered.first_hello)
        await self._applier.carry_out([*creations, *deletions])
        now = self._clock.now()
        due = health.next_due(self._state, now, self._remembered.first_hello)
        return soonest(
            self._remembered.pods.next_due(now.monotonic),
            self._remembered.replaced_pods.next_due(now.monotonic),
            None if due is None else due - now.monotonic,
        )

    def _rests(self, key: Key, now: float) -> bool:
        """Whether an agent's next pod is made later: the last could not be, or was no good."""
        agent = self._state.agents[key]
        return self._remembered.pods.resting(key, now) or self._remembered.replaced_pods.resting(
            agent.uid, now
        )
