"""The built-in autoscaler of an AgentPool: names, defaults and bounds of `spec.scaling`.

`behavior` has the names, defaults and meaning of autoscaling/v2.
"""

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, Strict, WithJsonSchema
from pydantic_core import PydanticCustomError

from agentcorps.api.meta import ApiModel, Count, Message, Reason, Timestamp
from agentcorps.api.metrics import DEFAULT_TOLERANCE, Fallback
from agentcorps.api.names import MAX_LABEL_LENGTH, MAX_REPLICAS
from agentcorps.api.rules import VALIDATIONS, cel, validated
from agentcorps.api.scaling_policy import PolicyType, ScalingPolicy

MAX_POLICIES = 16
MAX_RATE_POLICIES = 8
MAX_WINDOW_SECONDS = 3600
MAX_PERIOD_SECONDS = 1800
MAX_DECISIONS_KEPT = 10
PERCENTAGE_PATTERN = "^[1-9][0-9]?%$"


class LimitedBy(StrEnum):
    """What keeps a pool's target from what its policies ask for."""

    NONE = "None"
    MAX_REPLICAS = "MaxReplicas"
    QUOTA = "Quota"
    CAPACITY = "Capacity"
    STARTUP = "Startup"
    BEHAVIOR = "Behavior"
    PAUSED = "Paused"


class RatePolicy(ApiModel):
    """How far the target may move within a period."""

    type: Literal["Pods", "Percent"] = Field(
        description="Pods: by a number of agents. Percent: by a share of those at its beginning."
    )
    value: int = Field(ge=1, le=2**31 - 1, description="The number, or the percentage.")
    period_seconds: int = Field(
        ge=1, le=MAX_PERIOD_SECONDS, description="Length of the period in seconds."
    )


_RatePolicies = Annotated[
    tuple[RatePolicy, ...], Strict(strict=False), Field(min_length=1, max_length=MAX_RATE_POLICIES)
]
SelectPolicy = Literal["Max", "Min", "Disabled"]
_SELECT = (
    "Which of several policies counts: Max, the one that allows the largest change; Min, the"
    " smallest; Disabled: none, so there is no change in this direction."
)


class ScaleUpRules(ApiModel):
    """How fast the target may rise."""

    stabilization_window_seconds: int = Field(
        default=0,
        ge=0,
        le=MAX_WINDOW_SECONDS,
        description="The target rises to no more than what was asked for throughout this time.",
    )
    tolerance: float = Field(
        default=DEFAULT_TOLERANCE,
        ge=0,
        le=1,
        description="A metric that exceeds its target by no more than this share changes nothing.",
    )
    select_policy: SelectPolicy = Field(default="Max", description=_SELECT)
    policies: _RatePolicies = Field(
        default=(
            RatePolicy(type="Pods", value=4, period_seconds=15),
            RatePolicy(type="Percent", value=100, period_seconds=15),
        ),
        description="How far the target may rise within a period.",
    )


class ScaleDownRules(ApiModel):
    """How fast the target may fall."""

    stabilization_window_seconds: int = Field(
        default=300,
        ge=0,
        le=MAX_WINDOW_SECONDS,
        description="The target falls to no less than the most that was asked for in this time.",
    )
    tolerance: float = Field(
        default=DEFAULT_TOLERANCE,
        ge=0,
        le=1,
        description="A metric below its target by no more than this share changes nothing.",
    )
    select_policy: SelectPolicy = Field(default="Max", description=_SELECT)
    policies: _RatePolicies = Field(
        default=(RatePolicy(type="Percent", value=100, period_seconds=15),),
        description="How far the target may fall within a period.",
    )


class Behavior(ApiModel):
    """How fast a pool scales, with the names and the meaning of autoscaling/v2."""

    scale_up: ScaleUpRules = Field(
        default_factory=ScaleUpRules, description="How fast the target may rise."
    )
    scale_down: ScaleDownRules = Field(
        default_factory=ScaleDownRules, description="How fast the target may fall."
    )


