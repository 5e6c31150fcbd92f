"""What a pool has to do, and with how many agents, at one instant."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agentcorps.core.scaling import is_active

if TYPE_CHECKING:
    from agentcorps.core.records import PoolRecord
    from agentcorps.core.state import State


class Load(NamedTuple):
    """The numbers that a decision is made from."""

    queued: int = 0
    """Tasks that wait for an agent of the pool."""
    running: int = 0
    """Tasks that its agents work on."""
    slots: int = 1
    """Tasks that one of its agents works on at a time."""
    agents: int = 0
    """Agents that count toward the target."""
    busy: int = 0
    """Those of them that have a Task."""
    ready: int = 0
    """Those of them that are connected."""
    service_seconds: float | None = None
    """How long an attempt took lately, on average; None when none has ended yet."""


def load_of(state: State, pool: PoolRecord) -> Load:
    """Return the load of a pool that the state has."""
    active = [agent.key for agent in state.agents_of(pool.key) if is_active(agent, pool)]
    return Load(
        queued=state.queued(pool.key),
        running=state.running(pool.key),
        slots=pool.slots,
        agents=len(active),
        busy=sum(1 for key in active if state.bound_to(key)),
        ready=sum(1 for key in active if key in state.sessions),
        service_seconds=state.timers.service_seconds(pool.key),
    )
