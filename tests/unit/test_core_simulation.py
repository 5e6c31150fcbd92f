"""The simulation of pools: queueing theory, conservation, quotas and nodes."""

from __future__ import annotations

from math import factorial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.cli.traffic import Arrivals, Services, jobs
from agentcorps.core.amounts import amount
from agentcorps.core.quota.rules import SharingRules
from agentcorps.core.quota.shares import Claim, Line, share_out
from agentcorps.core.simulation.outcome import PoolOutcome
from agentcorps.core.simulation.plan import Job, Machines, Setting
from agentcorps.core.simulation.run import simulate
from support.scalings import AT_ONCE, CALM
from support.simulations import a_plan, a_pool, a_quota, fixed

WIDE: dict[str, Any] = {"behavior": AT_ONCE, "panic": CALM}


def alone(trace: list[Job], start_seconds: float = 10.0, **spec: Any) -> PoolOutcome:
    """Return what comes of one pool."""
    pool = a_pool(**spec)
    return simulate([a_plan(pool, trace, start_seconds)]).pools[pool.key]


def erlang_c(load: float, agents: int) -> float:
    """Return the probability that a Task waits in M/M/c (Erlang 1917)."""
    full = load**agents / factorial(agents) * agents / (agents - load)
    return full / (sum(load**n / factorial(n) for n in range(agents)) + full)


def test_a_fixed_pool_waits_as_erlang_c_says() -> None:
    """With as many agents at least as at most, the mean wait is that of M/M/c within 10 percent."""
    agents, slots, rate, mean, random = 4, 2, 0.65, 10.0, fixed(7)
    made_up = jobs(
        Arrivals.parse(f"poisson:{rate}"), Services.parse(f"exponential:{mean}"), 150_000, random
    )
    bounds = {"minReplicas": agents, "maxReplicas": agents}
    outcome = alone(list(made_up), start_seconds=0, slots=slots, **bounds)
    servers = agents * slots
    expected = erlang_c(rate * mean, servers) * mean / (servers - rate * mean)
    assert sum(outcome.waits) / len(outcome.waits) == pytest.approx(expected, rel=0.1)


def test_a_pool_that_must_start_makes_the_first_task_wait() -> None:
    """From zero, a Task waits for exactly one start; the next one finds the agent."""
    spec = {"behavior": {"scaleUp": AT_ONCE["scaleUp"]}}
    outcome = alone([Job(0, 5), Job(30, 5)], start_seconds=12, **spec)
    assert outcome.waits == [12.0, 0.0]
    assert outcome.most_agents == 1


def test_an_agent_that_goes_costs_until_its_pod_is_gone() -> None:
    """A longer stop costs agent-hours, and keeps a place of the quota for as long."""
    one, two = a_pool("one", **WIDE), a_pool("two", **WIDE)
    plans = [a_plan(one, [Job(0, 5.0)], 10, 20), a_plan(two, [Job(1, 5.0)], 10)]
    outcome = simulate(plans, Setting((a_quota(1),)))
    assert outcome.pools[one.key].agent_seconds == pytest.approx(10 + 5 + 20, abs=2)
    assert outcome.pools[two.key].waits[0] == pytest.approx(35 - 1 + 10, abs=3)


traces = st.lists(st.builds(Job, st.floats(0, 500), st.floats(0.1, 100)), max_size=60).map(sorted)


@given(
    trace=traces,
    slots=st.integers(1, 4),
    start=st.floats(0, 60),
    calm=st.sampled_from([CALM, {}]),
)
def test_every_task_is_served_once(
    trace: list[Job], slots: int, start: float, calm: dict[str, Any]
) -> None:
    """No Task is lost or cut short by scaling, and slots work exactly for what Tasks take."""
    told = alone(trace, start, slots=slots, maxReplicas=10, behavior=AT_ONCE, panic=calm)
    assert len(told.waits) == len(trace)
    assert told.never == 0
    assert min(told.waits, default=0) >= 0
    assert told.slot_seconds == pytest.approx(sum(job.seconds for job in trace))
    assert told.agent_seconds * slots >= told.slot_seconds - 1e-6
    assert told.surplus_seconds <= told.agent_seconds


@given(loads=st.lists(traces, min_size=3, max_size=3), pods=st.integers(1, 12))
def test_pods_never_exceed_a_quota(loads: list[list[Job]], pods: int) -> None:
    """However three pools pull, there are never more agents than the quota has pods."""
    plans = [
        a_plan(a_pool(f"p{number}", weight=2**number, **WIDE), trace)
        for number, trace in enumerate(loads)
    ]
    outcome = simulate(plans, Setting(quotas=(a_quota(pods),), sample_seconds=1.0))
    for moment in zip(*(told.samples for told in outcome.pools.values()), strict=True):
        assert sum(sample.agents for sample in moment) <= pods
    assert sum(len(told.waits) for told in outcome.pools.values()) == sum(map(len, loads))


