"""Objects that cannot be read: as if they were not there, and somebody is told to mend them.

The API server lets through what no operator writes: a time in the year 0, say, or whatever an older
schema allowed. Such an object is left alone, and one Event on it says what is wrong and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from agentcorps.core import wire
from agentcorps.core.fields import Malformed
from agentcorps.core.metadata import identity_of
from agentcorps.core.story import unreadable
from agentcorps.ports import Kind, Note

if TYPE_CHECKING:
    from agentcorps.core.metadata import Identity
    from agentcorps.core.records import TaskRecord
    from agentcorps.core.state import State
    from agentcorps.ports import EventSink, Leadership, Object

log = structlog.get_logger(__name__)

INTERVAL_SECONDS: Final = 60.0
MAX_REMEMBERED: Final = 1000
"""Objects whose Event is remembered; of more than that, one may be told twice."""
REASON: Final = "Unreadable"


@dataclass(slots=True)
class _Found:
    kind: Kind
    who: Identity
    why: str
    told: bool = False


class Unreadable:
    """What this process could not read. Replicas that stand by read, too: the leader tells."""

    def __init__(self, state: State, events: EventSink, leadership: Leadership) -> None:
        self._state = state
        self._events = events
        self._leadership = leadership
        self._found: dict[str, _Found] = {}
        """By UID, the oldest first."""

    def task(self, stored: Object) -> TaskRecord | None:
        """Read a Task; None for one that cannot be read."""
        try:
            return wire.task_record(stored)
        except Malformed as error:
            self.leave_out(Kind.TASK, stored, str(error))
            return None

    def leave_out(self, kind: Kind, obj: Object, why: str) -> TaskRecord | None:
        """Take an object out of the state until it can be read, and tell that once.

        Args:
            kind: Of the object.
            obj: The object.
            why: What is wrong, and where; never what stands there.

        Returns:
            The Task that was in the state, if it was one.
        """
        who = _identity(obj)
        if who is None:
            log.warning("object without a name cannot be read", kind=kind.kind, why=why)
            return None
        task = self._state.task(who.uid)
        if task is not None and task.resource_version >= who.resource_version:
            return None  # a watch may lag behind what was read since
        before = self._found.pop(who.uid, None)
        found = self._found[who.uid] = _Found(kind, who, why)
        found.told = before is not None and before.told and before.why == why
        if len(self._found) > MAX_REMEMBERED:
            del self._found[next(iter(self._found))]
        self._forget(kind, who)
        if self._leadership.leading:
            self._tell(found)
        return task

    def left_out(self, uid: str, resource_version: int) -> bool:
        """Tell whether this version of an object could not be read."""
        found = self._found.get(uid)
        return found is not None and found.who.resource_version >= resource_version

    def is_well(self, uid: str) -> None:
        """The object can be read."""
        self._found.pop(uid, None)

    def gone(self, obj: Object) -> None:
        """The object is deleted."""
        who = _identity(obj)
        if who is not None:
            self.is_well(who.uid)

    async def step(self) -> None:
        """Tell what was found before this process led."""
        for found in self._found.values():
            self._tell(found)

    def _tell(self, found: _Found) -> None:
        if found.told:
            return
        found.told = True
        kind, who = found.kind, found.who
        message = unreadable(kind.kind, who.key.name, found.why)
        log.warning("object cannot be read", kind=kind.kind, object=str(who.key), why=found.why)
        self._events.emit(Note(kind, who.key, who.uid, REASON, "Read", message, warning=True))

    def _forget(self, kind: Kind, who: Identity) -> None:
        if kind is Kind.TASK:
            self._state.forget_task(who.uid)
            return
        forget = {
            Kind.POD: self._state.forget_pod,
            Kind.AGENT: self._state.forget_agent,
            Kind.POOL: self._state.forget_pool,
            Kind.QUOTA: self._state.forget_quota,
        }
        forget[kind](who.key, who.uid)


def _identity(obj: Object) -> Identity | None:
    try:
        return identity_of(obj)
    except Malformed:
        return None
