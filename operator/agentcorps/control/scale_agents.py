"""Brings each pool to its number of agents: creates, drains, deletes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.control.loop import soonest
from agentcorps.core import scaling
from agentcorps.core.actions import CreateAgent

if TYPE_CHECKING:
    from agentcorps.control.fleet_writes import FleetApplier
    from agentcorps.control.remembered import Remembered
    from agentcorps.core.records import Key, Now
    from agentcorps.core.state import State
    from agentcorps.ports import Clock


class ScaleAgents:
    """One step over the pools that changed, or are on their way to what they should be."""

    def __init__(
        self, state: State, applier: FleetApplier, remembered: Remembered, clock: Clock
    ) -> None:
        self._state = state
        self._applier = applier
        self._remembered = remembered
        self._clock = clock
        self._changed = state.news.of_pools()
        self._moving: set[Key] = set()

    async def step(self) -> float | None:
        """Decide and do; returns the seconds until a drain or a rest is over."""
        now = self._clock.now()
        self._moving.update(self._changed.take_due(now.monotonic))
        actions = [
            action
            for key in sorted(self._moving)
            for action in scaling.replicas(self._state, key, now, self._remembered.first_hello)
            if not (isinstance(action, CreateAgent) and self._rests(key, now))
        ]
        await self._applier.carry_out(actions)
        now, state = self._clock.now(), self._state
        # What failed has left its pool on its way, and is tried again.
        self._moving = {key for key in self._moving if not scaling.at_rest(state, key)}
        agents = (agent for key in self._moving for agent in state.agents_of(key))
        due = scaling.next_due(state, now, agents)
        return soonest(
            self._remembered.pools.next_due(now.monotonic),
            self._remembered.replaced_agents.next_due(now.monotonic),
            None if due is None else due - now.monotonic,
        )

    def _rests(self, key: Key, now: Now) -> bool:
        """Whether the next agent of a pool is made later: the last could not be, or was no good."""
        pool = self._state.pools[key]
        return self._remembered.pools.resting(
            key, now.monotonic
        ) or self._remembered.replaced_agents.resting(pool.edition, now.monotonic)
