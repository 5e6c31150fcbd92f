"""A pool with Tasks on a virtual clock: the autoscaler's own decisions, and what comes of them."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from agentcorps.core.autoscaling.decision import decide
from agentcorps.core.autoscaling.history import begin
from agentcorps.core.autoscaling.load import Load
from agentcorps.core.records import Now
from agentcorps.core.timers import SERVICE_WEIGHT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentcorps.api.scaling import Scaling
    from agentcorps.core.autoscaling.history import History

REST_SECONDS: Final = 1.0
"""Shortest time between two decisions: five times the operator's, for the sake of speed."""


class Job(NamedTuple):
    """One Task of a trace."""

    at: float
    """When it is created, in seconds from the beginning."""
    seconds: float
    """How long an agent works on it."""


class Crew(NamedTuple):
    """The pool's agents, as far as a simulation cares."""

    slots: int = 1
    start_seconds: float = 10.0
    """From the decision to the first Task: node, image, start and hello."""


@dataclass(slots=True)
class Outcome:
    """What came of a simulation."""

    waits: list[float] = field(default_factory=list)
    """How long each Task waited, in seconds, in the order of their starts."""
    agent_seconds: float = 0.0
    """Of all agents that existed, starting and draining ones included."""
    slot_seconds: float = 0.0
    """Of slots that worked."""
    ended_at: float = 0.0
    most_agents: int = 0
    targets: list[tuple[float, int]] = field(default_factory=list)
    """Each change of the target: when, and to what."""

    @property
    def flaps(self) -> int:
        """How often the target turned from rising to falling or back."""
        numbers = [target for _, target in self.targets]
        steps = [after - before for before, after in pairwise(numbers)]
        return sum(1 for before, after in pairwise(steps) if before * after < 0)


class _Agent:
    """An agent: starting until `ready_at`, then working on up to `slots` Tasks."""

    __slots__ = ("draining", "idle_since", "number", "ready", "used")

    def __init__(self, number: int) -> None:
        self.number = number
        self.ready = False
        self.draining = False
        self.used = 0
        self.idle_since = 0.0

    @property
    def rank(self) -> tuple[int, float, int]:
        """Sort key of those with a free slot: the emptiest, longest idle and oldest is last."""
        return -self.used, -self.idle_since, -self.number


_ARRIVAL, _FINISH, _READY, _DECIDE = range(4)


def simulate(scaling: Scaling, crew: Crew, jobs: Iterable[Job], began: float = 0.0) -> Outcome:
    """Let a pool that scales itself work off Tasks.

    The simulation ends when the last Task has; each Task succeeds in its first attempt.

    Args:
        scaling: A usable `spec.scaling` (see `schedules.problem`).
        crew: What its agents are like.
        jobs: The Tasks.
        began: Wall time (seconds since the Unix epoch) of the beginning, for schedules.
    """
    return _Run(scaling, crew, jobs, began).run()


