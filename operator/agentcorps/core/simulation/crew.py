"""One pool on the virtual clock: who works on what, who is idle, who starts and who drains."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from typing import TYPE_CHECKING

from agentcorps.core.autoscaling.load import Load
from agentcorps.core.quota.reclaim import Holding, from_work
from agentcorps.core.simulation.outcome import PoolOutcome, Sample
from agentcorps.core.timers import SERVICE_WEIGHT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentcorps.core.quota.shares import Grant
    from agentcorps.core.simulation.machines import Node
    from agentcorps.core.simulation.plan import Job, Plan


class Agent:
    """An agent: starting, then working on up to so many Tasks as it has slots."""

    __slots__ = ("created", "drained", "idle_since", "node", "number", "ready", "ripe", "used")

    def __init__(self, number: int, created: float) -> None:
        self.number = number
        self.created = created
        self.node: Node | None = None
        self.ready = False
        self.ripe = False
        """Has run for long enough to give its place to another pool's."""
        self.drained: float | None = None
        """When it was told to go."""
        self.used = 0
        self.idle_since = 0.0

    @property
    def rank(self) -> tuple[int, float, int]:
        """Sort key of those with a free slot: the emptiest, longest idle and oldest is last."""
        return -self.used, -self.idle_since, -self.number

    @property
    def worth(self) -> tuple[int, int]:
        """Sort key as in `scaling.replicas`: the one that is missed least is first."""
        return (self.used > 0) + self.ready, -self.number


