"""A priority queue whose items can be moved and taken out: lazy deletion, bounded growth."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Any, Final, Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
Rank = tuple[Any, ...]
"""Lower goes first. Ranks of different items must differ, so that items are never compared."""

_SLACK: Final = 64


class Entry(NamedTuple, Generic[Item]):
    """An item and its place."""

    rank: Rank
    item: Item


class LazyHeap(Generic[Item]):
    """Items by rank; every operation is O(log n), amortised.

    What was moved or taken out leaves a stale entry behind; these never outnumber the live ones by
    much.
    """

    def __init__(self) -> None:
        self._ranks: dict[Item, Rank] = {}
        self._heap: list[Entry[Item]] = []

    def __len__(self) -> int:
        return len(self._ranks)

    def __contains__(self, item: object) -> bool:
        return item in self._ranks

    def put(self, item: Item, rank: Rank) -> None:
        """Add an item, or move it to another rank."""
        if self._ranks.get(item) == rank:
            return
        self._ranks[item] = rank
        heappush(self._heap, Entry(rank, item))
        self._compact()

    def discard(self, item: Item) -> None:
        """Take an item out, if it is in."""
        if self._ranks.pop(item, None) is not None:
            self._compact()

    def first(self) -> Entry[Item] | None:
        """The item of the lowest rank; None when there is none."""
        heap = self._heap
        while heap:
            entry = heap[0]
            if self._ranks.get(entry.item) == entry.rank:
                return entry
            heappop(heap)
        return None

    def pop(self) -> Entry[Item] | None:
        """Take out the item of the lowest rank; None when there is none."""
        entry = self.first()
        if entry is not None:
            heappop(self._heap)
            del self._ranks[entry.item]
        return entry

    def firsts(self, count: int) -> list[Entry[Item]]:
        """Up to so many items of the lowest ranks, in order; all of them stay in."""
        found: list[Entry[Item]] = []
        while len(found) < count and (entry := self.pop()) is not None:
            found.append(entry)
        for entry in found:
            self.put(entry.item, entry.rank)
        return found

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._ranks) + _SLACK:
            self._heap = [Entry(rank, item) for item, rank in self._ranks.items()]
            heapify(self._heap)
