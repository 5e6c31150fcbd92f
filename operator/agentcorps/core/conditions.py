"""Conditions as kstatus reads them: Ready, Reconciling and Stalled."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agentcorps.api.meta import ConditionStatus, ConditionType, format_timestamp
from agentcorps.api.names import clip_message

if TYPE_CHECKING:
    from collections.abc import Mapping

DRAINING: Final = "Draining"
"""Condition of an Agent that finishes its tasks and takes no new ones; absent before."""

_TRUE: Final = ConditionStatus.TRUE.value
_FALSE: Final = ConditionStatus.FALSE.value
_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class Verdict(NamedTuple):
    """What the conditions of an object say together.

    `stalled` and `reconciling` exclude each other: kstatus reports the first of them that it finds.
    """

    reason: str
    """One CamelCase word."""
    message: str = ""
    ready: bool = False
    reconciling: bool = False
    stalled: bool = False


class Stamp(NamedTuple):
    """When and for which generation conditions are computed, and which stood before."""

    before: Mapping[str, Mapping[str, Any]]
    """The conditions that the object has, by type."""
    generation: int
    wall: float
    """Seconds since the Unix epoch."""


def stamp(status: Mapping[str, Any], generation: int, wall: float) -> Stamp:
    """Return the stamp of an object that has this status."""
    return Stamp({c.get("type", ""): c for c in status.get("conditions") or ()}, generation, wall)


def standard(verdict: Verdict, mark: Stamp) -> list[dict[str, Any]]:
    """Return the three conditions that every kind has."""
    flags = {
        ConditionType.READY: verdict.ready,
        ConditionType.RECONCILING: verdict.reconciling,
        ConditionType.STALLED: verdict.stalled,
    }
    told = ConditionType.READY
    if verdict.stalled or verdict.reconciling:
        told = ConditionType.STALLED if verdict.stalled else ConditionType.RECONCILING
    return [
        condition(
            kind,
            verdict.reason,
            verdict.message if kind in {told, ConditionType.READY} else "",
            mark,
            holds=holds,
        )
        for kind, holds in flags.items()
    ]


def condition(kind: str, reason: str, message: str, mark: Stamp, *, holds: bool) -> dict[str, Any]:
    """Return one condition; its lastTransitionTime moves only when its status changes."""
    status = _TRUE if holds else _FALSE
    before = mark.before.get(kind, _NONE)
    kept = before.get("lastTransitionTime") if before.get("status") == status else None
    return {
        "type": str(kind),
        "status": status,
        "reason": reason,
        "message": clip_message(message),
        "lastTransitionTime": kept or timestamp(mark.wall),
        "observedGeneration": mark.generation,
    }


def find(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return a condition of a status; an empty mapping when it has none of that type."""
    return next((c for c in status.get("conditions") or () if c.get("type") == kind), _NONE)


def is_true(status: Mapping[str, Any], kind: str) -> bool:
    """Tell whether a status has a condition that is True."""
    return bool(find(status, kind).get("status") == _TRUE)


def timestamp(wall: float) -> str:
    """Return seconds since the Unix epoch as RFC 3339 in UTC, to the second."""
    return format_timestamp(datetime.fromtimestamp(int(wall), UTC))
