"""What a pool has to do, and with how many agents, at one instant."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from agentcorps.core.membership import is_active
from agentcorps.core.metric_sources import sources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentcorps.api.scaling import Scaling
    from agentcorps.core.gauges import Metric
    from agentcorps.core.records import PoolRecord
    from agentcorps.core.state import State


_NONE: Final[Mapping[int, Metric]] = MappingProxyType({})


class Load(NamedTuple):
    """The numbers that a decision is made from."""

    queued: int = 0
    """Tasks that wait for an agent of the pool, and that its agents can serve. Those that wait for
    the end of a back-off count: an agent that is there when it ends spares the Task a start."""
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
    metrics: Mapping[int, Metric] = _NONE
    """By the position of the policy: what is known of its metric."""
    unfit: int = 0
    """Tasks that wait although no agent of the pool will ever have what they require."""


def load_of(state: State, pool: PoolRecord) -> Load:
    """Return the load of a pool that the state has."""
    active = [agent.key for agent in state.agents_of(pool.key) if is_active(agent, pool)]
    fitting = state.fitting(pool.key, pool.capabilities)
    return Load(
        queued=fitting,
        running=state.running(pool.key),
        slots=pool.slots,
        agents=len(active),
        busy=sum(1 for key in active if state.bound_to(key)),
        ready=sum(1 for key in active if key in state.sessions),
        service_seconds=state.timers.service_seconds(pool.key),
        metrics={} if pool.scaling is None else _metrics(state, pool.uid, pool.scaling),
        unfit=state.queued(pool.key) - fitting,
    )


def _metrics(state: State, pool_uid: str, scaling: Scaling) -> dict[int, Metric]:
    return {
        number: state.gauges.of(pool_uid, source) for number, source in sources(scaling).items()
    }