class _Run:
    def __init__(self, scaling: Scaling, crew: Crew, jobs: Iterable[Job], began: float) -> None:
        self._scaling, self._crew, self._epoch = scaling, crew, began
        self._events: list[tuple[float, int, int, float, _Agent | None]] = [
            (job.at, _ARRIVAL, number, job.seconds, None) for number, job in enumerate(jobs)
        ]
        self._left = len(self._events)
        self._order = self._left
        heapify(self._events)
        self._queue: deque[Job] = deque()
        self._agents: dict[int, _Agent] = {}
        self._vacant: list[tuple[int, float, int]] = []
        """Ranks of the agents with a free slot, sorted."""
        self._running = self._busy = self._ready = self._numbers = 0
        self._active = 0
        self._service: float | None = None
        self._history: History = begin(0, Now(0.0, began))
        self._decide_at = inf
        self._decided_at = -inf
        self._now = 0.0
        self._outcome = Outcome()

    def run(self) -> Outcome:
        self._want_decision(0.0)
        while self._left and self._events:
            at, kind, _, seconds, agent = heappop(self._events)
            self._pass(at)
            if kind == _ARRIVAL:
                self._queue.append(Job(at, seconds))
            elif kind == _FINISH and agent is not None:
                self._finish(agent, seconds)
            elif kind == _READY and agent is not None:
                self._start(agent)
            if kind == _DECIDE:
                if at == self._decide_at:
                    self._decide()
            else:
                self._assign()
                self._want_decision(max(at, self._decided_at + REST_SECONDS))
        self._outcome.ended_at = self._now
        return self._outcome

    def _pass(self, at: float) -> None:
        self._outcome.agent_seconds += len(self._agents) * (at - self._now)
        self._outcome.slot_seconds += self._running * (at - self._now)
        self._now = at

    def _push(self, at: float, kind: int, seconds: float, agent: _Agent | None) -> None:
        self._order += 1
        heappush(self._events, (at, kind, self._order, seconds, agent))

    def _want_decision(self, at: float) -> None:
        if at < self._decide_at:
            self._decide_at = at
            self._push(at, _DECIDE, 0.0, None)

    def _start(self, agent: _Agent) -> None:
        if agent.number in self._agents:
            agent.ready = True
            self._ready += 1
            agent.idle_since = self._now
            insort(self._vacant, agent.rank)

    def _assign(self) -> None:
        while self._queue and self._vacant:
            agent, job = self._agents[-self._vacant.pop()[2]], self._queue.popleft()
            self._busy += agent.used == 0
            agent.used += 1
            self._running += 1
            if agent.used < self._crew.slots:
                insort(self._vacant, agent.rank)
            self._outcome.waits.append(self._now - job.at)
            self._push(self._now + job.seconds, _FINISH, job.seconds, agent)

    def _finish(self, agent: _Agent, seconds: float) -> None:
        mean = seconds if self._service is None else self._service
        self._service = mean + (seconds - mean) * SERVICE_WEIGHT
        self._left -= 1
        self._running -= 1
        self._leave(agent)
        agent.used -= 1
        agent.idle_since = self._now
        if not agent.draining:
            insort(self._vacant, agent.rank)
            self._busy -= agent.used == 0
        if agent.draining and agent.used == 0:
            del self._agents[agent.number]

    def _leave(self, agent: _Agent) -> None:
        """Take an agent out of those with a free slot, if it is one of them."""
        place = bisect_left(self._vacant, agent.rank)
        if place < len(self._vacant) and self._vacant[place] == agent.rank:
            del self._vacant[place]

    def _decide(self) -> None:
        self._decide_at, self._decided_at = inf, self._now
        load = Load(
            queued=len(self._queue),
            running=self._running,
            slots=self._crew.slots,
            agents=self._active,
            busy=self._busy,
            ready=self._ready,
            service_seconds=self._service,
        )
        before = self._history.target
        now = Now(self._now, self._epoch + self._now)
        decision, self._history = decide(self._scaling, load, self._history, now)
        if decision.target != before:
            self._outcome.targets.append((self._now, decision.target))
        self._scale(decision.target)
        if decision.due_in is not None:
            self._want_decision(self._now + max(REST_SECONDS, decision.due_in))

    def _scale(self, target: int) -> None:
        for _ in range(target - self._active):
            self._numbers += 1
            agent = _Agent(self._numbers)
            self._agents[agent.number] = agent
            self._push(self._now + self._crew.start_seconds, _READY, 0.0, agent)
        if target < self._active:
            staying = [agent for agent in self._agents.values() if not agent.draining]
            # As the operator: what is not ready first, then what is idle; the newest among equals.
            staying.sort(key=lambda agent: ((agent.used > 0) + agent.ready, -agent.number))
            for agent in staying[: self._active - target]:
                self._drain(agent)
        self._active = target
        self._outcome.most_agents = max(self._outcome.most_agents, len(self._agents))

    def _drain(self, agent: _Agent) -> None:
        agent.draining = True
        self._ready -= agent.ready
        self._busy -= agent.used > 0
        self._leave(agent)
        if agent.used == 0:
            del self._agents[agent.number]
