"""Why a task is where it is, in words.

One answer for both: the operator writes it to the status, ``agentcorps task why`` prints it.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from agentcorps.api.meta import AgentPhase, TaskPhase, TaskReason
from agentcorps.api.names import clip_message
from agentcorps.core.conditions import timestamp
from agentcorps.core.label_selector import selector_text
from agentcorps.core.lifecycle import not_before, refusal
from agentcorps.core.waiting import rank
from agentcorps.core.wire import agent_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from agentcorps.core.records import AgentRecord, Target, TaskRecord
    from agentcorps.core.staffing import Staffing
    from agentcorps.core.state import State


class Availability(StrEnum):
    """In what state an agent is, in the word that people read."""

    READY = "ready"
    SILENT = "connected, but asking for no work"
    STARTING = "starting"
    DRAINING = "draining"
    UNHEALTHY = "unhealthy"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    ENDED = "terminated"
    DELETING = "being deleted"
    INVALID = "invalid"


class Candidate(NamedTuple):
    """What decides whether an agent could take a task."""

    name: str
    capabilities: frozenset[str]
    slots: int
    used: int
    availability: Availability


class Cut(NamedTuple):
    """What one filter leaves of the agents."""

    filter: str
    out: int
    """Agents that it takes out."""
    left: int


class Why(NamedTuple):
    """Why a task is where it is."""

    reason: str
    """One CamelCase word, as ``status.reason`` has it."""
    message: str
    """One sentence."""
    verdicts: list[tuple[str, str]]
    """Each agent of the pool or selector, and what speaks against it (or ``free``)."""
    cuts: list[Cut]
    """How many agents each filter took out, in the order of the filters."""


LACKING = frozenset({TaskReason.INPUT_NOT_FOUND, TaskReason.RESULT_REFUSED})
"""Why a task waits, if something of its own is missing; that was seen when it was last tried."""


class _Obstacle(NamedTuple):
    """The first filter that an agent does not pass."""

    filter: str
    verdict: str


_CAPABILITIES = "capabilities"
_READY = "ready"
_FREE_SLOT = "free slot"
_FREE = "free"
_AVAILABILITIES = {
    AgentPhase.IDLE: Availability.READY,
    AgentPhase.BUSY: Availability.READY,
    AgentPhase.DRAINING: Availability.DRAINING,
    AgentPhase.UNHEALTHY: Availability.UNHEALTHY,
    AgentPhase.FAILED: Availability.FAILED,
    AgentPhase.TERMINATED: Availability.ENDED,
}


def explain(
    task: TaskRecord,
    *,
    pool: Staffing | None,
    candidates: Sequence[Candidate],
    now_wall: float,
    queue_ahead: int,
) -> Why:
    """Say why a task is where it is.

    Args:
        task: The task.
        pool: The AgentPool of the name in ``spec.pool``; None when there is none.
        candidates: The agents of that pool, or those that ``spec.agentSelector`` matches.
        now_wall: Seconds since the Unix epoch.
        queue_ahead: Tasks for the same agents that are served before this one.
    """
    obstacles = [_obstacle(one, task.requires) for one in candidates]
    verdicts = [
        (one.name, obstacle.verdict if obstacle else _FREE)
        for one, obstacle in zip(candidates, obstacles, strict=True)
    ]
    cuts = _cuts(task, obstacles)
    if task.phase is not TaskPhase.QUEUED:
        return Why(str(task.reason), _not_waiting(task), verdicts, cuts)
    problem = refusal(task)
    if problem is not None:
        return Why(problem[0].value, problem[1], verdicts, cuts)
    able = any(task.requires <= one.capabilities for one in candidates)
    reason = waiting_reason(task, pool=pool, empty=not candidates, able=able, now_wall=now_wall)
    message = _message(task, reason, pool, verdicts, queue_ahead)
    return Why(reason.value, clip_message(message), verdicts, cuts)


def waiting_reason(
    task: TaskRecord, *, pool: Staffing | None, empty: bool, able: bool, now_wall: float
) -> TaskReason:
    """Why a Queued task waits, in one word.

    Args:
        task: The task.
        pool: The AgentPool of the name in ``spec.pool``; None when there is none.
        empty: Whether that pool has no agents.
        able: Whether an agent that may do the work, busy or not, has what the task requires.
        now_wall: Seconds since the Unix epoch.
    """
    if task.pool and pool is None:
        return TaskReason.POOL_NOT_FOUND
    if not_before(task) > now_wall:
        return TaskReason.BACKOFF
    if task.reason in LACKING:
        return TaskReason(task.reason)
    if pool is not None and pool.paused_at_zero:
        return TaskReason.POOL_PAUSED
    if pool is not None and pool.target and empty:
        return TaskReason.QUOTA_LIMITED if pool.short_of_quota else TaskReason.NO_IDLE_AGENT
    return TaskReason.NO_IDLE_AGENT if able else TaskReason.NO_AGENT_MATCHES


def tasks_ahead(
    task: TaskRecord, tasks: Iterable[TaskRecord], aging_seconds: float, now_wall: float
) -> int:
    """Count the tasks for the same agents that are in line before a waiting one.

    Args:
        task: The task.
        tasks: Tasks of its namespace; others among them do not count.
        aging_seconds: What the operator is set to.
        now_wall: Seconds since the Unix epoch: who waits for a back-off is not in line yet.
    """
    if task.phase is not TaskPhase.QUEUED or not_before(task) > now_wall:
        return 0
    place, target = rank(task, aging_seconds), task.target
    return sum(
        other.phase is TaskPhase.QUEUED
        and other.target == target
        and not_before(other) <= now_wall
        and rank(other, aging_seconds) < place
        for other in tasks
    )


def candidates_from_state(state: State, target: Target) -> list[Candidate]:
    """The agents that a task's pool or selector means, as the operator knows them, by name."""
    return [
        Candidate(
            agent.key.name,
            _capabilities(state, agent),
            _slots(state, agent),
            len(state.bound_to(agent.key)),
            _availability(state, agent),
        )
        for agent in sorted(state.agents_for(target), key=_name)
    ]


