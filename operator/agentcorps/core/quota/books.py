"""One namespace's quotas: what of them is taken, by whom, and what is left."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from agentcorps.core.assessment import own_pod
from agentcorps.core.charge import is_per_pod
from agentcorps.core.quota.shares import Line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from agentcorps.core.charge import Charge
    from agentcorps.core.quota.foreign import ForeignUse
    from agentcorps.core.quota_record import QuotaRecord
    from agentcorps.core.records import AgentRecord, Key, Now, PodRecord, PoolRecord
    from agentcorps.core.state import State


class Size(NamedTuple):
    """What each pod of a pool takes."""

    charge: Charge
    is_known: bool
    """A pod of it was admitted, or it cannot matter; else it is as the template has it, without
    what admission may add."""


class Books:
    """What was observed of a namespace's quotas and of our pods in it.

    A line is one resource of one quota; lists of amounts have one for each, in the same order.
    """

    def __init__(
        self,
        state: State,
        namespace: str,
        quotas: Sequence[QuotaRecord],
        foreign: ForeignUse,
        now: Now,
    ) -> None:
        """``foreign`` is brought up to date."""
        self._state = state
        self._quotas = quotas
        self._names = [(quota, resource) for quota in quotas for resource in quota.hard]
        self._pods = [
            (pod, _charged(pod, now))
            for pod in state.pods.values()
            if pod.key.namespace == namespace
        ]
        self._taken = Counter(charge for _, charge in self._pods)
        self._is_plain = all(
            not quota.scopes and all(is_per_pod(resource) for resource in quota.hard)
            for quota in quotas
        )
        reserved = self._promised(namespace)
        for quota in quotas:
            foreign.see(quota, total(quota, self._taken), total(quota, reserved), now)
        self._foreign = foreign

    def size(self, pool: PoolRecord, agents: Iterable[AgentRecord]) -> Size:
        """Return what a pod of a pool takes: as the newest that was admitted, or by its template.

        A LimitRange and a RuntimeClass add to pods, and may change.
        """
        admitted = [
            pod
            for agent in agents
            if (pod := own_pod(self._state, agent)) is not None
            and pod.template_hash == pool.template_hash
        ]
        if not admitted:
            return Size(pool.charge, self._is_plain)
        return Size(max(admitted, key=lambda pod: (pod.created, pod.key)).charge, is_known=True)

    def costs(self, size: Charge) -> tuple[int, ...]:
        """Return what a pod of a size takes of each line."""
        by_quota = {quota.uid: quota.costs(size) for quota in self._quotas}
        return tuple(by_quota[quota.uid].get(resource, 0) for quota, resource in self._names)

    def shared_lines(self, pools: Collection[Key]) -> list[Line]:
        """Return what there is of each line to be shared between pools, with what they have.

        What pods leave behind that are on their way is shared already. While a quota is not used
        beyond its limit, what the pools have of it is theirs, whatever others are taken to use.
        """
        strangers: Counter[Charge] = Counter()
        shared: Counter[Charge] = Counter()
        for pod, charge in self._pods:
            (shared if self._is_shared(pod, pools) else strangers)[charge] += 1
        lines = []
        for quota in self._quotas:
            others, ours = total(quota, strangers), total(quota, shared)
            for resource, hard in quota.hard.items():
                left = hard - self._foreign.of(quota, resource) - others[resource]
                if quota.left(resource) >= 0:
                    left = max(left, ours[resource])
                lines.append(Line(f"{resource} of ResourceQuota {quota.key.name}", hard, left))
        return lines

    def free(self, reserved: Mapping[Charge, int]) -> list[int]:
        """Return how much of each line is free for one more pod, as far as anybody knows.

        By our own count, which knows a creation before the quota tells, and by the quota's, which
        goes on charging a pod that is gone until its controller has counted again.
        """
        return self._free({}, reserved)

    def free_once_left(self, reserved: Mapping[Charge, int]) -> list[int]:
        """Return how much of each line will be free when all pods have left that are to leave."""
        leaving = Counter(charge for pod, charge in self._pods if self._is_leaving(pod))
        return self._free(leaving, reserved)

    def _free(self, leaving: Mapping[Charge, int], reserved: Mapping[Charge, int]) -> list[int]:
        found = []
        for quota in self._quotas:
            taken, kept = total(quota, self._taken), total(quota, reserved)
            gone = total(quota, leaving)
            for resource, hard in quota.hard.items():
                counted = hard - self._foreign.of(quota, resource) - taken[resource]
                free = min(counted, quota.left(resource))
                found.append(free + gone[resource] - kept[resource])
        return found

    def _promised(self, namespace: str) -> Counter[Charge]:
        """Return the pods that may be created at any time: of all Agents that have none."""
        promised: Counter[Charge] = Counter()
        for pool in self._state.pools.values():
            if pool.key.namespace == namespace and not pool.invalid:
                agents = self._state.agents_of(pool.key)
                lacking = sum(agent.key not in self._state.pods for agent in agents)
                if lacking:
                    promised[self.size(pool, agents).charge] += lacking
        return promised

    def _is_shared(self, pod: PodRecord, pools: Collection[Key]) -> bool:
        """Tell whether a pod is a pool's own, or about to leave its place to one."""
        agent = self._state.agents.get(pod.key)
        return self._is_leaving(pod) or (agent is not None and agent.pool_key in pools)

    def _is_leaving(self, pod: PodRecord) -> bool:
        """Tell whether a pod is about to go: with its Agent, if not by itself."""
        agent = self._state.agents.get(pod.key)
        orphaned = bool(pod.owner_uid) and (agent is None or agent.uid != pod.owner_uid)
        doomed = agent is not None and (agent.deleting or agent.draining_since is not None)
        return pod.deleting or orphaned or doomed


def total(quota: QuotaRecord, pods: Mapping[Charge, int]) -> Counter[str]:
    """Return what some pods take of each resource of a quota."""
    found: Counter[str] = Counter()
    for charge, count in pods.items():
        for resource, cost in quota.costs(charge).items():
            found[resource] += cost * count
    return found


def _charged(pod: PodRecord, now: Now) -> Charge:
    """Return what a pod is charged with: of one that has ended, or should have, not its size."""
    overdue = pod.charged_until is not None and now.wall > pod.charged_until
    return pod.charge.ended() if pod.terminated or overdue else pod.charge
