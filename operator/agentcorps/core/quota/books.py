"""One namespace's quotas: what of them is taken, by whom, and what is left."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from agentcorps.core.assessment import own_pod
from agentcorps.core.charge import is_per_pod
from agentcorps.core.quota.shares import Line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

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


class Tenancy(NamedTuple):
    """What there is in one namespace with quotas."""

    quotas: list[QuotaRecord]
    pools: list[PoolRecord]
    """Those that can be used, be it until they are gone."""
    pods: list[PodRecord]


class _Kind(NamedTuple):
    """Pods that it makes no difference to tell apart."""

    charge: Charge
    pool: str | None
    """Whose Agent bears the pod's name; empty where that stands alone, None where there is none."""
    is_leaving: bool
    """About to go: with its Agent, if not by itself."""


class Books:
    """What was observed of a namespace's quotas and of our pods in it.

    A line is one resource of one quota; lists of amounts have one for each, in the same order.
    """

    def __init__(self, state: State, tenancy: Tenancy, foreign: ForeignUse, now: Now) -> None:
        """``foreign`` is brought up to date."""
        self._state = state
        self._quotas = quotas = tenancy.quotas
        self._names = [(quota, resource) for quota in quotas for resource in quota.hard]
        self._kinds = Counter(_kind(state, pod, now) for pod in tenancy.pods)
        self._taken = self._charges(lambda _: True)
        self._is_plain = all(
            not quota.scopes and all(is_per_pod(resource) for resource in quota.hard)
            for quota in quotas
        )
        reserved = self._promised(tenancy.pools)
        for quota in quotas:
            foreign.see(quota, total(quota, self._taken), total(quota, reserved), now)
        self._foreign = foreign

    def size(self, pool: PoolRecord, pods: Iterable[PodRecord]) -> Size:
        """Return what a pod of a pool takes: as the newest that was admitted, or by its template.

        A LimitRange and a RuntimeClass add to pods, and may change.

        Args:
            pool: The pool.
            pods: Of its agents.
        """
        admitted = [pod for pod in pods if pod.template_hash == pool.template_hash]
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
        names = {pool.name for pool in pools}
        shared = self._charges(lambda kind: kind.is_leaving or kind.pool in names)
        strangers = self._taken - shared
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
        return self._free(self._charges(lambda kind: kind.is_leaving), reserved)

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

    def _charges(self, counts: Callable[[_Kind], bool]) -> Counter[Charge]:
        """Return the sizes of some pods."""
        found: Counter[Charge] = Counter()
        for kind, count in self._kinds.items():
            if counts(kind):
                found[kind.charge] += count
        return found

    def _promised(self, pools: Iterable[PoolRecord]) -> Counter[Charge]:
        """Return the pods that may be created at any time: of all Agents that have none."""
        promised: Counter[Charge] = Counter()
        for pool in pools:
            agents = self._state.agents_of(pool.key)
            lacking = sum(agent.key not in self._state.pods for agent in agents)
            if lacking:
                promised[self.size(pool, own_pods(self._state, agents)).charge] += lacking
        return promised


def own_pods(state: State, agents: Iterable[AgentRecord]) -> list[PodRecord]:
    """Return the pods of some agents, of those that have one."""
    return [pod for agent in agents if (pod := own_pod(state, agent)) is not None]


def total(quota: QuotaRecord, pods: Mapping[Charge, int]) -> Counter[str]:
    """Return what some pods take of each resource of a quota."""
    found: Counter[str] = Counter()
    for charge, count in pods.items():
        for resource, cost in quota.costs(charge).items():
            found[resource] += cost * count
    return found


def _kind(state: State, pod: PodRecord, now: Now) -> _Kind:
    agent = state.agents.get(pod.key)
    orphaned = bool(pod.owner_uid) and (agent is None or agent.uid != pod.owner_uid)
    doomed = agent is not None and (agent.deleting or agent.draining_since is not None)
    pool = None if agent is None else agent.pool
    return _Kind(_charged(pod, now), pool, pod.deleting or orphaned or doomed)


def _charged(pod: PodRecord, now: Now) -> Charge:
    """Return what a pod is charged with: of one that has ended, or should have, not its size."""
    overdue = pod.charged_until is not None and now.wall > pod.charged_until
    return pod.charge.ended() if pod.terminated or overdue else pod.charge
