"""Which agents are a pool's own, and count toward its number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentcorps.core.records import AgentRecord, PoolRecord


def is_own(agent: AgentRecord, pool: PoolRecord) -> bool:
    """Tell whether an agent is of this very pool, and not being deleted."""
    return agent.pool_uid == pool.uid and not agent.deleting


def is_active(agent: AgentRecord, pool: PoolRecord) -> bool:
    """Tell whether an agent counts toward its pool's target: it is the pool's own, and stays."""
    return is_own(agent, pool) and not agent.quarantined and agent.draining_since is None
