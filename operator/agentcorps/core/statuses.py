"""What the status of an Agent and of an AgentPool should say; `coalescing` tells when to write."""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agentcorps.api.meta import LABEL_POOL, AgentPhase, ConditionType
from agentcorps.api.names import clip_message
from agentcorps.api.scaling import LimitedBy
from agentcorps.core import conditions
from agentcorps.core.assessment import Assessment, Standing, assess, own_pod, own_session
from agentcorps.core.conditions import DRAINING, Verdict
from agentcorps.core.membership import is_active
from agentcorps.core.quarantine import quarantine
from agentcorps.core.scaling_status import Scaled, StatusPart, scaling_status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentcorps.core.conditions import Stamp
    from agentcorps.core.records import AgentRecord, Key, Now, PoolRecord
    from agentcorps.core.room import Room
    from agentcorps.core.state import State


class Refusal(NamedTuple):
    """Why the API server would not create something: its own reason and message."""

    reason: str
    message: str


class Tally(NamedTuple):
    """Tasks that ended on an agent since its stored status was written."""

    succeeded: int = 0
    failed: int = 0


class Memory(NamedTuple):
    """What the leader remembers, and no object tells."""

    first_hello: float | None = None
    """When (monotonic) this leader received its first hello; None before."""
    finished: Mapping[Key, Tally] = MappingProxyType({})
    """By agent. Added to the stored counters; whoever wrote a status takes off what was in it."""
    refused: Mapping[Key, Refusal] = MappingProxyType({})
    """By agent: why its pod could not be created at the last try."""
    refused_agents: Mapping[Key, Refusal] = MappingProxyType({})
    """By pool: why an agent of it could not be created at the last try."""
    streaks: Mapping[str, int] = MappingProxyType({})
    """By UID of the agent: tasks that failed on it since the last one that succeeded."""
    resting_pods: Mapping[str, Refusal] = MappingProxyType({})
    """By UID of the agent: why its next pod is made later."""
    resting_agents: Mapping[str, Refusal] = MappingProxyType({})
    """By edition of the pool: why its next agent is made later."""
    scaled: Mapping[str, Scaled] = MappingProxyType({})
    """By UID of the pool that scales itself: the last decision about it."""
    rooms: Mapping[Key, Room] = MappingProxyType({})
    """By pool: what its namespace's quotas leave to it."""


_PHASES: Final = {
    Standing.INVALID: AgentPhase.FAILED,
    Standing.TERMINATING: AgentPhase.TERMINATED,
    Standing.NO_POD: AgentPhase.PENDING,
    Standing.NAME_TAKEN: AgentPhase.PENDING,
    Standing.POD_LEAVING: AgentPhase.PENDING,
    Standing.POD_ENDED: AgentPhase.UNHEALTHY,
    Standing.STARTING: AgentPhase.STARTING,
    Standing.AWAITED: AgentPhase.STARTING,
    Standing.STUCK: AgentPhase.FAILED,
    Standing.STARTUP_TIMEOUT: AgentPhase.FAILED,
    Standing.SILENT: AgentPhase.UNHEALTHY,
}
_STALLED: Final = frozenset({Standing.INVALID, Standing.STUCK, Standing.STARTUP_TIMEOUT})
_DEEPER: Final = frozenset({Standing.INVALID, Standing.TERMINATING})
"""What says more of an agent than that it is quarantined."""
_SERVING: Final = frozenset({AgentPhase.IDLE, AgentPhase.BUSY})


class View(NamedTuple):
    """One agent as its status shows it, and as its pool counts it."""

    phase: AgentPhase
    verdict: Verdict


_UNSEEN: Final[Mapping[Key, View]] = MappingProxyType({})


