"""What all kinds share: group, labels, phases, conditions, metadata and the base of every model."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from agentcorps.api.names import MAX_ID_LENGTH, MAX_LABEL_LENGTH, MAX_MESSAGE_LENGTH, REASON_PATTERN

GROUP: Final = "agentcorps.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CATEGORY: Final = "agentcorps"

LABEL_POOL: Final = f"{GROUP}/pool"
LABEL_AGENT: Final = f"{GROUP}/agent"
ANNOTATION_RETRY_OF: Final = f"{GROUP}/retry-of"
"""Name of the Task that `agentcorps task retry` copied."""
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "agentcorps"

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


class AgentPhase(StrEnum):
    """Where an Agent is in its life; Ready means that the agent itself said hello."""

    PENDING = "Pending"
    STARTING = "Starting"
    IDLE = "Idle"
    BUSY = "Busy"
    DRAINING = "Draining"
    UNHEALTHY = "Unhealthy"
    FAILED = "Failed"
    TERMINATED = "Terminated"


class TaskPhase(StrEnum):
    """Where a Task is in its life; the last four are terminal and never change again."""

    QUEUED = "Queued"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    TIMED_OUT = "TimedOut"

    @property
    def is_terminal(self) -> bool:
        """Tell whether a Task in this phase has reached its end."""
        return self not in {TaskPhase.QUEUED, TaskPhase.RUNNING}


class ConditionType(StrEnum):
    """Condition types; kstatus (Flux, Argo CD, Helm 4) reads the first three."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    SUCCEEDED = "Succeeded"
    HEALTHY = "Healthy"
    SCALING_ACTIVE = "ScalingActive"
    QUOTA_LIMITED = "QuotaLimited"


class ConditionStatus(StrEnum):
    """Status of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class TaskReason(StrEnum):
    """Why a Task waits, was requeued, or ended; an agent's own failures may bring other reasons."""

    NO_IDLE_AGENT = "NoIdleAgent"
    NO_AGENT_MATCHES = "NoAgentMatches"
    POOL_NOT_FOUND = "PoolNotFound"
    POOL_PAUSED = "PoolPaused"
    QUOTA_LIMITED = "QuotaLimited"
    BACKOFF = "Backoff"
    QUEUE_FULL = "QueueFull"
    QUEUE_TIMEOUT = "QueueTimeout"
    BOUND = "Bound"
    COMPLETED = "Completed"
    AGENT_LOST = "AgentLost"
    AGENT_STOPPED = "AgentStopped"
    NOT_DELIVERED = "NotDelivered"
    EVICTED = "Evicted"
    AGENT_ERROR = "AgentError"
    TIMEOUT = "Timeout"
    POISON_TASK = "PoisonTask"
    CANCELLED = "Cancelled"
    INPUT_TOO_LARGE = "InputTooLarge"
    RESULT_TOO_LARGE = "ResultTooLarge"
    INVALID_OBJECT = "InvalidObject"
    INPUT_NOT_FOUND = "InputNotFound"
    INPUT_INVALID = "InputInvalid"
    RESULT_REFUSED = "ResultRefused"
    SECRETS_DISABLED = "SecretsDisabled"


class RetryReason(StrEnum):
    """Ends of an attempt that count as failures, and after which a Task may be tried again."""

    AGENT_LOST = "AgentLost"
    TIMEOUT = "Timeout"
    AGENT_ERROR = "AgentError"


def _parse_timestamp(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not _RFC3339.fullmatch(value):
        raise PydanticCustomError("timestamp", "must be an RFC 3339 time with a zone")
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError as error:
        raise PydanticCustomError("timestamp", "must be a time that exists") from error


def format_timestamp(moment: datetime) -> str:
    """Return `moment` in UTC as the API writes it: RFC 3339, fractions only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


Timestamp = Annotated[
    datetime,
    BeforeValidator(_parse_timestamp),
    PlainSerializer(format_timestamp, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time with a zone: an RFC 3339 string in JSON, a datetime in Python."""

Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Message = Annotated[str, Field(max_length=MAX_MESSAGE_LENGTH)]
Reason = Annotated[str, Field(max_length=MAX_ID_LENGTH, pattern=REASON_PATTERN)]
Identifier = Annotated[str, Field(max_length=MAX_ID_LENGTH)]


class ApiModel(BaseModel):
    """Base of every model: camelCase in JSON, strict types, immutable, no input in errors."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
    )

    def to_api(self) -> dict[str, Any]:
        """Return the object as the API server reads it: JSON types, unset fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Condition(ApiModel):
    """One condition, with the fields and meaning of metav1.Condition."""

    type: str = Field(
        min_length=1, max_length=MAX_LABEL_LENGTH, description="Name of the condition, e.g. Ready."
    )
    status: Annotated[ConditionStatus, Strict(strict=False)] = Field(
        description="True, False or Unknown."
    )
    reason: Reason = Field(description="Why the condition has this status: one CamelCase word.")
    message: Message = Field(default="", description="The same for people.")
    last_transition_time: Timestamp = Field(description="When the status last changed.")
    observed_generation: int | None = Field(
        default=None, ge=-1, description="metadata.generation that the condition was computed for."
    )


Conditions = Annotated[
    tuple[Condition, ...],
    Strict(strict=False),
    Field(
        max_length=16,
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    ),
]
"""Conditions of an object, at most one of each type."""


class OwnerReference(ApiModel):
    """The owner of an object."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(ApiModel):
    """The metadata that the project reads; the rest is passed over."""

    name: str = ""
    generate_name: str | None = None
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    owner_references: Annotated[tuple[OwnerReference, ...], Strict(strict=False)] = ()
    finalizers: Annotated[tuple[str, ...], Strict(strict=False)] = ()

    @property
    def controller_uid(self) -> str | None:
        """UID of the controlling owner; None for an object that nobody controls."""
        return next((owner.uid for owner in self.owner_references if owner.controller), None)


_KEY_ORDER: Final = ("apiVersion", "kind", "metadata", "spec", "status")


class Resource(ApiModel):
    """Base of the custom resources."""

    metadata: ObjectMeta

    def to_api(self) -> dict[str, Any]:
        """Return the object as the API server reads it; metadata holds only what was set."""
        content = super().to_api()
        content["metadata"] = self.metadata.model_dump(
            mode="json", by_alias=True, exclude_defaults=True
        )
        return {key: content[key] for key in sorted(content, key=_KEY_ORDER.index)}
