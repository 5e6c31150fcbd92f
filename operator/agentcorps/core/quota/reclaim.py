"""Which agents of pools over their share leave for pools under theirs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from agentcorps.core.actions import Drain
from agentcorps.core.assessment import own_pod
from agentcorps.core.quota.shares import fits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agentcorps.core.quota.rules import SharingRules
    from agentcorps.core.records import AgentRecord, Key, Now
    from agentcorps.core.state import State


class Holding(NamedTuple):
    """What a pool has, beside what its share is."""

    pool: Key
    share: int
    agents: int
    """Those that stay."""
    idle: int
    """Of those, how many have run for long enough, and work on nothing."""
    busy: int
    """How many have run for long enough, and are at work."""
    costs: tuple[int, ...]
    """What each of them takes of each line."""
    priority: int = 0
    preempts: bool = False
    """Whether others' agents at work may be drained for its share."""


class Lender(NamedTuple):
    """A pool that has more than its share, and agents at work that may be drained."""

    pool: Key
    busy: int
    """How many of those at work are beyond its share, and have run for long enough."""
    costs: tuple[int, ...]
    """What each of them takes of each line."""
    priority: int = 0


class Claimant(NamedTuple):
    """A pool that has less than its share, and may have others' agents drained for it."""

    pool: Key
    missing: int
    costs: tuple[int, ...]
    priority: int = 0


def is_ripe(state: State, agent: AgentRecord, now: Now, rules: SharingRules) -> bool:
    """Tell whether an agent has run for long enough to give its place to another pool's."""
    return own_pod(state, agent) is None or not _left_to_run(agent, now, rules)


def given_back(
    state: State,
    agents: Iterable[AgentRecord],
    now: Now,
    rules: SharingRules,
    surplus: int,
    at_work: int,
) -> list[Drain]:
    """Return the agents to drain of a pool that has more than its share.

    Those without a Task first. Those at work stay for as long as they work, but for so many that
    another pool's share takes precedence over.

    Args:
        state: What was observed.
        agents: The pool's, those that are missed least first.
        now: This instant.
        rules: How long is long enough.
        surplus: How many are beyond the share.
        at_work: How many of those at work may be drained.
    """
    ripe = [agent for agent in agents if is_ripe(state, agent, now, rules)]
    idle = [agent for agent in ripe if not state.bound_to(agent.key)][:surplus]
    busy = [agent for agent in ripe if state.bound_to(agent.key)]
    drained = [Drain(agent.key, "QuotaReclaimed") for agent in idle]
    count = from_work(surplus, len(idle), at_work)
    return [*drained, *(Drain(agent.key, "QuotaPreempted") for agent in busy[:count])]


def from_work(surplus: int, idle: int, at_work: int) -> int:
    """Return how many agents at work leave a pool, beside the idle ones that do.

    Args:
        surplus: How many are beyond its share.
        idle: How many idle ones may leave.
        at_work: How many of those at work may be drained for others.
    """
    return max(0, min(surplus - idle, at_work))


def next_ripe(agents: Iterable[AgentRecord], now: Now, rules: SharingRules) -> float | None:
    """Return when (monotonic) the next of some agents has run for long enough; None if all have."""
    waits = [wait for agent in agents if (wait := _left_to_run(agent, now, rules))]
    return now.monotonic + min(waits) if waits else None


def _left_to_run(agent: AgentRecord, now: Now, rules: SharingRules) -> float:
    """Return the seconds until an agent has run for long enough; 0.0 once it has."""
    return max(0.0, agent.created + rules.min_runtime - now.wall)


def victims(holdings: Iterable[Holding], left: Sequence[int]) -> dict[Key, int]:
    """Return how many agents at work each pool is to drain, for those that may ask for it.

    Args:
        holdings: All pools that share some quotas.
        left: What is free of each line, once those have left that are leaving already.
    """
    claimants, lenders, free = [], [], list(left)
    for one in holdings:
        surplus = one.agents - one.share
        if surplus < 0 and one.preempts:
            claimants.append(Claimant(one.pool, -surplus, one.costs, one.priority))
        elif surplus > 0:
            leaving = min(surplus, one.idle)
            free = [room + cost * leaving for room, cost in zip(free, one.costs, strict=True)]
            spare = from_work(surplus, leaving, one.busy)
            lenders.append(Lender(one.pool, spare, one.costs, one.priority))
    return preempted(claimants, lenders, free)


def preempted(
    claimants: Iterable[Claimant], lenders: Iterable[Lender], left: Sequence[int]
) -> dict[Key, int]:
    """Return how many agents at work each pool is to drain.

    No more than the claimants need beside what is free already; of the lowest priority first, then
    of the pool that has the most of them.

    Args:
        claimants: Who may have agents drained.
        lenders: Whose agents.
        left: What is free of each line, or will be once those have left that do so anyway.
    """
    free = list(left)
    busy = {lender: lender.busy for lender in sorted(lenders)}
    taken: Counter[Key] = Counter()
    for claimant in sorted(claimants, key=lambda one: (-one.priority, one.pool)):
        for _ in range(claimant.missing):
            helpers = _for_one(claimant.costs, busy, free)
            if helpers is None:
                break
            for lender in helpers:
                busy[lender] -= 1
                taken[lender.pool] += 1
                free = [one + cost for one, cost in zip(free, lender.costs, strict=True)]
            free = [one - cost for one, cost in zip(free, claimant.costs, strict=True)]
    return dict(taken)


def _for_one(
    costs: Sequence[int], busy: Mapping[Lender, int], free: Sequence[int]
) -> list[Lender] | None:
    """Return whose agents make room for one more; None where nobody's do."""
    left, room = dict(busy), list(free)
    helpers: list[Lender] = []
    while not fits(costs, room, 1):
        short = [
            line
            for line, (cost, one) in enumerate(zip(costs, room, strict=True))
            if cost > max(0, one)
        ]
        helping = [
            lender
            for lender, count in left.items()
            if count > 0 and any(lender.costs[line] for line in short)
        ]
        if not helping:
            return None
        lender = min(helping, key=lambda one: (one.priority, -left[one], one.pool))
        left[lender] -= 1
        helpers.append(lender)
        room = [one + cost for one, cost in zip(room, lender.costs, strict=True)]
    return helpers