def agent_status(
    state: State, key: Key, now: Now, memory: Memory, drain: str = "", seen: View | None = None
) -> dict[str, Any]:
    """Return the status that an Agent should have now.

    Args:
        state: What was observed.
        key: An Agent in it.
        now: This instant.
        memory: What only the leader knows.
        drain: Reason (CamelCase) for which the agent is drained from now on; empty: as it was.
        seen: What `view` has just returned for this agent, if it was asked.

    Raises:
        KeyError: The state has no such Agent.
    """
    agent = state.agents[key]
    mark = conditions.stamp(agent.status, agent.generation, now.wall)
    shown = seen or view(state, agent, now, memory, drain)
    found = conditions.standard(shown.verdict, mark)
    doubt = quarantine(state, agent, failures_in_a_row(agent, memory))
    if doubt is not None:
        healthy = ConditionType.HEALTHY
        found.append(conditions.condition(healthy, *doubt, mark, holds=False))
    if shown.phase is AgentPhase.DRAINING:
        reason, message = shown.verdict.reason, shown.verdict.message
        found.append(conditions.condition(DRAINING, reason, message, mark, holds=True))
    status = {
        "observedGeneration": agent.generation,
        "phase": shown.phase.value,
        "reason": shown.verdict.reason if shown.phase not in _SERVING else None,
        "message": clip_message(shown.verdict.message) or None,
        "slotsUsed": len(state.bound_to(key)),
        **_counters(agent, memory.finished.get(key, Tally())),
        "consecutiveFailures": failures_in_a_row(agent, memory) or None,
        **_process(state, agent, now),
        "conditions": found,
    }
    return {name: value for name, value in status.items() if value is not None}


def failures_in_a_row(agent: AgentRecord, memory: Memory) -> int:
    """Return how many tasks failed on an agent since the last one that succeeded."""
    return memory.streaks.get(agent.uid, int(agent.status.get("consecutiveFailures", 0)))


def counted(old: Mapping[str, Any], new: Mapping[str, Any]) -> Tally:
    """Return how many finished tasks a new status has more than the one that it replaces."""
    return Tally(
        int(new.get("tasksSucceeded", 0)) - int(old.get("tasksSucceeded", 0)),
        int(new.get("tasksFailed", 0)) - int(old.get("tasksFailed", 0)),
    )


def _counters(agent: AgentRecord, tally: Tally) -> dict[str, int]:
    return {
        "tasksSucceeded": int(agent.status.get("tasksSucceeded", 0)) + tally.succeeded,
        "tasksFailed": int(agent.status.get("tasksFailed", 0)) + tally.failed,
    }


def _process(state: State, agent: AgentRecord, now: Now) -> dict[str, str | None]:
    """Return what the status tells of the pod and the process in it."""
    pod = own_pod(state, agent)
    if pod is None:
        return {}
    # The process that was heard last is kept for as long as its pod: a new leader learns from it
    # that it has to wait for a hello.
    known = agent.status if agent.status.get("podUID") == pod.uid else {}
    session = own_session(state, pod)
    heard = known.get("lastHeartbeatTime")
    if session is not None:
        silence = 0.0 if session.polling else now.monotonic - session.last_seen
        heard = conditions.timestamp(now.wall - silence)
    return {
        "podName": pod.key.name,
        "podUID": pod.uid,
        "instance": known.get("instance") if session is None else session.instance,
        "lastHeartbeatTime": heard,
        "templateHash": pod.template_hash or None,
    }


