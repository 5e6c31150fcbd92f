"""Quotas on the virtual clock: shared out by the operator's own code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core.quota.reclaim import victims
from agentcorps.core.quota.shares import Claim, Grant, Line, fits, share_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentcorps.core.quota_record import QuotaRecord
    from agentcorps.core.records import Key, PoolRecord
    from agentcorps.core.simulation.crew import Crew


class Shares:
    """What of the quotas each pool may have, and what is taken of them."""

    def __init__(
        self, pools: Sequence[PoolRecord], quotas: Sequence[QuotaRecord], *, shared: bool
    ) -> None:
        """Without ``shared`` each pool may have all that is free."""
        self._pools = pools
        self._shared = shared and bool(quotas)
        self._lines = [
            Line(
                f"{resource} of ResourceQuota {quota.key.name}",
                quota.hard[resource],
                quota.hard[resource],
            )
            for quota in quotas
            for resource in quota.hard
        ]
        self._costs = {pool.key: _costs(pool, quotas) for pool in pools}
        self._left = [line.left for line in self._lines]
        self._targets: Mapping[Key, int] = {}
        self._grants: Mapping[Key, Grant] = {}

    def grants(self, targets: Mapping[Key, int]) -> Mapping[Key, Grant]:
        """Return how many agents each pool may have."""
        if targets != self._targets:
            self._targets = dict(targets)
            self._grants = self._granted(targets)
        return self._grants

    def at_work(self, crews: Sequence[Crew]) -> Mapping[Key, int]:
        """Return how many agents at work each pool is to drain for others' shares."""
        if not any(crew.plan.pool.quota_preempts and crew.active < crew.granted for crew in crews):
            return {}
        free = self._left
        for crew in crews:
            leaving = len(crew.agents) - crew.active
            costs = self._costs[crew.key]
            free = [room + cost * leaving for room, cost in zip(free, costs, strict=True)]
        return victims([crew.holding(self._costs[crew.key]) for crew in crews], free)

    def creatable(self, pool: Key, missing: int) -> int:
        """Return how many more agents there is place for, beside all that exist."""
        return fits(self._costs[pool], self._left, missing)

    def take(self, pool: Key, pods: int) -> None:
        """So many pods have come, or (below 0) gone."""
        if self._lines:
            costs = self._costs[pool]
            self._left = [free - cost * pods for free, cost in zip(self._left, costs, strict=True)]

    def _granted(self, targets: Mapping[Key, int]) -> Mapping[Key, Grant]:
        if not self._shared:
            return {key: Grant(target) for key, target in targets.items()}
        claims = [
            Claim(
                pool.key,
                targets[pool.key],
                self._costs[pool.key],
                least=0 if pool.scaling is None else pool.scaling.min_replicas,
                priority=pool.quota_priority,
                weight=pool.quota_weight,
            )
            for pool in self._pools
        ]
        return share_out(claims, self._lines)


def _costs(pool: PoolRecord, quotas: Sequence[QuotaRecord]) -> tuple[int, ...]:
    return tuple(
        costs.get(resource, 0)
        for quota in quotas
        for costs in (quota.costs(pool.charge) if _about(quota, pool) else {},)
        for resource in quota.hard
    )


def _about(quota: QuotaRecord, pool: PoolRecord) -> bool:
    return quota.key.namespace == pool.key.namespace
