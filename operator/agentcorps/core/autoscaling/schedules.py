"""When a policy of type Schedule is in force: a cron expression, a duration and a time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentcorps.api.scaling_policy import ScalingPolicy


class Window(NamedTuple):
    """A time in which a Schedule is in force, in seconds since the Unix epoch."""

    starts: float
    ends: float


def problem(policies: Sequence[ScalingPolicy]) -> str:
    """Return what is wrong with the first Schedule that cannot be used; empty when all can."""
    for number, policy in enumerate(policies):
        path = f"spec.scaling.policies[{number}]"
        if policy.schedule is None:
            continue
        try:
            CronSim(policy.schedule, datetime(2000, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            return f"{path}.schedule: is no cron expression ({str(error).lower()})"
        try:
            _zone(policy)
        except (LookupError, OSError, ValueError):
            return f"{path}.timeZone: is not known; use a name such as Europe/Berlin"
    return ""


def window_at(policy: ScalingPolicy, wall: float) -> Window | None:
    """Return the window that a time lies in, else the next one; None when there is none.

    Args:
        policy: A policy of type Schedule without a `problem`.
        wall: Seconds since the Unix epoch.
    """
    expression, seconds = policy.schedule or "", policy.duration_seconds or 0
    moment = datetime.fromtimestamp(int(wall), _zone(policy))
    # The library leaves out the moment that it starts from, and a window holds its first second.
    after = datetime.fromtimestamp(int(wall) + 1, _zone(policy))
    last = next(CronSim(expression, after, reverse=True), None)
    if last is not None and wall < last.timestamp() + seconds:
        return Window(last.timestamp(), last.timestamp() + seconds)
    following = next(CronSim(expression, moment), None)
    if following is None:
        return None
    return Window(following.timestamp(), following.timestamp() + seconds)


def _zone(policy: ScalingPolicy) -> ZoneInfo:
    return ZoneInfo(policy.time_zone or "UTC")