def view(state: State, agent: AgentRecord, now: Now, memory: Memory, drain: str = "") -> View:
    """Return how an agent is seen; the arguments are those of `agent_status`."""
    assessment = assess(state, agent, now, memory.first_hello)
    standing = assessment.standing
    if (drain or agent.draining_since is not None) and standing is not Standing.TERMINATING:
        reason = drain or str(agent.status.get("reason") or "Draining")
        verdict = Verdict(reason, "it finishes its tasks and takes no new ones", reconciling=True)
        return View(AgentPhase.DRAINING, verdict)
    refusal, rest = memory.refused.get(agent.key), memory.resting_pods.get(agent.uid)
    if standing is Standing.NO_POD and refusal is not None:
        return View(AgentPhase.PENDING, _refused("its pod", refusal))
    if standing is Standing.NO_POD and rest is not None:
        return View(AgentPhase.PENDING, Verdict(*rest, stalled=True))
    doubt = quarantine(state, agent, failures_in_a_row(agent, memory))
    if doubt is not None and standing not in _DEEPER:
        return View(AgentPhase.UNHEALTHY, Verdict(*doubt, stalled=True))
    if _serves(agent, assessment):
        phase = AgentPhase.BUSY if state.bound_to(agent.key) else AgentPhase.IDLE
        return View(phase, Verdict("Connected", ready=True))
    stalled = standing in _STALLED
    reason, message = assessment.reason, assessment.message
    verdict = Verdict(reason, message, reconciling=not stalled, stalled=stalled)
    return View(_PHASES[standing], verdict)


def _serves(agent: AgentRecord, assessment: Assessment) -> bool:
    """Tell whether an agent is Ready: heard by this leader, or by the last one a moment ago."""
    if assessment.standing is Standing.AWAITED:
        return conditions.is_true(agent.status, ConditionType.READY)
    return assessment.standing is Standing.READY


def _refused(what: str, refusal: Refusal) -> Verdict:
    message = f"{what} could not be created and is tried again: {refusal.message}"
    return Verdict(refusal.reason or "CreateFailed", message, stalled=True)


def selector(pool: str) -> str:
    """Return the label selector of a pool's agents and pods, as /scale tells it."""
    return f"{LABEL_POOL}={pool}"


def pool_status(
    state: State, key: Key, now: Now, memory: Memory, seen: Mapping[Key, View] = _UNSEEN
) -> dict[str, Any]:
    """Return the status that an AgentPool should have now.

    Args:
        state: What was observed.
        key: An AgentPool in it.
        now: This instant.
        memory: What only the leader knows.
        seen: What `view` returned for agents since they last changed.

    Raises:
        KeyError: The state has no such AgentPool.
    """
    pool = state.pools[key]
    agents = [agent for agent in state.agents_of(key) if agent.pool_uid == pool.uid]
    views = {agent.key: seen.get(agent.key) or view(state, agent, now, memory) for agent in agents}
    mark = conditions.stamp(pool.status, pool.generation, now.wall)
    target, room = state.targets.of(pool), memory.rooms.get(key)
    limit = None if room is None or not room.by_quota else _quota_limit(room)
    refusal, rest = memory.refused_agents.get(key), memory.resting_agents.get(pool.edition)
    verdict = _pool_verdict(pool, target, agents, views, refusal, rest, limit)
    scaled = scaling_status(pool, memory.scaled.get(pool.uid), mark)
    quotas = StatusPart({}, []) if limit is None else _quota_status(limit, mark)
    return {
        "observedGeneration": pool.generation,
        **_numbers(pool, agents, views),
        "targetReplicas": target,
        **scaled.fields,
        **quotas.fields,
        **_start_limit(room),
        "queuedTasks": state.queued(key),
        "runningTasks": state.running(key),
        "selector": selector(key.name),
        "conditions": [
            *conditions.standard(verdict, mark),
            *scaled.conditions,
            *quotas.conditions,
        ],
    }


def _numbers(
    pool: PoolRecord, agents: Sequence[AgentRecord], views: Mapping[Key, View]
) -> dict[str, int]:
    """Return how many agents of a pool are in which phase, and of its present template."""
    phases = Counter(one.phase for one in views.values())
    return {
        "replicas": len(agents),
        "readyReplicas": phases[AgentPhase.IDLE] + phases[AgentPhase.BUSY],
        "idleReplicas": phases[AgentPhase.IDLE],
        "busyReplicas": phases[AgentPhase.BUSY],
        "drainingReplicas": phases[AgentPhase.DRAINING],
        "updatedReplicas": sum(
            not agent.deleting and agent.template_hash == pool.template_hash for agent in agents
        ),
        "unhealthyReplicas": phases[AgentPhase.UNHEALTHY] + phases[AgentPhase.FAILED],
    }


