"""Numbers of what there is, for those who measure: no names of Tasks or Agents, no payload."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from agentcorps.api.meta import AgentPhase
from agentcorps.api.scaling import LimitedBy
from agentcorps.core.quota.books import total

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentcorps.core.charge import Charge
    from agentcorps.core.quota_record import QuotaRecord
    from agentcorps.core.records import AgentRecord, Key, PoolRecord
    from agentcorps.core.room import Room
    from agentcorps.core.scaling_status import Scaled
    from agentcorps.core.state import State

_AT_REST = frozenset({AgentPhase.IDLE, AgentPhase.BUSY})


class PoolNumbers(NamedTuple):
    """What there is to say of one AgentPool, in agents unless said otherwise."""

    target: int
    desired: int
    """What its highest policy asks for; `spec.replicas` where none does."""
    ready: int
    granted: int | None
    """Its share of the namespace's quotas; None where there is none."""
    share: float | None
    """Its dominant share: the largest part of any resource of the quotas that its pods take."""
    limited_by: LimitedBy
    failing: int
    """Policies whose metric cannot be had."""


def agent_phases(state: State) -> Counter[tuple[Key, AgentPhase]]:
    """Count the agents of each pool by phase.

    Idle or Busy is told by the tasks bound to the agent: statuses tell it only once it has lasted.
    """
    return Counter((agent.pool_key, _phase(state, agent)) for agent in state.agents.values())


def _phase(state: State, agent: AgentRecord) -> AgentPhase:
    if agent.phase in _AT_REST:
        return AgentPhase.BUSY if state.bound_to(agent.key) else AgentPhase.IDLE
    return agent.phase or AgentPhase.PENDING


def quotas_of_pools(state: State) -> list[QuotaRecord]:
    """Return the ResourceQuotas of the namespaces in which there are pools."""
    namespaces = {key.namespace for key in state.pools}
    return [quota for quota in state.quotas.values() if quota.key.namespace in namespaces]


def pool_numbers(
    state: State,
    agents: Mapping[tuple[Key, AgentPhase], int],
    rooms: Mapping[Key, Room],
    scaled: Mapping[str, Scaled],
) -> Iterator[tuple[Key, PoolNumbers]]:
    """Yield the numbers of each pool.

    Args:
        state: What was observed.
        agents: What `agent_phases` returned.
        rooms: By pool: what quotas and its own agents leave to it.
        scaled: By UID of the pool: the last decision about its target.
    """
    shares = dominant_shares(state)
    for key, pool in state.pools.items():
        room, decided = rooms.get(key), scaled.get(pool.uid)
        target = state.targets.of(pool)
        desired = pool.replicas if pool.scaling is None else target
        failing = 0
        if decided is not None:
            desired = max((one.replicas for one in decided.decision.demands), default=desired)
            failing = len(decided.decision.failing)
        yield (
            key,
            PoolNumbers(
                target=target,
                desired=desired,
                ready=sum(agents.get((key, phase), 0) for phase in _AT_REST),
                granted=None if room is None or not room.by_quota else room.granted,
                share=shares.get(key),
                limited_by=_limited_by(pool),
                failing=failing,
            ),
        )


def dominant_shares(state: State) -> dict[Key, float]:
    """Return the dominant share of each pool whose namespace has a quota.

    Source: Ghodsi et al., Dominant Resource Fairness (NSDI 2011), without the pools' weights.
    """
    quotas: dict[str, list[QuotaRecord]] = {}
    for quota in quotas_of_pools(state):
        quotas.setdefault(quota.key.namespace, []).append(quota)
    taken: dict[Key, Counter[Charge]] = {
        key: Counter() for key in state.pools if key.namespace in quotas
    }
    for pod in state.pods.values() if taken else ():
        agent = state.agents.get(pod.key)
        charges = None if agent is None else taken.get(agent.pool_key)
        if charges is not None:
            charges[pod.charge.ended() if pod.terminated else pod.charge] += 1
    return {
        key: max((_share(quota, charges) for quota in quotas[key.namespace]), default=0.0)
        for key, charges in taken.items()
    }


def _share(quota: QuotaRecord, charges: Mapping[Charge, int]) -> float:
    used = total(quota, charges)
    return max((used[name] / hard for name, hard in quota.hard.items() if hard), default=0.0)


def _limited_by(pool: PoolRecord) -> LimitedBy:
    """What the status tells; others may have written it, too, so that it may be no word of ours."""
    try:
        return LimitedBy(pool.status.get("limitedBy", LimitedBy.NONE))
    except ValueError:
        return LimitedBy.NONE
