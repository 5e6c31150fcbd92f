"""The built-in autoscaler of an AgentPool: names, defaults and bounds of `spec.scaling`.

`behavior` has the names, defaults and meaning of autoscaling/v2.
"""

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, Strict, WithJsonSchema
from pydantic_core import PydanticCustomError

from agentcorps.api.meta import ApiModel, Count, Message, Reason, Timestamp
from agentcorps.api.names import MAX_LABEL_LENGTH, MAX_REPLICAS
from agentcorps.api.rules import VALIDATIONS, cel, matches, validated

MAX_POLICIES = 16
MAX_RATE_POLICIES = 8
MAX_WINDOW_SECONDS = 3600
MAX_PERIOD_SECONDS = 1800
MAX_SCHEDULE_SECONDS = 31 * 86400
MAX_DECISIONS_KEPT = 10
PERCENTAGE_PATTERN = "^[1-9][0-9]?%$"
CRON_PATTERN = r"^[-A-Za-z0-9*,/#]+( +[-A-Za-z0-9*,/#]+){4}$"
TIME_ZONE_PATTERN = "^[A-Za-z][A-Za-z0-9+_/-]*$"


class PolicyType(StrEnum):
    """What a policy asks for agents by."""

    TASKS = "Tasks"
    SCHEDULE = "Schedule"


class LimitedBy(StrEnum):
    """What keeps a pool's target from what its policies ask for."""

    NONE = "None"
    MAX_REPLICAS = "MaxReplicas"
    QUOTA = "Quota"
    BEHAVIOR = "Behavior"
    PAUSED = "Paused"


_ONLY_TASKS = "self.type == 'Tasks' || !has(self.{})"
_ONLY_SCHEDULE = "self.type == 'Schedule' || !has(self.{})"


class ScalingPolicy(ApiModel):
    """One reason to have agents; of several the one that asks for most wins."""

    model_config = ConfigDict(
        json_schema_extra=validated(
            *(
                cel(_ONLY_TASKS.format(name), "fits a policy of type Tasks only", path=f".{name}")
                for name in ("tasksPerAgent", "maxWaitSeconds")
            ),
            *(
                cel(
                    _ONLY_SCHEDULE.format(name),
                    "fits a policy of type Schedule only",
                    path=f".{name}",
                )
                for name in ("schedule", "timeZone", "replicas", "durationSeconds")
            ),
            cel(
                "self.type != 'Schedule' ||"
                " (has(self.schedule) && has(self.replicas) && has(self.durationSeconds))",
                "a policy of type Schedule needs schedule, replicas and durationSeconds",
            ),
        )
    )

    type: Annotated[PolicyType, Strict(strict=False)] = Field(
        description="Tasks: as many agents as the queued and running Tasks need. Schedule: at least"
        " so many agents at certain times."
    )
    tasks_per_agent: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Tasks: queued and running Tasks for each slot of an agent; 1 if not set.",
    )
    max_wait_seconds: int | None = Field(
        default=None,
        ge=1,
        le=604800,
        description="Tasks: as many agents as it takes for the last Task in the queue to wait no"
        " longer, at the rate at which Tasks were served lately. Until that is known,"
        " tasksPerAgent decides.",
    )
    schedule: (
        Annotated[
            str,
            Field(
                max_length=128,
                json_schema_extra=matches(
                    CRON_PATTERN, "must be a cron expression of five fields, e.g. 0 8 * * 1-5"
                ),
            ),
        ]
        | None
    ) = Field(default=None, description="Schedule: when it begins, as a cron expression.")
    time_zone: (
        Annotated[
            str,
            Field(
                max_length=64,
                json_schema_extra=matches(
                    TIME_ZONE_PATTERN, "must be the name of a time zone, e.g. Europe/Berlin"
                ),
            ),
        ]
        | None
    ) = Field(
        default=None, description="Schedule: the time zone of the cron expression; UTC if not set."
    )
    replicas: int | None = Field(
        default=None,
        ge=1,
        le=MAX_REPLICAS,
        description="Schedule: agents that the pool has at least while it lasts.",
    )
    duration_seconds: int | None = Field(
        default=None,
        ge=60,
        le=MAX_SCHEDULE_SECONDS,
        description="Schedule: how long it lasts each time.",
    )


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
