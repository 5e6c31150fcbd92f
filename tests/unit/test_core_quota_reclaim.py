"""A pool under its share gets its places back: idle agents at once, busy ones by drain if asked."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.api.names import DEFAULT_MIN_RUNTIME_SECONDS
from agentcorps.core.actions import DeleteAgent, Drain
from agentcorps.core.amounts import NANO
from agentcorps.core.charge import JUST_A_POD
from agentcorps.core.quota.foreign import ForeignUse
from agentcorps.core.quota.reclaim import (
    Claimant,
    Lender,
    is_ripe,
    next_ripe,
    preempted,
)
from agentcorps.core.quota.rooms import rooms
from agentcorps.core.quota.rules import SharingRules
from agentcorps.core.quota.shares import fits
from agentcorps.core.quota_record import QuotaRecord
from agentcorps.core.records import Key
from agentcorps.core.scaling import next_due, replicas
from support.fleet import NAMESPACE, POOL, Fleet

LATE = Key(NAMESPACE, "late")


def _contended(busy: int, idle: int, **late: Any) -> Fleet:
    """The pool `crew` has all places of a quota; `late` comes and wants half of them."""
    fleet = Fleet()
    size = busy + idle
    crew = fleet.pool(replicas=size)
    hard = {"pods": size * NANO}
    fleet.state.observe_quota(QuotaRecord("q", Key(NAMESPACE, "q"), 1, hard, dict(hard)))
    for number in range(size):
        fleet.ready_agent(f"crew-{number}")
        if number < busy:
            fleet.task(Key(NAMESPACE, f"crew-{number}"), f"task-{number}")
    fleet.other_pool(crew, LATE, replicas=size, **late)
    fleet.seconds += DEFAULT_MIN_RUNTIME_SECONDS
    return fleet


def _leaving(
    fleet: Fleet,
    rules: SharingRules = SharingRules(),  # noqa: B008 -- a constant
) -> list[Drain | DeleteAgent]:
    room = rooms(fleet.state, ForeignUse(), fleet.now, rules)[POOL]
    found = replicas(fleet.state, POOL, fleet.now, 0.0, room, rules)
    return [action for action in found if isinstance(action, Drain | DeleteAgent)]


def _reasons(leaving: list[Drain | DeleteAgent]) -> Counter[str]:
    return Counter(one.reason for one in leaving)


def test_idle_agents_go_first_and_busy_ones_only_by_preemption() -> None:
    """Of six places three go back: the idle one in any case, two at work only with Drain."""
    assert _reasons(_leaving(_contended(5, 1))) == {"QuotaReclaimed": 1}
    preempting = _contended(5, 1, quota_preempts=True)
    assert _reasons(_leaving(preempting)) == {"QuotaReclaimed": 1, "QuotaPreempted": 2}


def test_enough_idle_agents_spare_those_at_work() -> None:
    """Where the idle ones are as many as are claimed, nobody at work is drained."""
    assert _reasons(_leaving(_contended(3, 3, quota_preempts=True))) == {"QuotaReclaimed": 3}


def test_the_minimum_runtime_holds_for_both() -> None:
    """An agent that is younger keeps its place, at work or not; a setting may say how young."""
    fleet = _contended(2, 2, quota_preempts=True)
    fleet.seconds -= 1
    assert _leaving(fleet) == []
    young = SharingRules(min_runtime=DEFAULT_MIN_RUNTIME_SECONDS - 1)
    assert _reasons(_leaving(fleet, young)) == {"QuotaReclaimed": 2}


@given(st.floats(-5, 5), st.floats(0, 100), st.lists(st.floats(0, 200), min_size=1, max_size=3))
def test_a_step_is_due_for_as_long_as_an_agent_is_too_young(
    offset: float, least: float, ages: list[float]
) -> None:
    """Whoever is not ripe yet is waited for, and nobody who is: to the last digit of the clock."""
    fleet, rules = Fleet(), SharingRules(min_runtime=least)
    born = fleet.now.wall + offset
    agents = [fleet.ready_agent(f"crew-{n}", created=born - age) for n, age in enumerate(ages)]
    waited = {agent.key: next_ripe([agent], fleet.now, rules) is None for agent in agents}
    ripe = {agent.key: is_ripe(fleet.state, agent, fleet.now, rules) for agent in agents}
    assert waited == ripe
    moments = [next_ripe([agent], fleet.now, rules) for agent in agents]
    due = [moment for moment in moments if moment is not None]
    assert next_ripe(agents, fleet.now, rules) == min(due, default=None)


def test_what_drains_already_is_not_asked_for_twice() -> None:
    """Three of six are draining or leaving: the claim is met, though their pods are still there."""
    fleet = _contended(6, 0, quota_preempts=True)
    for drain in _leaving(fleet):
        fleet.drain(drain.agent)
    assert _leaving(fleet) == []
    assert next_due(fleet.state, fleet.now) is not None


def test_a_pool_of_a_lower_share_preempts_nobody() -> None:
    """Drain is about the pool's own share: one that has none of it drains nobody."""
    fleet = _contended(4, 0, quota_preempts=True, quota_priority=-1)
    assert _leaving(fleet) == []


def test_a_smaller_quota_takes_idle_agents_and_no_working_one() -> None:
    """Hard falls below used: nothing is created, idle agents leave, those at work stay."""
    fleet = _contended(4, 2)
    fleet.state.forget_pool(LATE)
    hard, used = {"pods": 3 * NANO}, {"pods": 6 * NANO}
    fleet.state.observe_quota(QuotaRecord("q", Key(NAMESPACE, "q"), 2, hard, used))
    assert _reasons(_leaving(fleet)) == {"QuotaReclaimed": 2}
    room = rooms(fleet.state, ForeignUse(), fleet.now)[POOL]
    assert (room.granted, room.creatable, room.preempted) == (3, 0, 0)


