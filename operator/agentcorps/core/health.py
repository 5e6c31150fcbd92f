"""What to do about agents and tasks that went wrong: requeue, delete a pod, create a pod.

Everything here is recomputed from the state: a verdict is gone as soon as its cause is.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from agentcorps.api.meta import TaskReason
from agentcorps.core.actions import CreatePod, DeletePod, Requeue
from agentcorps.core.assessment import (
    Standing,
    assess,
    given_up_at,
    own_pod,
    own_session,
    silent_at,
    was_heard,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentcorps.core.records import AgentRecord, Now, PodRecord, TaskRecord
    from agentcorps.core.state import State

UNCONFIRMED_SECONDS: Final = 60.0
"""How long a silent agent's pod may take to end before its tasks are given up all the same: its
node is out of reach then, and nothing more will be known."""
SELF_FENCE_SLACK_SECONDS: Final = 15.0
"""The same, on top of `selfFenceSeconds`: the agent counts from the last answer that it got, and
that may have left here so much later than its last call came in."""
ENDED_POD_SECONDS: Final = 10.0
"""Youngest age at which a pod that ended is replaced: a pod that ends at once (refused by the
kubelet, say) must not be made anew in a tight loop."""


def lost_tasks(
    state: State, now: Now, first_hello: float | None, tasks: Iterable[TaskRecord] | None = None
) -> list[Requeue]:
    """Return the Running tasks that nobody works on any more.

    A task is lost when its pod is gone or has ended, when another process than the one that it was
    bound to speaks for the pod, or when that process said goodbye. A task of a silent agent is not:
    its pod is deleted first (`doomed_pods`), so that two agents never work on it at a time.

    Args:
        state: What was observed.
        now: This instant.
        first_hello: When (monotonic) this leader received its first hello; None before.
        tasks: Which to look at; all that run, unless given.
    """
    lost = []
    for task in state.all_bound() if tasks is None else tasks:
        if state.in_flight(task.uid):
            continue
        loss = _loss(state, task, now, first_hello)
        if loss is not None:
            message = f"agent {task.agent_name}: {loss.cause}"
            counted = loss.reason is TaskReason.AGENT_LOST
            lost.append(
                Requeue(task.uid, task.attempt, loss.reason, message, counted, loss.crashed)
            )
    return lost


class _Loss(NamedTuple):
    cause: str
    reason: TaskReason = TaskReason.AGENT_LOST
    crashed: bool = False


def _loss(state: State, task: TaskRecord, now: Now, first_hello: float | None) -> _Loss | None:
    pod = state.pods.get(task.agent)
    if pod is None or pod.uid != task.pod_uid:
        return _ended(task, state.departed.get(task.pod_uid), "its pod is gone")
    if pod.terminated:
        return _ended(task, pod, "its pod has ended")
    session = own_session(state, pod)
    if session is not None and session.instance != task.agent_instance:
        died = f" after {pod.exit_cause}" if _died(task, pod) else ""
        return _Loss(f"its process was started anew{died}", crashed=True)
    if session is not None and session.leaving:
        return _Loss("its process said goodbye", TaskReason.AGENT_STOPPED)
    if pod.deleting and now.monotonic >= _unconfirmed_at(state, pod, now, first_hello):
        return _Loss("its pod is being deleted, and nothing is heard of it or its node")
    return None


def _ended(task: TaskRecord, pod: PodRecord | None, what: str) -> _Loss:
    """Judge the end of a pod by what was last seen of it, which may be nothing."""
    if pod is not None and pod.disruption:
        return _Loss(f"{what}: {pod.disruption}", TaskReason.EVICTED)
    if pod is not None and _died(task, pod):
        return _Loss(f"{what} after {pod.exit_cause}", crashed=True)
    return _Loss(what)


def _died(task: TaskRecord, pod: PodRecord) -> bool:
    """Tell whether a container died of itself in the current attempt.

    That decides no loss, for the time is the node's: only how a loss is told and counted.
    """
    return pod.exited_at is not None and pod.exited_at > (task.started_at or 0.0)


def _unconfirmed_at(state: State, pod: PodRecord, now: Now, first_hello: float | None) -> float:
    """Return from when on (monotonic) a task of a pod that is being deleted is given up."""
    agent = state.agents.get(pod.key)
    session = own_session(state, pod)
    if session is None:
        given_up = first_hello if agent is None else given_up_at(agent, first_hello)
        patience = _patience(None if agent is None else agent.self_fence_seconds)
        return inf if given_up is None else given_up + patience
    silent = session.last_seen if agent is None else silent_at(agent, session, now)
    return inf if session.polling else silent + _patience(session.self_fence_seconds)


def _patience(self_fence_seconds: int | None) -> float:
    """Return how long (in seconds) a silent agent is taken to work on, out of reach."""
    if self_fence_seconds is None:
        return UNCONFIRMED_SECONDS
    return self_fence_seconds + SELF_FENCE_SLACK_SECONDS


def next_loss(
    state: State, now: Now, first_hello: float | None, tasks: Iterable[TaskRecord]
) -> float | None:
    """Return when (monotonic) time alone makes one of these Running tasks a lost one.

    None when only an event can. The arguments are those of `lost_tasks`.
    """
    moments = (
        _unconfirmed_at(state, pod, now, first_hello)
        for task in tasks
        if (pod := state.pods.get(task.agent)) is not None and pod.deleting
    )
    return min((at for at in moments if now.monotonic < at < inf), default=None)


def doomed_pods(
    state: State, now: Now, first_hello: float | None, agents: Iterable[AgentRecord] | None = None
) -> list[DeletePod]:
    """Return the pods to delete: those of silent agents, and those that ended.

    The arguments are those of `lost_tasks`; `agents` are those to look at, all unless given.
    """
    return [
        DeletePod(pod.key, pod.uid, reason, message)
        for agent in (state.agents.values() if agents is None else agents)
        if (pod := own_pod(state, agent)) is not None and not pod.deleting
        for standing, reason, message in (assess(state, agent, now, first_hello),)
        if standing is Standing.SILENT
        or (standing is Standing.POD_ENDED and now.wall >= pod.created + ENDED_POD_SECONDS)
    ]


def pods_to_create(state: State, agents: Iterable[AgentRecord] | None = None) -> list[CreatePod]:
    """Return the pods that agents lack: these, or all.

    An agent's pod is created only when no pod bears its name: neither one that is still
    terminating, nor one that an earlier Agent of that name left behind (its owner reference takes
    that down).
    """
    return [
        CreatePod(agent.key)
        for agent in (state.agents.values() if agents is None else agents)
        if agent.key not in state.pods
        and not (agent.invalid or agent.deleting or agent.draining_since is not None)
    ]


def next_due(
    state: State, now: Now, first_hello: float | None, agents: Iterable[AgentRecord] | None = None
) -> float | None:
    """Return when (monotonic) a verdict of this module or a status changes by time alone.

    None when only an event can change one. The arguments are those of `doomed_pods`.
    """
    moments = (
        moment
        for agent in (state.agents.values() if agents is None else agents)
        if not agent.deleting and (pod := own_pod(state, agent)) is not None
        for moment in _moments(state, agent, pod, now, first_hello)
        if now.monotonic < moment < inf
    )
    return min(moments, default=None)


def _moments(
    state: State, agent: AgentRecord, pod: PodRecord, now: Now, first_hello: float | None
) -> Iterator[float]:
    born = now.monotonic + pod.created - now.wall
    session = own_session(state, pod)
    if pod.deleting:
        if state.bound_to(agent.key):
            yield _unconfirmed_at(state, pod, now, first_hello)
    elif pod.terminated:
        yield born + ENDED_POD_SECONDS
    elif session is None:
        heard = was_heard(state, agent, pod)
        yield given_up_at(agent, first_hello) if heard else born + agent.startup_seconds
    elif session.leaving:
        yield session.last_seen + agent.startup_seconds
    elif not session.polling:
        yield silent_at(agent, session, now)