def candidates_from_objects(
    agents: Iterable[Mapping[str, Any]], tasks: Iterable[TaskRecord] = ()
) -> list[Candidate]:
    """Listed Agent objects as far as their status tells, by name.

    Their ``slotsUsed`` may be a minute old; the Running ones among ``tasks`` count if more.
    """
    running = Counter(task.agent for task in tasks if task.phase is TaskPhase.RUNNING)
    records = sorted(map(agent_record, agents), key=_name)
    return [
        Candidate(
            record.key.name,
            record.capabilities,
            record.slots,
            max(running[record.key], _slots_used(record)),
            _told_availability(record),
        )
        for record in records
    ]


def _name(agent: AgentRecord) -> str:
    return agent.key.name


def _slots_used(agent: AgentRecord) -> int:
    used = agent.status.get("slotsUsed", 0)
    return used if isinstance(used, int) else 0


def _capabilities(state: State, agent: AgentRecord) -> frozenset[str]:
    session = state.sessions.get(agent.key)
    return agent.capabilities if session is None else session.capabilities


def _slots(state: State, agent: AgentRecord) -> int:
    session = state.sessions.get(agent.key)
    return agent.slots if session is None else min(agent.slots, session.slots)


def _availability(state: State, agent: AgentRecord) -> Availability:
    told = _told_availability(agent)
    session, pod = state.sessions.get(agent.key), state.pods.get(agent.key)
    if told not in {Availability.READY, Availability.STARTING}:
        return told
    if session is None or pod is None or pod.uid != session.pod_uid:
        return Availability.STARTING
    if pod.deleting or session.leaving:
        return Availability.DELETING if pod.deleting else Availability.DRAINING
    vacancy = state.vacancy(agent.key)
    full = len(state.bound_to(agent.key)) >= _slots(state, agent)
    vacant = vacancy is not None and vacancy.free > 0
    return Availability.READY if full or vacant else Availability.SILENT


def _told_availability(agent: AgentRecord) -> Availability:
    if agent.deleting:
        return Availability.DELETING
    if agent.invalid:
        return Availability.INVALID
    if agent.quarantined:
        return Availability.QUARANTINED
    if agent.draining_since is not None:
        return Availability.DRAINING
    return (
        Availability.STARTING
        if agent.phase is None
        else _AVAILABILITIES.get(agent.phase, Availability.STARTING)
    )


