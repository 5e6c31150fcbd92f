"""How many tasks the open polls of agents still ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentcorps.core.records import Key


class Offers:
    """Offers of agents, and what is promised of them to bindings whose write is in flight."""

    def __init__(self) -> None:
        self._open: dict[Key, int] = {}
        self._reserved: dict[Key, set[str]] = {}
        self._held: dict[Key, set[str]] = {}
        self.promised = 0
        """Places that are promised, over all agents."""

    def open(self, agent: Key, free: int) -> None:
        """A poll asks for up to ``free`` tasks."""
        self._open[agent] = free

    def withdraw(self, agent: Key) -> None:
        """The poll is closed or answered."""
        self._open.pop(agent, None)

    def reserve(self, agent: Key, uid: str) -> None:
        """Promise one place to a Task whose binding is being written."""
        reserved = self._reserved.setdefault(agent, set())
        self.promised += uid not in reserved
        reserved.add(uid)

    def hold(self, agent: Key, uid: str) -> None:
        """Keep the place of a Task whose end is being written: it is bound until that is done."""
        self._held.setdefault(agent, set()).add(uid)

    def held(self, agent: Key) -> int:
        """Places that are kept so."""
        return len(self._held.get(agent, ()))

    def release(self, agent: Key, uid: str, *, used: bool) -> None:
        """The write has ended; ``used`` says whether the Task is bound now and takes the place."""
        if uid in self._held.get(agent, ()):
            self._held[agent].discard(uid)
            if not self._held[agent]:
                del self._held[agent]
        reserved = self._reserved.get(agent, set())
        if uid not in reserved:
            return
        reserved.discard(uid)
        self.promised -= 1
        if not reserved:
            del self._reserved[agent]
        if used and agent in self._open:
            self._open[agent] -= 1

    def left(self, agent: Key) -> int:
        """Tasks that the agent can still be given."""
        return self._open.get(agent, 0) - len(self._reserved.get(agent, ()))
