"""What has to be looked at: what has changed, and what time alone makes due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from agentcorps.core.lazyheap import LazyHeap

if TYPE_CHECKING:
    from collections.abc import Iterable

Item = TypeVar("Item", bound="tuple[Any, ...] | str")


class Agenda(Generic[Item]):
    """Items that changed since they were taken, and one alarm per item. All times are monotonic."""

    def __init__(self) -> None:
        self._alarms: LazyHeap[Item] = LazyHeap()
        self._changed: dict[Item, None] = {}

    def look_at(self, item: Item) -> None:
        """Have an item looked at next time."""
        self._changed[item] = None

    def look_at_all(self, items: Iterable[Item]) -> None:
        """Have all of them looked at next time."""
        self._changed.update(dict.fromkeys(items))

    def wake(self, item: Item, monotonic: float | None) -> None:
        """Have an item looked at then (None: only when it changes)."""
        if monotonic is None:
            self._alarms.discard(item)
        else:
            self._alarms.put(item, (monotonic, item))

    def take_due(self, monotonic: float) -> list[Item]:
        """Return the items to be looked at now; each is given once."""
        due, self._changed = self._changed, {}
        while (first := self._alarms.first()) is not None and first.rank[0] <= monotonic:
            self._alarms.pop()
            due[first.item] = None
        return list(due)

    def next_alarm(self) -> float | None:
        """Time of the next alarm; None when none is set."""
        first = self._alarms.first()
        return None if first is None else first.rank[0]

    def forget(self, item: Item) -> None:
        """The item is gone."""
        self._alarms.discard(item)
        self._changed.pop(item, None)
