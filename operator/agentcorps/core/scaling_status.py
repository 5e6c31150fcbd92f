"""What the status of an AgentPool tells of its autoscaler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agentcorps.api.meta import ConditionType
from agentcorps.api.names import clip_message
from agentcorps.api.scaling import MAX_DECISIONS_KEPT, LimitedBy
from agentcorps.core import conditions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentcorps.core.autoscaling.decision import Decision
    from agentcorps.core.conditions import Stamp
    from agentcorps.core.records import PoolRecord


FAILED_GET_METRIC: Final = "FailedGetMetric"
"""Reason of the condition ScalingActive and of an Event: a metric cannot be had."""


class Scaled(NamedTuple):
    """The last decision about a pool, and the last changes of its target."""

    decision: Decision
    changes: tuple[dict[str, Any], ...] = ()
    """As `status.decisions` has them, the newest last."""


class StatusPart(NamedTuple):
    """What one matter adds to a status."""

    fields: dict[str, Any]
    conditions: list[dict[str, Any]]


def changed(
    before: Sequence[dict[str, Any]], previous: int, decision: Decision, wall: float
) -> tuple[dict[str, Any], ...]:
    """Return the last changes of a target with one more.

    Args:
        before: The changes so far.
        previous: The target before.
        decision: What was decided.
        wall: Seconds since the Unix epoch.
    """
    change = {
        "time": conditions.timestamp(wall),
        "previousReplicas": previous,
        "targetReplicas": decision.target,
        "reason": decision.reason,
        "message": clip_message(decision.message),
    }
    return (*before, change)[-MAX_DECISIONS_KEPT:]


def scaling_status(pool: PoolRecord, scaled: Scaled | None, mark: Stamp) -> StatusPart:
    """Return what the status of a pool tells of its autoscaler.

    What the last leader told stands until this one has decided.
    """
    if pool.scaling is None:
        return StatusPart({"limitedBy": LimitedBy.NONE.value}, [])
    if scaled is None:
        told = {
            name: pool.status[name]
            for name in ("limitedBy", "demands", "decisions")
            if name in pool.status
        }
        known = mark.before.get(ConditionType.SCALING_ACTIVE)
        return StatusPart(told, [] if known is None else [dict(known)])
    decision = scaled.decision
    reason, message = "Scaling", ""
    if decision.paused:
        reason, message = "Paused", f"the target stays {decision.target}"
    elif decision.failing:
        reason, message = FAILED_GET_METRIC, failures(decision)
    active = conditions.condition(
        ConditionType.SCALING_ACTIVE, reason, message, mark, holds=reason == "Scaling"
    )
    fields: dict[str, Any] = {
        "limitedBy": decision.limited_by.value,
        "demands": [
            {
                "policy": demand.policy,
                "reason": demand.reason,
                "replicas": demand.replicas,
                "message": clip_message(demand.message),
            }
            for demand in decision.demands
        ],
    }
    if scaled.changes:
        fields["decisions"] = list(scaled.changes)
    return StatusPart(fields, [active])


def failures(decision: Decision) -> str:
    """Return what is wrong with the metrics of a pool, for people."""
    return "; ".join(f"{one.policy} ({one.reason}): {one.message}" for one in decision.failing)
