"""The target of a pool that scales itself, and why it is what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentcorps.api.scaling import LimitedBy
from agentcorps.core.autoscaling import behavior
from agentcorps.core.autoscaling.demand import Demand, demands
from agentcorps.core.autoscaling.history import (
    panics,
    with_demand,
    with_target,
    with_windows,
)

if TYPE_CHECKING:
    from agentcorps.api.scaling import Scaling
    from agentcorps.core.autoscaling.history import History
    from agentcorps.core.autoscaling.load import Load
    from agentcorps.core.autoscaling.schedules import Window
    from agentcorps.core.records import Now

AGAIN_SECONDS: Final = 2.0
"""How soon a target is looked at again that only time keeps from what is asked for."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How many agents a pool is to have."""

    target: int
    reason: str
    """What decided it: one CamelCase word."""
    message: str
    """The same for people."""
    limited_by: LimitedBy
    demands: tuple[Demand, ...]
    """What each policy asks for."""
    paused: bool
    due_in: float | None
    """Seconds after which time alone may change it; None when it takes an event."""

    @property
    def failing(self) -> tuple[Demand, ...]:
        """The policies whose metric cannot be had."""
        return tuple(demand for demand in self.demands if demand.failing)


def decide(scaling: Scaling, load: Load, history: History, now: Now) -> tuple[Decision, History]:
    """Decide how many agents a pool is to have.

    The highest demand, an idle buffer included, is stabilized, moved towards as fast as `behavior`
    allows, and bounded by minReplicas and maxReplicas; pauses come last. A pool with the target 0
    is woken at once, whatever the rates say. In a panic the target does not fall.

    Args:
        scaling: A usable `spec.scaling` (see `schedules.problem`).
        load: What there is to do.
        history: What the last decision about this pool returned; see `history.begin`.
        now: This instant.

    Returns:
        The decision, and the history for the next one. Deciding again at the same instant decides
        the same.
    """
    history = with_windows(history, scaling, now.wall)
    asked = demands(scaling, load, _numbered(scaling, history), now.wall, history.target)
    top = max(asked, key=lambda demand: demand.replicas)
    history = with_demand(history, scaling, load, top.replicas, now.monotonic)
    moved = _moved(scaling, history, top.replicas, now.monotonic)
    bounded = min(max(moved, scaling.min_replicas), scaling.max_replicas)
    target = _paused(scaling, history.target, bounded)
    wish = min(max(top.replicas, scaling.min_replicas), scaling.max_replicas)
    limited = _limit(scaling, top.replicas, target, bounded)
    reason, message = _story(scaling, top, target, limited)
    decision = Decision(
        target=target,
        reason=reason,
        message=message,
        limited_by=limited,
        demands=tuple(asked),
        paused=scaling.paused or scaling.paused_replicas is not None,
        due_in=_due(history, now.wall, waits=target == bounded != wish),
    )
    return decision, with_target(history, scaling, target, now.monotonic)


def _numbered(scaling: Scaling, history: History) -> dict[int, Window | None]:
    """Return the windows of the Schedules by their positions among the policies."""
    return {
        number: history.windows[policy]
        for number, policy in enumerate(scaling.policies)
        if policy.schedule is not None and policy in history.windows
    }


def _moved(scaling: Scaling, history: History, wanted: int, now: float) -> int:
    """Return the target after stabilization, panic and the rates; without bounds."""
    rules, current = scaling.behavior, history.target
    rising, panic = rules.scale_up.stabilization_window_seconds, panics(history, scaling, now)
    if panic:
        rising = min(rising, scaling.panic.window_seconds)
    lowest = min(behavior.within(history.lows, rising, now))
    falling = rules.scale_down.stabilization_window_seconds
    highest = max(behavior.within(history.highs, falling, now))
    stable = min(max(current, lowest), highest)
    if current == 0 < wanted and rules.scale_up.select_policy != "Disabled":
        limit = max(1, behavior.highest_rise(0, rules.scale_up, history.changes, now))
        return int(min(max(stable, 1), limit))
    if stable > current:
        limit = behavior.highest_rise(current, rules.scale_up, history.changes, now)
        return int(min(stable, limit))
    if stable < current and not panic:
        limit = behavior.deepest_fall(current, rules.scale_down, history.changes, now)
        return int(max(stable, limit, 0))
    return current


def _paused(scaling: Scaling, current: int, target: int) -> int:
    if scaling.paused_replicas is not None:
        return scaling.paused_replicas
    if scaling.paused:
        return current
    if scaling.paused_scale_in:
        target = max(target, current)
    return min(target, current) if scaling.paused_scale_out else target


def _limit(scaling: Scaling, wanted: int, target: int, bounded: int) -> LimitedBy:
    if scaling.paused or scaling.paused_replicas is not None or target != bounded:
        return LimitedBy.PAUSED
    if target >= wanted:
        return LimitedBy.NONE
    return LimitedBy.MAX_REPLICAS if target == scaling.max_replicas else LimitedBy.BEHAVIOR


def _story(scaling: Scaling, top: Demand, target: int, limited: LimitedBy) -> tuple[str, str]:
    """Return the reason and the message of a target."""
    asks = f"{top.policy} ({top.reason}) asks for {top.replicas}: {top.message}"
    if scaling.paused_replicas is not None:
        return "PausedReplicas", f"scaling.pausedReplicas is {target}; {asks}"
    if limited is LimitedBy.PAUSED:
        return "Paused", f"scaling is paused at {target}; {asks}"
    if limited is LimitedBy.NONE and target == scaling.min_replicas > top.replicas:
        return "MinReplicas", f"{asks}; minReplicas is {target}"
    held = "" if target == top.replicas else f"; held at {target} by behavior.scaleDown or panic"
    return top.reason, asks + _LIMITS.get(limited, held)


_LIMITS: Final = {
    LimitedBy.MAX_REPLICAS: "; limited by maxReplicas",
    LimitedBy.BEHAVIOR: "; limited for now by behavior.scaleUp",
}


def _due(history: History, wall: float, *, waits: bool) -> float | None:
    moments = [
        window.starts if wall < window.starts else window.ends
        for window in history.windows.values()
        if window is not None
    ]
    pauses = [moment - wall for moment in moments]
    if waits:
        pauses.append(AGAIN_SECONDS)
    return min(pauses, default=None)
