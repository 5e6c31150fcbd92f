"""Quotas on the virtual clock: shared out by the operator's own code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core.quota.shares import Claim, Line, fits, share_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentcorps.core.quota_record import QuotaRecord
    from agentcorps.core.records import Key, PoolRecord


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
        self._grants: dict[Key, int] = {}

    def grants(self, targets: Mapping[Key, int]) -> Mapping[Key, int]:
        """Return how many agents each pool may have."""
        if targets != self._targets:
            self._targets = dict(targets)
            self._grants = self._granted(targets) if self._shared else dict(targets)
        return self._grants

    def creatable(self, pool: Key, missing: int) -> int:
        """Return how many more agents there is place for, beside all that exist."""
        return fits(self._costs[pool], self._left, missing)

    def take(self, pool: Key, pods: int) -> None:
        """So many pods have come, or (below 0) gone."""
        if self._lines:
            costs = self._costs[pool]
            self._left = [free - cost * pods for free, cost in zip(self._left, costs, strict=True)]

    def _granted(self, targets: Mapping[Key, int]) -> dict[Key, int]:
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
        return {key: grant.agents for key, grant in share_out(claims, self._lines).items()}


def _costs(pool: PoolRecord, quotas: Sequence[QuotaRecord]) -> tuple[int, ...]:
    return tuple(
        costs.get(resource, 0)
        for quota in quotas
        for costs in (quota.costs(pool.charge) if _about(quota, pool) else {},)
        for resource in quota.hard
    )


def _about(quota: QuotaRecord, pool: PoolRecord) -> bool:
    return quota.key.namespace == pool.key.namespace
