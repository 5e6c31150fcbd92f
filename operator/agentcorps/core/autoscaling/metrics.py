"""How many agents a metric asks for, in the manner of the HorizontalPodAutoscaler.

Source of the formula: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
(Algorithm details); of the fallback: https://keda.sh/docs/latest/reference/scaledobject-spec/.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Final, NamedTuple

from agentcorps.api.names import MAX_REPLICAS
from agentcorps.core.amounts import NANO, amount

if TYPE_CHECKING:
    from agentcorps.api.metrics import Fallback, MetricTarget
    from agentcorps.api.scaling import Behavior, Scaling
    from agentcorps.core.gauges import Metric, Reading

_DIGITS: Final = 4
_EXACT_DIGITS: Final = 12


class Asked(NamedTuple):
    """How many agents a metric asks for."""

    replicas: int
    message: str
    failing: bool = False
    """The metric cannot be had."""


def asked(target: MetricTarget, metric: Metric, scaling: Scaling, current: int) -> Asked:
    """Return what a metric asks for.

    Without a value it asks for the present target, so that the pool does not shrink; after
    `fallback.failureThreshold` failures in a row the fallback says.

    Args:
        target: What the metric should be.
        metric: What is known of it.
        scaling: The pool's autoscaler.
        current: The target of the pool now.
    """
    current = min(max(current, scaling.min_replicas), scaling.max_replicas)
    fallback = scaling.fallback
    if metric.problem:
        if fallback is None or metric.failures < fallback.failure_threshold:
            return Asked(
                current, f"{metric.problem}; meanwhile the target does not fall", failing=True
            )
        told = f"{metric.problem}; fallback ({fallback.behavior}, {fallback.replicas})"
        return Asked(fallback_replicas(fallback, current), told, failing=True)
    if metric.reading is None:
        return Asked(current, "it was not read yet; until then the target does not fall")
    return by_value(target, metric.reading, scaling.behavior)


def fallback_replicas(fallback: Fallback, current: int) -> int:
    """Return the number of agents that a fallback stands for."""
    match fallback.behavior:
        case "static":
            return fallback.replicas
        case "currentReplicas":
            return current
        case "currentReplicasIfHigher":
            return max(current, fallback.replicas)
        case "currentReplicasIfLower":
            return min(current, fallback.replicas)


def by_value(target: MetricTarget, reading: Reading, behavior: Behavior) -> Asked:
    """Return what a value asks for.

    With type Value `ceil(value / target * ready)`, or `ceil(value / target)` while no agent is
    ready; with AverageValue `ceil(value / target)`. Within the tolerance, as many as the pool was
    to have when the value was read.
    """
    goal = Fraction(amount(str(target.value or target.average_value)), NANO)
    share, told = exact(reading.value) / goal, short(reading.value)
    if target.type == "Value":
        ratio, wanted = share, share * max(1, reading.ready)
        told += f" of {target.value}, with {reading.ready} ready agents"
    else:
        ratio, wanted = share / max(1, reading.target), share
        told += f", {target.average_value} per agent"
    low, high = 1 - behavior.scale_down.tolerance, 1 + behavior.scale_up.tolerance
    if reading.target > 0 and low <= ratio <= high:
        return Asked(reading.target, f"{told}: within tolerance")
    return Asked(min(max(0, ceil(wanted)), MAX_REPLICAS), told)


def exact(value: float) -> Fraction:
    """Return the decimal that a value stands for: 0.1 + 0.2 is 0.3, and no reason for an agent."""
    return Fraction(f"{value:.{_EXACT_DIGITS}g}")


def short(value: float) -> str:
    """Return a value as people read it; what is small beside it does not show."""
    return f"{float(f'{value:.{_DIGITS}g}'):.15g}"
