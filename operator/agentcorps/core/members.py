"""The agents of each pool, and what they can do between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

    from agentcorps.core.records import AgentRecord, Key

Capabilities = frozenset[str]


class _Member(NamedTuple):
    pool: Key
    capabilities: Capabilities


class Members:
    """Agents by pool, connected or not, with a count of each set of capabilities."""

    def __init__(self) -> None:
        self._known: dict[Key, _Member] = {}
        self._agents: dict[Key, dict[Key, AgentRecord]] = {}
        self._counts: dict[Key, dict[Capabilities, int]] = {}

    def put(self, agent: AgentRecord, capabilities: Capabilities) -> None:
        """Add an agent, or change what it can do."""
        member = _Member(agent.pool_key, capabilities)
        if self._known.get(agent.key) != member:
            self.remove(agent.key)
            self._known[agent.key] = member
            counts = self._counts.setdefault(member.pool, {})
            counts[capabilities] = counts.get(capabilities, 0) + 1
        self._agents.setdefault(member.pool, {})[agent.key] = agent

    def remove(self, agent: Key) -> None:
        """Take an agent out."""
        member = self._known.pop(agent, None)
        if member is None:
            return
        agents, counts = self._agents[member.pool], self._counts[member.pool]
        del agents[agent]
        counts[member.capabilities] -= 1
        if not counts[member.capabilities]:
            del counts[member.capabilities]
        if not agents:
            del self._agents[member.pool], self._counts[member.pool]

    def of(self, pool: Key) -> Collection[AgentRecord]:
        """The agents of a pool."""
        return self._agents.get(pool, {}).values()

    def can(self, pool: Key, requires: Capabilities) -> bool:
        """Whether any agent of the pool, busy or not, has these capabilities."""
        return any(requires <= capabilities for capabilities in self._counts.get(pool, ()))
