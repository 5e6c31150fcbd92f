"""How many agents each pool may have, and may create now, under its namespace's quotas.

Recomputed from what was observed, never counted up. An Agent without a pod is the reservation of
its pod's place: it is made before the pod, and bears the pod's name.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from agentcorps.core.assessment import own_pod
from agentcorps.core.quota.shares import Claim, Line, fits, share_out
from agentcorps.core.room import Room
from agentcorps.core.scaling import is_active

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agentcorps.core.charge import Charge
    from agentcorps.core.quota.foreign import ForeignUse
    from agentcorps.core.quota_record import QuotaRecord
    from agentcorps.core.records import Key, Now, PodRecord, PoolRecord
    from agentcorps.core.state import State


def rooms(state: State, foreign: ForeignUse, now: Now) -> dict[Key, Room]:
    """Return the room of each pool that lives in a namespace with a ResourceQuota.

    Args:
        state: What was observed.
        foreign: What others use; it is brought up to date.
        now: This instant.
    """
    by_namespace: dict[str, list[QuotaRecord]] = {}
    for quota in sorted(state.quotas.values(), key=lambda one: one.key):
        by_namespace.setdefault(quota.key.namespace, []).append(quota)
    foreign.keep({quota.uid for quota in state.quotas.values()})
    found: dict[Key, Room] = {}
    for namespace, quotas in by_namespace.items():
        found |= _Namespace(state, namespace, quotas, foreign, now).rooms()
    return found


class _Namespace:
    """One namespace: its quotas, and what of them our pods take."""

    def __init__(
        self,
        state: State,
        namespace: str,
        quotas: Sequence[QuotaRecord],
        foreign: ForeignUse,
        now: Now,
    ) -> None:
        self._state = state
        self._quotas = quotas
        self._pods = [
            pod
            for pod in state.pods.values()
            if pod.key.namespace == namespace and not pod.terminated
        ]
        self._pools = [
            pool
            for pool in state.pools.values()
            if pool.key.namespace == namespace and not (pool.invalid or pool.deleting)
        ]
        self._sizes = {pool.key: self._size(pool) for pool in self._pools}
        own = Counter(pod.charge for pod in self._pods)
        for quota in quotas:
            foreign.see(quota, _total(quota, own), now)
        self._hard = {
            (quota.uid, resource): quota.hard[resource] - foreign.of(quota, resource)
            for quota in quotas
            for resource in quota.hard
        }

    def rooms(self) -> dict[Key, Room]:
        """Return the room of each pool."""
        state = self._state
        strangers = Counter(pod.charge for pod in self._pods if not self._is_shared(pod))
        lines = self._lines(strangers)
        claims = [
            Claim(
                pool.key,
                state.targets.of(pool),
                self._costs(self._sizes[pool.key]),
                least=0 if pool.scaling is None else pool.scaling.min_replicas,
                priority=pool.quota_priority,
                weight=pool.quota_weight,
            )
            for pool in self._pools
        ]
        grants = share_out(claims, lines)
        creatable = self._creatable(claims, {key: grant.agents for key, grant in grants.items()})
        return {
            claim.pool: Room(
                claim.wanted,
                grants[claim.pool].agents,
                creatable[claim.pool],
                grants[claim.pool].short_of,
            )
            for claim in claims
        }

    def _creatable(self, claims: Iterable[Claim], grants: Mapping[Key, int]) -> dict[Key, int]:
        """Return how many agents fit beside all pods that are there, and those about to be."""
        taken = Counter(pod.charge for pod in self._pods)
        active: dict[Key, int] = {}
        for pool in self._pools:
            agents = [a for a in self._state.agents_of(pool.key) if is_active(a, pool)]
            active[pool.key] = len(agents)
            taken[self._sizes[pool.key]] += sum(own_pod(self._state, a) is None for a in agents)
        left = [line.left for line in self._lines(taken)]
        found: dict[Key, int] = {}
        for claim in claims:
            missing = max(0, grants[claim.pool] - active[claim.pool])
            found[claim.pool] = count = fits(claim.costs, left, missing)
            left = [free - cost * count for free, cost in zip(left, claim.costs, strict=True)]
        return found

    def _lines(self, taken: Mapping[Charge, int]) -> list[Line]:
        """Return what others, and these pods of ours, leave of each quota."""
        return [
            Line(
                f"{resource} of ResourceQuota {quota.key.name}",
                quota.hard[resource],
                self._hard[quota.uid, resource] - total.get(resource, 0),
            )
            for quota in self._quotas
            for total in (_total(quota, taken),)
            for resource in quota.hard
        ]

    def _costs(self, size: Charge) -> tuple[int, ...]:
        return tuple(
            costs.get(resource, 0)
            for quota in self._quotas
            for costs in (quota.costs(size),)
            for resource in quota.hard
        )

    def _is_shared(self, pod: PodRecord) -> bool:
        """Tell whether a pod is a pool's own, or about to leave its place to one."""
        agent = self._state.agents.get(pod.key)
        return pod.deleting or (agent is not None and agent.pool_key in self._sizes)

    def _size(self, pool: PoolRecord) -> Charge:
        """Return what a pod of a pool takes: as admitted, if one was, else by its template."""
        for agent in self._state.agents_of(pool.key):
            pod = own_pod(self._state, agent)
            if pod is not None and pod.template_hash == pool.template_hash:
                return pod.charge
        return pool.charge


def _total(quota: QuotaRecord, pods: Mapping[Charge, int]) -> Counter[str]:
    total: Counter[str] = Counter()
    for charge, count in pods.items():
        for resource, cost in quota.costs(charge).items():
            total[resource] += cost * count
    return total
