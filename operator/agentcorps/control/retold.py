"""Events about the end of an attempt: which, where, why, and what comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentcorps.api.meta import TaskPhase, TaskReason
from agentcorps.core.story import last_attempt
from agentcorps.ports import Kind, Note

if TYPE_CHECKING:
    from agentcorps.core.records import TaskRecord

_OWN_REASONS: Final = frozenset(TaskReason)


def attempt_ended(after: TaskRecord, cause: str, again: str = "Requeued") -> Note:
    """Return the Event about an attempt that did not succeed.

    Args:
        after: The Task as it was written.
        cause: Why the attempt ended, for people; never what an agent said.
        again: Reason of the Event if the Task is tried again; else it is the Task's own, if the
            operator gave it, or its phase.
    """
    waits = after.phase is TaskPhase.QUEUED
    # A reason that an agent made up is no word of the operator's own.
    known = after.reason in _OWN_REASONS
    ended = after.reason if known else after.phase.value
    return Note(
        kind=Kind.TASK,
        key=after.key,
        uid=after.uid,
        reason=again if waits else ended,
        action="Retry" if waits else "Finish",
        message=last_attempt(after, cause),
        warning=True,
        related=after.agent,
    )