def test_a_pod_whose_agent_is_gone_is_no_strangers() -> None:
    """Between the deletion of an Agent and that of its pod no share falls, and none is made."""
    fleet = _contended(0, 4)
    fleet.state.forget_agent(Key(NAMESPACE, "crew-0"))
    found = rooms(fleet.state, ForeignUse(), fleet.now)
    assert (found[POOL].granted, found[LATE].granted) == (2, 2)
    assert found[LATE].creatable == 0


def test_a_wrong_estimate_of_others_takes_no_agents_away() -> None:
    """The quota is not exceeded, so what the pool has fits, whatever others are taken to use."""
    fleet = _contended(0, 4)
    fleet.state.forget_pool(LATE)
    foreign = ForeignUse()
    rooms(fleet.state, foreign, fleet.now)
    for number in (0, 1):
        fleet.state.forget_agent(Key(NAMESPACE, f"crew-{number}"))
        fleet.state.forget_pod(Key(NAMESPACE, f"crew-{number}"))
    seen = []
    for _ in range(4):
        fleet.seconds += 100
        room = rooms(fleet.state, foreign, fleet.now)[POOL]
        seen.append((room.granted, room.creatable))
    assert seen == [(4, 0), (2, 0), (2, 0), (2, 0)]


def _key(number: int) -> Key:
    return Key("team", f"pool-{number}")


@st.composite
def _claims(draw: st.DrawFn) -> tuple[list[Claimant], list[Lender], list[int]]:
    width = draw(st.integers(1, 2))
    counts, costs = st.integers(0, 5), st.tuples(*[st.integers(0, 3)] * width)
    claimants = [
        Claimant(_key(n), draw(counts), draw(costs), draw(st.integers(-1, 1)))
        for n in range(draw(st.integers(0, 3)))
    ]
    lenders = [
        Lender(_key(10 + n), draw(counts), draw(costs), draw(st.integers(-1, 1)))
        for n in range(draw(st.integers(0, 3)))
    ]
    return claimants, lenders, [draw(st.integers(-2, 8)) for _ in range(width)]


def _room_after(lenders: list[Lender], taken: dict[Key, int], left: list[int]) -> list[int]:
    return [
        free + sum(one.costs[line] * taken.get(one.pool, 0) for one in lenders)
        for line, free in enumerate(left)
    ]


@given(_claims())
def test_nobody_is_drained_beyond_its_surplus_or_for_nothing(
    world: tuple[list[Claimant], list[Lender], list[int]],
) -> None:
    """No pool drains more than it has too many, and none at all where nobody can use it."""
    claimants, lenders, left = world
    taken = preempted(claimants, lenders, left)
    surplus = {lender.pool: lender.busy for lender in lenders}
    assert all(0 < count <= surplus[pool] for pool, count in taken.items())
    if all(fits(one.costs, [max(0, x) for x in left], one.missing) == 0 for one in claimants):
        after = _room_after(lenders, taken, left)
        wanting = [one for one in claimants if one.missing]
        assert not taken or any(fits(one.costs, after, 1) for one in wanting)


@given(_claims())
def test_what_is_free_is_used_before_anybody_is_drained(
    world: tuple[list[Claimant], list[Lender], list[int]],
) -> None:
    """Where all claims fit into what is free, nobody is drained; and the order does not matter."""
    claimants, lenders, left = world
    needed = [sum(one.costs[line] * one.missing for one in claimants) for line in range(len(left))]
    assert preempted(claimants, lenders, [max(0, one) for one in needed]) == {}
    assert preempted(claimants[::-1], lenders[::-1], left) == preempted(claimants, lenders, left)


@given(st.integers(0, 6), st.lists(st.integers(0, 4), max_size=3), st.integers(0, 6))
def test_with_one_size_exactly_what_is_missing_is_drained(
    missing: int, busy: list[int], free: int
) -> None:
    """Of agents of one size as many are drained as do not fit, and as there are."""
    lenders = [Lender(_key(n), count, (1,)) for n, count in enumerate(busy)]
    taken = preempted([Claimant(_key(9), missing, (1,))], lenders, [free])
    assert sum(taken.values()) == min(max(0, missing - free), sum(busy))


def test_the_lowest_priority_is_drained_first_then_the_largest_surplus() -> None:
    """Two are needed: one comes from the lowest priority, one from who has most too much."""
    lenders = [Lender(_key(0), 2, (1,)), Lender(_key(1), 3, (1,)), Lender(_key(2), 1, (1,), -1)]
    assert preempted([Claimant(_key(9), 2, (1,))], lenders, [0]) == {_key(2): 1, _key(1): 1}


@pytest.mark.parametrize("crossing", [(1, 0), (0, 1)])
def test_only_what_is_short_is_taken(crossing: tuple[int, int]) -> None:
    """An agent that takes nothing of the scarce resource is not drained for it."""
    lenders = [Lender(_key(0), 5, crossing)]
    expected = {_key(0): 1} if crossing[1] else {}
    assert preempted([Claimant(_key(9), 1, (0, 1))], lenders, [0, 0]) == expected


def test_a_plain_pod_takes_one_of_pods() -> None:
    """What a pod takes that asks for nothing: itself, its object, and its Agent's."""
    names = ("count/agents.agentcorps.dev", "count/pods", "pods")
    assert JUST_A_POD.amounts == tuple((name, NANO) for name in names)
