"""What a decision asks for. Actions are data; ``control.apply`` carries them out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentcorps.api.meta import TaskPhase
    from agentcorps.core.records import Key

TTL_EXPIRED: Final = "TtlExpired"
HISTORY_LIMIT: Final = "HistoryLimit"


@dataclass(frozen=True, slots=True)
class Bind:
    """Give a waiting Task to an agent."""

    task_uid: str
    agent: Key
    pod_uid: str
    instance: str


@dataclass(frozen=True, slots=True)
class Requeue:
    """End the current attempt of a Task without ending the Task (unless its retries are spent)."""

    task_uid: str
    attempt: int
    reason: str
    message: str
    counted: bool
    """True when the attempt spends one of ``retry.limit``."""
    crashed: bool = False
    """True when a container of the agent died in it."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Bring a Task to a terminal phase that no agent reported (cancelled, refused)."""

    task_uid: str
    attempt: int
    phase: TaskPhase
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Explain:
    """Write why a Task waits (once, after five seconds)."""

    task_uid: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class FollowGeneration:
    """Bring observedGeneration of a terminal Task up to its generation."""

    task_uid: str


@dataclass(frozen=True, slots=True)
class DeleteTask:
    """Remove a finished Task."""

    task_uid: str
    reason: str
    """Its ttlSecondsAfterFinished has passed (`TTL_EXPIRED`), or its pool has too many
    (`HISTORY_LIMIT`)."""


@dataclass(frozen=True, slots=True)
class CreateAgent:
    """Create the Agent ``name`` of a pool."""

    pool: Key
    name: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Write the Draining phase of an Agent: it gets no new task."""

    agent: Key
    reason: str


@dataclass(frozen=True, slots=True)
class DeleteAgent:
    """Delete a drained Agent, with uid and resourceVersion preconditions."""

    agent: Key
    uid: str
    resource_version: int
    reason: str


@dataclass(frozen=True, slots=True)
class CreatePod:
    """Create the Pod of an Agent, under the Agent's own name."""

    agent: Key


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete a Pod that no longer serves (hung agent, failed pod), with a uid precondition."""

    pod: Key
    uid: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class SetAgentStatus:
    """Replace the status of an Agent that is still as it was when this was decided."""

    agent: Key
    resource_version: int
    status: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True)
class SetPoolStatus:
    """Replace the status of an AgentPool that is still as it was when this was decided."""

    pool: Key
    resource_version: int
    status: Mapping[str, Any] = field(hash=False)


TaskAction = Bind | Requeue | Finish | Explain | FollowGeneration | DeleteTask
AgentAction = CreateAgent | Drain | DeleteAgent | CreatePod | DeletePod
StatusAction = SetAgentStatus | SetPoolStatus
Action = TaskAction | AgentAction | StatusAction
