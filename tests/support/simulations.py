"""Pools, quotas and Tasks for simulations."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from agentcorps.core.amounts import amount
from agentcorps.core.charge import Charge
from agentcorps.core.quota_record import QuotaRecord
from agentcorps.core.records import Key, PoolRecord
from agentcorps.core.simulation.deciders import decider_of
from agentcorps.core.simulation.plan import Plan
from support.scalings import scaling

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentcorps.core.simulation.plan import Job

NAMESPACE = "lab"


def fixed(seed: int) -> Random:
    """Return the same numbers each time."""
    return Random(seed)  # noqa: S311 - made-up loads are no secrets


def a_pool(
    name: str = "crew",
    *,
    weight: int = 1,
    priority: int = 0,
    preempts: bool = False,
    slots: int = 1,
    **spec: Any,
) -> PoolRecord:
    """Return a pool with an autoscaler whose agents take one CPU each."""
    one = amount("1")
    size = Charge((("cpu", one), ("pods", one), ("requests.cpu", one)), best_effort=False)
    return PoolRecord(
        uid=name,
        key=Key(NAMESPACE, name),
        resource_version=1,
        generation=1,
        created=0.0,
        replicas=0,
        drain_timeout_seconds=300,
        template_hash="",
        template_labels={},
        template_annotations={},
        agent_spec={},
        slots=slots,
        scaling=scaling(**spec),
        charge=size,
        quota_priority=priority,
        quota_weight=weight,
        quota_preempts=preempts,
    )


def a_quota(pods: int) -> QuotaRecord:
    """Return a quota for so many pods."""
    return QuotaRecord("q", Key(NAMESPACE, "q"), 1, {"pods": amount(str(pods))}, {})


def a_plan(
    pool: PoolRecord, jobs: Iterable[Job], start_seconds: float = 10.0, stop_seconds: float = 0.0
) -> Plan:
    """Return the plan of a pool that decides as it does in the operator."""
    return Plan(pool, decider_of(pool), jobs, start_seconds, stop_seconds)
