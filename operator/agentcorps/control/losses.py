"""Agents that are lost: each counted once, with why."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentcorps.core.records import AgentRecord, Key, PodRecord
    from agentcorps.core.state import State
    from agentcorps.ports import Leadership, Meter


class LossReason(StrEnum):
    """Why an agent counts as lost."""

    HEARTBEAT_MISSED = "HeartbeatMissed"
    """It was silent for too long, and its pod was replaced."""
    POD_ENDED = "PodEnded"
    """Its containers ended for good."""
    EVICTED = "Evicted"
    """The node or the cluster ended its pod."""
    POD_DELETED = "PodDeleted"
    """Somebody else deleted its pod."""
    QUARANTINED = "Quarantined"
    """It failed one task after the other, or crash-loops."""


class Losses:
    """Tells the meter of each loss while this process leads.

    Whether a pod that goes was given up by the operator shows only before it is gone, so what was
    counted is kept until then.
    """

    def __init__(self, state: State, leadership: Leadership, meter: Meter) -> None:
        self._state = state
        self._leadership = leadership
        self._meter = meter
        self._counted: set[str] = set()
        """UIDs of pods."""

    def given_up(self, pod: PodRecord, reason: str) -> None:
        """The operator deletes the pod of an agent, for a reason of `core.health`."""
        self._counted.add(pod.uid)
        self._count(self._pool_of(pod), LossReason.EVICTED if pod.disruption else reason)

    def quarantined(self, agent: AgentRecord) -> None:
        """The operator trusts the agent with no more tasks."""
        self._count(agent.pool_key, LossReason.QUARANTINED)

    def gone(self, pod: PodRecord) -> None:
        """A pod is gone, for whatever reason: a loss only if its Agent is to stay."""
        agent = self._state.agents.get(pod.key)
        known = pod.uid in self._counted
        self._counted.discard(pod.uid)
        if known or agent is None or agent.uid != pod.owner_uid:
            return
        if agent.deleting or agent.quarantined or agent.draining_since is not None:
            return
        self._count(agent.pool_key, _cause(pod))

    def _pool_of(self, pod: PodRecord) -> Key:
        agent = self._state.agents.get(pod.key)
        return pod.key._replace(name="") if agent is None else agent.pool_key

    def _count(self, pool: Key, reason: str) -> None:
        if self._leadership.leading:
            self._meter.agent_lost(pool, reason)


def _cause(pod: PodRecord) -> LossReason:
    if pod.disruption:
        return LossReason.EVICTED
    return LossReason.POD_ENDED if pod.terminated else LossReason.POD_DELETED
