"""How many Tasks each pool holds: those that wait for their first attempt, and those that ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentcorps.api.meta import TaskPhase, TaskReason
from agentcorps.core.lazyheap import LazyHeap

if TYPE_CHECKING:
    from agentcorps.core.lazyheap import Rank
    from agentcorps.core.records import Key, TaskRecord


class Ledger:
    """Tasks of each pool in the order in which they would have to go, changed by put and remove."""

    def __init__(self) -> None:
        self._untried: dict[Key, LazyHeap[str]] = {}
        self._finished: dict[Key, LazyHeap[str]] = {}
        self._grown: dict[Key, None] = {}

    def put(self, record: TaskRecord) -> None:
        """Enter a Task as it is now; nothing else may be known of it."""
        if record.terminal:
            self._finished.setdefault(record.pool_key, LazyHeap()).put(record.uid, _leaves(record))
        elif _is_untried(record):
            self._untried.setdefault(record.pool_key, LazyHeap()).put(record.uid, _newest(record))
            self.recount(record.pool_key)

    def remove(self, record: TaskRecord) -> None:
        """Strike a Task out, as it was entered."""
        if record.terminal:
            _strike(self._finished, record)
        elif _is_untried(record):
            _strike(self._untried, record)

    def untried(self, pool: Key) -> int:
        """Number of a pool's Tasks that wait for their first attempt."""
        return len(self._untried.get(pool, ()))

    def newest(self, pool: Key, count: int) -> list[str]:
        """Up to so many Tasks that wait for their first attempt, the newest first."""
        return _firsts(self._untried, pool, count)

    def finished(self, pool: Key) -> int:
        """Number of a pool's Tasks that have ended."""
        return len(self._finished.get(pool, ()))

    def oldest(self, pool: Key, count: int) -> list[str]:
        """Up to so many Tasks that have ended, in the order in which they are deleted."""
        return _firsts(self._finished, pool, count)

    def recount(self, pool: Key) -> None:
        """The pool has more Tasks that wait, or may now have too many of them."""
        self._grown[pool] = None

    def grown(self) -> list[Key]:
        """Pools to be counted."""
        return list(self._grown)

    def counted(self, pool: Key) -> None:
        """The pool has not too many Tasks that wait."""
        self._grown.pop(pool, None)


def _is_untried(record: TaskRecord) -> bool:
    return record.phase is TaskPhase.QUEUED and record.attempt == 0


def _newest(record: TaskRecord) -> Rank:
    # Creation times have whole seconds; of the same second, the later version is the newer one.
    return (-record.created, -record.resource_version, record.uid)


def _leaves(record: TaskRecord) -> Rank:
    """Place in the order of deletion: the refused first, lest a flood of them displace results."""
    ended = record.created if record.finished_at is None else record.finished_at
    return (record.reason != TaskReason.QUEUE_FULL, ended, record.uid)


def _strike(heaps: dict[Key, LazyHeap[str]], record: TaskRecord) -> None:
    heap = heaps.get(record.pool_key)
    if heap is not None:
        heap.discard(record.uid)
        if not heap:
            del heaps[record.pool_key]


def _firsts(heaps: dict[Key, LazyHeap[str]], pool: Key, count: int) -> list[str]:
    heap: Any = heaps.get(pool)
    return [] if heap is None else [entry.item for entry in heap.firsts(count)]
