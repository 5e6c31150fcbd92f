"""Who calls: from the pod that a token proves to the agent that it serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentcorps.api.meta import AgentPhase
from agentcorps.control.refusals import ProtocolError, unavailable
from agentcorps.core import wire
from agentcorps.core.records import Key
from agentcorps.ports import ClusterError, Kind, NotFound

if TYPE_CHECKING:
    from agentcorps.core.records import AgentRecord, PodRecord, Session
    from agentcorps.core.state import State
    from agentcorps.ports import Cluster, Leadership, PodIdentity

UNKNOWN_INSTANCE = "UnknownInstance"


@dataclass(frozen=True, slots=True)
class Caller:
    """A live pod of the operator's, and the Agent that it serves."""

    pod: PodRecord
    agent: AgentRecord | None
    """None when the Agent was deleted: the pod may still report, but gets no new work."""

    @property
    def key(self) -> Key:
        """Namespace and name of the agent."""
        return Key(self.pod.key.namespace, self.pod.agent_name)

    @property
    def must_drain(self) -> bool:
        """Whether the pod gets no new task."""
        agent = self.agent
        return (
            agent is None
            or agent.deleting
            or agent.draining_since is not None
            or agent.phase is AgentPhase.DRAINING
            or self.pod.deleting
        )


class Gatekeeper:
    """Admits the operator's own live pods, and nobody else."""

    def __init__(self, state: State, cluster: Cluster, leadership: Leadership) -> None:
        """Pods that the state does not know yet are read from the cluster."""
        self._state = state
        self._cluster = cluster
        self._leadership = leadership

    @property
    def epoch(self) -> int:
        """The leader's term, which every answer to an agent carries."""
        return self._leadership.epoch

    async def admit(self, identity: PodIdentity) -> Caller:
        """The caller behind a proven identity.

        Raises:
            ProtocolError: 401 when the pod is not live, 403 when it is not a pod of an Agent, 503
                when this
                replica does not lead.
        """
        self.require_leading()
        pod = self._state.pods.get(identity.pod)
        if pod is None or pod.uid != identity.pod_uid:
            pod = await self._read_pod(identity)
        if pod.terminated:
            raise _dead(identity)
        if not pod.agent_name or not pod.owner_uid:
            raise ProtocolError(
                403,
                "NotAnAgent",
                f"pod {pod.key} was not created for an Agent; only agent pods get work",
            )
        agent = self._state.agents.get(Key(pod.key.namespace, pod.agent_name))
        return Caller(pod, agent if agent is not None and agent.uid == pod.owner_uid else None)

    def require_leading(self) -> None:
        """Refuse with 503 unless this replica leads."""
        if not self._leadership.leading:
            raise ProtocolError(
                503, "NotLeading", "this replica does not lead; try again", retry_after=1
            )

    def session(self, caller: Caller, instance: str) -> Session:
        """The session of this very process, or 409 so that it says hello again."""
        session = self._state.sessions.get(caller.key)
        if session is None or session.instance != instance or session.pod_uid != caller.pod.uid:
            raise ProtocolError(
                409,
                UNKNOWN_INSTANCE,
                f"no session of agent {caller.key} with this instance; say hello first",
            )
        return session

    async def _read_pod(self, identity: PodIdentity) -> PodRecord:
        try:
            stored = await self._cluster.get(Kind.POD, identity.pod)
        except NotFound as error:
            raise _dead(identity) from error
        except ClusterError as error:
            raise unavailable() from error
        pod = wire.pod_record(stored)
        if pod.uid != identity.pod_uid:
            raise _dead(identity)
        if pod.agent_name:
            self._state.observe_pod(pod)
        return pod


def _dead(identity: PodIdentity) -> ProtocolError:
    return ProtocolError(
        401, "PodNotLive", f"pod {identity.pod} with the token's UID does not run any more"
    )
