"""Traces whose predictions are held against a real operator, and what each of them shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from agentcorps.core.quota.rules import SharingRules
from agentcorps.core.simulation.outcome import Outcome
from agentcorps.core.simulation.plan import Job, Plan, Setting
from agentcorps.core.simulation.run import simulate
from support.simulations import a_plan, a_pool, a_quota, fixed

MIN_RUNTIME_SECONDS = 10.0
SOON: dict[str, Any] = {"stabilizationWindowSeconds": 10}
CALM: dict[str, Any] = {"stableWindowSeconds": 5}
AT_ONCE: dict[str, Any] = {"policies": [{"type": "Pods", "value": 100, "periodSeconds": 1}]}
SLOWLY: dict[str, Any] = {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 10}]}


@dataclass(frozen=True)
class Load:
    """A pool, and its Tasks.

    Attributes:
        scaling: Its `spec.scaling`.
        jobs: In the order in which they come.
        weight: Its `quota.weight`.
        preempts: Whether its `quota.preemption` is Drain.
    """

    scaling: Mapping[str, Any]
    jobs: Sequence[Job]
    weight: int = 1
    preempts: bool = False


@dataclass(frozen=True)
class Trace:
    """Some pools, and what they share.

    Attributes:
        loads: By name of the pool.
        wrong: The same, but for what this trace is about: a simulator that ignored that would
            predict this.
        pods: What their ResourceQuota allows; None where there is none.
    """

    loads: Mapping[str, Load]
    wrong: Mapping[str, Load]
    pods: int | None = None


@dataclass(frozen=True)
class Figures:
    """What is held against each other: by pool the median wait in seconds; all agent-hours."""

    waits: Mapping[str, float]
    hours: float

    def far(self, other: "Figures") -> float:
        """Return by which share the farthest of another's figures differs from these."""
        pairs = [(other.waits[name], wait) for name, wait in self.waits.items()]
        return max(abs(theirs / ours - 1) for theirs, ours in [*pairs, (other.hours, self.hours)])


def predicted(
    loads: Mapping[str, Load], pods: int | None, start_seconds: float, stop_seconds: float
) -> Outcome:
    """Return what the simulator says."""
    plans = [plan(name, load, start_seconds, stop_seconds) for name, load in loads.items()]
    quotas = () if pods is None else (a_quota(pods),)
    return simulate(plans, Setting(quotas, rules=SharingRules(MIN_RUNTIME_SECONDS)))


def plan(name: str, load: Load, start_seconds: float, stop_seconds: float) -> Plan:
    """Return a pool as the simulator is told of it."""
    pool = a_pool(name, weight=load.weight, preempts=load.preempts, **load.scaling)
    return a_plan(pool, load.jobs, start_seconds, stop_seconds)


def figures(outcome: Outcome, probes: int = 0) -> Figures:
    """Return what an outcome comes to, without the first waits of the first pool."""
    waits = {key.name: told.waits for key, told in outcome.pools.items()}
    first = next(iter(waits))
    waits[first] = waits[first][probes:]
    seconds = sum(told.agent_seconds for told in outcome.pools.values())
    return Figures({name: median(each) for name, each in waits.items()}, seconds / 3600)


def tasks(rate: float, begin: float, seconds: float, least: float, most: float) -> list[Job]:
    """Return Tasks that come at random, for a while."""
    random, jobs, at = fixed(round(begin) + 11), [], begin
    while (at := at + random.expovariate(rate)) < begin + seconds:
        jobs.append(Job(at, random.uniform(least, most)))
    return jobs


def _bounded() -> Trace:
    """Two waves for sixteen agents, where there are six at most, and none in between."""
    scaling = {"maxReplicas": 6, "behavior": {"scaleDown": SOON}, "panic": CALM}
    load = Load(scaling, [*tasks(4.0, 0, 15, 2, 6), *tasks(4.0, 70, 15, 2, 6)])
    return Trace({"crew": load}, {"crew": replace(load, scaling={**scaling, "maxReplicas": 20})})


def _slow() -> Trace:
    """More and more agents, by two each ten seconds."""
    scaling = {
        "maxReplicas": 20,
        "behavior": {"scaleUp": SLOWLY, "scaleDown": SOON},
        "panic": CALM,
    }
    load = Load(scaling, tasks(2.5, 0, 40, 3, 7))
    wrong = replace(load, scaling={**scaling, "behavior": {"scaleDown": SOON}})
    return Trace({"crew": load}, {"crew": wrong})


def _patient() -> Trace:
    """Two waves, and only as many agents as keep the wait at what was asked for."""
    scaling = {
        "maxReplicas": 20,
        "policies": [{"type": "Tasks", "maxWaitSeconds": 20}],
        "behavior": {"scaleUp": AT_ONCE, "scaleDown": SOON},
        "panic": CALM,
    }
    load = Load(scaling, [*tasks(4.0, 0, 15, 3, 7), *tasks(4.0, 60, 15, 3, 7)])
    wrong = replace(load, scaling={**scaling, "policies": [{"type": "Tasks"}]})
    return Trace({"crew": load}, {"crew": wrong})


def _shared() -> Trace:
    """A pool that has all of a quota and is never idle, and one that has its share drained."""
    scaling = {
        "maxReplicas": 20,
        "behavior": {"scaleUp": AT_ONCE, "scaleDown": SOON},
        "panic": CALM,
    }
    first = Load(scaling, tasks(3.0, 0, 20, 3, 7))
    second = Load(scaling, tasks(3.0, 25, 20, 3, 7), weight=3, preempts=True)
    wrong = {"crew": first, "team": replace(second, preempts=False)}
    return Trace({"crew": first, "team": second}, wrong, pods=8)


TRACES: Mapping[str, Trace] = {
    "bounded": _bounded(),
    "slow": _slow(),
    "patient": _patient(),
    "shared": _shared(),
}