class Panic(ApiModel):
    """A sudden rise of demand: the pool follows it sooner, and shrinks later."""

    threshold_percent: int = Field(
        default=200,
        ge=110,
        le=1000,
        description="It begins when the demand of the last windowSeconds, on average, is so many"
        " percent of the agents that are ready.",
    )
    window_seconds: int = Field(
        default=6,
        ge=1,
        le=600,
        description="Seconds of demand that are looked at. While it lasts, scaleUp has no longer"
        " stabilization window than this.",
    )
    stable_window_seconds: int = Field(
        default=60,
        ge=0,
        le=MAX_WINDOW_SECONDS,
        description="The target does not fall before demand was below the threshold for so long.",
    )


def _spare(value: int | str) -> int | str:
    good = (
        0 <= value <= MAX_REPLICAS
        if isinstance(value, int)
        else re.fullmatch(PERCENTAGE_PATTERN, value)
    )
    if not good:
        raise PydanticCustomError("spare", _SPARE)
    return value


_SPARE = "must be a number from 0 to 10000, or a percentage from 1% to 99%"
IntOrPercent = Annotated[
    int | str,
    AfterValidator(_spare),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            VALIDATIONS: [
                cel(
                    "type(self) == int ? (self >= 0 && self <= 10000)"
                    f" : self.matches('{PERCENTAGE_PATTERN}')",
                    _SPARE,
                )
            ],
        }
    ),
]


class Scaling(ApiModel):
    """The built-in autoscaler."""

    model_config = ConfigDict(
        json_schema_extra=validated(
            cel(
                "self.minReplicas <= self.maxReplicas",
                "must not be greater than maxReplicas",
                path=".minReplicas",
            )
        )
    )

    min_replicas: int = Field(
        default=0,
        ge=0,
        le=MAX_REPLICAS,
        description="Agents that the pool has at least. With 0 it has none while nobody asks for"
        " any, and is woken at once by a Task.",
    )
    max_replicas: int = Field(
        ge=1, le=MAX_REPLICAS, description="Agents that the pool has at most."
    )
    idle: IntOrPercent = Field(
        default=0,
        description="Idle agents kept beside the busy ones: a number, or a percentage of all.",
    )
    policies: Annotated[
        tuple[ScalingPolicy, ...],
        Strict(strict=False),
        Field(min_length=1, max_length=MAX_POLICIES),
    ] = Field(
        default=(ScalingPolicy(type=PolicyType.TASKS),),
        description="Reasons to have agents. The one that asks for most wins.",
    )
    fallback: Fallback | None = Field(
        default=None,
        description="What a metric of Prometheus or External asks for while it cannot be had. If"
        " not set, the target does not fall meanwhile.",
    )
    panic: Panic = Field(
        default_factory=Panic, description="What a sudden rise of demand is, and changes."
    )
    behavior: Behavior = Field(
        default_factory=Behavior, description="How fast the target may rise and fall."
    )
    paused: bool = Field(default=False, description="The target stays as it is.")
    paused_scale_in: bool = Field(default=False, description="The target does not fall.")
    paused_scale_out: bool = Field(default=False, description="The target does not rise.")
    paused_replicas: int | None = Field(
        default=None,
        ge=0,
        le=MAX_REPLICAS,
        description="The target is this number, whatever the rest says, minReplicas and maxReplicas"
        " included.",
    )


class ScalingDecision(ApiModel):
    """One change of a pool's target."""

    time: Timestamp = Field(description="When it was decided.")
    previous_replicas: Count = Field(description="The target before.")
    target_replicas: Count = Field(description="The target since then.")
    reason: Reason = Field(description="What decided it: one CamelCase word.")
    message: Message = Field(default="", description="The same for people.")


class ScalingDemand(ApiModel):
    """What one policy asks for."""

    policy: str = Field(
        max_length=MAX_LABEL_LENGTH, description="Field of `spec.scaling`, e.g. policies[0]."
    )
    reason: Reason = Field(description="Type of the policy, or IdleBuffer.")
    replicas: Count = Field(description="Agents that it asks for.")
    message: Message = Field(default="", description="Why, for people.")


ScalingDemands = Annotated[
    tuple[ScalingDemand, ...], Strict(strict=False), Field(max_length=MAX_POLICIES + 1)
]
ScalingDecisions = Annotated[
    tuple[ScalingDecision, ...], Strict(strict=False), Field(max_length=MAX_DECISIONS_KEPT)
]