def test_pools_get_the_shares_of_the_operator() -> None:
    """Under a constant demand beyond the quota each pool holds what share_out gives it."""
    trace = [Job(0, 50.0)] * 100
    pools = [a_pool(f"p{weight}", weight=weight, **WIDE) for weight in (1, 2, 4)]
    outcome = simulate(
        [a_plan(pool, trace) for pool in pools], Setting((a_quota(21),), sample_seconds=40.0)
    )
    claims = [Claim(one.key, 100, (1,), weight=one.quota_weight) for one in pools]
    shares = share_out(claims, [Line("pods", 21, 21)])
    for pool in pools:
        told = outcome.pools[pool.key]
        assert told.samples[1].agents == told.samples[1].granted == shares[pool.key].agents
        assert told.short_seconds > 0


sharers: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "weight": st.integers(1, 4),
        "priority": st.integers(0, 1),
        "preempts": st.booleans(),
        "slots": st.integers(1, 3),
        "minReplicas": st.integers(0, 2),
    }
)


@given(
    loads=st.lists(traces, min_size=3, max_size=3),
    specs=st.lists(sharers, min_size=3, max_size=3),
    pods=st.integers(6, 12),
    patience=st.floats(0, 100),
    stop=st.floats(0, 20),
)
def test_preemption_exceeds_no_quota_and_cuts_no_task_short(
    loads: list[list[Job]],
    specs: list[dict[str, Any]],
    pods: int,
    patience: float,
    stop: float,
) -> None:
    """Whoever preempts whom: no pod too many, each Task works once for as long as it takes."""
    plans = [
        a_plan(a_pool(f"p{number}", **spec, **WIDE), trace, 10, stop)
        for number, (spec, trace) in enumerate(zip(specs, loads, strict=True))
    ]
    setting = Setting((a_quota(pods),), rules=SharingRules(patience), sample_seconds=1.0)
    outcome = simulate(plans, setting)
    for moment in zip(*(told.samples for told in outcome.pools.values()), strict=True):
        assert sum(sample.agents for sample in moment) <= pods
    for plan, trace in zip(plans, loads, strict=True):
        told = outcome.pools[plan.pool.key]
        assert (len(told.waits), told.never, told.outlasting) == (len(trace), 0, 0)
        assert told.slot_seconds == pytest.approx(sum(job.seconds for job in trace))
    if not any(spec["preempts"] for spec in specs):
        assert not any(told.preempted for told in outcome.pools.values())


def contended(*, preempts: bool, patience: float = 60.0) -> dict[int, tuple[int, int, int]]:
    """Return what three pools 1:2:4 that are never idle hold of 70 pods, by weight.

    The one of the least weight has all of them, from 0 s on; at 100 s the others come. Looked at
    after 40 s, and after 100 s more.
    """
    pools = [a_pool(f"p{weight}", weight=weight, preempts=preempts, **WIDE) for weight in (1, 2, 4)]
    plans = [
        a_plan(pool, [Job(100.0 * (pool.quota_weight > 1), 20.0)] * 2000, 5, 2) for pool in pools
    ]
    setting = Setting((a_quota(70),), rules=SharingRules(patience), sample_seconds=20.0)
    found = {}
    told = simulate(plans, setting).pools
    for pool in pools:
        one = told[pool.key]
        found[pool.quota_weight] = (one.samples[7].agents, one.samples[12].agents, one.preempted)
    return found


def test_pools_that_preempt_reach_their_shares_of_pools_at_work() -> None:
    """W5 with agents that are never idle: with preemption each pool holds its exact share."""
    held = contended(preempts=True)
    assert {weight: after for weight, (_, after, _) in held.items()} == {1: 10, 2: 20, 4: 40}
    assert {weight: count for weight, (*_, count) in held.items()} == {1: 60, 2: 0, 4: 0}


def test_without_preemption_a_pool_at_work_keeps_what_it_has() -> None:
    """Nobody is drained at work, so who is never idle keeps the places of the others."""
    held = contended(preempts=False)
    assert {weight: after for weight, (_, after, _) in held.items()} == {1: 70, 2: 0, 4: 0}
    assert not any(count for *_, count in held.values())


