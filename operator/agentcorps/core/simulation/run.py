"""The clock, and the step that the operator's loops take: targets, shares, agents to and fro."""

from __future__ import annotations

from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING, Any, Final

from agentcorps.core.records import Now
from agentcorps.core.simulation.crew import Crew
from agentcorps.core.simulation.deciders import is_scheduled
from agentcorps.core.simulation.machines import Cluster
from agentcorps.core.simulation.outcome import Outcome
from agentcorps.core.simulation.plan import Setting
from agentcorps.core.simulation.shares import Shares

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentcorps.core.records import Key
    from agentcorps.core.simulation.crew import Agent
    from agentcorps.core.simulation.plan import Plan

REST_SECONDS: Final = 1.0
"""Shortest time between two steps: five times the operator's, for the sake of speed."""
PATIENCE_SECONDS: Final = 2 * 3600.0
"""How long after the last arrival the end of a queue that nobody works on is waited for: longer
than any window or period of `behavior`. The starts of agents and nodes come on top."""
SCHEDULED_PATIENCE_SECONDS: Final = 7 * 86_400.0
"""The same where a schedule may bring agents."""
SAMPLES: Final = 480
"""A time line that goes on and on becomes coarser, so that it has a few times as many entries."""


def simulate(plans: Sequence[Plan], setting: Setting | None = None) -> Outcome:
    """Let pools work off their Tasks.

    It ends when all Tasks have, or when nobody works on the rest of them hours after the last one
    came (a week, where schedules may bring agents). Each Task succeeds in its first attempt, and
    agents and pods never fail. Nor does the drain of an agent time out: see
    `PoolOutcome.outlasting`.

    Args:
        plans: The pools; their keys must differ.
        setting: What they live in; no quotas and as many nodes as it takes if not given.
    """
    return _Run(plans, Setting() if setting is None else setting).run()


