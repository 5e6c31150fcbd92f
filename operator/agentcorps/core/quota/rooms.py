"""How many agents each pool may have, and may create now, under its namespace's quotas.

Recomputed from what was observed, never counted up. An Agent without a pod is the reservation of
its pod's place: it is made before the pod, and bears the pod's name.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from agentcorps.core.membership import is_active
from agentcorps.core.quota.books import Books, Tenancy, own_pods
from agentcorps.core.quota.reclaim import Holding, is_ripe, victims
from agentcorps.core.quota.rules import DEFAULT_RULES
from agentcorps.core.quota.shares import Claim, fits, share_out
from agentcorps.core.quota.unstarted import Unstarted, unstarted
from agentcorps.core.room import Room

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from agentcorps.core.charge import Charge
    from agentcorps.core.quota.foreign import ForeignUse
    from agentcorps.core.quota.rules import SharingRules
    from agentcorps.core.quota.shares import Grant
    from agentcorps.core.records import AgentRecord, Key, Now, PodRecord, PoolRecord
    from agentcorps.core.state import State


def rooms(
    state: State,
    foreign: ForeignUse,
    now: Now,
    rules: SharingRules = DEFAULT_RULES,
    refused: Collection[Key] = (),
) -> dict[Key, Room]:
    """Return the room of each pool whose namespace has a ResourceQuota.

    Of the others only those are in it of which agents do not start.

    Args:
        state: What was observed.
        foreign: What others use; it is brought up to date.
        now: This instant.
        rules: How long is long enough.
        refused: Agents whose pods the API server would not take.
    """
    foreign.keep({quota.uid for quota in state.quotas.values()})
    tenancies = _tenancies(state)
    members: dict[str, list[_Member]] = {}
    for pool in state.pools.values():
        if not (pool.invalid or pool.deleting):
            member = _member(state, pool, now, rules, refused)
            members.setdefault(pool.key.namespace, []).append(member)
    found: dict[Key, Room] = {}
    for namespace, pools in members.items():
        if namespace in tenancies:
            books = Books(state, tenancies[namespace], foreign, now)
            found |= _Namespace(state, books, pools, now, rules).rooms()
        else:
            found |= {one.pool.key: _free(one) for one in pools if one.start.given_up}
    return found


def _tenancies(state: State) -> dict[str, Tenancy]:
    """Return what there is in each namespace that has a quota: one walk for all of them."""
    found = {quota.key.namespace: Tenancy([], [], []) for quota in state.quotas.values()}
    for quota in sorted(state.quotas.values(), key=lambda one: one.key):
        found[quota.key.namespace].quotas.append(quota)
    for pool in state.pools.values():
        if pool.key.namespace in found and not pool.invalid:
            found[pool.key.namespace].pools.append(pool)
    for pod in state.pods.values() if found else ():
        if pod.key.namespace in found:
            found[pod.key.namespace].pods.append(pod)
    return found


class _Member(NamedTuple):
    """A pool among others."""

    pool: PoolRecord
    target: int
    active: tuple[AgentRecord, ...]
    pods: list[PodRecord]
    """Of the active agents."""
    start: Unstarted


def _member(
    state: State, pool: PoolRecord, now: Now, rules: SharingRules, refused: Collection[Key]
) -> _Member:
    active = tuple(agent for agent in state.agents_of(pool.key) if is_active(agent, pool))
    start = unstarted(state, pool, active, now, rules, refused)
    return _Member(pool, state.targets.of(pool), active, own_pods(state, active), start)


def _free(member: _Member) -> Room:
    """Return the room of a pool that no quota limits."""
    kept = member.start.kept(member.target)
    return Room(
        wanted=member.target,
        granted=kept,
        creatable=max(0, kept - len(member.active)),
        unstarted=member.start.given_up,
        unschedulable=member.start.unschedulable,
        held_back=kept < member.target,
        by_quota=False,
    )


class _Places(NamedTuple):
    """What there is for the agents that a pool lacks of its share."""

    creatable: int
    awaited: int


class _Namespace:
    """One namespace with quotas, and the pools that share them."""

    def __init__(
        self,
        state: State,
        books: Books,
        members: Sequence[_Member],
        now: Now,
        rules: SharingRules,
    ) -> None:
        self._state = state
        self._books = books
        self._members = sorted(members, key=lambda one: (-one.pool.quota_priority, one.pool.key))
        self._now = now
        self._rules = rules
        self._sizes = {one.pool.key: books.size(one.pool, one.pods) for one in members}

    def rooms(self) -> dict[Key, Room]:
        """Return the room of each pool."""
        grants = share_out(self._claims(), self._books.shared_lines(self._sizes.keys()))
        places = self._places(grants)
        at_work = self._at_work(grants)
        return {
            one.pool.key: Room(
                one.target,
                grants[one.pool.key].agents,
                places[one.pool.key].creatable,
                grants[one.pool.key].short_of,
                preempted=at_work.get(one.pool.key, 0),
                unstarted=one.start.given_up,
                unschedulable=one.start.unschedulable,
                held_back=one.start.kept(one.target) < one.target,
                awaited=places[one.pool.key].awaited,
            )
            for one in self._members
        }

    def _claims(self) -> list[Claim]:
        return [
            Claim(
                one.pool.key,
                one.start.kept(one.target),
                self._books.costs(self._sizes[one.pool.key].charge),
                least=0 if one.pool.scaling is None else one.pool.scaling.min_replicas,
                priority=one.pool.quota_priority,
                weight=one.pool.quota_weight,
                useful=one.start.useful(one.target),
            )
            for one in self._members
        ]

    def _places(self, grants: Mapping[Key, Grant]) -> dict[Key, _Places]:
        """Return how many agents fit beside all pods that are there, and those about to be.

        Of a size that is not known yet there is one at a time: once it is admitted, it is known.
        """
        left = self._books.free(self._reserved())
        found: dict[Key, _Places] = {}
        for one in self._members:
            size = self._sizes[one.pool.key]
            missing = max(0, grants[one.pool.key].agents - len(one.active))
            costs = self._books.costs(size.charge)
            count = fitting = fits(costs, left, missing)
            if not size.is_known:
                count = min(fitting, 0 if one.active else 1)
            found[one.pool.key] = _Places(count, missing - fitting)
            left = [free - cost * count for free, cost in zip(left, costs, strict=True)]
        return found

    def _reserved(self) -> Counter[Charge]:
        reserved: Counter[Charge] = Counter()
        for one in self._members:
            lacking = len(one.active) - len(one.pods)
            reserved[self._sizes[one.pool.key].charge] += lacking
        return reserved

    def _at_work(self, grants: Mapping[Key, Grant]) -> dict[Key, int]:
        """Return how many agents at work each pool is to drain for those that may ask for it."""
        if not any(
            one.pool.quota_preempts and grants[one.pool.key].agents > len(one.active)
            for one in self._members
        ):
            return {}
        holdings = [self._holding(one, grants[one.pool.key].agents) for one in self._members]
        return victims(holdings, self._books.free_once_left(self._reserved()))

    def _holding(self, member: _Member, share: int) -> Holding:
        pool, agents = member.pool, member.active
        ripe = [one for one in agents if is_ripe(self._state, one, self._now, self._rules)]
        busy = sum(bool(self._state.bound_to(agent.key)) for agent in ripe)
        return Holding(
            pool.key,
            share,
            len(agents),
            idle=len(ripe) - busy,
            busy=busy,
            costs=self._books.costs(self._sizes[pool.key].charge),
            priority=pool.quota_priority,
            preempts=pool.quota_preempts,
        )
