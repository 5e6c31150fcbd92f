"""What an autoscaler remembers between two decisions about a pool."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from agentcorps.core.autoscaling import behavior, panic
from agentcorps.core.autoscaling.behavior import Change
from agentcorps.core.autoscaling.schedules import Window, window_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentcorps.api.scaling import Scaling
    from agentcorps.api.scaling_policy import ScalingPolicy
    from agentcorps.core.autoscaling.behavior import Held
    from agentcorps.core.autoscaling.load import Load
    from agentcorps.core.autoscaling.panic import Samples
    from agentcorps.core.records import Now


@dataclass(frozen=True, slots=True)
class History:
    """A value: decisions take one and return the next. Times are monotonic."""

    target: int
    """What was decided last."""
    lows: Held = ()
    """What was asked for, as far as it can be the lowest of scaleUp's window."""
    highs: Held = ()
    """What was asked for, as far as it can be the highest of scaleDown's window."""
    changes: tuple[Change, ...] = ()
    """Moves of the target, as far as rate policies look back."""
    samples: Samples = ()
    """What was asked for, as far as panic looks back."""
    panicked: float | None = None
    """When demand was last far more than what was ready."""
    windows: Mapping[ScalingPolicy, Window | None] = field(default_factory=dict)
    """Of each Schedule: the window that holds or comes next; None if none ever does."""


def begin(current: int, now: Now) -> History:
    """Return the history of a pool that was not looked at before.

    As many agents as there are count as asked for just now, so that after a takeover nothing
    shrinks before a stabilization window has passed.
    """
    return History(target=current, highs=behavior.with_high((), current, now.monotonic, 0))


def with_windows(history: History, scaling: Scaling, wall: float) -> History:
    """Look up the windows of schedules that have ended or were not known."""
    windows: dict[ScalingPolicy, Window | None] = {}
    for policy in scaling.policies:
        if policy.schedule is None:
            continue
        known = history.windows.get(policy)
        fresh = policy in history.windows and (known is None or wall < known.ends)
        windows[policy] = known if fresh else window_at(policy, wall)
    return history if windows == history.windows else replace(history, windows=windows)


def with_demand(history: History, scaling: Scaling, load: Load, wanted: int, now: float) -> History:
    """Note what is asked for now."""
    rules, alarm = scaling.behavior, scaling.panic
    samples = panic.with_sample(history.samples, wanted, now, alarm.window_seconds)
    over = panic.over_threshold(samples, load.ready, alarm, now)
    up, down = (
        rules.scale_up.stabilization_window_seconds,
        rules.scale_down.stabilization_window_seconds,
    )
    return replace(
        history,
        lows=behavior.with_low(history.lows, wanted, now, up),
        highs=behavior.with_high(history.highs, wanted, now, down),
        samples=samples,
        panicked=now if over else history.panicked,
    )


def with_target(history: History, scaling: Scaling, target: int, now: float) -> History:
    """Note what was decided; changes stay for as long as a rate policy looks back."""
    rules = (*scaling.behavior.scale_up.policies, *scaling.behavior.scale_down.policies)
    since = now - max(policy.period_seconds for policy in rules)
    changes = [change for change in history.changes if change.at > since]
    if target == history.target and len(changes) == len(history.changes):
        return history
    if target != history.target:
        changes.append(Change(now, target - history.target))
    return replace(history, target=target, changes=tuple(changes))


def panics(history: History, scaling: Scaling, now: float) -> bool:
    """Tell whether demand was far more than what was ready within the stable window."""
    if history.panicked is None:
        return False
    return now - history.panicked < scaling.panic.stable_window_seconds