class _Run:
    def __init__(self, plans: Sequence[Plan], setting: Setting) -> None:
        self._setting = setting
        self._crews = [Crew(plan, number) for number, plan in enumerate(plans)]
        self._shares = Shares([plan.pool for plan in plans], setting.quotas, shared=setting.shared)
        self._cluster = None if setting.machines is None else Cluster(setting.machines)
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = 0
        self._homeless: dict[tuple[int, int], tuple[Crew, Agent]] = {}
        """Agents whose pods fit on no node, the oldest first."""
        self._step_at, self._stepped_at = inf, -inf
        self._now = self._last_arrival = 0.0
        self._coming = len(self._crews)
        """Pools whose Tasks have not all come."""
        self._open = 0
        """Tasks that have come, and not ended."""
        self._patience = _patience(plans, self._setting)

    def run(self) -> Outcome:
        for crew in self._crews:
            self._expect(crew)
        self._at(0.0, self._sample)
        self._want_step(0.0)
        while (self._coming or self._open) and self._events:
            at, _, act, about = heappop(self._events)
            if at > self._last_arrival + self._patience and self._stuck():
                break
            self._now = at
            act(*about)
        for crew in self._crews:
            crew.advance(self._now)
            crew.sample()
            crew.told.never = len(crew.queue)
        nodes = self._cluster
        return Outcome(
            pools={crew.key: crew.told for crew in self._crews},
            ended_at=self._now,
            node_seconds=0.0 if nodes is None else nodes.seconds(self._now),
            most_nodes=0 if nodes is None else nodes.most,
        )

    def _stuck(self) -> bool:
        return not self._coming and not any(crew.running for crew in self._crews)

    def _at(self, when: float, act: Callable[..., None], *about: Any) -> None:
        self._order += 1
        heappush(self._events, (when, self._order, act, about))

    # What happens

    def _expect(self, crew: Crew) -> None:
        job = next(crew.arrivals, None)
        if job is None:
            self._coming -= 1
        else:
            self._at(job.at, self._arrive, crew, job)

    def _arrive(self, crew: Crew, job: Any) -> None:
        crew.advance(self._now)
        crew.queue.append(job)
        self._open += 1
        self._last_arrival = self._now
        self._expect(crew)
        self._changed(crew)

    def _finish(self, crew: Crew, agent: Agent, seconds: float) -> None:
        crew.advance(self._now)
        self._open -= 1
        if crew.finish(agent, seconds):
            self._dismiss(crew, agent)
        self._changed(crew)

    def _greet(self, crew: Crew, agent: Agent) -> None:
        crew.advance(self._now)
        crew.greet(agent)
        self._changed(crew)

    def _sample(self) -> None:
        for crew in self._crews:
            crew.advance(self._now)
            crew.sample()
        self._at(self._now + max(self._setting.sample_seconds, self._now / SAMPLES), self._sample)

    def _changed(self, crew: Crew) -> None:
        for agent, job in crew.assign():
            self._at(self._now + job.seconds, self._finish, crew, agent, job.seconds)
        crew.dirty = True
        self._want_step(max(self._now, self._stepped_at + REST_SECONDS))

    # The step

    def _want_step(self, at: float) -> None:
        if at < self._step_at:
            self._step_at = at
            self._at(at, self._step, at)

    def _step(self, planned: float) -> None:
        if planned != self._step_at:
            return
        self._step_at, self._stepped_at = inf, self._now
        for crew in self._crews:
            crew.advance(self._now)
            if crew.dirty or (crew.due_at is not None and crew.due_at <= self._now):
                self._decide(crew)
        dues = [crew.due_at for crew in self._crews if crew.due_at is not None]
        dues += self._to_shares()
        if dues:
            self._want_step(max(min(dues), self._now + REST_SECONDS))

    def _to_shares(self) -> list[float]:
        """Let agents come and go; returns when more of them may go than now."""
        grants = self._shares.grants({crew.key: crew.target for crew in self._crews})
        later = {}
        for crew in self._crews:
            crew.share(grants[crew.key])
            later[crew.key] = crew.ripen(self._setting.rules.min_runtime)
        at_work = self._shares.at_work(self._crews)
        for crew in self._crews:
            if crew.active > crew.target:
                later[crew.key] = self._now
            self._shrink(crew, at_work.get(crew.key, 0))
        for crew in sorted(self._crews, key=_turn):
            self._grow(crew)
        return [
            due
            for crew in self._crews
            if crew.active > crew.granted and (due := later[crew.key]) is not None
        ]

    def _decide(self, crew: Crew) -> None:
        crew.dirty = False
        now = Now(self._now, self._setting.began + self._now)
        verdict = crew.plan.decider.decide(crew.load(), now)
        crew.aim(verdict.target)
        crew.due_at = None if verdict.due_in is None else self._now + verdict.due_in

    def _shrink(self, crew: Crew, at_work: int) -> None:
        """Drain what is beyond the target, or of what is beyond the share what others may have."""
        leaving = []
        if crew.active > crew.target:
            leaving = crew.surplus(crew.active - crew.target)
        elif crew.active > crew.granted:
            leaving = crew.lent(crew.active - crew.granted, at_work)
        for agent in leaving:
            if crew.drain(agent):
                self._dismiss(crew, agent)

    def _grow(self, crew: Crew) -> None:
        missing = max(0, min(crew.granted, crew.target) - crew.active)
        count = self._shares.creatable(crew.key, missing)
        self._shares.take(crew.key, count)
        for _ in range(count):
            self._house(crew, crew.hire())

    # Pods

    def _house(self, crew: Crew, agent: Agent) -> bool:
        """Let an agent start on a node; until there is one it waits for a place."""
        begins = self._now
        if self._cluster is not None:
            agent.node = self._cluster.place(crew.plan.pool.charge, self._now)
            if agent.node is None:
                self._homeless[crew.number, agent.number] = crew, agent
                return False
            begins = max(begins, agent.node.ready_at)
        self._at(begins + crew.plan.start_seconds, self._greet, crew, agent)
        return True

    def _dismiss(self, crew: Crew, agent: Agent) -> None:
        """Let an agent go that has nothing to do any more; until it is gone its pod is there."""
        if crew.plan.stop_seconds:
            self._at(self._now + crew.plan.stop_seconds, self._part, crew, agent)
        else:
            self._part(crew, agent)

    def _part(self, crew: Crew, agent: Agent) -> None:
        crew.advance(self._now)
        crew.dismiss(agent)
        self._shares.take(crew.key, -1)
        self._homeless.pop((crew.number, agent.number), None)
        self._want_step(max(self._now, self._stepped_at + REST_SECONDS))
        if agent.node is not None:
            agent.node.leave(crew.plan.pool.charge, self._now)
            for waiting, who in list(self._homeless.items()):
                if not self._house(*who):
                    break
                del self._homeless[waiting]


def _patience(plans: Sequence[Plan], setting: Setting) -> float:
    if any(is_scheduled(plan.pool) for plan in plans):
        return SCHEDULED_PATIENCE_SECONDS
    slowest = max((plan.start_seconds + plan.stop_seconds for plan in plans), default=0.0)
    nodes = 0.0 if setting.machines is None else setting.machines.start_seconds
    return PATIENCE_SECONDS + slowest + nodes


def _turn(crew: Crew) -> tuple[int, Key]:
    """Sort key: who gets a free place first, as in `core.quota.rooms`."""
    return -crew.plan.pool.quota_priority, crew.key
