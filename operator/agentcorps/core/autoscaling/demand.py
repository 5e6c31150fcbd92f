"""How many agents each policy asks for, and why."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from agentcorps.api.scaling_policy import PolicyType
from agentcorps.core.autoscaling.metrics import asked
from agentcorps.core.conditions import timestamp
from agentcorps.core.gauges import UNREAD
from agentcorps.core.metric_sources import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentcorps.api.scaling import Scaling
    from agentcorps.api.scaling_policy import ScalingPolicy
    from agentcorps.core.autoscaling.load import Load
    from agentcorps.core.autoscaling.schedules import Window
    from agentcorps.core.gauges import Metric


class Demand(NamedTuple):
    """What one policy asks for."""

    policy: str
    """Path of the policy below `spec.scaling`."""
    reason: str
    """One CamelCase word."""
    replicas: int
    message: str
    failing: bool = False
    """Its metric cannot be had."""


def demands(
    scaling: Scaling,
    load: Load,
    windows: Mapping[int, Window | None],
    wall: float,
    current: int,
) -> list[Demand]:
    """Return what each policy asks for, and the idle buffer.

    Args:
        scaling: The pool's autoscaler.
        load: What there is to do.
        windows: By the position of each policy of type Schedule: the window to look at.
        wall: Seconds since the Unix epoch.
        current: The target of the pool now.
    """
    found = []
    for number, policy in enumerate(scaling.policies):
        path = f"policies[{number}]"
        if policy.type in METRICS:
            metric = load.metrics.get(number, UNREAD)
            found.append(_by_metric(path, policy, metric, scaling, current))
        elif policy.type is PolicyType.TASKS:
            found.append(_by_tasks(path, policy, load))
        else:
            found.append(_by_schedule(path, policy, windows.get(number), wall))
    if scaling.idle != 0:
        found.append(_by_buffer(scaling.idle, load.busy))
    return found


def buffered(idle: int | str, busy: int) -> int:
    """Return how many agents there are when so many of them, or that percentage, are idle.

    For a percentage `ceil(100 busy / (100 - idle))`, as the fleet autoscaler of Agones has it
    (https://agones.dev/site/docs/reference/fleetautoscaler/).
    """
    if isinstance(idle, int):
        return busy + idle
    percent = int(idle.removesuffix("%"))
    return _ceil(100 * busy, 100 - percent)


def _by_tasks(path: str, policy: ScalingPolicy, load: Load) -> Demand:
    there_is = f"{load.queued} queued and {load.running} running Tasks"
    if load.unfit:
        there_is += f" ({load.unfit} more require what its agents cannot do)"
    most = _ceil(load.queued + load.running, load.slots)
    if policy.max_wait_seconds is not None and load.service_seconds is not None:
        # The last Task waits for queued times service time by slots. Who works goes on working.
        wanted = ceil(load.queued * load.service_seconds / policy.max_wait_seconds / load.slots)
        replicas = min(most, max(wanted, _ceil(load.running, load.slots), min(1, load.queued)))
        why = (
            f"{there_is} of {load.service_seconds:.3g} s each, none to wait longer than"
            f" {policy.max_wait_seconds} s"
        )
        return Demand(path, policy.type.value, replicas, why)
    each = policy.tasks_per_agent or 1
    replicas = _ceil(load.queued + load.running, each * load.slots)
    return Demand(path, policy.type.value, replicas, f"{there_is}, {each * load.slots} per agent")


def _by_schedule(path: str, policy: ScalingPolicy, window: Window | None, wall: float) -> Demand:
    kind = policy.type.value
    if window is None:
        return Demand(path, kind, 0, "it never begins")
    if wall < window.starts:
        return Demand(path, kind, 0, f"it begins at {timestamp(window.starts)}")
    return Demand(path, kind, policy.replicas or 0, f"until {timestamp(window.ends)}")


def _by_metric(
    path: str, policy: ScalingPolicy, metric: Metric, scaling: Scaling, current: int
) -> Demand:
    kind = policy.type.value
    if policy.target is None:
        return Demand(path, kind, 0, "it has no target")
    replicas, message, failing = asked(policy.target, metric, scaling, current)
    return Demand(path, kind, replicas, message, failing)


def _by_buffer(idle: int | str, busy: int) -> Demand:
    of_all = " of all" if isinstance(idle, str) else ""
    message = f"{busy} busy agents, and {idle}{of_all} to be idle"
    return Demand("idle", "IdleBuffer", buffered(idle, busy), message)


def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
