"""How an Agent stands: one judgement from its pod and its session, for all who ask."""

from __future__ import annotations

from enum import Enum, auto
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from agentcorps.core.records import AgentRecord, Now, PodRecord, Session
    from agentcorps.core.state import State

MIN_GRACE_SECONDS: Final = 30.0
"""Shortest time that a new leader gives agents to say hello, from the first hello it receives."""
GRACE_HEARTBEATS: Final = 3

STUCK_REASONS: Final = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""Reasons of a waiting container that seldom pass without somebody's help."""
_IMAGE_HINT: Final = "check the image's name, and that the node may pull it (imagePullSecrets)"
_HINTS: Final = {
    "CrashLoopBackOff": "look at its log",
    "CreateContainerConfigError": "check the Secrets and ConfigMaps that it refers to, and that its"
    " image runs as a numeric user other than 0",
    "ErrImageNeverPull": _IMAGE_HINT,
    "ErrImagePull": _IMAGE_HINT,
    "ImagePullBackOff": _IMAGE_HINT,
    "InvalidImageName": _IMAGE_HINT,
    "Unschedulable": "compare its requests, node selectors and tolerations with the nodes",
}
"""What a person can do about a pod that waits."""


class Standing(Enum):
    """How an Agent stands."""

    INVALID = auto()
    """The stored object cannot be used."""
    TERMINATING = auto()
    """The Agent is being deleted."""
    NO_POD = auto()
    """It has no pod yet."""
    NAME_TAKEN = auto()
    """A pod bears its name and belongs to somebody else, such as an earlier Agent of that name."""
    POD_LEAVING = auto()
    """Its pod is being deleted; a new one follows."""
    POD_ENDED = auto()
    """All containers of its pod have ended for good; a new pod follows."""
    STARTING = auto()
    """Its process has not said hello yet, or said goodbye and is started anew."""
    STUCK = auto()
    """A container cannot start, or the pod found no node in time."""
    STARTUP_TIMEOUT = auto()
    """The pod lives, but no hello came within ``startupSeconds``."""
    AWAITED = auto()
    """It was heard by an earlier leader, and has some time left to say hello to this one."""
    READY = auto()
    """It said hello, and has been heard since."""
    SILENT = auto()
    """It has missed too many heartbeats."""


class Assessment(NamedTuple):
    """How an Agent stands, and why, for people."""

    standing: Standing
    reason: str = ""
    message: str = ""


def own_pod(state: State, agent: AgentRecord) -> PodRecord | None:
    """Return the pod of an Agent; a pod that merely bears its name is not."""
    pod = state.pods.get(agent.key)
    return pod if pod is not None and pod.owner_uid == agent.uid else None


def own_session(state: State, pod: PodRecord) -> Session | None:
    """Return the session of the process that runs in a pod."""
    session = state.sessions.get(pod.key)
    return session if session is not None and session.pod_uid == pod.uid else None


def silent_at(agent: AgentRecord, session: Session, now: Now) -> float:
    """Return from when on (monotonic) an agent counts as silent, if it is not heard till then."""
    heard = now.monotonic if session.polling else session.last_seen
    return heard + agent.patience_seconds


def given_up_at(agent: AgentRecord, first_hello: float | None) -> float:
    """Return until when (monotonic) a new leader waits for the hello of an agent.

    Args:
        agent: An agent that an earlier leader heard.
        first_hello: When this leader received the first hello of all; None when none came yet, and
            then it waits on: it is more likely that nobody reaches it than that all agents hang.
    """
    if first_hello is None:
        return inf
    return first_hello + max(MIN_GRACE_SECONDS, GRACE_HEARTBEATS * agent.heartbeat_seconds)


def assess(state: State, agent: AgentRecord, now: Now, first_hello: float | None) -> Assessment:
    """Judge how an Agent stands.

    Args:
        state: What was observed.
        agent: The Agent.
        now: This instant.
        first_hello: See `given_up_at`.
    """
    if agent.invalid:
        return Assessment(
            Standing.INVALID, "InvalidObject", f"{agent.invalid}: correct the Agent's spec"
        )
    if agent.deleting:
        return Assessment(Standing.TERMINATING, "Terminating", "the Agent is being deleted")
    pod = state.pods.get(agent.key)
    if pod is None:
        return Assessment(Standing.NO_POD, "PodPending", "its pod is about to be created")
    if pod.owner_uid != agent.uid:
        return _name_taken(pod)
    return _with_pod(state, agent, pod, now, first_hello)


