"""Everything that is derived from the tasks: who waits, who runs where, how many of each."""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from agentcorps.api.meta import TaskPhase
from agentcorps.core.lazyheap import LazyHeap
from agentcorps.core.ledger import Ledger
from agentcorps.core.lifecycle import not_before, refusal
from agentcorps.core.rests import Rests

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from agentcorps.core.boards import Boards
    from agentcorps.core.records import Key, TaskRecord


class _Placed(NamedTuple):
    record: TaskRecord
    waiting: bool
    """In line (True), or not: in flight, ending, or resting."""


class TaskIndex:
    """Derived views of the tasks, changed only by ``place``."""

    def __init__(self, boards: Boards) -> None:
        """``boards`` is where tasks wait that could be bound."""
        self._boards = boards
        self.rests = Rests()
        """Tasks that wait for something outside. What is noted here counts when they are placed."""
        self._placed: dict[str, _Placed] = {}
        self._counts: dict[tuple[Key, TaskPhase], int] = {}
        self.counts: Mapping[tuple[Key, TaskPhase], int] = MappingProxyType(self._counts)
        """Number of tasks by pool and phase, where there are any."""
        self._needs: dict[Key, Counter[frozenset[str]]] = {}
        """By pool: what its Queued tasks require."""
        self._bound: dict[Key, dict[str, TaskRecord]] = {}
        self._resting: LazyHeap[str] = LazyHeap()
        self.ledger = Ledger()
        """How many tasks wait for their first attempt, and how many have ended, by pool."""

    def effective(self, uid: str) -> TaskRecord | None:
        """A task as it was last placed: assumed if a write is in flight, else observed."""
        placed = self._placed.get(uid)
        return None if placed is None else placed.record

    def bound_to(self, agent: Key) -> Collection[TaskRecord]:
        """Tasks that run on an agent."""
        bound = self._bound.get(agent)
        return bound.values() if bound else ()

    def all_bound(self) -> Iterator[TaskRecord]:
        """Tasks that run, wherever."""
        return (record for bound in self._bound.values() for record in bound.values())

    def count(self, pool: Key, phase: TaskPhase) -> int:
        """Number of a pool's tasks in a phase."""
        return self._counts.get((pool, phase), 0)

    def fitting(self, pool: Key, capabilities: frozenset[str]) -> int:
        """Number of a pool's Queued tasks that agents with these capabilities can serve."""
        needs = self._needs.get(pool)
        return sum(needs[one] for one in needs if one <= capabilities) if needs else 0

    def place(self, uid: str, record: TaskRecord | None, *, in_flight: bool) -> TaskRecord | None:
        """Put a task where it belongs now, or take it out; returns the record placed before."""
        before = self._placed.pop(uid, None)
        if before is not None:
            self._remove(before)
            self.ledger.remove(before.record)
        if record is None or (not in_flight and record.phase is not TaskPhase.QUEUED):
            self.rests.forget(uid)
        if record is not None:
            self.ledger.put(record)
            self._placed[uid] = self._add(record, in_flight=in_flight)
        return None if before is None else before.record

    def first_rest_over(self) -> float | None:
        """Wall time at which the next rest is over; None when no task rests."""
        first = self._resting.first()
        return None if first is None else first.rank[0]

    def end_rests(self, wall: float) -> None:
        """Let the tasks wait in line whose rest is over."""
        while (first := self._resting.first()) is not None and first.rank[0] <= wall:
            self._resting.pop()
            record = self._placed[first.item].record
            self._placed[first.item] = _Placed(record, waiting=True)
            self._boards.add_task(record)

    def _add(self, record: TaskRecord, *, in_flight: bool) -> _Placed:
        counted = (record.pool_key, record.phase)
        self._counts[counted] = self._counts.get(counted, 0) + 1
        if record.terminal:
            return _Placed(record, waiting=False)
        if record.phase is TaskPhase.RUNNING:
            self._bound.setdefault(record.agent, {})[record.uid] = record
            return _Placed(record, waiting=False)
        self._needs.setdefault(record.pool_key, Counter())[record.requires] += 1
        if in_flight or record.cancel or refusal(record) is not None:
            return _Placed(record, waiting=False)
        rest_over = max(not_before(record), self.rests.until(record.uid))
        if rest_over > 0:
            self._resting.put(record.uid, (rest_over, record.uid))
            return _Placed(record, waiting=False)
        self._boards.add_task(record)
        return _Placed(record, waiting=True)

    def _remove(self, placed: _Placed) -> None:
        record = placed.record
        counted = (record.pool_key, record.phase)
        self._counts[counted] -= 1
        if not self._counts[counted]:
            del self._counts[counted]
        if record.terminal:
            return
        if record.phase is TaskPhase.RUNNING:
            bound = self._bound[record.agent]
            del bound[record.uid]
            if not bound:
                del self._bound[record.agent]
            return
        self._need_less(record)
        if placed.waiting:
            self._boards.remove_task(record)
        else:
            self._resting.discard(record.uid)

    def _need_less(self, record: TaskRecord) -> None:
        needs = self._needs[record.pool_key]
        needs[record.requires] -= 1
        if not needs[record.requires]:
            del needs[record.requires]
        if not needs:
            del self._needs[record.pool_key]
