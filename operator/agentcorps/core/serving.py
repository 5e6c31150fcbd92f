"""What each agent can take: derived from its object, its pod, its process and its tasks."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from agentcorps.api.meta import AgentPhase
from agentcorps.core.members import Members
from agentcorps.core.offers import Offers
from agentcorps.core.roster import Vacancy
from agentcorps.core.success import SuccessRates

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from agentcorps.core.boards import Boards
    from agentcorps.core.news import News
    from agentcorps.core.records import AgentRecord, Attempt, Key, PodRecord, Session, TaskRecord


class Serving:
    """Agents' processes and what they offer; keeps the boards told of every change.

    ``refresh`` works out one agent anew and spreads the news. Whoever changes what it depends on
    calls it.
    """

    def __init__(
        self,
        agents: Mapping[Key, AgentRecord],
        pods: Mapping[Key, PodRecord],
        bound_to: Callable[[Key], Collection[TaskRecord]],
        boards: Boards,
        news: News,
    ) -> None:
        """``agents``, ``pods`` and ``bound_to`` are views of what is known."""
        self._agents = agents
        self._pods = pods
        self._bound_to = bound_to
        self._boards = boards
        self._news = news
        self._sessions: dict[Key, Session] = {}
        self._held: set[Key] = set()
        self._idle_since: dict[Key, float] = {}
        self._success = SuccessRates()
        self.offers = Offers()
        self.members = Members()
        self.sessions: Mapping[Key, Session] = MappingProxyType(self._sessions)

    def open_session(self, session: Session) -> None:
        """A process said hello; what an earlier process of the agent offered is void."""
        self._sessions[session.agent] = session
        self.offers.withdraw(session.agent)
        self.refresh(session.agent)

    def close_session(self, agent: Key) -> None:
        """The process is gone."""
        self._sessions.pop(agent, None)
        self.offers.withdraw(agent)
        self.refresh(agent)

    def change_session(self, agent: Key, **changes: Any) -> None:
        """Something about the process is different, if there is one."""
        session = self._sessions.get(agent)
        if session is not None:
            self._sessions[agent] = replace(session, **changes)
            self.refresh(agent)

    @contextmanager
    def held(self, agent: Key) -> Iterator[None]:
        """While it lasts the agent gets no new task, whichever process speaks for it."""
        self._held.add(agent)
        self._derive(agent)
        try:
            yield
        finally:
            self._held.discard(agent)
            self._derive(agent)

    def touch(self, agent: Key, monotonic: float) -> None:
        """The process was heard of then, which is news only when it had been silent."""
        session = self._sessions.get(agent)
        if session is not None:
            self._hear(session, monotonic)

    def open_poll(self, agent: Key, free: int, monotonic: float) -> None:
        """The process was heard of then: a poll of it asks for up to ``free`` tasks."""
        session = self._sessions.get(agent)
        if session is not None:
            self.offers.open(agent, free)
            self._hear(session, monotonic, polling=True)
            self._derive(agent)

    def close_poll(self, agent: Key, monotonic: float) -> None:
        """The poll is over or answered; the process was there until then."""
        self.offers.withdraw(agent)
        session = self._sessions.get(agent)
        if session is not None:
            self._hear(session, monotonic, polling=False)
            self._derive(agent)
            self._news.let_go(agent)

    def note_end(self, agent: Key, attempt: Attempt) -> None:
        """An attempt on the agent has ended."""
        if agent in self._agents:
            self._idle_since[agent] = max(attempt.finished_at, self.idle_since(agent))
            self._success.note(agent, attempt.reason, attempt.finished_at)

    def idle_since(self, agent: Key) -> float:
        """Wall time at which a task of the agent last ended; 0.0 when none has been seen to."""
        return self._idle_since.get(agent, 0.0)

    def vacancy(self, agent: Key) -> Vacancy | None:
        """What an agent can take now; None when it is not known or not connected."""
        return self._boards.vacancy(agent)

    def refresh(self, key: Key) -> None:
        """Something about an agent has changed: work out anew what it can take."""
        self._news.agent(key)
        self._derive(key)

    def _hear(self, session: Session, monotonic: float, **changes: Any) -> None:
        """Note a sign of life and what else it changes about the process."""
        known = self._agents.get(session.agent)
        silence = 0.0 if session.polling else monotonic - session.last_seen
        self._sessions[session.agent] = replace(session, last_seen=monotonic, **changes)
        if known is not None and silence >= known.patience_seconds:
            self._news.agent(session.agent)

    def _derive(self, key: Key) -> None:
        agent = self._agents.get(key)
        if agent is None:
            return
        session = self._sessions.get(key)
        self.members.put(agent, agent.capabilities if session is None else session.capabilities)
        if session is None:
            self._boards.remove_agent(key)
            return
        used = len(self._bound_to(key)) + self.offers.held(key)
        free = min(
            min(agent.slots, session.slots) - used if self._serves(agent, session) else 0,
            self.offers.left(key),
        )
        vacancy = Vacancy(
            session.capabilities,
            max(0, free),
            used,
            self.idle_since(key),
            self._success.rate(key),
        )
        self._boards.put_agent(key, agent.pool, agent.labels, vacancy)

    def drop(self, agent: AgentRecord) -> None:
        """The Agent is gone, or has become another one's."""
        self._news.agent(agent.key)
        self._news.pool(agent.pool_key)
        self.members.remove(agent.key)
        self._idle_since.pop(agent.key, None)
        self._success.forget(agent.key)
        self._boards.remove_agent(agent.key)

    def _serves(self, agent: AgentRecord, session: Session) -> bool:
        pod = self._pods.get(agent.key)
        return (
            pod is not None
            and agent.key not in self._held
            and pod.uid == session.pod_uid
            and not (pod.deleting or session.leaving or agent.deleting or agent.invalid)
            and not (agent.quarantined or session.suspended or agent.draining_since is not None)
            and agent.phase not in {AgentPhase.DRAINING, AgentPhase.UNHEALTHY}
        )
