"""Keeps the status of Agents and AgentPools true, and writes as seldom as the reader can bear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentcorps.control.loop import soonest
from agentcorps.core import coalescing, health, statuses
from agentcorps.core.actions import SetAgentStatus, SetPoolStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentcorps.control.basis import Basis
    from agentcorps.control.fleet_writes import FleetApplier
    from agentcorps.core.actions import StatusAction
    from agentcorps.core.coalescing import Change
    from agentcorps.core.records import Key, Now
    from agentcorps.core.statuses import Memory, View


MAX_AGENTS_AT_A_TIME: Final = 64
"""Statuses of agents per step: while hundreds become ready, what their pool says must not wait."""


class MonitorAgents:
    """One step over the agents and pools that changed, or for which the time has come."""

    def __init__(self, basis: Basis, applier: FleetApplier) -> None:
        self._state, self._remembered, self._clock = basis
        self._applier = applier
        self._agents = self._state.news.of_agents()
        self._pools = self._state.news.of_pools(counts=True)
        self._views: dict[Key, View] = {}
        """How each agent was seen last."""
        self._agent_changes: dict[Key, Change] = {}
        self._pool_changes: dict[Key, Change] = {}

    async def step(self) -> float | None:
        """Write what is due; returns the seconds until the next status is."""
        now, memory = self._clock.now(), self._remembered.memory()
        agents = list(self._due_agents(now, memory))
        # A pool is told by how its agents have just been seen, and written first.
        due: list[StatusAction] = [*self._due_pools(now, memory), *agents]
        await self._applier.carry_out(due)
        alarm = soonest(self._agents.next_alarm(), self._pools.next_alarm())
        return None if alarm is None else alarm - self._clock.now().monotonic

    def _due_agents(self, now: Now, memory: Memory) -> Iterator[SetAgentStatus]:
        room = MAX_AGENTS_AT_A_TIME
        for key in self._agents.take_due(now.monotonic):
            view = self._look_at(key, now, memory)
            agent = self._state.agents.get(key)
            if agent is None or view is None:
                self._agents.forget(key)
                self._agent_changes.pop(key, None)
                continue
            if not room:
                self._agents.wake(key, now.monotonic)
                continue
            before = self._agent_changes.pop(key, None)
            again = health.next_due(self._state, now, memory.first_hello, (agent,))
            if not agent.deleting:
                new = statuses.agent_status(self._state, key, now, memory, seen=view)
                judge = coalescing.agent_status_change
                change = judge(agent.status, new, before, now.monotonic)
                if change is not None and change.due <= now.monotonic:
                    room -= 1
                    yield SetAgentStatus(key, agent.resource_version, new)
                elif change is not None:
                    self._agent_changes[key] = change
                    again = soonest(again, change.due)
            self._agents.wake(key, again)

    def _look_at(self, key: Key, now: Now, memory: Memory) -> View | None:
        """See an agent anew, and have its pool looked at if it looks different."""
        agent = self._state.agents.get(key)
        before = self._views.pop(key, None)
        if agent is None:
            return None
        view = self._views[key] = statuses.view(self._state, agent, now, memory)
        if view != before:
            self._pools.look_at(agent.pool_key)
        return view

    def _due_pools(self, now: Now, memory: Memory) -> Iterator[SetPoolStatus]:
        for key in self._pools.take_due(now.monotonic):
            before = self._pool_changes.pop(key, None)
            pool = self._state.pools.get(key)
            if pool is None or pool.deleting:
                self._pools.forget(key)
                continue
            new = statuses.pool_status(self._state, key, now, memory, self._views)
            change = coalescing.pool_status_change(pool.status, new, before, now.monotonic)
            if change is not None and change.due <= now.monotonic:
                yield SetPoolStatus(key, pool.resource_version, new)
            elif change is not None:
                self._pool_changes[key] = change
            self._pools.wake(key, None if change is None else change.due)
