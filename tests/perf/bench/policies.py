"""W4 and W5 on the virtual clock: the built-in autoscaler, HPA and KPA on the same Tasks.

Only the decisions differ: cluster, Tasks and start of agents are the same simulation. Every policy
drains busy agents, which flatters the other two: they would have ended them.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from agentcorps.cli.simulation_report import quantile
from agentcorps.cli.traffic import Arrivals, Services, jobs
from agentcorps.core.records import PoolRecord
from agentcorps.core.simulation.deciders import decider_of
from agentcorps.core.simulation.outcome import PoolOutcome
from agentcorps.core.simulation.plan import Decider, Job, Plan, Setting
from agentcorps.core.simulation.run import simulate
from perf.bench.client import Json
from perf.bench.rivals import Hpa, Kpa
from support.simulations import a_pool, a_quota, fixed

HOUR = 3600.0
MAX_WAIT = 60.0
START_SECONDS = 30.0
MOST = 100
SERVICE = "exponential:10"
AT_ONCE = {"policies": [{"type": "Percent", "value": 100_000, "periodSeconds": 1},
                        {"type": "Pods", "value": 10_000, "periodSeconds": 1}]}  # fmt: skip
FOR_WAITS: dict[str, Any] = {
    "policies": [{"type": "Tasks", "maxWaitSeconds": 20}],
    "behavior": {"scaleUp": AT_ONCE, "scaleDown": {"stabilizationWindowSeconds": 30}},
    "panic": {"stableWindowSeconds": 30},
}
"""For waits of a minute: half of it is the start of an agent. Nobody is hurt when a pool shrinks,
so it may do so soon."""

Policy = Callable[[int], PoolRecord | Decider]


def built_in(**spec: Any) -> Policy:
    """Return the operator's autoscaler with this `spec.scaling`."""
    return lambda most: a_pool(maxReplicas=most, **spec)


POLICIES: Mapping[str, Policy] = {
    "agentcorps": built_in(**FOR_WAITS),
    "agentcorps, defaults": built_in(),
    "HPA": Hpa,
    "KPA": Kpa,
}


def plan(policy: Policy, pool: PoolRecord, trace: list[Job], most: int) -> Plan:
    """Return a pool that some policy decides for."""
    made = policy(most)
    decider = decider_of(made) if isinstance(made, PoolRecord) else made
    return Plan(pool, decider, trace, START_SECONDS)


def figures(told: PoolOutcome) -> Json:
    """Return what a policy is judged by."""
    waits = sorted(told.waits)
    return {
        "tasks": len(waits) + told.never,
        "missed": told.missed(MAX_WAIT),
        "p50_s": round(quantile(waits, 0.5), 1),
        "p99_s": round(quantile(waits, 0.99), 1),
        "agent_hours": round(told.agent_seconds / HOUR, 1),
        "surplus_hours": round(told.surplus_seconds / HOUR, 1),
        "utilisation": round(told.slot_seconds / told.agent_seconds, 3),
        "flaps": told.flaps,
    }


def w4(arrivals: str, hours: float) -> dict[str, Json]:
    """Let each policy follow the same Tasks; returns figures by policy."""
    services = Services.parse(SERVICE)
    trace = list(jobs(Arrivals.parse(arrivals), services, hours * HOUR, fixed(1)))
    pool = a_pool(maxReplicas=MOST)
    return {
        name: figures(simulate([plan(policy, pool, trace, MOST)]).pools[pool.key])
        for name, policy in POLICIES.items()
    }


WEIGHTS = (1, 2, 4)
HOT, COOL, TURN_SECONDS = 5 / 7, 0.6 / 7, 600.0
"""Shares of the quota that the Tasks of a pool need while it is hot, and else; for how long."""


def w5(quota: int, turns: int) -> dict[str, Json]:
    """Let one pool after the other have most of the Tasks; returns figures by policy."""
    pools = [a_pool(f"w{weight}", weight=weight, maxReplicas=quota) for weight in WEIGHTS]
    traces = [_turns(quota, turns, number) for number in range(len(pools))]
    found = {}
    for name, policy in POLICIES.items():
        ours = isinstance(policy(quota), PoolRecord)
        plans = [plan(policy, *each, quota) for each in zip(pools, traces, strict=True)]
        outcome = simulate(plans, Setting((a_quota(quota),), shared=ours))
        told = PoolOutcome()
        for one in outcome.pools.values():
            told.waits += one.waits
            told.never += one.never
            told.agent_seconds += one.agent_seconds
            told.slot_seconds += one.slot_seconds
            told.surplus_seconds += one.surplus_seconds
        found[name] = {**figures(told), "flaps": sum(one.flaps for one in outcome.pools.values())}
    return found


def _turns(quota: int, turns: int, number: int) -> list[Job]:
    random, services = fixed(number), Services.parse(SERVICE)
    found: list[Job] = []
    for turn in range(turns):
        share = HOT if turn % len(WEIGHTS) == number else COOL
        arrivals = Arrivals.parse(f"poisson:{share * quota / 10}")
        began = turn * TURN_SECONDS
        made_up = jobs(arrivals, services, TURN_SECONDS, random)
        found += [Job(began + job.at, job.seconds) for job in made_up]
    return found


def day() -> Json:
    """Simulate a day of a thousand agents; returns the CPU time that it takes."""
    arrivals, services = Arrivals.parse("diurnal:4"), Services.parse("lognormal:120")
    pool = a_pool(maxReplicas=1000, policies=FOR_WAITS["policies"])
    began = time.process_time()
    trace = jobs(arrivals, services, 24 * HOUR, fixed(1))
    told = simulate([Plan(pool, decider_of(pool), trace)]).pools[pool.key]
    return {
        "seconds": round(time.process_time() - began, 1),
        "most_agents": told.most_agents,
        "tasks": len(told.waits),
    }
