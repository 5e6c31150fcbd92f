"""The Agent: one worker, one pod."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, Strict

from agentcorps.api.meta import (
    AgentPhase,
    ApiModel,
    Conditions,
    Count,
    Identifier,
    Message,
    Reason,
    Resource,
    Timestamp,
)
from agentcorps.api.names import MAX_LABEL_LENGTH
from agentcorps.api.podtemplate import PodTemplate
from agentcorps.api.rules import Capability, child_name_rule, validated


class Health(ApiModel):
    """When an agent counts as unhealthy."""

    heartbeat_seconds: int = Field(
        default=5, ge=1, le=300, description="Seconds between two signs of life of the agent."
    )
    failure_threshold: int = Field(
        default=3,
        ge=1,
        le=100,
        description="Heartbeats in a row that may be missed before the agent counts as lost.",
    )
    startup_seconds: int = Field(
        default=120,
        ge=1,
        le=86400,
        description="Seconds that the agent has from its pod's creation to its first hello.",
    )
    self_fence_seconds: int | None = Field(
        default=None,
        ge=15,
        le=3600,
        description="Seconds without any answer of the gateway after which the agent cancels its"
        " work by itself. When its node is out of reach, its Tasks are bound to other agents 15"
        " seconds after that, so that two never work on one. Absent: it works on, and they are"
        " bound to others after 60 seconds.",
    )


class AgentSpec(ApiModel):
    """What an agent is able to do, and the pod that it runs in."""

    capabilities: Annotated[tuple[Capability, ...], Strict(strict=False)] = Field(
        default=(),
        max_length=64,
        json_schema_extra={"uniqueItems": True},
        description="What the agent is able to do. A Task is bound only to an agent that has every"
        " capability in the Task's `requires`.",
    )
    slots: int = Field(
        default=1, ge=1, le=100, description="Number of Tasks that the agent works on at a time."
    )
    health: Health = Field(
        default_factory=Health, description="When the agent counts as unhealthy or lost."
    )
    pod_template: PodTemplate = Field(
        description="The pod that the agent runs in: a Kubernetes PodTemplateSpec. The defaults of"
        " the restricted Pod Security Standard are filled in where it is silent; restartPolicy is"
        " Always.",
    )


class AgentStatus(ApiModel):
    """What the operator saw of an Agent."""

    observed_generation: int = Field(
        default=-1, ge=-1, description="metadata.generation that this status was computed for."
    )
    phase: Annotated[AgentPhase, Strict(strict=False)] = Field(
        default=AgentPhase.PENDING,
        description="Where the agent is in its life. Idle and Busy agents said hello to the"
        " gateway and take Tasks.",
    )
    reason: Reason | None = Field(default=None, description="Why the agent is in this phase.")
    message: Message | None = Field(default=None, description="The same for people.")
    pod_name: str | None = Field(
        default=None, max_length=253, description="Name of the agent's pod: the Agent's own name."
    )
    pod_uid: Identifier | None = Field(
        default=None, alias="podUID", description="UID of the agent's pod."
    )
    instance: Identifier | None = Field(
        default=None,
        description="Random id of the agent's process; another one means that it was restarted.",
    )
    slots_used: Count = Field(default=0, description="Tasks bound to the agent now.")
    tasks_succeeded: Count = Field(default=0, description="Tasks that the agent completed.")
    tasks_failed: Count = Field(default=0, description="Tasks that failed on the agent.")
    consecutive_failures: Count = Field(
        default=0,
        description="Tasks that failed or timed out on the agent since the last one that"
        " succeeded; after 5 it is quarantined. Refreshed at most once a minute.",
    )
    last_heartbeat_time: Timestamp | None = Field(
        default=None, description="Last sign of life, refreshed at most once a minute."
    )
    template_hash: Identifier | None = Field(
        default=None,
        description="Hash of the spec that the agent's pod was made from.",
    )
    conditions: Conditions = Field(
        default=(),
        description="Ready, Reconciling, Stalled, Draining, and Healthy: False while the agent is"
        " quarantined, else absent.",
    )


class Agent(Resource):
    """One worker in one pod, created by an AgentPool or standing alone."""

    model_config = ConfigDict(
        json_schema_extra=validated(
            *child_name_rule(MAX_LABEL_LENGTH, "as the label that names the agent on its pod")
        )
    )

    api_version: Literal["agentcorps.dev/v1alpha1"] = "agentcorps.dev/v1alpha1"
    kind: Literal["Agent"] = "Agent"
    spec: AgentSpec = Field(description="What the agent is able to do, and the pod it runs in.")
    status: AgentStatus = Field(
        default_factory=AgentStatus, description="What the operator saw; only it writes here."
    )
