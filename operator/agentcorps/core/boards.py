"""All boards: one for each pool, and one for each selector that tasks name.

An agent stands on the board of its pool and on those of the selectors that match its labels. It has
one vacancy, which is the same on all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agentcorps.core.board import Board
from agentcorps.core.label_selector import matches
from agentcorps.core.records import Target
from agentcorps.core.turns import Turns
from agentcorps.core.waiting import rank

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentcorps.core.records import Key, TaskRecord
    from agentcorps.core.roster import Vacancy

IDLE_SELECTORS: Final = 8
"""Boards of selectors that no waiting task names, kept per namespace: to make one costs a look at
every agent of the namespace, and to keep one costs a little whenever one of its agents changes."""


class _Member(NamedTuple):
    pool: str
    labels: Mapping[str, str]
    vacancy: Vacancy
    targets: tuple[Target, ...]
    """The boards that it stands on."""


class Boards:
    """Waiting tasks and connected agents, and where one could be bound to the other now.

    A change costs O(log n), times the number of boards that the agent stands on.
    """

    def __init__(self, aging_seconds: float) -> None:
        """A task gains one step of priority for each ``aging_seconds`` that it waits."""
        self._aging_seconds = aging_seconds
        self._boards: dict[Target, Board] = {}
        self._members: dict[str, dict[str, _Member]] = {}
        self._selectors: dict[str, set[Target]] = {}
        """Boards of selectors by namespace."""
        self._idle: dict[str, dict[Target, None]] = {}
        """Those among them that no waiting task names, for longest first."""
        self._changed: set[Target] = set()
        self._turns = Turns()

    def __len__(self) -> int:
        return len(self._boards)

    def add_task(self, record: TaskRecord) -> None:
        """Let a task wait."""
        target = record.target
        self._at(target).add_task(record, rank(record, self._aging_seconds))
        self._changed.add(target)

    def remove_task(self, record: TaskRecord) -> None:
        """Take a task out of its line."""
        target = record.target
        board = self._boards.get(target)
        if board is not None:
            board.remove_task(record)
            self._changed.add(target)

    def put_agent(self, key: Key, pool: str, labels: Mapping[str, str], vacancy: Vacancy) -> None:
        """Add a connected agent, or change what it can take.

        Args:
            key: The agent.
            pool: Name of its pool; empty for one that stands alone.
            labels: Its labels.
            vacancy: What it can take now.
        """
        known = self._member(key)
        if known is not None and (known.pool, known.labels) == (pool, labels):
            targets = known.targets
        else:
            self.remove_agent(key)
            targets = self._targets_of(key.namespace, pool, labels)
        members = self._members.setdefault(key.namespace, {})
        members[key.name] = _Member(pool, labels, vacancy, targets)
        for target in targets:
            self._at(target).put_agent(key.name, vacancy)
        self._changed.update(targets)

    def remove_agent(self, key: Key) -> None:
        """Take an agent out."""
        known = self._member(key)
        if known is None:
            return
        members = self._members[key.namespace]
        del members[key.name]
        if not members:
            del self._members[key.namespace]
        for target in known.targets:
            self._boards[target].remove_agent(key.name)
        self._changed.update(known.targets)

    def vacancy(self, key: Key) -> Vacancy | None:
        """What an agent can take now; None when it is not connected."""
        member = self._member(key)
        return None if member is None else member.vacancy

    def first(self) -> str | None:
        """UID of the task whose turn it is to be bound; None when nothing can be bound now."""
        self._settle()
        target = self._turns.first()
        head = None if target is None else self._boards[target].head()
        return None if head is None else head.item

    def could_bind(self, target: Target) -> bool:
        """Whether something can be bound now on this board."""
        self._settle()
        return target in self._turns

    def best(self, task: TaskRecord, *, avoid: str, prefer: str) -> str | None:
        """Name of the best agent for a task that waits here; see ``Roster.best``."""
        return self._boards[task.target].best(task.requires, avoid=avoid, prefer=prefer)

    def claimant(self, agent: Key) -> str | None:
        """UID of the first task, of all the boards that an agent stands on, that it can serve."""
        member = self._member(agent)
        if member is None:
            return None
        boards = (self._boards[target] for target in member.targets)
        heads = (board.first_for(member.vacancy.capabilities) for board in boards)
        first = min((head for head in heads if head is not None), default=None)
        return None if first is None else first.item

    def served(self, task: TaskRecord) -> None:
        """A binding of the task has begun: for all boards of its agent that was the turn."""
        member = self._member(task.agent)
        targets = () if member is None else member.targets
        self._turns.served(task.key.namespace, {task.target, *targets})

    def _member(self, key: Key) -> _Member | None:
        members = self._members.get(key.namespace)
        return None if members is None else members.get(key.name)

    def _targets_of(
        self, namespace: str, pool: str, labels: Mapping[str, str]
    ) -> tuple[Target, ...]:
        own = (Target(namespace, pool),) if pool else ()
        selectors = self._selectors.get(namespace, ())
        return (*own, *(target for target in selectors if matches(target.selector, labels)))

    def _at(self, target: Target) -> Board:
        board = self._boards.get(target)
        if board is None:
            board = self._boards[target] = Board()
            if not target.pool:
                self._fill(target, board)
        return board

    def _fill(self, target: Target, board: Board) -> None:
        """Put the agents that a selector matches on its new board."""
        self._selectors.setdefault(target.namespace, set()).add(target)
        members = self._members.get(target.namespace, {})
        for name, member in members.items():
            if matches(target.selector, member.labels):
                board.put_agent(name, member.vacancy)
                members[name] = member._replace(targets=(*member.targets, target))

    def _settle(self) -> None:
        """Find out on which of the changed boards something can be bound."""
        changed, self._changed = self._changed, set()
        for target in changed:
            board = self._boards.get(target)
            if board is None or board.is_empty:
                self._drop(target)
                continue
            if board.head() is None:
                self._turns.leave(target)
            else:
                self._turns.enter(target)
            if not target.pool:
                self._note_use(target, board)

    def _note_use(self, target: Target, board: Board) -> None:
        """Keep count of the selectors that no task names, and give up those of long ago."""
        idle = self._idle.setdefault(target.namespace, {})
        if not board.is_idle:
            idle.pop(target, None)
            return
        idle.setdefault(target)
        if len(idle) > IDLE_SELECTORS:
            self._drop(next(iter(idle)))

    def _drop(self, target: Target) -> None:
        self._turns.leave(target)
        board = self._boards.pop(target, None)
        if board is None or target.pool:
            return
        namespace = target.namespace
        members = self._members.get(namespace, {})
        for name in board.agents:
            kept = tuple(one for one in members[name].targets if one != target)
            members[name] = members[name]._replace(targets=kept)
        self._selectors[namespace].discard(target)
        self._idle.get(namespace, {}).pop(target, None)
        if not self._selectors[namespace]:
            del self._selectors[namespace]
            self._idle.pop(namespace, None)
