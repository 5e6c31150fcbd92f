"""Where the waiting tasks of one pool meet its vacant agents."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agentcorps.core.roster import Roster
from agentcorps.core.waiting import WaitingLine, rank

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentcorps.core.records import TaskRecord
    from agentcorps.core.roster import Vacancy


class Pair(NamedTuple):
    """A task and the name of the agent that is to get it."""

    task: TaskRecord
    agent: str


class Board:
    """One pool's waiting line and roster, kept in step."""

    def __init__(self) -> None:
        self._line = WaitingLine()
        self._roster = Roster()

    @property
    def is_empty(self) -> bool:
        """True when no task waits and no agent is connected."""
        return self._line.is_empty and self._roster.is_empty

    @property
    def waiting(self) -> int:
        """Number of tasks that could be bound now, were there agents."""
        return len(self._line)

    def add_task(self, record: TaskRecord) -> None:
        """Let a task wait."""
        self._line.add(record.uid, record.requires, rank(record))

    def remove_task(self, record: TaskRecord) -> None:
        """Take a task out of the line."""
        self._line.remove(record.uid, record.requires)

    def vacancy(self, agent: str) -> Vacancy | None:
        """What an agent can take now; None when it is not connected."""
        return self._roster.get(agent)

    def put_agent(self, agent: str, vacancy: Vacancy) -> None:
        """Add an agent, or change what it can take."""
        known = self._roster.get(agent)
        self._roster.put(agent, vacancy)
        self._line.open_front(vacancy.capabilities)
        if known is not None and not self._roster.has(known.capabilities):
            self._line.close_front(known.capabilities)

    def remove_agent(self, agent: str) -> None:
        """Take an agent out."""
        known = self._roster.get(agent)
        self._roster.remove(agent)
        if known is not None and not self._roster.has(known.capabilities):
            self._line.close_front(known.capabilities)

    def match(
        self, task: Callable[[str], TaskRecord], avoid: Callable[[TaskRecord], str]
    ) -> list[Pair]:
        """Pair waiting tasks with vacant agents, best task first; changes nothing.

        One pair costs O(log n) in tasks and agents (times the number of different capability sets).
        """
        pairs: list[Pair] = []
        before: dict[str, Vacancy] = {}
        while (pair := self._next(task, avoid)) is not None:
            vacancy = self._roster.get(pair.agent)
            if vacancy is None:
                break
            before.setdefault(pair.agent, vacancy)
            self.remove_task(pair.task)
            taken = vacancy._replace(free=vacancy.free - 1, used=vacancy.used + 1)
            self._roster.put(pair.agent, taken)
            pairs.append(pair)
        for pair in pairs:
            self.add_task(pair.task)
        for agent, vacancy in before.items():
            self._roster.put(agent, vacancy)
        return pairs

    def _next(
        self, task: Callable[[str], TaskRecord], avoid: Callable[[TaskRecord], str]
    ) -> Pair | None:
        heads = map(self._line.first, self._roster.vacant_classes())
        head = min((entry for entry in heads if entry is not None), default=None)
        if head is None:
            return None
        record = task(head.item)
        agent = self._roster.best(record.requires, avoid(record))
        return None if agent is None else Pair(record, agent)
