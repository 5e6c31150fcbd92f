"""What the operator knows of each object: small immutable records, without inputs and results.

Times with the suffix ``_at`` and ``created`` are seconds of the API server's wall clock (epoch);
deadlines run on the monotonic clock and are kept by the state, not here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from agentcorps.api.agentpool import DEFAULT_HISTORY_LIMIT, DEFAULT_MAX_QUEUED
from agentcorps.api.meta import AgentPhase, RetryReason, TaskPhase
from agentcorps.core.charge import JUST_A_POD, Charge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentcorps.api.scaling import Scaling
    from agentcorps.core.label_selector import Selector


class Key(NamedTuple):
    """Namespace and name of an object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """``namespace/name``, as people write it."""
        return f"{self.namespace}/{self.name}"


class Target(NamedTuple):
    """The agents that a Task is for: those of a pool, or those whose labels a selector matches."""

    namespace: str
    pool: str
    """Name of the pool; empty where a selector stands instead."""
    selector: Selector = ()

    @property
    def pool_key(self) -> Key:
        """The pool, where one is named."""
        return Key(self.namespace, self.pool)


class Now(NamedTuple):
    """One instant on both clocks, in seconds."""

    monotonic: float
    """The operator's own clock: deadlines and ages."""
    wall: float
    """The API server's wall clock (Unix epoch): what is written to status."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One finished attempt, as ``status.attempts`` tells it."""

    attempt: int
    agent_name: str
    started_at: float
    finished_at: float
    reason: str
    message: str = ""


class InputSource(NamedTuple):
    """One key of a Secret or ConfigMap, in the Task's namespace."""

    kind: str
    """``Secret`` or ``ConfigMap``."""
    name: str
    key: str

    def __str__(self) -> str:
        """As people read it."""
        return f"key {self.key} of {self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how often a Task runs and how long it is kept, as far as somebody said so."""

    timeout_seconds: int | None = None
    retry_limit: int | None = None
    backoff_seconds: int | None = None
    max_backoff_seconds: int | None = None
    retry_reasons: frozenset[str] | None = None
    ttl_seconds: int | None = None


UNSET = Limits()


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A Task without its input and result.

    Timeout, retry and ttl are those that hold: what is ``own``, else ``inherited``, else built in.
    """

    uid: str
    key: Key
    resource_version: int
    generation: int
    created: float
    pool: str
    """Name of the pool; empty where ``selector`` says which agents may do the work."""
    requires: frozenset[str]
    priority: int
    timeout_seconds: int
    retry_limit: int
    ttl_seconds: int | None
    cancel: bool
    input_bytes: int
    phase: TaskPhase
    reason: str = ""
    message: str = ""
    attempt: int = 0
    failures: int = 0
    crashes: int = 0
    """Attempts in which a container of the agent died."""
    agent_name: str = ""
    pod_uid: str = ""
    agent_instance: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    observed_generation: int = -1
    progress_percent: int | None = None
    progress_message: str = ""
    attempts: tuple[Attempt, ...] = ()
    invalid: str = ""
    """Why the stored spec cannot be used (field path and what); empty when it can."""
    backoff_seconds: int = 5
    max_backoff_seconds: int = 300
    retry_reasons: frozenset[str] = frozenset(RetryReason)
    """Counted ends of an attempt after which the Task is tried again."""
    queue_timeout_seconds: int | None = None
    own: Limits = UNSET
    """What the Task's spec says of its limits."""
    inherited: Limits = UNSET
    """What of its pool's defaults holds: ``status.poolDefaults``."""
    selector: Selector = ()
    affinity_key: str = ""
    """Tasks of one key go to the same agent if it is free; empty: to any."""
    input_from: InputSource | None = None
    """Where the input is, if it is not in the Task."""
    result_secret: str = ""
    """Name of the Secret that the result goes to; empty when it goes to the status."""

    @property
    def pool_key(self) -> Key:
        """The pool whose agents do the work; one without a name where a selector stands instead."""
        return Key(self.key.namespace, self.pool)

    @property
    def target(self) -> Target:
        """The agents that may do the work."""
        return Target(self.key.namespace, self.pool, self.selector)

    @property
    def agent(self) -> Key:
        """The agent that the Task is (or was last) bound to."""
        return Key(self.key.namespace, self.agent_name)

    @property
    def payload_elsewhere(self) -> bool:
        """True when its input or its result is in a Secret or ConfigMap."""
        return self.input_from is not None or bool(self.result_secret)

    @property
    def terminal(self) -> bool:
        """True once the phase never changes again."""
        return self.phase.is_terminal


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """An Agent object."""

    uid: str
    key: Key
    resource_version: int
    generation: int
    created: float
    pool: str
    """Name of the owning AgentPool; empty for an Agent that stands alone."""
    pool_uid: str
    capabilities: frozenset[str]
    slots: int
    heartbeat_seconds: int
    failure_threshold: int
    startup_seconds: int
    template_hash: str
    pod_template: Mapping[str, Any] = field(repr=False)
    phase: AgentPhase | None = None
    draining_since: float | None = None
    """Wall time at which a Draining phase was written; None when it is not draining."""
    deleting: bool = False
    invalid: str = ""
    """Why the stored object cannot be used (field path and what); empty when it can."""
    status: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The status as the API server has it."""
    self_fence_seconds: int | None = None
    quarantined: bool = False
    """Its status says Healthy=False: it gets no task until it is made anew."""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def pool_key(self) -> Key:
        """The owning pool; its name is empty for an Agent that stands alone."""
        return Key(self.key.namespace, self.pool)

    @property
    def patience_seconds(self) -> int:
        """How long it may be silent before it counts as such."""
        return self.heartbeat_seconds * self.failure_threshold

    @property
    def role(self) -> tuple[object, ...]:
        """What its pool has to know of it; the rest may change without the pool's looking."""
        return (
            self.uid,
            self.pool,
            self.pool_uid,
            self.template_hash,
            self.invalid,
            self.deleting,
            self.draining_since,
            self.quarantined,
        )


