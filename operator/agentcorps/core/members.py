"""The agents of each pool and namespace, and what they can do between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agentcorps.core.label_selector import matches

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from agentcorps.core.records import AgentRecord, Key, Target

Capabilities = frozenset[str]


class _Class(NamedTuple):
    """Agents that are alike."""

    labels: frozenset[tuple[str, str]]
    capabilities: Capabilities


class _Member(NamedTuple):
    agent: AgentRecord
    capabilities: Capabilities
    alike: _Class


class Members:
    """Agents by pool, connected or not, with a count of each class of them.

    Agents that stand alone are those of a pool without a name.
    """

    def __init__(self) -> None:
        self._known: dict[Key, _Member] = {}
        self._agents: dict[Key, dict[Key, AgentRecord]] = {}
        self._counts: dict[Key, dict[_Class, int]] = {}
        self._pools: dict[str, set[Key]] = {}

    def put(self, agent: AgentRecord, capabilities: Capabilities) -> None:
        """Add an agent, or change what it can do."""
        known = self._known.get(agent.key)
        if known is not None and known.agent is agent and known.capabilities == capabilities:
            return
        self.remove(agent.key)
        alike = _Class(frozenset(agent.labels.items()), capabilities)
        pool = agent.pool_key
        self._known[agent.key] = _Member(agent, capabilities, alike)
        self._agents.setdefault(pool, {})[agent.key] = agent
        self._pools.setdefault(pool.namespace, set()).add(pool)
        counts = self._counts.setdefault(pool, {})
        counts[alike] = counts.get(alike, 0) + 1

    def remove(self, agent: Key) -> None:
        """Take an agent out."""
        member = self._known.pop(agent, None)
        if member is None:
            return
        pool = member.agent.pool_key
        agents, counts = self._agents[pool], self._counts[pool]
        del agents[agent]
        counts[member.alike] -= 1
        if not counts[member.alike]:
            del counts[member.alike]
        if not agents:
            del self._agents[pool], self._counts[pool]
            self._pools[pool.namespace].discard(pool)
            if not self._pools[pool.namespace]:
                del self._pools[pool.namespace]

    def of(self, pool: Key) -> Collection[AgentRecord]:
        """The agents of a pool."""
        return self._agents.get(pool, {}).values()

    def of_target(self, target: Target) -> Collection[AgentRecord]:
        """The agents that a target means; with a selector, a look at all of the namespace."""
        if target.pool:
            return self.of(target.pool_key)
        return [
            agent
            for pool in self._pools.get(target.namespace, ())
            for agent in self.of(pool)
            if matches(target.selector, agent.labels)
        ]

    def can(self, target: Target, requires: Capabilities) -> bool:
        """Whether any agent that a target means, busy or not, has these capabilities."""
        return any(
            requires <= alike.capabilities
            and (bool(target.pool) or matches(target.selector, dict(alike.labels)))
            for alike in self._classes(target)
        )

    def _classes(self, target: Target) -> Iterator[_Class]:
        pools: Collection[Key] = (
            (target.pool_key,) if target.pool else self._pools.get(target.namespace, ())
        )
        return (alike for pool in pools for alike in self._counts.get(pool, ()))