def _obstacle(candidate: Candidate, requires: frozenset[str]) -> _Obstacle | None:
    lacks = sorted(requires - candidate.capabilities)
    if lacks:
        noun = "capability" if len(lacks) == 1 else "capabilities"
        return _Obstacle(_CAPABILITIES, f"lacks {noun} {', '.join(lacks)}")
    if candidate.availability is not Availability.READY:
        return _Obstacle(_READY, candidate.availability.value)
    if candidate.used >= candidate.slots:
        return _Obstacle(_FREE_SLOT, f"busy ({candidate.used}/{candidate.slots} slots)")
    return None


def _cuts(task: TaskRecord, obstacles: Sequence[_Obstacle | None]) -> list[Cut]:
    out = Counter(obstacle.filter for obstacle in obstacles if obstacle)
    left = len(obstacles)
    cuts = [Cut(_whom(task), 0, left)]
    for name in (_CAPABILITIES, _READY, _FREE_SLOT):
        left -= out[name]
        cuts.append(Cut(name, out[name], left))
    return cuts


def _not_waiting(task: TaskRecord) -> str:
    if task.phase is TaskPhase.RUNNING:
        return _running(task)
    where = f" on agent {task.agent_name} in attempt {task.attempt}" if _ended_at_work(task) else ""
    ended = f"the Task has ended: {task.phase.value}{where}"
    return f"{ended}; {task.message}" if task.message else ended


def _running(task: TaskRecord) -> str:
    told = f"agent {task.agent_name} works on attempt {task.attempt}"
    if task.started_at is None:
        return told
    begun, ends = timestamp(task.started_at), timestamp(task.started_at + task.timeout_seconds)
    done = "" if task.progress_percent is None else f", {task.progress_percent} % done"
    return f"{told} since {begun}, until {ends} at the latest{done}"


def _ended_at_work(task: TaskRecord) -> bool:
    """Whether the Task ended with an attempt, not while it waited."""
    return bool(task.attempts) and task.attempts[-1].finished_at == task.finished_at


_OF_POOL = {
    TaskReason.POOL_NOT_FOUND: "there is no AgentPool {pool} in namespace {namespace}",
    TaskReason.POOL_PAUSED: "pool {pool} is to have no agents: its spec.scaling is paused at 0",
    TaskReason.QUOTA_LIMITED: (
        "pool {pool} has no agents: its ResourceQuotas leave no room for any"
    ),
}


def _message(
    task: TaskRecord,
    reason: TaskReason,
    pool: Staffing | None,
    verdicts: list[tuple[str, str]],
    queue_ahead: int,
) -> str:
    if reason in _OF_POOL:
        return _OF_POOL[reason].format(pool=task.pool, namespace=task.key.namespace)
    if reason is TaskReason.BACKOFF:
        return _resting(task)
    if reason in LACKING:
        return task.message
    if reason is TaskReason.NO_AGENT_MATCHES and not verdicts:
        return _nobody(task, pool)
    parts = [_summary(task, verdicts)]
    if reason is TaskReason.NO_IDLE_AGENT:
        if queue_ahead:
            parts.append(
                f"{queue_ahead} {'task is' if queue_ahead == 1 else 'tasks are'} ahead of it"
            )
        if pool is not None and pool.limit:
            parts.append(pool.limit)
    return "; ".join(parts)


def _resting(task: TaskRecord) -> str:
    last = task.attempts[-1]
    told = f": {task.message}" if task.message and task.reason == last.reason else ""
    return (
        f"not before {timestamp(not_before(task))}, because attempt {last.attempt} ended with"
        f" {last.reason}{told}"
    )


def _nobody(task: TaskRecord, pool: Staffing | None) -> str:
    if pool is not None and pool.scales:
        return f"pool {task.pool} has no agents: nothing in its spec.scaling asks for any"
    if task.pool:
        return f"pool {task.pool} has no agents: its replicas are 0"
    return f"there is no agent with {_whom(task)} in namespace {task.key.namespace}"


def _whom(task: TaskRecord) -> str:
    """Which agents may do the work."""
    if task.pool:
        return f"pool {task.pool}"
    return f"labels {selector_text(task.selector)}" if task.selector else "any labels"


def _summary(task: TaskRecord, verdicts: list[tuple[str, str]]) -> str:
    if not verdicts:
        return f"{_whom(task)} has no agents yet"
    noun = "agent" if len(verdicts) == 1 else "agents"
    counts = Counter(verdict for _, verdict in verdicts)
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    return f"{len(verdicts)} {noun} {'in' if task.pool else 'with'} {_whom(task)}: {told}"
