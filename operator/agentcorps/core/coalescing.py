"""When a changed status is worth a write: task traffic must not show at the API server.

Readiness and failures are written at once; an agent's first status after five seconds, for most are
ready by then and need no other one, and later steps on its way after one; Idle↔Busy when it has
lasted five; counters a minute after they first differed, hence at most once a minute; a
pool's numbers likewise after a second. A heartbeat alone is never written, so an idle system writes
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agentcorps.api.meta import AgentPhase, ConditionStatus, ConditionType
from agentcorps.core.conditions import DRAINING, find

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FIRST_SECONDS: Final = 5.0
STEP_SECONDS: Final = 1.0
SWING_SECONDS: Final = 5.0
COUNTER_SECONDS: Final = 60.0
POOL_SECONDS: Final = 1.0

_SWINGING: Final = frozenset({AgentPhase.IDLE, AgentPhase.BUSY})
_AGENT_CONDITIONS: Final = (
    ConditionType.READY,
    ConditionType.STALLED,
    ConditionType.HEALTHY,
    DRAINING,
)
_ON_ITS_WAY: Final = [
    (ConditionType.READY, ConditionStatus.FALSE),
    (ConditionType.RECONCILING, ConditionStatus.TRUE),
    (ConditionType.STALLED, ConditionStatus.FALSE),
]
_POOL_CONDITIONS: Final = (
    ConditionType.READY,
    ConditionType.RECONCILING,
    ConditionType.STALLED,
    ConditionType.SCALING_ACTIVE,
)


class Change(NamedTuple):
    """A computed status that differs from the stored one. All times are monotonic."""

    due: float
    """When to write it; at once when that is not later than now."""
    since: float
    """Since when the two have differed."""
    phase: str = ""
    """The phase that was computed last."""
    phase_since: float = 0.0
    """Since when that phase has been computed without a break."""


def agent_status_change(
    old: Mapping[str, Any], new: Mapping[str, Any], before: Change | None, now: float
) -> Change | None:
    """Tell when the status of an Agent is to be written.

    Args:
        old: The status as stored.
        new: The status as computed now.
        before: What this function returned last for this Agent.
        now: Monotonic time.

    Returns:
        The change, or None when there is nothing to write. A write ends it: from then on pass the
        status that was stored as `old`, and None as `before`.
    """
    if _without_heartbeat(old) == _without_heartbeat(new):
        return None
    phase = str(new.get("phase", ""))
    since = now if before is None else before.since
    phase_since = now if before is None or before.phase != phase else before.phase_since
    due = since + COUNTER_SECONDS
    if _sets_out(old, new):
        due = since + FIRST_SECONDS
    elif _tells(old, _AGENT_CONDITIONS) != _tells(new, _AGENT_CONDITIONS):
        due = now
    elif old.get("phase") != phase:
        swings = old.get("phase") in _SWINGING and phase in _SWINGING
        due = min(due, phase_since + (SWING_SECONDS if swings else STEP_SECONDS))
    return Change(due, since, phase, phase_since)


def pool_status_change(
    old: Mapping[str, Any], new: Mapping[str, Any], before: Change | None, now: float
) -> Change | None:
    """Tell when the status of an AgentPool is to be written; see `agent_status_change`."""
    if old == new:
        return None
    since = now if before is None else before.since
    urgent = _tells(old, _POOL_CONDITIONS) != _tells(new, _POOL_CONDITIONS)
    return Change(now if urgent else since + POOL_SECONDS, since)


def _sets_out(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether an agent has no status yet and all goes well: the CRD's defaults tell as much."""
    flags = [(condition["type"], condition["status"]) for condition in new["conditions"]]
    return not old.get("conditions") and flags == _ON_ITS_WAY


def _without_heartbeat(status: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in status.items() if name != "lastHeartbeatTime"}


def _tells(status: Mapping[str, Any], kinds: Iterable[str]) -> list[Any]:
    """Return what people and kstatus wait for: the generation, and which conditions hold."""
    return [status.get("observedGeneration"), *(find(status, kind).get("status") for kind in kinds)]
