"""Keeps the status of Agents and AgentPools true, and writes as seldom as the reader can bear."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core import coalescing, health, statuses
from agentcorps.core.actions import SetAgentStatus, SetPoolStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from agentcorps.control.fleet_writes import FleetApplier
    from agentcorps.control.remembered import Remembered
    from agentcorps.core.actions import StatusAction
    from agentcorps.core.coalescing import Change
    from agentcorps.core.records import AgentRecord, Key, Now, PoolRecord
    from agentcorps.core.state import State
    from agentcorps.core.statuses import Memory
    from agentcorps.ports import Clock

    Write = tuple[Key, int, dict[str, Any]]
    Compute = Callable[[State, Key, Now, Memory], dict[str, Any]]
    Judge = Callable[[Mapping[str, Any], Mapping[str, Any], Change | None, float], Change | None]


class MonitorAgents:
    """One step over all agents and pools."""

    def __init__(
        self, state: State, applier: FleetApplier, remembered: Remembered, clock: Clock
    ) -> None:
        self._state = state
        self._applier = applier
        self._remembered = remembered
        self._clock = clock
        self._agents: dict[Key, Change] = {}
        self._pools: dict[Key, Change] = {}

    async def step(self) -> float | None:
        """Write what is due; returns the seconds until the next status is."""
        now, memory = self._clock.now(), self._remembered.memory()
        due: list[StatusAction] = [
            *(SetAgentStatus(*change) for change in self._due_agents(now, memory)),
            *(SetPoolStatus(*change) for change in self._due_pools(now, memory)),
        ]
        await self._applier.carry_out(due)
        return self._pause(self._clock.now())

    def _due_agents(self, now: Now, memory: Memory) -> Iterator[Write]:
        stored = {key: one for key, one in self._state.agents.items() if not one.deleting}
        return self._due(
            stored, self._agents, statuses.agent_status, coalescing.agent_status_change, now, memory
        )

    def _due_pools(self, now: Now, memory: Memory) -> Iterator[Write]:
        stored = {key: one for key, one in self._state.pools.items() if not one.deleting}
        return self._due(
            stored, self._pools, statuses.pool_status, coalescing.pool_status_change, now, memory
        )

    def _due(
        self,
        stored: Mapping[Key, AgentRecord] | Mapping[Key, PoolRecord],
        changes: dict[Key, Change],
        compute: Compute,
        judge: Judge,
        now: Now,
        memory: Memory,
    ) -> Iterator[Write]:
        """The statuses to write now; notes for the others since when they differ."""
        for key in [key for key in changes if key not in stored]:
            del changes[key]
        for key, record in stored.items():
            new = compute(self._state, key, now, memory)
            change = judge(record.status, new, changes.pop(key, None), now.monotonic)
            if change is None:
                continue
            if change.due <= now.monotonic:
                yield key, record.resource_version, new
            else:
                changes[key] = change

    def _pause(self, now: Now) -> float | None:
        moments = [change.due for change in (*self._agents.values(), *self._pools.values())]
        by_time = health.next_due(self._state, now, self._remembered.first_hello)
        if by_time is not None:
            moments.append(by_time)
        return min((moment - now.monotonic for moment in moments), default=None)
