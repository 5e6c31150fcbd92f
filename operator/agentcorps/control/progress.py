"""Progress of running attempts: kept in memory, written at most once per ten seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentcorps.core import lifecycle

if TYPE_CHECKING:
    from agentcorps.control.task_writes import TaskWrites
    from agentcorps.core.records import TaskRecord

FLUSH_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Progress:
    attempt: int
    percent: int | None
    message: str


class ProgressBook:
    """The latest word of each running attempt that is not in its status yet."""

    def __init__(self, writes: TaskWrites) -> None:
        """Notes wait here; those of attempts that end meanwhile are never written."""
        self._writes = writes
        self._notes: dict[str, _Progress] = {}

    def note(self, record: TaskRecord, percent: int | None, message: str) -> None:
        """Remember the latest progress of an attempt."""
        self._notes[record.uid] = _Progress(record.attempt, percent, message)

    async def flush(self) -> None:
        """Start a write for each note; those of attempts that ended meanwhile are dropped."""
        notes, self._notes = self._notes, {}
        for uid, note in notes.items():

            def told(record: TaskRecord, note: _Progress = note) -> TaskRecord:
                if record.attempt != note.attempt:
                    raise lifecycle.IllegalTransition("the attempt has ended")
                return lifecycle.progress(record, note.percent, note.message)

            self._writes.begin(uid, told)
