"""The AgentPool: a replicated group of equal agents."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, Strict

from agentcorps.api.agent import AgentSpec
from agentcorps.api.meta import ApiModel, Conditions, Count, Resource
from agentcorps.api.names import MAX_POOL_NAME_LENGTH, MAX_REPLICAS
from agentcorps.api.rules import Annotations, Labels, cel, child_name_rule, validated
from agentcorps.api.scaling import LimitedBy, Scaling, ScalingDecisions, ScalingDemands
from agentcorps.api.task import TaskDefaults

DEFAULT_MAX_QUEUED = 100_000
DEFAULT_HISTORY_LIMIT = 1000


class TemplateMeta(ApiModel):
    """Labels and annotations that each Agent of the pool gets."""

    labels: Labels = Field(
        default_factory=dict,
        description="Labels of each Agent. Those under agentcorps.dev/ are the operator's.",
    )
    annotations: Annotations = Field(default_factory=dict, description="Annotations of each Agent.")


class AgentTemplate(ApiModel):
    """What each Agent of the pool looks like."""

    metadata: TemplateMeta = Field(
        default_factory=TemplateMeta, description="Labels and annotations of each Agent."
    )
    spec: AgentSpec = Field(description="Spec of each Agent.")


class PoolTasks(ApiModel):
    """How many Tasks a pool takes and keeps, and what holds where a Task is silent."""

    max_queued: int = Field(
        default=DEFAULT_MAX_QUEUED,
        ge=1,
        le=1_000_000,
        description="Tasks that may wait for their first attempt. Beyond it the newest ones fail at"
        " once with reason QueueFull, also when this is lowered. A Task that is to be tried again"
        " keeps its place.",
    )
    history_limit: int = Field(
        default=DEFAULT_HISTORY_LIMIT,
        ge=0,
        le=1_000_000,
        description="Finished Tasks that are kept. Beyond it they are deleted: first those that"
        " failed with QueueFull, then the one that ended first; none within a minute of its end.",
    )
    defaults: TaskDefaults | None = Field(
        default=None,
        description="Limits of Tasks whose spec is silent about them. What held is in the Task's"
        " status.poolDefaults; a change does not touch an attempt that already runs.",
    )


class Preemption(StrEnum):
    """What a pool that lacks agents of its share may have done to those of others at work."""

    NEVER = "Never"
    DRAIN = "Drain"


class QuotaShare(ApiModel):
    """How the pool shares the namespace's ResourceQuotas with the other pools in it."""

    priority: int = Field(
        default=0,
        ge=-1000,
        le=1000,
        description="Pools of a higher priority get all that they want first.",
    )
    weight: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Share among the pools of the same priority: with 2 a pool gets twice what a"
        " pool with 1 gets. What one does not need, the others get.",
    )
    preemption: Annotated[Preemption, Strict(strict=False)] = Field(
        default=Preemption.NEVER,
        description="What happens while this pool has fewer agents than its share, and others more"
        " than theirs: idle agents of the others give their places back in any case; with Drain"
        " those at work are drained, too. None is ever killed for it.",
    )


class AgentPoolSpec(ApiModel):
    """How many agents a pool has, and what they look like."""

    model_config = ConfigDict(
        json_schema_extra=validated(
            cel(
                "!has(self.scaling) || !has(oldSelf.scaling) || self.replicas == oldSelf.replicas",
                "has no effect on a pool that scales itself: change minReplicas, maxReplicas or"
                " pausedReplicas of spec.scaling instead, or remove spec.scaling",
                path=".replicas",
            )
        )
    )

    replicas: int = Field(
        default=1,
        ge=0,
        le=MAX_REPLICAS,
        description="Number of agents wanted. `kubectl scale` and an HPA write it; the operator"
        " never does. Without effect on a pool that has `scaling`.",
    )
    scaling: Scaling | None = Field(
        default=None,
        description="The built-in autoscaler: it follows the Tasks, and its target stands in the"
        " status. Leave it out to scale by `replicas`, `kubectl scale`, an HPA or KEDA.",
    )
    template: AgentTemplate = Field(description="What each Agent of the pool looks like.")
    quota: QuotaShare = Field(
        default_factory=QuotaShare,
        description="The pool's place in its namespace's ResourceQuotas.",
    )
    drain_timeout_seconds: int = Field(
        default=300,
        ge=0,
        le=604800,
        description="Seconds that a draining agent has to finish its Tasks before it is deleted.",
    )
    tasks: PoolTasks = Field(
        default_factory=PoolTasks,
        description="How many Tasks the pool takes and keeps, and what holds where one is silent.",
    )


class AgentPoolStatus(ApiModel):
    """What the operator saw of an AgentPool."""

    observed_generation: int = Field(
        default=-1, ge=-1, description="metadata.generation that this status was computed for."
    )
    replicas: Count = Field(default=0, description="Agents that exist, terminating ones included.")
    ready_replicas: Count = Field(default=0, description="Agents that are Idle or Busy.")
    idle_replicas: Count = Field(default=0, description="Agents that are ready and have no Task.")
    busy_replicas: Count = Field(default=0, description="Agents that have at least one Task.")
    draining_replicas: Count = Field(
        default=0, description="Agents that finish their Tasks and take no new ones."
    )
    updated_replicas: Count = Field(
        default=0, description="Agents that were made from the current template."
    )
    unhealthy_replicas: Count = Field(default=0, description="Agents that are Unhealthy or Failed.")
    target_replicas: Count = Field(
        default=0, description="Number of agents that the operator is working towards."
    )
    limited_by: Annotated[LimitedBy, Strict(strict=False)] = Field(
        default=LimitedBy.NONE,
        description="What keeps targetReplicas from what the policies of `scaling` ask for.",
    )
    demands: ScalingDemands = Field(
        default=(), description="What each policy of `scaling` asks for; the highest wins."
    )
    decisions: ScalingDecisions = Field(
        default=(),
        description="The last changes of targetReplicas by `scaling`, the newest last.",
    )
    granted_replicas: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Number of agents that the namespace's ResourceQuotas, shared with the other"
        " pools, leave to this one; absent where there are none.",
    )
    queued_tasks: Count = Field(default=0, description="Tasks that wait for an agent of this pool.")
    running_tasks: Count = Field(default=0, description="Tasks that the pool's agents work on.")
    selector: str = Field(
        default="",
        max_length=1024,
        description="Label selector of the pool's agents and pods, for /scale and HPAs.",
    )
    conditions: Conditions = Field(
        default=(),
        description="Ready, Reconciling and Stalled; ScalingActive where there is `scaling`,"
        " QuotaLimited where there is a ResourceQuota.",
    )


class AgentPool(Resource):
    """A replicated group of equal agents, called `<pool>-<number>`."""

    model_config = ConfigDict(
        json_schema_extra=validated(
            *child_name_rule(
                MAX_POOL_NAME_LENGTH,
                "so that <name>-<number> fits the 63 of an agent's name",
            )
        )
    )

    api_version: Literal["agentcorps.dev/v1alpha1"] = "agentcorps.dev/v1alpha1"
    kind: Literal["AgentPool"] = "AgentPool"
    spec: AgentPoolSpec = Field(description="How many agents, and what they look like.")
    status: AgentPoolStatus = Field(
        default_factory=AgentPoolStatus, description="What the operator saw; only it writes here."
    )
