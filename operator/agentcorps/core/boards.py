"""The boards of all pools, and on which of them something may be bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core.board import Board

if TYPE_CHECKING:
    from agentcorps.core.records import Key


class Boards:
    """Boards by pool. A *dirty* one has got a task, or an agent for one, since it was cleaned."""

    def __init__(self) -> None:
        self._boards: dict[Key, Board] = {}
        self._dirty: set[Key] = set()

    def __len__(self) -> int:
        return len(self._boards)

    def at(self, pool: Key) -> Board:
        """The board of a pool; a new one where there is none."""
        board = self._boards.get(pool)
        if board is None:
            board = self._boards[pool] = Board()
        return board

    def get(self, pool: Key) -> Board | None:
        """The board of a pool; None when it has neither tasks that wait nor connected agents."""
        return self._boards.get(pool)

    def touch(self, pool: Key) -> None:
        """A task or an agent has become available there, or the board may be of no use any more."""
        self._dirty.add(pool)

    def dirty(self) -> dict[Key, Board]:
        """Boards that were touched, by pool, in order; those of no use are given up."""
        for pool in [pool for pool in self._dirty if self._is_idle(pool)]:
            self._boards.pop(pool, None)
            self._dirty.discard(pool)
        return {pool: self._boards[pool] for pool in sorted(self._dirty)}

    def clean(self, pool: Key) -> None:
        """Nothing is left to bind on this board until it is touched again."""
        self._dirty.discard(pool)

    def _is_idle(self, pool: Key) -> bool:
        board = self._boards.get(pool)
        return board is None or board.is_empty
