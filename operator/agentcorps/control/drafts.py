"""What is about to be written of a Task, and what may have to be done before that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from agentcorps.core import wire
from agentcorps.core.records import TaskRecord
from agentcorps.ports import ClusterError


class NotApplied(ClusterError):
    """The write did not happen. The Task was read again: a fresh decision sees the truth."""


class Draft(NamedTuple):
    """A Task as the next write of its status is to leave it."""

    record: TaskRecord
    result: object = wire.ABSENT
    """What the agent returned, or ``StoredResult`` where that was put elsewhere."""


Prepare = Callable[[TaskRecord, TaskRecord], Awaitable[Draft]]
"""Work that must be done before a write, given the Task before and after: says what to write."""