def _name_taken(pod: PodRecord) -> Assessment:
    return Assessment(
        Standing.NAME_TAKEN,
        "NameTaken",
        f"pod {pod.key} was not made for this Agent: waiting until it is gone",
    )


def _with_pod(
    state: State, agent: AgentRecord, pod: PodRecord, now: Now, first_hello: float | None
) -> Assessment:
    if pod.terminated:
        return Assessment(
            Standing.POD_ENDED,
            "PodEnded",
            f"pod {pod.key} has ended ({pod.phase}): a new one follows",
        )
    if pod.deleting:
        return Assessment(
            Standing.POD_LEAVING,
            "PodTerminating",
            f"pod {pod.key} is being deleted: a new one follows",
        )
    session = own_session(state, pod)
    if session is None:
        return _unheard(state, agent, pod, now, first_hello)
    return _heard(state, agent, pod, session, now)


def _heard(
    state: State, agent: AgentRecord, pod: PodRecord, session: Session, now: Now
) -> Assessment:
    if session.leaving:
        return _not_started(agent, pod, now.monotonic - session.last_seen)
    if now.monotonic < silent_at(agent, session, now):
        return Assessment(Standing.READY)
    # The kubelet is already starting a dead process anew, ever more slowly: a new pod would undo
    # that back-off. Only work that waits for a verdict is reason enough.
    if pod.waiting_reason in STUCK_REASONS and not state.bound_to(agent.key):
        return _stuck(pod)
    return _silent(pod, f"{agent.failure_threshold} heartbeats")


def _unheard(
    state: State, agent: AgentRecord, pod: PodRecord, now: Now, first_hello: float | None
) -> Assessment:
    if not was_heard(state, agent, pod):
        return _not_started(agent, pod, now.wall - pod.created)
    if pod.waiting_reason in STUCK_REASONS and not state.bound_to(agent.key):
        return _stuck(pod)
    if now.monotonic < given_up_at(agent, first_hello):
        return Assessment(
            Standing.AWAITED, "HelloAwaited", "the operator was restarted: waiting for its hello"
        )
    return _silent(pod, "the hello after the operator's restart")


def was_heard(state: State, agent: AgentRecord, pod: PodRecord) -> bool:
    """Tell whether an earlier leader heard of the process in this pod."""
    noted = agent.status.get("podUID") == pod.uid and bool(agent.status.get("instance"))
    return noted or any(task.pod_uid == pod.uid for task in state.bound_to(agent.key))


def _not_started(agent: AgentRecord, pod: PodRecord, waited: float) -> Assessment:
    overdue = waited >= agent.startup_seconds
    if pod.waiting_reason in STUCK_REASONS or (overdue and pod.waiting_reason):
        return _stuck(pod)
    if overdue:
        return Assessment(
            Standing.STARTUP_TIMEOUT,
            "StartupTimeout",
            f"no hello from pod {pod.key} within {agent.startup_seconds} s: look at its log;"
            " it must run an agentcorps agent that reaches the gateway",
        )
    if pod.waiting_reason:
        return Assessment(Standing.STARTING, pod.waiting_reason, _why(pod, "is waiting"))
    return Assessment(Standing.STARTING, "HelloPending", f"waiting for the hello of pod {pod.key}")


def _stuck(pod: PodRecord) -> Assessment:
    return Assessment(Standing.STUCK, pod.waiting_reason, _why(pod, "cannot start"))


def _why(pod: PodRecord, what: str) -> str:
    detail = f" ({pod.waiting_message})" if pod.waiting_message else ""
    hint = _HINTS.get(pod.waiting_reason)
    advice = f"; {hint}" if hint is not None else ""
    return f"pod {pod.key} {what}: {pod.waiting_reason}{detail}{advice}"


def _silent(pod: PodRecord, missed: str) -> Assessment:
    return Assessment(
        Standing.SILENT, "HeartbeatMissed", f"pod {pod.key} missed {missed}: it is being replaced"
    )
