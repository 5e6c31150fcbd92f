"""The agents for one target that can take a task now, best first."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agentcorps.core.lazyheap import LazyHeap

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from agentcorps.core.lazyheap import Entry

Capabilities = frozenset[str]


class Vacancy(NamedTuple):
    """What a connected agent can take now."""

    capabilities: Capabilities
    free: int
    """Tasks that it may be given now; 0 while it may be given none."""
    used: int
    """Tasks that it runs."""
    idle_since: float
    """Wall time."""
    success: float = 1.0
    """Recent success rate, 0 to 1."""

    def rank(self, agent: str) -> tuple[int, float, float, str]:
        """Place among the vacant agents, lower first.

        Fewest running tasks, highest recent success rate, longest idle, then by name.
        """
        return (self.used, -self.success, self.idle_since, agent)


class Roster:
    """Vacancies of connected agents, by name, grouped by what the agents can do."""

    def __init__(self) -> None:
        self._vacancies: dict[str, Vacancy] = {}
        self._members: dict[Capabilities, int] = {}
        self._vacant: dict[Capabilities, LazyHeap[str]] = {}

    @property
    def is_empty(self) -> bool:
        """True when no agent is connected."""
        return not self._vacancies

    def get(self, agent: str) -> Vacancy | None:
        """The vacancy of an agent; None when it is not connected."""
        return self._vacancies.get(agent)

    def put(self, agent: str, vacancy: Vacancy) -> None:
        """Add an agent, or change what it can take."""
        known = self._vacancies.get(agent)
        if known is not None and known.capabilities != vacancy.capabilities:
            self.remove(agent)
            known = None
        if known is None:
            self._members[vacancy.capabilities] = self._members.get(vacancy.capabilities, 0) + 1
        self._vacancies[agent] = vacancy
        if vacancy.free > 0:
            heap = self._vacant.setdefault(vacancy.capabilities, LazyHeap())
            heap.put(agent, vacancy.rank(agent))
        else:
            self._retire(agent, vacancy.capabilities)

    def remove(self, agent: str) -> None:
        """Take an agent out."""
        vacancy = self._vacancies.pop(agent, None)
        if vacancy is None:
            return
        self._retire(agent, vacancy.capabilities)
        left = self._members[vacancy.capabilities] - 1
        if left:
            self._members[vacancy.capabilities] = left
        else:
            del self._members[vacancy.capabilities]

    def has(self, capabilities: Capabilities) -> bool:
        """Whether a connected agent has exactly these capabilities."""
        return capabilities in self._members

    def names(self) -> Collection[str]:
        """Connected agents."""
        return self._vacancies.keys()

    def vacant_classes(self) -> Iterator[Capabilities]:
        """Sets of capabilities of which at least one agent can take a task now."""
        return iter(self._vacant)

    def best(self, requires: Capabilities, *, avoid: str, prefer: str) -> str | None:
        """The best agent that can take such a task now.

        Args:
            requires: What the agent must have.
            avoid: Name of an agent that is taken only if there is no other.
            prefer: Name of an agent that is taken if it can, wherever it stands.
        """
        if prefer != avoid and self._can_take(prefer, requires):
            return prefer
        winner: Entry[str] | None = None
        avoided = False
        for capabilities, heap in self._vacant.items():
            if not requires <= capabilities:
                continue
            first = heap.first()
            if first is not None and first.item == avoid:
                avoided = True
                first = self._second(heap, first)
            if first is not None and (winner is None or first.rank < winner.rank):
                winner = first
        if winner is not None:
            return winner.item
        return avoid if avoided else None

    def _can_take(self, agent: str, requires: Capabilities) -> bool:
        vacancy = self._vacancies.get(agent)
        return vacancy is not None and vacancy.free > 0 and requires <= vacancy.capabilities

    @staticmethod
    def _second(heap: LazyHeap[str], first: Entry[str]) -> Entry[str] | None:
        heap.pop()
        second = heap.first()
        heap.put(first.item, first.rank)
        return second

    def _retire(self, agent: str, capabilities: Capabilities) -> None:
        heap = self._vacant.get(capabilities)
        if heap is None:
            return
        heap.discard(agent)
        if not heap:
            del self._vacant[capabilities]
