"""The waiting tasks for one target, in the order in which they are served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core.lazyheap import Entry, LazyHeap

if TYPE_CHECKING:
    from agentcorps.core.lazyheap import Rank
    from agentcorps.core.records import TaskRecord

Capabilities = frozenset[str]


def rank(record: TaskRecord, aging_seconds: float) -> Rank:
    """Place of a task in its line, lower first: by aged priority, then age, then name.

    The aged priority at time t is ``priority + (t - created) / aging_seconds``. All tasks age at
    the same pace, so of two tasks the same one is ahead at every t, and the order is that of
    ``created - priority·aging_seconds``: a number that never changes. The line is therefore a
    heap, O(log n) per change, and nothing is re-sorted as time passes.

    Whole steps (+1 at the end of each ``aging_seconds``) would not do: two tasks would change
    places back and forth, each time one of them gets its step before the other.

    Nothing starves: priorities lie within -1000 and 1000, so a task waits at most for those that
    were created before ``created + (1000 - priority)·aging_seconds``.

    Args:
        record: The task.
        aging_seconds: Time of waiting that is worth one step of priority.
    """
    virtual = record.created - record.priority * aging_seconds
    return (virtual, record.created, record.key.name, record.uid)


class WaitingLine:
    """Tasks grouped by what they require.

    For each set of capabilities that agents of the pool have, a *front* keeps the groups that such
    an agent can serve, by their first task. So the next task for an agent is found in O(log n),
    however many tasks, or kinds of tasks, wait for other agents.
    """

    def __init__(self) -> None:
        self._groups: dict[Capabilities, LazyHeap[str]] = {}
        self._fronts: dict[Capabilities, LazyHeap[Capabilities]] = {}

    def __len__(self) -> int:
        return sum(len(group) for group in self._groups.values())

    @property
    def is_empty(self) -> bool:
        """True when no task waits."""
        return not self._groups

    def add(self, uid: str, requires: Capabilities, place: Rank) -> None:
        """Let a task wait."""
        group = self._groups.setdefault(requires, LazyHeap())
        group.put(uid, place)
        head = group.first()
        if head is not None and head.item == uid:
            for capabilities, front in self._fronts.items():
                if requires <= capabilities:
                    front.put(requires, place)

    def remove(self, uid: str, requires: Capabilities) -> None:
        """Take a task out."""
        group = self._groups.get(requires)
        if group is None:
            return
        group.discard(uid)
        if not group:
            del self._groups[requires]
            for front in self._fronts.values():
                front.discard(requires)

    def open_front(self, capabilities: Capabilities) -> None:
        """Agents with these capabilities have appeared."""
        if capabilities in self._fronts:
            return
        front = self._fronts[capabilities] = LazyHeap()
        for requires, group in self._groups.items():
            head = group.first()
            if head is not None and requires <= capabilities:
                front.put(requires, head.rank)

    def close_front(self, capabilities: Capabilities) -> None:
        """The last agent with these capabilities is gone."""
        self._fronts.pop(capabilities, None)

    def first(self, capabilities: Capabilities) -> Entry[str] | None:
        """The task that an agent of an open front serves next; None when it can serve none."""
        front = self._fronts[capabilities]
        while (entry := front.first()) is not None:
            head = self._groups[entry.item].first()
            if head is None or head.rank == entry.rank:
                return head
            # A front is told at once of a better head, but of a removed one only here.
            front.put(entry.item, head.rank)
        return None
