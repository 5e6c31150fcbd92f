"""Carries out what decisions ask for on Agents, AgentPools and Pods.

Each answer of the API server is observed at once, so that the next decision does not wait for the
watch. An object that fails is named, rests for a while, and does not hold up the others.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from agentcorps.api.meta import AgentPhase, ConditionType
from agentcorps.control.creations import Creations, NameTaken, QuotaConflict
from agentcorps.core import podspec, statuses, wire
from agentcorps.core.actions import (
    CreateAgent,
    CreatePod,
    DeleteAgent,
    DeletePod,
    Drain,
    SetAgentStatus,
    SetPoolStatus,
)
from agentcorps.core.conditions import find, is_true, timestamp
from agentcorps.core.leaving import why_leaving
from agentcorps.core.records import Key, edition
from agentcorps.core.scaling import is_needed
from agentcorps.ports import ClusterError, Conflict, Kind, Note, NotFound, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agentcorps.control.losses import Losses
    from agentcorps.control.remembered import Remembered
    from agentcorps.control.troubles import Troubles
    from agentcorps.core.actions import AgentAction, StatusAction
    from agentcorps.core.podspec import GatewayAddress
    from agentcorps.core.records import AgentRecord, Now, PoolRecord
    from agentcorps.core.state import State
    from agentcorps.ports import Clock, Cluster, EventSink

log = structlog.get_logger(__name__)

MAX_CONCURRENT_WRITES: Final = 16
MAX_CONCURRENT_STATUSES: Final = 4
"""Of agents, beside the others: nobody waits for them as for a pod, and there may be hundreds."""
QUOTA_EXCEEDED: Final = "QuotaLimited"
"""Reason of a trouble: a ResourceQuota has no room. Only news of the quota helps, or time."""
QUOTA_MARK: Final = "exceeded quota"
TERMINATING_MARK: Final = "is being terminated"


class FleetApplier:
    """The only writer of Agents, Pods, and the status of Agents and AgentPools."""

    def __init__(
        self,
        state: State,
        cluster: Cluster,
        events: EventSink,
        remembered: Remembered,
        clock: Clock,
        gateway: Callable[[], GatewayAddress],
        losses: Losses,
    ) -> None:
        """``gateway`` tells new pods where to call; its authority may change over time."""
        self._state = state
        self._cluster = cluster
        self._events = events
        self._remembered = remembered
        self._clock = clock
        self._gateway = gateway
        self._losses = losses
        self._creations = Creations(cluster, clock)
        self._room = asyncio.Semaphore(MAX_CONCURRENT_WRITES)
        self._room_for_statuses = asyncio.Semaphore(MAX_CONCURRENT_STATUSES)

    async def carry_out(self, actions: Iterable[AgentAction | StatusAction]) -> None:
        """Do all actions, some at a time; returns when each has been answered."""
        async with asyncio.TaskGroup() as group:
            for action in actions:
                group.create_task(self._isolated(action))

    async def _isolated(self, action: AgentAction | StatusAction) -> None:
        is_status = isinstance(action, SetAgentStatus)
        async with self._room_for_statuses if is_status else self._room:
            try:
                await self._do(action)
            except ClusterError as error:
                self._failed(action, error)
            finally:
                # Whatever came of it: what is remembered of the object may be different now.
                self._look_again(action)

    def _look_again(self, action: AgentAction | StatusAction) -> None:
        kind, key, _ = self._subject(action)
        if kind is Kind.POOL:
            self._state.news.pool(key)
        else:
            self._state.news.agent(key)

    async def _do(self, action: AgentAction | StatusAction) -> None:
        match action:
            case CreateAgent():
                await self._create_agent(action)
            case Drain():
                await self._drain(action)
            case DeleteAgent():
                await self._delete_agent(action)
            case CreatePod():
                await self._create_pod(action)
            case DeletePod():
                await self._delete_pod(action)
            case SetAgentStatus():
                await self._set_agent_status(action)
            case SetPoolStatus():
                await self._set_pool_status(action)

    async def _set_agent_status(self, action: SetAgentStatus) -> None:
        before = self._state.agents.get(action.agent)  # the watch may be faster than the answer
        stored = await self._cluster.replace_status(
            Kind.AGENT, action.agent, action.resource_version, action.status
        )
        after = wire.agent_record(stored)
        self._state.observe_agent(after)
        if before is None:
            return
        self._remembered.written(action.agent, statuses.counted(before.status, action.status))
        if after.quarantined and not before.quarantined:
            self._losses.quarantined(after)
            why = find(after.status, ConditionType.HEALTHY)
            told = f"{why.get('reason')}: {why.get('message')}"
            self._events.emit(
                Note(Kind.AGENT, after.key, after.uid, "Quarantined", "Suspend", told, warning=True)
            )

    async def _set_pool_status(self, action: SetPoolStatus) -> None:
        before = self._state.pools.get(action.pool)
        stored = await self._cluster.replace_status(
            Kind.POOL, action.pool, action.resource_version, action.status
        )
        after = wire.pool_record(stored)
        self._state.observe_pool(after)
        stalled = find(after.status, ConditionType.STALLED)
        if before is None or not is_true(after.status, ConditionType.STALLED):
            return
        if is_true(before.status, ConditionType.STALLED) or self._is_told(after):
            return
        reason, message = str(stalled.get("reason")), str(stalled.get("message"))
        self._events.emit(
            Note(Kind.POOL, after.key, after.uid, reason, "Scale", message, warning=True)
        )

    def _is_told(self, pool: PoolRecord) -> bool:
        """Whether an Event has told already what keeps a pool from its agents."""
        troubles = (
            self._remembered.pools.of(pool.key),
            self._remembered.replaced_agents.of(pool.edition),
        )
        return bool(pool.invalid) or any(trouble is not None for trouble in troubles)

    async def _create_agent(self, action: CreateAgent) -> None:
        pool = self._state.pools.get(action.pool)
        if pool is None:
            return
        manifest = podspec.agent_manifest(pool, action.name)
        stored = await self._creations.create(Kind.AGENT, pool.key.namespace, manifest)
        self._state.observe_agent(wire.agent_record(stored))
        self._remembered.pools.clear(pool.key)
        self._events.emit(
            Note(
                Kind.POOL,
                pool.key,
                pool.uid,
                "AgentCreated",
                "CreateAgent",
                f"created agent {action.name}",
                related=Key(pool.key.namespace, action.name),
            )
        )

    async def _drain(self, action: Drain) -> None:
        agent = self._state.agents.get(action.agent)
        if agent is None:
            return
        now, memory = self._clock.now(), self._remembered.memory()
        status = statuses.agent_status(self._state, agent.key, now, memory, drain=action.reason)
        await self._set_agent_status(SetAgentStatus(agent.key, agent.resource_version, status))
        self._events.emit(
            Note(
                Kind.AGENT,
                agent.key,
                agent.uid,
                AgentPhase.DRAINING,
                "Drain",
                why_leaving(action.reason),
            )
        )

    async def _delete_agent(self, action: DeleteAgent) -> None:
        gone = self._state.agents.get(action.agent)
        if gone is not None and gone.draining_since is None and is_needed(self._state, gone.key):
            return  # it was given a Task since that was decided, and is drained if it is to leave
        with self._state.held(action.agent):
            await self._cluster.delete(
                Kind.AGENT, action.agent, uid=action.uid, resource_version=action.resource_version
            )
            self._state.forget_agent(action.agent, action.uid)
        self._remembered.gone(action.agent, action.uid)
        if gone is not None and gone.quarantined:
            self._replace(gone)
        self._events.emit(
            Note(
                Kind.AGENT,
                action.agent,
                action.uid,
                "Deleted",
                "DeleteAgent",
                why_leaving(action.reason),
            )
        )

    def _replace(self, gone: AgentRecord) -> None:
        """A quarantined agent is gone: its pool makes another one, more slowly each time."""
        pool = self._state.pools.get(gone.pool_key)
        if pool is None or pool.uid != gone.pool_uid:
            return
        why = find(gone.status, ConditionType.HEALTHY)
        message = f"agent {gone.key.name} was quarantined: {why.get('message')}"
        troubles = self._remembered.replaced_agents
        name = edition(pool.uid, gone.template_hash)
        told = _and_next(troubles, name, str(why.get("reason")), message, self._clock.now())
        self._events.emit(
            Note(
                Kind.POOL,
                pool.key,
                pool.uid,
                "AgentReplaced",
                "DeleteAgent",
                told,
                warning=True,
                related=gone.key,
            )
        )

    async def _create_pod(self, action: CreatePod) -> None:
        agent = self._state.agents.get(action.agent)
        if agent is None:
            return
        manifest = podspec.pod_for(agent, self._gateway())
        stored = await self._creations.create(Kind.POD, agent.key.namespace, manifest)
        self._state.observe_pod(wire.pod_record(stored))
        self._remembered.pods.clear(agent.key)
        self._events.emit(
            Note(
                Kind.AGENT,
                agent.key,
                agent.uid,
                "PodCreated",
                "CreatePod",
                f"created pod {agent.key.name}",
            )
        )

    async def _delete_pod(self, action: DeletePod) -> None:
        pod = self._state.pods.get(action.pod)
        await self._cluster.delete(Kind.POD, action.pod, uid=action.uid)
        if pod is not None:
            self._losses.given_up(pod, action.reason)
            agent = Key(pod.key.namespace, pod.agent_name)
            told = action.message
            if not pod.disruption:  # what ended it says nothing against the next one
                troubles, now = self._remembered.replaced_pods, self._clock.now()
                told = _and_next(troubles, pod.owner_uid, action.reason, told, now)
            self._events.emit(
                Note(
                    Kind.AGENT, agent, pod.owner_uid, action.reason, "DeletePod", told, warning=True
                )
            )

    def _failed(self, action: AgentAction | StatusAction, error: ClusterError) -> None:
        """A refusal is told to people; what may pass by itself only rests."""
        kind, key, uid = self._subject(action)
        if isinstance(error, NotFound):
            self._gone(kind, key, uid)
            return
        if isinstance(error, Conflict) and isinstance(
            action, SetAgentStatus | SetPoolStatus | Drain | DeleteAgent
        ):
            return  # the watch brings the newer object, and the decision is made anew
        reason, message = _explain(error)
        # A namespace that is being deleted takes no new objects, and a quota is charged by many.
        passing = TERMINATING_MARK in message or isinstance(error, QuotaConflict)
        note = log.info if passing else log.warning
        note(
            "write failed",
            action=type(action).__name__,
            object=str(key),
            reason=reason,
            why=message,
        )
        troubles = self._remembered.pools if kind is Kind.POOL else self._remembered.pods
        spread = isinstance(error, QuotaConflict)
        news = troubles.note(key, reason, message, self._clock.now().monotonic, spread=spread)
        if news and isinstance(error, Refused | NameTaken):
            self._events.emit(
                Note(kind, key, uid, reason, type(action).__name__, message, warning=True)
            )

    def _subject(self, action: AgentAction | StatusAction) -> tuple[Kind, Key, str]:
        match action:
            case CreateAgent(pool=key) | SetPoolStatus(pool=key):
                pool = self._state.pools.get(key)
                return Kind.POOL, key, pool.uid if pool else ""
            case DeletePod(pod=key, uid=uid):
                return Kind.POD, key, uid
            case _:
                agent = self._state.agents.get(action.agent)
                return Kind.AGENT, action.agent, agent.uid if agent else ""

    def _gone(self, kind: Kind, key: Key, uid: str) -> None:
        match kind:
            case Kind.AGENT:
                self._state.forget_agent(key, uid or None)
            case Kind.POOL:
                self._state.forget_pool(key, uid or None)
            case _:
                self._state.forget_pod(key, uid)


def _and_next(troubles: Troubles[str], name: str, reason: str, message: str, now: Now) -> str:
    """Note that something is replaced; returns the message with the time of the next one."""
    troubles.note(name, reason, message, now.monotonic)
    rest = troubles.rest(name, now.monotonic)
    when = f"not before {timestamp(now.wall + rest)}" if rest else "at once"
    told = f"{message}; the next one is made {when}"
    troubles.tell(name, told)
    return told


def _explain(error: ClusterError) -> tuple[str, str]:
    if isinstance(error, Refused):
        if QUOTA_MARK in error.message:
            return QUOTA_EXCEEDED, error.message
        return "Refused", error.message
    if isinstance(error, NameTaken | QuotaConflict | Conflict):
        return type(error).__name__, str(error)
    return "ApiUnavailable", str(error)