def test_agents_keep_their_places_for_the_minimum_runtime() -> None:
    """40 s after the others came nothing has moved if 200 s are the least, and all has if 10 s."""
    young, old = (contended(preempts=True, patience=patience) for patience in (200.0, 10.0))
    assert {weight: soon for weight, (soon, *_) in young.items()} == {1: 70, 2: 0, 4: 0}
    assert {weight: soon for weight, (soon, *_) in old.items()} == {1: 10, 2: 20, 4: 40}


def test_tasks_that_outlast_the_drain_of_their_agent_are_counted() -> None:
    """A Task of 400 s loses against a drain of 300 s, one of 250 s does not."""
    for seconds, lost in ((400.0, 1), (250.0, 0)):
        poor, rich = a_pool("poor", **WIDE), a_pool("rich", priority=1, preempts=True, **WIDE)
        plans = [a_plan(poor, [Job(0, seconds)]), a_plan(rich, [Job(20, 5.0)])]
        setting = Setting((a_quota(1),), rules=SharingRules(min_runtime=1.0))
        told = simulate(plans, setting).pools[poor.key]
        assert (told.preempted, told.outlasting) == (1, lost)


def test_a_place_that_becomes_free_goes_to_the_higher_priority() -> None:
    """Of two pools that wait for the same place, the important one has it first."""
    first, low, high = (
        a_pool(name, priority=name == "high", **WIDE) for name in ("first", "low", "high")
    )
    plans = [a_plan(first, [Job(0, 50.0)]), a_plan(low, [Job(1, 5.0)]), a_plan(high, [Job(2, 5.0)])]
    outcome = simulate(plans, Setting((a_quota(1),)))
    assert outcome.pools[high.key].waits[0] < outcome.pools[low.key].waits[0]


def test_an_unshared_quota_goes_to_who_comes_first() -> None:
    """Without shares, pods that are there keep the later pool out until they go."""
    early, late = a_pool("early", **WIDE), a_pool("late", **WIDE)
    setting = Setting((a_quota(5),), shared=False, sample_seconds=20.0)
    plans = [a_plan(early, [Job(0, 100.0)] * 5), a_plan(late, [Job(5, 10.0)])]
    waits = simulate(plans, setting).pools[late.key].waits
    assert waits[0] > 100


def test_a_task_waits_for_a_node_when_nodes_are_full() -> None:
    """The pod that finds no place waits for a node's start, then for its own."""
    nodes = Machines({"cpu": amount("2")}, at_first=1, at_most=2, start_seconds=90)
    pool = a_pool(**WIDE)
    outcome = simulate([a_plan(pool, [Job(0, 1000.0)] * 3, 10)], Setting(machines=nodes))
    # Decisions are a second apart, and the first one sees the first Task.
    assert outcome.pools[pool.key].waits == pytest.approx([10.0, 11.0, 101.0])
    assert outcome.most_nodes == 2


def test_a_cluster_that_is_full_makes_tasks_wait_for_an_end() -> None:
    """With no more nodes to start, a pod gets the place of one that ends."""
    nodes = Machines({"cpu": amount("1")}, at_first=1, at_most=1)
    one, two = a_pool("one", **WIDE), a_pool("two", **WIDE)
    plans = [a_plan(one, [Job(0, 50.0)], 10), a_plan(two, [Job(1, 5.0)], 10)]
    waits = simulate(plans, Setting(machines=nodes)).pools[two.key].waits
    assert waits[0] == pytest.approx(69, abs=2)


def test_nodes_end_when_they_were_empty_for_long() -> None:
    """A node that was started for one Task costs its start, its work and its idle time."""
    nodes = Machines({"cpu": amount("1")}, at_first=0, at_most=3, start_seconds=90)
    pool = a_pool(**WIDE)
    trace = [Job(0, 100.0), Job(5000, 100.0)]
    outcome = simulate([a_plan(pool, trace, 10)], Setting(machines=nodes))
    # The second one is still there when the simulation ends with its Task.
    assert outcome.node_seconds == pytest.approx(90 + 10 + 100 + 600 + 90 + 10 + 100, abs=3)


def test_a_queue_that_nobody_serves_ends_the_simulation() -> None:
    """A pool paused at zero starts no Task, and each counts as missed."""
    told = alone([Job(0, 1.0), Job(1, 1.0)], pausedReplicas=0)
    assert (told.never, told.missed(60), told.waits) == (2, 2, [])


def test_flaps_are_turns_of_the_target() -> None:
    """Up, down, up again has two turns; the way from nothing is the first step up."""
    told = PoolOutcome(targets=[(0, 4), (10, 8), (20, 2), (30, 5)])
    assert told.flaps == 2
