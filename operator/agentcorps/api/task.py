"""The Task: one unit of work."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, Strict

from agentcorps.api.meta import (
    ApiModel,
    Conditions,
    Count,
    Identifier,
    Message,
    Reason,
    Resource,
    RetryReason,
    TaskPhase,
    Timestamp,
)
from agentcorps.api.names import (
    MAX_INPUT_BYTES,
    MAX_LABEL_LENGTH,
    MAX_NAME_LENGTH,
    MAX_RESULT_BYTES,
)
from agentcorps.api.payloads import InputFrom, ResultRef, ResultTo
from agentcorps.api.rules import Capability, PoolName, cel, immutable, validated
from agentcorps.api.selector import LabelSelector

MAX_ATTEMPTS_KEPT = 5
MAX_ATTEMPT_MESSAGE_LENGTH = 256
MAX_BACKOFF_SECONDS = 86400
MAX_CRASHES = 3
DEFAULT_TIMEOUT_SECONDS = 600
DEFAULT_RETRY_LIMIT = 2
DEFAULT_BACKOFF_SECONDS = 5
DEFAULT_MAX_BACKOFF_SECONDS = 300
"""What holds where neither the Task nor its pool says anything."""

_AgentName = Annotated[str, Field(max_length=MAX_LABEL_LENGTH)]


class Retry(ApiModel):
    """How often, when and after which failures a Task is tried again.

    Each field that is absent is the pool's `tasks.defaults.retry`, or else the built-in value.
    """

    model_config = ConfigDict(
        json_schema_extra=validated(
            cel(
                "!has(self.backoffSeconds) || !has(self.maxBackoffSeconds)"
                " || self.backoffSeconds <= self.maxBackoffSeconds",
                "must not be greater than maxBackoffSeconds",
                path=".backoffSeconds",
            )
        )
    )

    limit: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Failures (agent lost, timeout, retryable error) after which the Task is tried"
        " again. With 0 it is executed at most once. An attempt that ends by no fault of the Task"
        " is not counted: its agent said goodbye, was evicted, or never got it. Absent: the pool's"
        f" tasks.defaults.retry.limit, else {DEFAULT_RETRY_LIMIT}.",
    )
    backoff_seconds: int | None = Field(
        default=None,
        ge=0,
        le=MAX_BACKOFF_SECONDS,
        description="Seconds from a Timeout or AgentError to the next attempt; doubled with each"
        " further failure. A lost agent (AgentLost) and what is not counted are no cause to wait."
        f" Absent: the pool's tasks.defaults.retry.backoffSeconds, else {DEFAULT_BACKOFF_SECONDS}.",
    )
    max_backoff_seconds: int | None = Field(
        default=None,
        ge=0,
        le=MAX_BACKOFF_SECONDS,
        description="Longest wait in seconds, however many failures there were. Absent: the pool's"
        f" tasks.defaults.retry.maxBackoffSeconds, else {DEFAULT_MAX_BACKOFF_SECONDS}, but never"
        " less than the Task's own backoffSeconds.",
    )
    reasons: (
        Annotated[
            tuple[Annotated[RetryReason, Strict(strict=False)], ...],
            Strict(strict=False),
            Field(max_length=len(RetryReason), json_schema_extra={"uniqueItems": True}),
        ]
        | None
    ) = Field(
        default=None,
        description="Failures after which the Task is tried again; any other one ends it at once."
        " What is not counted as a failure is not asked for here. Absent: the pool's"
        " tasks.defaults.retry.reasons, else all of them.",
    )


class TaskDefaults(ApiModel):
    """Limits of a Task that may be left to its pool."""

    timeout_seconds: int | None = Field(
        default=None, ge=1, le=604800, description="Seconds that one attempt may run."
    )
    retry: Retry | None = Field(
        default=None, description="How often, when and after which failures a Task is tried again."
    )
    ttl_seconds_after_finished: int | None = Field(
        default=None, ge=0, le=31536000, description="Seconds after its end when a Task is deleted."
    )


class TaskSpec(ApiModel):
    """What is to be done, by whom, and within which limits."""

    model_config = ConfigDict(
        json_schema_extra=immutable(
            "pool",
            "agentSelector",
            "requires",
            "input",
            "inputFrom",
            "resultTo",
            "priority",
            "queueTimeoutSeconds",
            "affinityKey",
            "timeoutSeconds",
            "retry",
            "ttlSecondsAfterFinished",
        )
        | validated(
            cel(
                "has(self.pool) != has(self.agentSelector)",
                "give either pool or agentSelector: they say which agents may do the work",
            ),
            cel(
                "!oldSelf.cancel || self.cancel",
                "a cancellation cannot be taken back: create a new Task instead",
                path=".cancel",
            ),
            cel(
                "!has(self.inputFrom) || !has(self.input)",
                "must not be set beside input: give one of the two",
                path=".inputFrom",
            ),
        )
    )

    pool: PoolName | None = Field(
        default=None,
        description="Name of the AgentPool, in the same namespace, whose agents do the work. Either"
        " this or agentSelector must be given.",
    )
    agent_selector: LabelSelector | None = Field(
        default=None,
        description="Instead of pool: labels of the Agents, in the same namespace, that may do the"
        " work, whatever pool they belong to, and those that stand alone. No pool is scaled for"
        " such a Task.",
    )
    requires: Annotated[tuple[Capability, ...], Strict(strict=False)] = Field(
        default=(),
        max_length=64,
        json_schema_extra={"uniqueItems": True},
        description="Capabilities that the agent must have, all of them.",
    )
    input: dict[str, Any] | None = Field(
        default=None,
        # A payload has one author; else each of its keys would be noted in managedFields as well.
        json_schema_extra={"x-kubernetes-map-type": "atomic"},
        description=f"What the agent gets: a JSON object of at most {MAX_INPUT_BYTES} bytes."
        " Without it and without inputFrom an empty one.",
    )
    input_from: InputFrom | None = Field(
        default=None,
        description="Where the input stands instead, so that it is not in the Task: read when the"
        " Task is given to an agent. Its creator must be allowed to read it.",
    )
    result_to: ResultTo | None = Field(
        default=None,
        description="Where the result goes instead of status.result. The Task's creator must be"
        " allowed to create and update Secrets.",
    )
    priority: int = Field(
        default=0,
        ge=-1000,
        le=1000,
        description="Higher goes first; among equals the older one. A waiting Task gains one step a"
        " minute (the operator's agingSeconds), so that none waits for ever.",
    )
    affinity_key: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_NAME_LENGTH,
        description="Tasks with the same key go to the agent that served the key last, if it is"
        " free; a busy one is not waited for. A pseudonym, such as the id of a session: it is not"
        " kept secret.",
    )
    queue_timeout_seconds: int | None = Field(
        default=None,
        ge=1,
        le=31536000,
        description="Seconds that the Task may wait for an agent, each time that it waits: from its"
        " creation, and again from the end of an attempt (or of the back-off after it). Then it"
        " ends as TimedOut with reason QueueTimeout. Absent: it waits as long as it takes.",
    )
    timeout_seconds: int | None = Field(
        default=None,
        ge=1,
        le=604800,
        description="Seconds that one attempt may run. Absent: the pool's"
        f" tasks.defaults.timeoutSeconds, else {DEFAULT_TIMEOUT_SECONDS}.",
    )
    retry: Retry | None = Field(
        default=None,
        description="How often, when and after which failures the Task is tried again. What is"
        " absent here is the pool's tasks.defaults.retry, else the built-in value.",
    )
    ttl_seconds_after_finished: int | None = Field(
        default=None,
        ge=0,
        le=31536000,
        description="Seconds after its end when the Task is deleted. Absent: the pool's"
        " tasks.defaults.ttlSecondsAfterFinished, else it is kept (see the pool's historyLimit).",
    )
    cancel: bool = Field(
        default=False,
        description="Set to true to cancel the Task; the only field that can be changed.",
    )


class Progress(ApiModel):
    """How far the agent says it is."""

    percent: int | None = Field(default=None, ge=0, le=100, description="Per cent done.")
    message: Message | None = Field(default=None, description="What the agent is doing.")


class Attempt(ApiModel):
    """One binding of the Task to an agent that has ended."""

    attempt: int = Field(ge=1, le=2**31 - 1, description="Number of the attempt.")
    agent_name: _AgentName = Field(default="", description="Agent that it was bound to.")
    started_at: Timestamp | None = Field(default=None, description="When it was bound.")
    finished_at: Timestamp | None = Field(default=None, description="When it ended.")
    reason: Reason | None = Field(default=None, description="Why it ended.")
    message: str | None = Field(
        default=None,
        max_length=MAX_ATTEMPT_MESSAGE_LENGTH,
        description="The same for people, cut short.",
    )


class TaskStatus(ApiModel):
    """Where a Task is, and how it ended."""

    observed_generation: int = Field(
        default=-1, ge=-1, description="metadata.generation that this status was computed for."
    )
    phase: Annotated[TaskPhase, Strict(strict=False)] = Field(
        default=TaskPhase.QUEUED,
        description="Where the Task is. Succeeded, Failed, Cancelled and TimedOut are final.",
    )
    reason: Reason | None = Field(
        default=None, description="Why the Task waits, or why it ended: one CamelCase word."
    )
    message: Message | None = Field(default=None, description="The same for people.")
    attempt: Count = Field(
        default=0, description="Number of the current or last attempt; counts every binding."
    )
    failures: Count = Field(default=0, description="Failures that count against retry.limit.")
    crashes: Count = Field(
        default=0,
        description=f"Attempts in which a container of the agent died; after {MAX_CRASHES} the Task"
        " fails with reason PoisonTask, whatever retry.limit says.",
    )
    agent_name: _AgentName | None = Field(
        default=None, description="Agent that the Task is or was last bound to."
    )
    pod_uid: Identifier | None = Field(
        default=None, alias="podUID", description="UID of that agent's pod at binding time."
    )
    agent_instance: Identifier | None = Field(
        default=None, description="Process of the agent that got it."
    )
    started_at: Timestamp | None = Field(
        default=None, description="When the current or last attempt was bound."
    )
    finished_at: Timestamp | None = Field(
        default=None, description="When the Task reached its final phase."
    )
    pool_defaults: TaskDefaults | None = Field(
        default=None,
        description="What of the pool's tasks.defaults holds for this Task: where its spec is"
        " silent, as it was when the Task was last bound (or ended without being bound).",
    )
    progress: Progress | None = Field(
        default=None, description="How far the agent says it is; at most ten seconds old."
    )
    result: Any = Field(
        default=None,
        description=f"What the agent returned: JSON of at most {MAX_RESULT_BYTES} bytes.",
    )
    result_digest: Identifier | None = Field(
        default=None, description="Digest of the result, e.g. sha256:..."
    )
    result_ref: ResultRef | None = Field(
        default=None, description="Where the result is, if spec.resultTo keeps it elsewhere."
    )
    attempts: Annotated[tuple[Attempt, ...], Strict(strict=False)] = Field(
        default=(),
        max_length=MAX_ATTEMPTS_KEPT,
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["attempt"],
        },
        description=f"The last {MAX_ATTEMPTS_KEPT} attempts that ended.",
    )
    conditions: Conditions = Field(
        default=(),
        description="Ready; until the end Reconciling; then Succeeded, and after any but a good end"
        " Stalled. What is absent is False.",
    )


class Task(Resource):
    """One unit of work: bound to an agent, executed there, its result in status."""

    api_version: Literal["agentcorps.dev/v1alpha1"] = "agentcorps.dev/v1alpha1"
    kind: Literal["Task"] = "Task"
    spec: TaskSpec = Field(description="What is to be done; cannot be changed but for cancel.")
    status: TaskStatus = Field(
        default_factory=TaskStatus, description="Where the Task is; only the operator writes here."
    )
