"""Brings each pool to its number of agents: creates, drains, deletes."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from agentcorps.control.loop import soonest
from agentcorps.core import scaling
from agentcorps.core.actions import CreateAgent, DeleteAgent
from agentcorps.core.room import is_limited

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentcorps.control.basis import Basis
    from agentcorps.control.fleet_writes import FleetApplier
    from agentcorps.control.resource_pool import ResourcePool
    from agentcorps.core.actions import Drain
    from agentcorps.core.records import Key, Now
    from agentcorps.core.room import Room


MAX_CREATED_AT_A_TIME: Final = 32
"""Agents per step, over all pools: the first ones' pods start while the last ones are made."""
MAX_LEAVING_AT_A_TIME: Final = 64
"""Drains per step, and deletions: others take the first places while the last ones are left."""


class ScaleAgents:
    """One step over the pools that changed, or are on their way to what they should be."""

    def __init__(self, basis: Basis, applier: FleetApplier, resource_pool: ResourcePool) -> None:
        self._state, self._remembered, self._clock = basis
        self._applier = applier
        self._changed = self._state.news.of_pools()
        self._moving: set[Key] = set()
        """Pools to decide about at each step, until they are what they should be."""
        self._resource_pool = resource_pool

    async def step(self) -> float | None:
        """Decide and do; returns the seconds until it has more to do: 0.0 where not all is done."""
        now = began = self._clock.now()
        shares = self._resource_pool.share_out(now)
        self._moving.update(self._changed.take_due(now.monotonic))
        leaving, created = self._decide(now, shares)
        others = _first(leaving)
        await self._applier.carry_out([*others, *created[:MAX_CREATED_AT_A_TIME]])
        now, state = self._clock.now(), self._state
        # What failed has left its pool on its way, and is tried again.
        self._moving = {
            key
            for key in self._moving
            if is_limited(shares.get(key)) or not scaling.at_rest(state, key)
        }
        agents = (agent for key in self._moving for agent in state.agents_of(key))
        due = soonest(
            scaling.next_due(state, now, agents), self._resource_pool.next_due(now, self._moving)
        )
        more = len(others) < len(leaving) or len(created) > MAX_CREATED_AT_A_TIME
        goes_on = more or any(map(self._came_true, others))
        # A rest that has ended since it was looked at is over now.
        passed = now.monotonic - began.monotonic
        rest = soonest(
            self._remembered.pools.next_due(began.monotonic),
            self._remembered.replaced_agents.next_due(began.monotonic),
        )
        return soonest(
            0.0 if goes_on else None,
            None if rest is None else max(0.0, rest - passed),
            None if due is None else due - now.monotonic,
        )

    def _decide(
        self, now: Now, shares: Mapping[Key, Room]
    ) -> tuple[list[Drain | DeleteAgent], list[CreateAgent]]:
        """Return what is to be done, and whom to create: of each pool one, and so on in turn."""
        others: list[Drain | DeleteAgent] = []
        creations: list[list[CreateAgent]] = []
        first_hello, rules = self._remembered.first_hello, self._resource_pool.rules
        for key in sorted(self._moving):
            created: list[CreateAgent] = []
            room = shares.get(key)
            for action in scaling.replicas(self._state, key, now, first_hello, room, rules):
                if not isinstance(action, CreateAgent):
                    others.append(action)
                elif not self._rests(key, now):
                    created.append(action)
            creations.append(created)
        turns = zip_longest(*creations)
        return others, [action for turn in turns for action in turn if action is not None]

    def _came_true(self, action: Drain | DeleteAgent) -> bool:
        """Whether what was done is observed already, by its answer: the watch may wake nobody."""
        agent = self._state.agents.get(action.agent)
        if isinstance(action, DeleteAgent):
            return agent is None
        return agent is not None and agent.draining_since is not None

    def _rests(self, key: Key, now: Now) -> bool:
        """Whether the next agent of a pool is made later: the last could not be, or was no good."""
        pool = self._state.pools[key]
        return self._remembered.pools.resting(
            key, now.monotonic
        ) or self._remembered.replaced_agents.resting(pool.edition, now.monotonic)


def _first(leaving: list[Drain | DeleteAgent]) -> list[Drain | DeleteAgent]:
    """Return as many as leave in one step: deletions, which free places, do not wait for drains."""
    deletions = [one for one in leaving if isinstance(one, DeleteAgent)]
    drains = [one for one in leaving if not isinstance(one, DeleteAgent)]
    return [*deletions[:MAX_LEAVING_AT_A_TIME], *drains[:MAX_LEAVING_AT_A_TIME]]
