"""Which agents get no more work: they fail task after task, or their process dies again and again.

A quarantine lasts until the Agent is made anew. A pool does that by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agentcorps.api.meta import ConditionType
from agentcorps.core.assessment import own_pod
from agentcorps.core.conditions import find

if TYPE_CHECKING:
    from agentcorps.core.records import AgentRecord
    from agentcorps.core.state import State

FAILURES_IN_A_ROW: Final = 5
CRASHES_IN_A_ROW: Final = 5
"""Restarts of a pod's containers, the last of which the kubelet delays."""


class Quarantine(NamedTuple):
    """Why an agent is quarantined."""

    reason: str
    message: str


def quarantine(state: State, agent: AgentRecord, failures: int) -> Quarantine | None:
    """Judge whether an agent is, or is to be, quarantined.

    Args:
        state: What was observed.
        agent: The Agent.
        failures: Tasks that failed on it since the last one that succeeded.
    """
    if agent.quarantined:
        stored = find(agent.status, ConditionType.HEALTHY)
        return Quarantine(str(stored.get("reason")), str(stored.get("message", "")))
    if failures >= FAILURES_IN_A_ROW:
        message = f"{failures} tasks in a row failed on it: look at their status and at its log"
        return Quarantine("TasksFailing", _with_remedy(agent, message))
    pod = own_pod(state, agent)
    looping = pod is not None and pod.waiting_reason == "CrashLoopBackOff"
    if pod is None or not looping or pod.restarts < CRASHES_IN_A_ROW:
        return None
    died = f", last with {pod.exit_cause}" if pod.exit_cause else ""
    message = f"the containers of pod {pod.key} died {pod.restarts} times{died}: look at its log"
    return Quarantine("CrashLoop", _with_remedy(agent, message))


def _with_remedy(agent: AgentRecord, message: str) -> str:
    remedy = "its pool replaces it" if agent.pool else "delete and create it to have it work again"
    return f"{message}; {remedy}"
