"""Where the waiting tasks for one target meet the agents that may serve them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core.roster import Roster
from agentcorps.core.waiting import WaitingLine

if TYPE_CHECKING:
    from collections.abc import Collection

    from agentcorps.core.lazyheap import Entry, Rank
    from agentcorps.core.records import TaskRecord
    from agentcorps.core.roster import Capabilities, Vacancy


class Board:
    """One waiting line and one roster, kept in step.

    Every method costs O(log n) in tasks and agents, times the number of different sets of
    capabilities among the agents (or required by the tasks).
    """

    def __init__(self) -> None:
        self._line = WaitingLine()
        self._roster = Roster()

    @property
    def is_empty(self) -> bool:
        """True when no task waits and no agent is connected."""
        return self._line.is_empty and self._roster.is_empty

    @property
    def is_idle(self) -> bool:
        """True when no task waits."""
        return self._line.is_empty

    @property
    def agents(self) -> Collection[str]:
        """Names of the connected agents."""
        return self._roster.names()

    def add_task(self, record: TaskRecord, place: Rank) -> None:
        """Let a task wait."""
        self._line.add(record.uid, record.requires, place)

    def remove_task(self, record: TaskRecord) -> None:
        """Take a task out of the line."""
        self._line.remove(record.uid, record.requires)

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

    def head(self) -> Entry[str] | None:
        """The first task in line that some agent can take now; None when there is none."""
        heads = map(self._line.first, self._roster.vacant_classes())
        return min((entry for entry in heads if entry is not None), default=None)

    def first_for(self, capabilities: Capabilities) -> Entry[str] | None:
        """The first task in line that a connected agent with these capabilities can serve."""
        return self._line.first(capabilities)

    def best(self, requires: Capabilities, *, avoid: str, prefer: str) -> str | None:
        """The best agent that can take such a task now; see ``Roster.best``."""
        return self._roster.best(requires, avoid=avoid, prefer=prefer)
