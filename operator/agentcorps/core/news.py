"""Which agents and pools each reader has to look at, so that a step costs what has changed."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from agentcorps.core.agenda import Agenda
from agentcorps.core.records import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Everything = Callable[[], Iterable[Key]]
    Polls = Callable[[Key], bool]

FULL_PASS_SECONDS: Final = 60.0
"""How often a reader looks at everything all the same: what was missed is made up for by then."""


class Watch(Agenda[Key]):
    """What one reader has to look at; a new one has not seen anything yet."""

    def __init__(self, everything: Everything) -> None:
        """``everything`` names all there is to see."""
        super().__init__()
        self._everything = everything
        self._full_pass_at = -inf

    def look_at_everything(self) -> None:
        """Have everything looked at next time."""
        self._full_pass_at = -inf

    def take_due(self, monotonic: float) -> list[Key]:
        """See Agenda."""
        if monotonic >= self._full_pass_at:
            self._full_pass_at = monotonic + FULL_PASS_SECONDS
            self.look_at_all(self._everything())
        return super().take_due(monotonic)


class AgentWatch(Watch):
    """A watch of agents: those that let go of their poll are looked at unless they poll again."""

    def __init__(self, everything: Everything, polls: Polls) -> None:
        """``polls`` tells whether an agent has an open poll."""
        super().__init__(everything)
        self._polls = polls
        self._let_go: set[Key] = set()

    def let_go(self, agent: Key) -> None:
        """A poll of the agent has ended: if no other one follows, silence begins."""
        self._let_go.add(agent)

    def take_due(self, monotonic: float) -> list[Key]:
        """See Agenda."""
        self.look_at_all(key for key in self._let_go if not self._polls(key))
        self._let_go.clear()
        return super().take_due(monotonic)


class News:
    """Passes on to every reader what changes."""

    def __init__(self, agents: Everything, pools: Everything, polls: Polls) -> None:
        """Prepare.

        Args:
            agents: Names all agents, be it only by their pods or tasks.
            pools: Names all pools, be it only by their agents.
            polls: Tells whether an agent has an open poll.
        """
        self._all_agents = agents
        self._all_pools = pools
        self._polls = polls
        self._agents: list[AgentWatch] = []
        self._pools: list[Watch] = []
        self._counts: list[Watch] = []

    def of_agents(self) -> Watch:
        """Return a new watch of all agents."""
        watch = AgentWatch(self._all_agents, self._polls)
        self._agents.append(watch)
        return watch

    def of_pools(self, *, counts: bool = False) -> Watch:
        """Return a new watch of all pools; with ``counts`` also of how many tasks they have."""
        watch = Watch(self._all_pools)
        self._pools.append(watch)
        if counts:
            self._counts.append(watch)
        return watch

    def agent(self, key: Key) -> None:
        """Something about an agent is different: its object, pod, process or tasks."""
        for watch in self._agents:
            watch.look_at(key)

    def let_go(self, agent: Key) -> None:
        """A poll of the agent has ended."""
        for watch in self._agents:
            watch.let_go(agent)

    def pool(self, key: Key) -> None:
        """A pool is different, or which agents it has and what they are there for."""
        for watch in self._pools:
            watch.look_at(key)

    def count(self, pool: Key) -> None:
        """The number of a pool's tasks in some phase is different."""
        for watch in self._counts:
            watch.look_at(pool)

    def everything(self) -> None:
        """Something is different that concerns all."""
        for watch in (*self._agents, *self._pools):
            watch.look_at_everything()
