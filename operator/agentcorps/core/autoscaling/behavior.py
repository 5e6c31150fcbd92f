"""How fast a target may move: `behavior` of autoscaling/v2.

Source of the rules: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
(Configurable scaling behavior), and the autoscaling/v2 reference for the defaults.
"""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agentcorps.api.scaling import RatePolicy, ScaleDownRules, ScaleUpRules

    Held = tuple["Recommendation", ...]


class Recommendation(NamedTuple):
    """A number of agents that was asked for, and until when (monotonic seconds)."""

    replicas: int
    until: float


class Change(NamedTuple):
    """One move of the target."""

    at: float
    """Monotonic seconds."""
    delta: int


def with_low(held: Held, replicas: int, now: float, window: float) -> Held:
    """Add what is asked for now, and drop what can no longer be the lowest of a window."""
    return _added(held, replicas, now, window, lambda old: old >= replicas)


def with_high(held: Held, replicas: int, now: float, window: float) -> Held:
    """Add what is asked for now, and drop what can no longer be the highest of a window."""
    return _added(held, replicas, now, window, lambda old: old <= replicas)


def _added(
    held: Held, replicas: int, now: float, window: float, outdone: Callable[[int], bool]
) -> Held:
    # What was asked for last has been asked for until now, whenever that was looked at.
    still = (*held[:-1], Recommendation(held[-1].replicas, now)) if held else ()
    kept = [one for one in still if one.until > now - window and not outdone(one.replicas)]
    return (*kept, Recommendation(replicas, now))


def within(held: Held, window: float, now: float) -> list[int]:
    """Return what was asked for in a window that ends now; what is asked for now is always in."""
    return [one.replicas for one in held[:-1] if one.until > now - window] + [held[-1].replicas]


def highest_rise(current: int, rules: ScaleUpRules, changes: Iterable[Change], now: float) -> float:
    """Return how high the target may rise now; never below the current one."""
    if rules.select_policy == "Disabled":
        return current
    limits = (_up_to(current, policy, changes, now) for policy in rules.policies)
    return max(current, _selected(rules.select_policy == "Min", limits))


def deepest_fall(
    current: int, rules: ScaleDownRules, changes: Iterable[Change], now: float
) -> float:
    """Return how low the target may fall now; never above the current one."""
    if rules.select_policy == "Disabled":
        return current
    limits = (-_down_to(current, policy, changes, now) for policy in rules.policies)
    return min(current, -_selected(rules.select_policy == "Min", limits))


def _selected(smallest: bool, limits: Iterable[float]) -> float:  # noqa: FBT001 - private, two uses
    return min(limits, default=inf) if smallest else max(limits, default=-inf)


def _up_to(current: int, policy: RatePolicy, changes: Iterable[Change], now: float) -> int:
    start = _at_start(current, policy, changes, now)
    if policy.type == "Pods":
        return start + policy.value
    return ceil(start * (100 + policy.value) / 100)


def _down_to(current: int, policy: RatePolicy, changes: Iterable[Change], now: float) -> int:
    start = _at_start(current, policy, changes, now)
    if policy.type == "Pods":
        return start - policy.value
    return int(start * (100 - policy.value) / 100)


def _at_start(current: int, policy: RatePolicy, changes: Iterable[Change], now: float) -> int:
    """Return what the target was when the period began."""
    since = now - policy.period_seconds
    return current - sum(change.delta for change in changes if change.at > since)
