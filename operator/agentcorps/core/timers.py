"""When each Task must be looked at again, and since when it runs or waits (monotonic)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agentcorps.api.meta import TaskPhase
from agentcorps.core.agenda import Agenda

if TYPE_CHECKING:
    from agentcorps.core.records import Key, Now, TaskRecord

SERVICE_WEIGHT: Final = 0.1
"""Weight of the newest attempt in the average: the last twenty or so make it."""


_RESOLUTION: Final = 1.0
"""Seconds by which a time that the API server wrote may lie after what it says."""


class _Began(NamedTuple):
    phase: TaskPhase
    attempt: int
    at: float
    waits_since: float


class Timers:
    """Alarms and marks per Task UID.

    A Task is looked at when something about it changed and when its alarm goes off. Wall-clock
    times become monotonic ones by the newest pair of readings that was seen.
    """

    def __init__(self) -> None:
        self._agenda: Agenda[str] = Agenda()
        self._began: dict[str, _Began] = {}
        self._service: dict[Key, float] = {}
        self._ahead = 0.0
        """Seconds by which the wall clock is ahead of the monotonic one."""

    def see(self, now: Now) -> None:
        """Note a reading of both clocks."""
        self._ahead = now.wall - now.monotonic

    def monotonic(self, wall: float) -> float:
        """The monotonic time of a wall-clock time."""
        return wall - self._ahead

    def note_phase(self, record: TaskRecord, assumed: TaskRecord | None, now: Now) -> None:
        """Note since when a Task is in its phase: since now, or as long as its status tells."""
        known = self._began.get(record.uid)
        if known is None or (known.phase, known.attempt) != (record.phase, record.attempt):
            elapsed = max(0.0, now.wall - _phase_start(record, assumed, now))
            waited = max(0.0, now.wall - _wait_start(record, assumed, now))
            self._began[record.uid] = _Began(
                record.phase, record.attempt, now.monotonic - elapsed, now.monotonic - waited
            )
            if known is not None and known.phase is TaskPhase.RUNNING:
                self._note_service(record.pool_key, now.monotonic - known.at)

    def phase_began(self, uid: str) -> float | None:
        """Monotonic time since which a Task is in its phase; None when the Task is not known."""
        began = self._began.get(uid)
        return None if began is None else began.at

    def waits_since(self, uid: str) -> float | None:
        """Monotonic time since which a Queued Task waits; None when the Task is not known.

        Other than ``phase_began`` it counts what went by before this operator saw the Task.
        """
        began = self._began.get(uid)
        return None if began is None else began.waits_since

    def service_seconds(self, pool: Key) -> float | None:
        """How long attempts of a pool's Tasks took lately, on average; None before the first."""
        return self._service.get(pool)

    def _note_service(self, pool: Key, seconds: float) -> None:
        mean = self._service.get(pool, seconds)
        self._service[pool] = mean + (seconds - mean) * SERVICE_WEIGHT

    def look_at(self, uid: str) -> None:
        """Have a Task looked at soon."""
        self._agenda.look_at(uid)

    def wake(self, uid: str, monotonic: float | None) -> None:
        """Have a Task looked at then (None: only when it changes)."""
        self._agenda.wake(uid, monotonic)

    def take_due(self, now: Now) -> list[str]:
        """UIDs to be looked at now; each is given once."""
        self.see(now)
        return self._agenda.take_due(now.monotonic)

    def next_alarm(self) -> float | None:
        """Monotonic time of the next alarm; None when none is set."""
        return self._agenda.next_alarm()

    def forget(self, uid: str) -> None:
        """The Task is gone."""
        self._agenda.forget(uid)
        self._began.pop(uid, None)


def _phase_start(record: TaskRecord, assumed: TaskRecord | None, now: Now) -> float:
    if record.terminal:
        return now.wall if record.finished_at is None else record.finished_at
    if record.phase is TaskPhase.QUEUED:
        return now.wall
    if assumed is not None and assumed.attempt == record.attempt and assumed.started_at is not None:
        # Status keeps whole seconds; the operator that wrote it knows better.
        return assumed.started_at
    return now.wall if record.started_at is None else record.started_at


def _wait_start(record: TaskRecord, assumed: TaskRecord | None, now: Now) -> float:
    """Wall time since which a Queued Task waits: its creation, or the end of its last attempt."""
    if record.phase is not TaskPhase.QUEUED:
        return now.wall
    if assumed is not None and assumed.attempts and assumed.attempt == record.attempt:
        return assumed.attempts[-1].finished_at
    # Objects keep whole seconds: a wait may be taken for shorter than it was, never for longer.
    return (record.attempts[-1].finished_at if record.attempts else record.created) + _RESOLUTION
