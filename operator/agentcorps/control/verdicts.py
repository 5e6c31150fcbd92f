"""Judges what an agent says that it runs: which attempts are still its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentcorps.api.meta import TaskPhase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentcorps.api.protocol import TaskRef
    from agentcorps.control.gatekeeper import Caller
    from agentcorps.control.task_writes import TaskWrites
    from agentcorps.core.records import TaskRecord
    from agentcorps.core.state import State

MOST_FRESH_READS: Final = 8
"""Per call: an agent that names attempts that never were must not make the operator read them all.
What is left without a verdict gets one in a later call."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Attempts that an agent must stop."""

    cancel: list[TaskRef]
    """Their Task ended or was deleted."""
    drop: list[TaskRef]
    """Their Task goes on elsewhere."""

    def __bool__(self) -> bool:
        """True when there is something to stop."""
        return bool(self.cancel or self.drop)


async def judge(
    state: State, writes: TaskWrites, caller: Caller, instance: str, running: Iterable[TaskRef]
) -> Verdicts:
    """Compare the attempts that a process holds with the Tasks.

    What the state knows of a *higher* attempt or of a finished Task is final. If it knows only a
    lower one, it may lag behind an earlier leader's last binding: then the Task is read fresh
    before anything is dropped.

    Raises:
        ClusterError: a fresh read failed; nothing may be concluded.
    """
    verdicts, reads = Verdicts([], []), 0
    for ref in dict.fromkeys(running):
        record = state.task(ref.uid)
        if record is not None and record.attempt < ref.attempt:
            if reads == MOST_FRESH_READS:
                continue
            reads += 1
            record = await writes.refresh(record)
        if record is None or (record.terminal and record.attempt == ref.attempt):
            verdicts.cancel.append(ref)
        elif not _own(record, ref, caller, instance):
            verdicts.drop.append(ref)
    return verdicts


def _own(record: TaskRecord, ref: TaskRef, caller: Caller, instance: str) -> bool:
    return (
        record.phase is TaskPhase.RUNNING
        and record.attempt == ref.attempt
        and record.pod_uid == caller.pod.uid
        and record.agent_instance == instance
        and record.key.namespace == caller.key.namespace
    )
