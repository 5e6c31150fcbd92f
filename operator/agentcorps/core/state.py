"""What the operator knows, indexed for decisions: changed only by what is observed and assumed.

Every method is synchronous, and no method reads a clock. What stands here is rebuilt from the API
server's lists and the agents' hellos alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.api.meta import TaskPhase
from agentcorps.api.names import DEFAULT_AGING_SECONDS
from agentcorps.core.affinity import Affinities
from agentcorps.core.boards import Boards
from agentcorps.core.departed import Departed
from agentcorps.core.gauges import Gauges
from agentcorps.core.news import News
from agentcorps.core.serving import Serving
from agentcorps.core.store import Store
from agentcorps.core.targets import Targets
from agentcorps.core.task_index import TaskIndex
from agentcorps.core.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from agentcorps.core.quota_record import QuotaRecord
    from agentcorps.core.records import (
        AgentRecord,
        Key,
        Now,
        PodRecord,
        PoolRecord,
        Session,
        Target,
        TaskRecord,
    )
    from agentcorps.core.roster import Vacancy


class State:
    """The indexed state.

    *Observed* is what the API server said; *assumed* is what a write in flight will make of it.
    Counts, bindings and free slots follow the assumption; ``tasks`` and ``task`` tell what was
    observed.
    """

    def __init__(self, aging_seconds: float = DEFAULT_AGING_SECONDS) -> None:
        """A waiting Task gains one step of priority for each ``aging_seconds``."""
        self._tasks: Store[TaskRecord] = Store()
        self._agents: Store[AgentRecord] = Store()
        self._pools: Store[PoolRecord] = Store()
        self._pods: Store[PodRecord] = Store()
        self._quotas: Store[QuotaRecord] = Store()
        self._assumed: dict[str, TaskRecord] = {}
        self._boards = Boards(aging_seconds)
        self.affinities = Affinities()
        """Which agent served each affinity key last."""
        self.news = News(self._all_agents, self._all_pools, self._polls)
        """Tells who has to look at what."""
        self._index = TaskIndex(self._boards)
        self.ledger = self._index.ledger
        """How many tasks each pool holds, assumed ones included."""
        self.task_counts = self._index.counts
        self.rests = self._index.rests
        self._serving = Serving(
            self._agents.by_key, self._pods.by_key, self._index.bound_to, self._boards, self.news
        )
        self.departed = Departed(self.bound_to)
        """What was last seen of pods that are gone."""
        self.timers = Timers()
        self.targets = Targets()
        """How many agents each pool is to have."""
        self.gauges = Gauges()
        """What is known of the metrics that pools scale by."""
        self.tasks: Mapping[str, TaskRecord] = self._tasks.by_uid
        """Observed tasks by UID."""
        self.agents: Mapping[Key, AgentRecord] = self._agents.by_key
        self.pools: Mapping[Key, PoolRecord] = self._pools.by_key
        self.pods: Mapping[Key, PodRecord] = self._pods.by_key
        self.quotas: Mapping[Key, QuotaRecord] = self._quotas.by_key
        self.sessions: Mapping[Key, Session] = self._serving.sessions

    # Tasks

    def observe_task(self, record: TaskRecord, now: Now) -> bool:
        """Take in a Task as the API server has it; returns whether it was news."""
        self.timers.see(now)
        news, before = self._tasks.put(record)
        if not news:
            return False
        if before is not None and before.uid != record.uid:
            self._drop_task(before.uid)
        else:
            self._note_end(before, record)
        self.timers.note_phase(record, self._assumed.get(record.uid), now)
        self.timers.look_at(record.uid)
        self.affinities.note(record)
        self._place(record.uid)
        return True

    def forget_task(self, uid: str) -> None:
        """The Task is deleted."""
        record = self._tasks.by_uid.get(uid)
        if record is not None:
            self._tasks.remove(record.key)
            self._drop_task(uid)

    def replace_tasks(
        self, records: Iterable[TaskRecord], now: Now, list_rv: int | None = None
    ) -> None:
        """Take in a complete list.

        What it lacks is deleted, unless it was written after the list's version ``list_rv``.
        """
        listed = list(records)
        for gone in self._tasks.absent(listed, list_rv):
            self.forget_task(gone.uid)
        for record in listed:
            self.observe_task(record, now)

    def task(self, uid: str) -> TaskRecord | None:
        """The observed Task of this UID."""
        return self._tasks.by_uid.get(uid)

    def task_at(self, key: Key) -> TaskRecord | None:
        """The observed Task of this name."""
        return self._tasks.by_key.get(key)

    def bound_to(self, agent: Key) -> Collection[TaskRecord]:
        """Tasks that run on an agent, assumed ones included."""
        return self._index.bound_to(agent)

    def all_bound(self) -> Iterator[TaskRecord]:
        """Tasks that run, on whichever agent, assumed ones included."""
        return self._index.all_bound()

    def queued(self, pool: Key) -> int:
        """Number of a pool's Tasks that are Queued, assumed ones included."""
        return self._index.count(pool, TaskPhase.QUEUED)

    def fitting(self, pool: Key, capabilities: frozenset[str]) -> int:
        """Number of those of them that an agent with these capabilities can serve."""
        return self._index.fitting(pool, capabilities)

    def running(self, pool: Key) -> int:
        """Number of a pool's Tasks that are Running, assumed ones included."""
        return self._index.count(pool, TaskPhase.RUNNING)

    def started_monotonic(self, uid: str) -> float | None:
        """Monotonic time at which the current attempt began; None when the Task does not run."""
        record = self.task(uid)
        if record is None or record.phase is not TaskPhase.RUNNING:
            return None
        return self.timers.phase_began(uid)

    # Writes in flight

    def assume(self, record: TaskRecord) -> None:
        """A write has begun that will leave this record.

        Decisions leave the Task alone until ``settle``.
        """
        observed = self.task(record.uid)
        self._assumed[record.uid] = record
        if record.phase is TaskPhase.RUNNING and not _same_binding(observed, record):
            self._serving.offers.reserve(record.agent, record.uid)
            self.affinities.note(record)
            self._boards.served(record)
        elif record.phase is not TaskPhase.RUNNING and observed is not None and _runs(observed):
            self._serving.offers.hold(record.agent, record.uid)
        self._place(record.uid)

    def settle(self, uid: str) -> None:
        """The write has ended, one way or the other: what was observed stands."""
        assumed = self._assumed.pop(uid, None)
        if assumed is None:
            return
        came_true = _same_binding(self.task(uid), assumed)
        self._serving.offers.release(assumed.agent, uid, used=came_true)
        if uid in self.tasks:
            self.timers.look_at(uid)
            self._place(uid)
        self._serving.refresh(assumed.agent)

    def in_flight(self, uid: str) -> bool:
        """Whether a write of this Task is under way."""
        return uid in self._assumed

    def writes_about(self, agent: Key) -> bool:
        """Whether a write is under way of a Task that is, or was last, bound to an agent."""
        return any(record.agent == agent for record in self._assumed.values())

    @property
    def binding(self) -> int:
        """Number of bindings whose write is under way."""
        return self._serving.offers.promised

    # Pods, agents, pools

    def observe_pod(self, record: PodRecord) -> bool:
        """Take in a Pod as the API server has it; returns whether it was news."""
        news, before = self._pods.put(record)
        if before is not None and before.uid != record.uid:
            self.departed.note(before)
        if news:
            self._serving.refresh(record.key)
            agent = self.agents.get(record.key)
            if record.deleting and agent is not None:
                self.news.pool(agent.pool_key)
        return news

    def forget_pod(self, key: Key, uid: str | None = None) -> None:
        """The Pod is deleted (only the one of this UID, where one is given)."""
        gone = self._pods.remove(key, uid)
        if gone is not None:
            self.departed.note(gone)
            self._serving.refresh(key)

    def replace_pods(self, records: Iterable[PodRecord], list_rv: int | None = None) -> None:
        """Take in a complete list; see ``replace_tasks``."""
        listed = list(records)
        for gone in self._pods.absent(listed, list_rv):
            self.forget_pod(gone.key)
        for record in listed:
            self.observe_pod(record)

    def observe_agent(self, record: AgentRecord) -> bool:
        """Take in an Agent as the API server has it; returns whether it was news."""
        news, before = self._agents.put(record)
        if not news:
            return False
        if before is not None and (before.uid, before.pool) != (record.uid, record.pool):
            self._serving.drop(before)
        self._serving.refresh(record.key)
        if before is None or before.role != record.role:
            self.news.pool(record.pool_key)
        return True

    def forget_agent(self, key: Key, uid: str | None = None) -> None:
        """The Agent is deleted (only the one of this UID, where one is given)."""
        gone = self._agents.remove(key, uid)
        if gone is not None:
            self._serving.drop(gone)

    def replace_agents(self, records: Iterable[AgentRecord], list_rv: int | None = None) -> None:
        """Take in a complete list; see ``replace_tasks``."""
        listed = list(records)
        for gone in self._agents.absent(listed, list_rv):
            self.forget_agent(gone.key)
        for record in listed:
            self.observe_agent(record)

    def observe_pool(self, record: PoolRecord) -> bool:
        """Take in an AgentPool as the API server has it; returns whether it was news."""
        self.ledger.recount(record.key)
        news, _ = self._pools.put(record)
        if news:
            self.news.pool(record.key)
        return news

    def forget_pool(self, key: Key, uid: str | None = None) -> None:
        """The AgentPool is deleted (only the one of this UID, where one is given)."""
        gone = self._pools.remove(key, uid)
        if gone is not None:
            self.news.pool(key)
            self.targets.forget(gone.uid)

    def replace_pools(self, records: Iterable[PoolRecord], list_rv: int | None = None) -> None:
        """Take in a complete list; see ``replace_tasks``."""
        listed = list(records)
        for gone in self._pools.absent(listed, list_rv):
            self.forget_pool(gone.key)
        for record in listed:
            self.observe_pool(record)

    def observe_quota(self, record: QuotaRecord) -> bool:
        """Take in a ResourceQuota as the API server has it; returns whether it was news."""
        return self._quotas.put(record)[0]

    def forget_quota(self, key: Key, uid: str | None = None) -> None:
        """The ResourceQuota is deleted (only the one of this UID, where one is given)."""
        self._quotas.remove(key, uid)

    def agents_of(self, pool: Key) -> Collection[AgentRecord]:
        """Agents that a pool owns."""
        return self._serving.members.of(pool)

    def agents_for(self, target: Target) -> Collection[AgentRecord]:
        """Agents that a Task's pool or selector means; a selector costs a look at each agent."""
        return self._serving.members.of_target(target)

    def can(self, target: Target, requires: frozenset[str]) -> bool:
        """Whether any agent that a target means, busy or not, has these capabilities."""
        return self._serving.members.can(target, requires)

    # Agent processes

    def open_session(self, session: Session) -> None:
        """A process said hello; what an earlier process of the agent offered is void."""
        self._serving.open_session(session)

    def close_session(self, agent: Key) -> None:
        """The process is gone."""
        self._serving.close_session(agent)

    def leave(self, agent: Key) -> None:
        """The process said goodbye: it gets no new task."""
        self._serving.change_session(agent, leaving=True)

    def suspend(self, agent: Key, *, lasts: bool = True) -> None:
        """The agent is about to be quarantined (or no longer): its process gets no new task."""
        session = self.sessions.get(agent)
        if session is not None and session.suspended != lasts:
            self._serving.change_session(agent, suspended=lasts)

    def held(self, agent: Key) -> AbstractContextManager[None]:
        """While it lasts the agent gets no new task: it is about to be deleted."""
        return self._serving.held(agent)

    def touch(self, agent: Key, now: Now) -> None:
        """The process was heard of just now."""
        self._serving.touch(agent, now.monotonic)

    def open_poll(self, agent: Key, free: int, now: Now) -> None:
        """The process was heard of just now: a poll of it asks for up to ``free`` tasks."""
        self._serving.open_poll(agent, free, now.monotonic)

    def close_poll(self, agent: Key, now: Now) -> None:
        """The poll is over or answered; the process was there until now."""
        self._serving.close_poll(agent, now.monotonic)

    def idle_since(self, agent: Key) -> float:
        """Wall time at which a task of the agent last ended; 0.0 when none has been seen to."""
        return self._serving.idle_since(agent)

    # For the decisions

    def vacancy(self, agent: Key) -> Vacancy | None:
        """What an agent can take now; None when it is not known or not connected."""
        return self._serving.vacancy(agent)

    def boards(self, now: Now) -> Boards:
        """Where Tasks wait that could be bound, those included whose back-off is over now."""
        self.timers.see(now)
        self._index.end_rests(now.wall)
        return self._boards

    def could_bind(self, target: Target) -> bool:
        """Whether a Task for these agents waits for nothing but the write of its binding."""
        return self._boards.could_bind(target)

    def next_rest_over(self) -> float | None:
        """Monotonic time at which the next rest is over; None when no Task rests."""
        wall = self._index.first_rest_over()
        return None if wall is None else self.timers.monotonic(wall)

    # Derivations

    def _place(self, uid: str) -> None:
        observed, in_flight = self.task(uid), uid in self._assumed
        record = self._assumed[uid] if in_flight and observed is not None else observed
        before = self._index.place(uid, record, in_flight=in_flight)
        placed = [one for one in (before, record) if one is not None]
        for pool in {one.pool_key for one in placed}:
            self.news.count(pool)
        for agent in {one.agent for one in placed if _runs(one)}:
            self._serving.refresh(agent)

    def _note_end(self, before: TaskRecord | None, record: TaskRecord) -> None:
        """If an attempt has ended between these two, that tells something about its agent."""
        last = record.attempts[-1] if record.attempts else None
        if before is not None and _runs(before) and last and last.attempt == before.attempt:
            self._serving.note_end(before.agent, last)

    def _drop_task(self, uid: str) -> None:
        self.timers.forget(uid)
        self._place(uid)

    def _all_agents(self) -> set[Key]:
        return {*self.agents, *self.pods, *(task.agent for task in self.all_bound())}

    def _all_pools(self) -> set[Key]:
        return {*self.pools, *(agent.pool_key for agent in self.agents.values())}

    def _polls(self, agent: Key) -> bool:
        session = self.sessions.get(agent)
        return session is not None and session.polling


def _runs(record: TaskRecord) -> bool:
    return record.phase is TaskPhase.RUNNING


def _same_binding(one: TaskRecord | None, other: TaskRecord) -> bool:
    if one is None or not (_runs(one) and _runs(other)):
        return False
    return (one.attempt, one.agent) == (other.attempt, other.agent)