def edition(pool_uid: str, template_hash: str) -> str:
    """Return what names a pool with a certain template."""
    return f"{pool_uid}/{template_hash}"


@dataclass(frozen=True, slots=True)
class PoolRecord:
    """An AgentPool object."""

    uid: str
    key: Key
    resource_version: int
    generation: int
    created: float
    replicas: int
    drain_timeout_seconds: int
    template_hash: str
    template_labels: Mapping[str, str]
    template_annotations: Mapping[str, str]
    agent_spec: Mapping[str, Any] = field(repr=False)
    """``spec.template.spec`` as written."""
    slots: int = 1
    """Tasks that each of its agents works on at a time."""
    capabilities: frozenset[str] = frozenset()
    """What its agents can do: Tasks that require more are not for it."""
    scaling: Scaling | None = None
    """The built-in autoscaler; None for a pool of ``replicas`` agents."""
    charge: Charge = JUST_A_POD
    """What a pod of its template takes of a quota, without what admission adds to it."""
    quota_priority: int = 0
    quota_weight: int = 1
    quota_preempts: bool = False
    """Agents at work of others are drained for its share."""
    deleting: bool = False
    invalid: str = ""
    status: Mapping[str, Any] = field(default_factory=dict, repr=False)
    max_queued: int = DEFAULT_MAX_QUEUED
    history_limit: int = DEFAULT_HISTORY_LIMIT
    task_defaults: Limits = UNSET

    @property
    def told_target(self) -> int:
        """The target that the status tells; that of `replicas` where it tells none."""
        told = self.status.get("targetReplicas")
        fallback = self.replicas if self.scaling is None else 0
        return told if isinstance(told, int) else fallback

    @property
    def edition(self) -> str:
        """The pool with this very template: a corrected one has nothing to answer for."""
        return edition(self.uid, self.template_hash)


@dataclass(frozen=True, slots=True)
class PodRecord:
    """A Pod that bears the operator's label."""

    uid: str
    key: Key
    resource_version: int
    agent_name: str
    owner_uid: str
    """UID of the Agent that owns the pod."""
    created: float
    phase: str
    ready: bool
    deleting: bool
    terminated: bool
    """True when every container is known to have ended for good (pod phase Succeeded or Failed)."""
    restarts: int = 0
    node_name: str = ""
    waiting_reason: str = ""
    """Why a container or the scheduler waits: ErrImagePull, CrashLoopBackOff, Unschedulable."""
    waiting_message: str = ""
    template_hash: str = ""
    """Hash of the Agent's spec that the pod was made from: its label `…/template-hash`."""
    disruption: str = ""
    """Why the node or the cluster ends the pod (Evicted, PreemptionByScheduler), if it does."""
    exited_at: float | None = None
    """When a container last died of itself, by the node's clock; not in the course of a deletion
    or disruption of the pod."""
    charge: Charge = JUST_A_POD
    """What it takes of its namespace's quotas."""
    delete_by: float | None = None
    """Until when it should be gone, its grace period included; None while it is not deleted."""
    charged_until: float | None = None
    """Until when a pod that is being deleted is charged to quotas; None while it is not."""
    exit_cause: str = ""
    """How it died, such as ``OOMKilled (exit code 137)``."""


@dataclass(frozen=True, slots=True)
class Session:
    """An agent process that said hello to this leader."""

    agent: Key
    pod_uid: str
    instance: str
    slots: int
    capabilities: frozenset[str]
    """What may be assigned: declared by the Agent and, if the process named any, served by it."""
    last_seen: float
    """Monotonic time of its last call (while a poll is open: of now)."""
    polling: bool = False
    leaving: bool = False
    """It said goodbye."""
    suspended: bool = False
    """It is about to be quarantined: the status that says so is being written."""
    self_fence_seconds: int | None = None
    """After how long without an answer it cancels its work, as it was told; None: never."""