class Crew:
    """The agents and Tasks of one pool.

    Attributes:
        plan: What is simulated.
        agents: All that exist, by number.
        queue: Tasks that wait: when each came, and how long it takes.
        active: How many agents are not draining.
        told: What came of it so far.
        dirty: Whether something happened since its target was decided.
        due_at: When time alone may change its target.
        target: How many agents its decider wants.
    """

    def __init__(self, plan: Plan, number: int) -> None:
        self.plan = plan
        self.number = number
        self.key = plan.pool.key
        self.slots = plan.pool.slots
        self.arrivals: Iterator[Job] = iter(plan.jobs)
        self.agents: dict[int, Agent] = {}
        self.queue: deque[Job] = deque()
        self.active = 0
        self.running = 0
        self.told = PoolOutcome(slots=self.slots)
        self.dirty = True
        self.due_at: float | None = None
        self.target = self.granted = 0
        self._drain_seconds = plan.pool.drain_timeout_seconds
        self._busy = self._ready = self._numbers = 0
        self._ripe = self._ripe_busy = 0
        self._unripe: deque[Agent] = deque()
        """Those that have not run for long enough, the oldest first."""
        self._vacant: list[tuple[int, float, int]] = []
        self._service: float | None = None
        self._now = 0.0

    def load(self) -> Load:
        """Return what a decision is made from."""
        return Load(
            queued=len(self.queue),
            running=self.running,
            slots=self.slots,
            agents=self.active,
            busy=self._busy,
            ready=self._ready,
            service_seconds=self._service,
        )

    def advance(self, now: float) -> None:
        """Let time pass: call it before anything changes."""
        passed, told = now - self._now, self.told
        if passed > 0:
            told.agent_seconds += len(self.agents) * passed
            told.slot_seconds += self.running * passed
            needed = -(-(len(self.queue) + self.running) // self.slots)
            told.surplus_seconds += max(0, len(self.agents) - needed) * passed
            if self.granted < self.target:
                told.short_seconds += passed
            self._now = now

    def sample(self) -> None:
        """Note what is now."""
        self.told.samples.append(
            Sample(
                self._now,
                self.target,
                self.granted,
                len(self.agents),
                self._ready,
                len(self.queue),
                self.running,
            )
        )

    def share(self, grant: Grant) -> None:
        """Note what the quotas leave to it now."""
        self.granted = grant.agents
        if grant.short_of:
            self.told.short_of = grant.short_of

    def aim(self, target: int) -> None:
        """Note what the decider wants now."""
        if target != self.target:
            self.target = target
            self.told.targets.append((self._now, target))

    def assign(self) -> Iterator[tuple[Agent, Job]]:
        """Start waiting Tasks on free slots; yields who works on what."""
        while self.queue and self._vacant:
            agent, job = self.agents[-self._vacant.pop()[2]], self.queue.popleft()
            if agent.used == 0:
                self._works(agent, 1)
            agent.used += 1
            self.running += 1
            if agent.used < self.slots:
                insort(self._vacant, agent.rank)
            self.told.waits.append(self._now - job.at)
            yield agent, job

    def finish(self, agent: Agent, seconds: float) -> bool:
        """A Task has ended; returns whether the agent is gone with it."""
        mean = seconds if self._service is None else self._service
        self._service = mean + (seconds - mean) * SERVICE_WEIGHT
        self.running -= 1
        self._withdraw(agent)
        agent.used -= 1
        agent.idle_since = self._now
        if agent.drained is not None:
            self.told.outlasting += self._now > agent.drained + self._drain_seconds
            return agent.used == 0
        insort(self._vacant, agent.rank)
        if agent.used == 0:
            self._works(agent, -1)
        return False

    def hire(self) -> Agent:
        """Create an agent."""
        self._numbers += 1
        agent = self.agents[self._numbers] = Agent(self._numbers, self._now)
        self._unripe.append(agent)
        self.active += 1
        self.told.most_agents = max(self.told.most_agents, len(self.agents))
        return agent

    def greet(self, agent: Agent) -> None:
        """An agent is ready."""
        if agent.drained is None:
            agent.ready = True
            self._ready += 1
            agent.idle_since = self._now
            insort(self._vacant, agent.rank)

    def surplus(self, count: int) -> list[Agent]:
        """Return so many agents that the pool can do without best."""
        return sorted(self._staying(), key=lambda agent: agent.worth)[:count]

    def ripen(self, min_runtime: float) -> float | None:
        """Find who has run for long enough by now; returns when the next one has."""
        young = self._unripe
        while young and (young[0].drained is not None or self._is_ripe(young[0], min_runtime)):
            agent = young.popleft()
            if agent.drained is None:
                agent.ripe = True
                self._ripe += 1
                self._ripe_busy += agent.used > 0
        return young[0].created + min_runtime if young else None

    def holding(self, costs: tuple[int, ...]) -> Holding:
        """Return what it has, and could give; see `ripen`."""
        pool = self.plan.pool
        return Holding(
            self.key,
            self.granted,
            self.active,
            idle=self._ripe - self._ripe_busy,
            busy=self._ripe_busy,
            costs=costs,
            priority=pool.quota_priority,
            preempts=pool.quota_preempts,
        )

    def lent(self, count: int, at_work: int) -> list[Agent]:
        """Return up to so many agents whose places other pools may have; see `ripen`.

        Args:
            count: How many are beyond its share.
            at_work: How many of those at work may be drained.
        """
        idle = min(count, self._ripe - self._ripe_busy)
        busy = from_work(count, idle, at_work)
        if not idle + busy:
            return []
        self.told.preempted += busy
        ripe = [agent for agent in self._staying() if agent.ripe and (busy or agent.used == 0)]
        return sorted(ripe, key=lambda agent: agent.worth)[: idle + busy]

    def drain(self, agent: Agent) -> bool:
        """Give an agent no more Tasks; returns whether it can go at once."""
        agent.drained = self._now
        self.active -= 1
        self._ripe -= agent.ripe
        self._ripe_busy -= agent.ripe and agent.used > 0
        self._ready -= agent.ready
        self._busy -= agent.used > 0
        self._withdraw(agent)
        return agent.used == 0

    def dismiss(self, agent: Agent) -> None:
        """An agent is gone."""
        del self.agents[agent.number]

    def _staying(self) -> Iterable[Agent]:
        return (agent for agent in self.agents.values() if agent.drained is None)

    def _is_ripe(self, agent: Agent, min_runtime: float) -> bool:
        return self._now >= agent.created + min_runtime

    def _works(self, agent: Agent, change: int) -> None:
        """An agent has begun to work (1), or has nothing left to do (-1)."""
        self._busy += change
        if agent.ripe:
            self._ripe_busy += change

    def _withdraw(self, agent: Agent) -> None:
        """Take an agent out of those with a free slot, if it is one of them."""
        place = bisect_left(self._vacant, agent.rank)
        if place < len(self._vacant) and self._vacant[place] == agent.rank:
            del self._vacant[place]