def _start_limit(room: Room | None) -> dict[str, str]:
    """Return what limits a pool whose agents do not start; nothing where they do."""
    if room is not None and room.unschedulable:
        return {"limitedBy": LimitedBy.CAPACITY.value}
    if room is not None and room.held_back and not room.short_of:
        return {"limitedBy": LimitedBy.STARTUP.value}
    return {}


class _Limit(NamedTuple):
    """How far quotas limit a pool."""

    share: int
    reason: str
    message: str
    holds: bool
    awaited: int = 0
    """Agents of the share that others still have the places of."""


def _quota_limit(room: Room) -> _Limit:
    """Return whether the namespace's quotas keep a pool from its number, and which."""
    if not room.short_of:
        return _Limit(room.granted, "WithinQuota", "", holds=False, awaited=room.awaited)
    message = f"its share is {room.granted} of {room.wanted} agents, by {room.short_of}"
    if room.unstarted:
        message += f"; {room.unstarted} of them do not start, and leave their places to others"
    return _Limit(room.granted, "ShareExhausted", message, holds=True, awaited=room.awaited)


def _quota_status(limit: _Limit, mark: Stamp) -> StatusPart:
    """Return what the status of a pool tells of the quotas that it lives by."""
    told: dict[str, Any] = {"grantedReplicas": limit.share}
    if limit.holds:
        told["limitedBy"] = LimitedBy.QUOTA.value
    limited = ConditionType.QUOTA_LIMITED
    return StatusPart(
        told, [conditions.condition(limited, limit.reason, limit.message, mark, holds=limit.holds)]
    )


def _pool_verdict(
    pool: PoolRecord,
    target: int,
    agents: Sequence[AgentRecord],
    views: Mapping[Key, View],
    refusal: Refusal | None,
    rest: Refusal | None,
    limit: _Limit | None,
) -> Verdict:
    if pool.invalid:
        return Verdict("InvalidObject", f"{pool.invalid}: correct the pool's spec", stalled=True)
    if pool.deleting:
        return Verdict("Terminating", "the pool is being deleted", reconciling=True)
    active = [agent for agent in agents if is_active(agent, pool)]
    ready = sum(views[agent.key].verdict.ready for agent in active)
    progress = f"{ready} of {target} agents are ready"
    if ready < target:
        missing = len(active) < target
        stalled = _refused("an agent", refusal) if missing and refusal is not None else None
        if stalled is None and missing and rest is not None:
            stalled = Verdict(*rest, stalled=True)
        sick = [agent for agent in agents if agent.quarantined and agent.pool_uid == pool.uid]
        stalled = stalled or _stalled_by([*active, *sick], views)
        if stalled is None and limit is not None and ready >= limit.share:
            stalled = Verdict("QuotaLimited", f"{progress}: {limit.message}", stalled=True)
        if limit is not None and limit.awaited:
            progress += f"; others still have the places for {limit.awaited} of its share"
        return stalled or Verdict("AgentsStarting", progress, reconciling=True)
    leaving = len(agents) - target
    if leaving:
        message = f"{progress}, {leaving} surplus ones are leaving"
        return Verdict("ScalingDown", message, ready=True, reconciling=True)
    return Verdict("AllReady", progress, ready=True)


def _stalled_by(active: Sequence[AgentRecord], views: Mapping[Key, View]) -> Verdict | None:
    """Return what keeps agents from starting: of the first by name, and how many more there are."""
    stalled = [one for a in sorted(active, key=_by_name) if (one := views[a.key]).verdict.stalled]
    if not stalled:
        return None
    first = stalled[0].verdict
    more = f" ({len(stalled) - 1} more agents are stalled)" if len(stalled) > 1 else ""
    return Verdict(first.reason, f"{first.message}{more}", stalled=True)


def _by_name(agent: AgentRecord) -> tuple[int, str]:
    return len(agent.key.name), agent.key.name
