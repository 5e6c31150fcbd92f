"""Wire types of the agent protocol, version 1: JSON over HTTPS between an agent and the gateway.

The OpenAPI document is generated from these models. Unknown fields are ignored on both sides, so
that either side may learn new ones first; a type that is wrong is refused (422).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

PROTOCOL_VERSION = 1
MAX_WAIT_SECONDS = 60
MAX_RUNNING = 100
MAX_MESSAGE_CHARS = 1024


def _whole(value: object) -> object:
    """Take 1.0 for 1, as JSON Schema does: some languages write whole numbers no other way."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# The bounds stand first: behind the validator they would be missing from the JSON Schema.
_WHOLE = BeforeValidator(_whole)
Attempt = Annotated[int, Field(ge=1, le=2**31), _WHOLE]
Version = Annotated[int, Field(ge=1, le=1000), _WHOLE]
Slots = Annotated[int, Field(ge=1, le=100), _WHOLE]
Free = Annotated[int, Field(ge=0, le=100), _WHOLE]
Percent = Annotated[int, Field(ge=0, le=100), _WHOLE]
Uid = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+$")]
Instance = Annotated[str, Field(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9-]+$")]
Capability = Annotated[str, Field(min_length=1, max_length=63)]


class WireModel(BaseModel):
    """Base of every wire type: strict, camelCase, immutable, payloads kept out of errors."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )


class TaskRef(WireModel):
    """One attempt of one Task: the fencing pair of the protocol."""

    uid: Uid = Field(description="UID of the Task object.")
    attempt: Attempt = Field(description="Attempt number; counts every binding of the Task.")


class HelloRequest(WireModel):
    """First call of a process, and again after every reconnect."""

    protocol_version: Version = Field(description="Version of the protocol that the agent speaks.")
    instance: Instance = Field(
        description="Random name of this process; a new process has a new one."
    )
    slots: Slots = Field(description="Tasks that the agent runs at a time.")
    capabilities: list[Capability] = Field(
        default_factory=list,
        max_length=64,
        description="Capabilities that it has handlers for; empty: all that its Agent declares.",
    )
    running: list[TaskRef] = Field(
        default_factory=list,
        max_length=MAX_RUNNING,
        description="Attempts that the agent holds now.",
    )


class Directives(WireModel):
    """What the gateway asks of an agent in any answer."""

    epoch: int = Field(
        ge=0, description="Term of the leader; an agent ignores answers of a lower one."
    )
    cancel: list[TaskRef] = Field(
        default_factory=list, description="Attempts to stop: cancelled or out of time."
    )
    drop: list[TaskRef] = Field(
        default_factory=list, description="Attempts that are no longer this agent's own."
    )
    drain: bool = Field(
        default=False, description="True: take no new task, finish what runs, say goodbye."
    )


class HelloResponse(Directives):
    """Who the agent is, and how often it must be heard."""

    agent: str = Field(description="Name of the Agent object.")
    namespace: str = Field(description="Namespace of the Agent object.")
    heartbeat_seconds: int = Field(
        ge=1, description="Longest silence, in seconds, without an open poll."
    )
    self_fence_seconds: int | None = Field(
        default=None,
        ge=1,
        description="Seconds without any answer of the gateway after which the agent must cancel"
        " its work; absent: never.",
    )


class NextRequest(WireModel):
    """Long poll for work; while it is open it is the heartbeat."""

    instance: Instance = Field(description="The instance that said hello.")
    free: Free = Field(description="Tasks that the agent can take now.")
    wait: float = Field(
        default=30.0,
        ge=0,
        le=MAX_WAIT_SECONDS,
        description="Seconds to hold the poll open, at most.",
    )
    running: list[TaskRef] = Field(
        default_factory=list, max_length=MAX_RUNNING, description="Attempts held now."
    )


class TaskDelivery(WireModel):
    """One attempt handed to an agent."""

    name: str = Field(description="Name of the Task.")
    namespace: str = Field(description="Namespace of the Task.")
    uid: Uid = Field(description="UID of the Task; with the attempt an idempotency key.")
    attempt: Attempt = Field(description="Attempt number.")
    requires: list[str] = Field(
        default_factory=list, description="Capabilities that the Task asks for."
    )
    input: dict[str, Any] = Field(default_factory=dict, description="The Task's input.")
    remaining_seconds: float = Field(ge=0, description="Seconds left of this attempt's timeout.")
    traceparent: str | None = Field(
        default=None, description="W3C trace context, if tracing is on."
    )


class NextResponse(Directives):
    """Work and directives; a poll without either is answered 204."""

    tasks: list[TaskDelivery] = Field(default_factory=list, description="New attempts.")


class HeartbeatRequest(WireModel):
    """Sign of life of an agent without an open poll (all slots busy)."""

    instance: Instance = Field(description="The instance that said hello.")
    running: list[TaskRef] = Field(
        default_factory=list, max_length=MAX_RUNNING, description="Attempts held now."
    )


class ProgressRequest(WireModel):
    """How far an attempt is; kept in memory, written seldom."""

    instance: Instance = Field(description="The instance that runs the attempt.")
    percent: Percent | None = Field(default=None, description="Share done, in percent.")
    message: str = Field(
        default="", max_length=MAX_MESSAGE_CHARS, description="A short text for people."
    )


class CompleteRequest(WireModel):
    """The result of an attempt."""

    instance: Instance = Field(description="The instance that ran the attempt.")
    result: Any = Field(default=None, description="Any JSON value, up to 64 KiB.")


class FailRequest(WireModel):
    """An attempt that did not work out."""

    instance: Instance = Field(description="The instance that ran the attempt.")
    reason: str = Field(
        default="AgentError",
        max_length=64,
        pattern=r"^[A-Z][A-Za-z0-9]*$",
        description="CamelCase reason.",
    )
    message: str = Field(
        default="", max_length=MAX_MESSAGE_CHARS, description="A short text for people."
    )
    retryable: bool = Field(default=True, description="False ends the Task at once.")


class GoodbyeRequest(WireModel):
    """The last call of a process; what it still runs goes back to the queue."""

    instance: Instance = Field(description="The instance that ends.")


class Problem(WireModel):
    """RFC 9457 problem details: the body of every error."""

    type: str = Field(default="about:blank", description="Kind of problem.")
    title: str = Field(description="Short summary.")
    status: int = Field(description="HTTP status code.")
    detail: str = Field(default="", description="What was wrong and what to do; never a payload.")
