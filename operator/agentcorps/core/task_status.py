"""The status of a Task as it is written: the record, and conditions that kstatus reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentcorps.api.meta import ConditionStatus, ConditionType, TaskPhase, TaskReason
from agentcorps.api.payloads import RESULT_KEY
from agentcorps.core.conditions import timestamp
from agentcorps.core.defaults import to_api
from agentcorps.core.digest import canonical_digest
from agentcorps.core.payloads import StoredResult

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentcorps.core.records import Attempt, TaskRecord

ABSENT: Final = object()
"""Stands for a status without a result (None is a result)."""


def task_status(record: TaskRecord, result: object = ABSENT) -> dict[str, Any]:
    """Return the whole status of a Task, with the result (or its place) and its digest, if any.

    Raises:
        ValueError: The result holds a number that JSON lacks.
    """
    status: dict[str, Any] = {
        "observedGeneration": record.observed_generation,
        "phase": record.phase.value,
        "reason": str(record.reason),
        "message": record.message,
        "attempt": record.attempt,
        "failures": record.failures,
        "crashes": record.crashes or None,
        "agentName": record.agent_name,
        "podUID": record.pod_uid,
        "agentInstance": record.agent_instance,
        "startedAt": _time(record.started_at),
        "finishedAt": _time(record.finished_at),
        "poolDefaults": to_api(record.inherited),
        "progress": _progress(record),
        "attempts": [_attempt(attempt) for attempt in record.attempts],
        "conditions": _conditions(record),
    }
    told = {name: value for name, value in status.items() if value not in (None, "", [], {})}
    if isinstance(result, StoredResult):
        told["resultRef"] = {"kind": "Secret", "name": result.name, "key": RESULT_KEY}
        told["resultDigest"] = result.digest
    elif result is not ABSENT:
        told["result"] = result
        told["resultDigest"] = canonical_digest(result)
    return told


def _time(wall: float | None) -> str | None:
    return None if wall is None else timestamp(wall)


def _progress(record: TaskRecord) -> dict[str, Any]:
    progress: dict[str, Any] = {}
    if record.progress_percent is not None:
        progress["percent"] = record.progress_percent
    if record.progress_message:
        progress["message"] = record.progress_message
    return progress


def _attempt(attempt: Attempt) -> dict[str, Any]:
    told = {
        "attempt": attempt.attempt,
        "agentName": attempt.agent_name,
        "startedAt": timestamp(attempt.started_at),
        "finishedAt": timestamp(attempt.finished_at),
    }
    said = {"reason": str(attempt.reason), "message": attempt.message}
    return told | {name: value for name, value in said.items() if value}


def _conditions(record: TaskRecord) -> list[dict[str, Any]]:
    """Ready, and of Reconciling, Stalled and Succeeded what tells something.

    Until its end a Task is reconciling and not ready; a good end makes it ready, any other stalled.
    kstatus takes what is absent for False, and each condition is paid for with every event.
    """
    reason, message = _told(record)
    return [
        {
            "type": kind.value,
            "status": status.value,
            "reason": reason,
            "message": message,
            "lastTransitionTime": timestamp(since),
            "observedGeneration": record.observed_generation,
        }
        for kind, status, since in _holding(record)
    ]


def _holding(record: TaskRecord) -> Iterator[tuple[ConditionType, ConditionStatus, float]]:
    """Yield type, status and time of last transition of each condition."""
    true, false = ConditionStatus.TRUE, ConditionStatus.FALSE
    # Before the first write there are no conditions, but what they say has held from the start.
    begun = record.created
    ended = begun if record.finished_at is None else record.finished_at
    if not record.terminal:
        yield ConditionType.READY, false, begun
        yield ConditionType.RECONCILING, true, begun
    elif record.phase is TaskPhase.SUCCEEDED:
        yield ConditionType.READY, true, ended
        yield ConditionType.SUCCEEDED, true, ended
    else:
        yield ConditionType.READY, false, begun
        yield ConditionType.STALLED, true, ended
        yield ConditionType.SUCCEEDED, false, ended


def _told(record: TaskRecord) -> tuple[str, str]:
    if record.phase is TaskPhase.RUNNING:
        where = f"agent {record.agent_name} works on attempt {record.attempt}"
        return TaskReason.BOUND.value, where
    return str(record.reason) or record.phase.value, record.message
