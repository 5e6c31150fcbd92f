"""The policies of an autoscaler: what a pool may ask for agents by."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field, Strict

from agentcorps.api.meta import ApiModel
from agentcorps.api.metrics import (
    DEFAULT_POLLING_SECONDS,
    DEFAULT_TIMEOUT_SECONDS,
    MAX_QUERY_LENGTH,
    ExternalMetric,
    MetricsAuthentication,
    MetricsTls,
    MetricTarget,
    ServerAddress,
)
from agentcorps.api.names import MAX_REPLICAS
from agentcorps.api.rules import cel, matches, validated

MAX_SCHEDULE_SECONDS = 31 * 86400
CRON_PATTERN = r"^[-A-Za-z0-9*,/#]+( +[-A-Za-z0-9*,/#]+){4}$"
TIME_ZONE_PATTERN = "^[A-Za-z][A-Za-z0-9+_/-]*$"


class PolicyType(StrEnum):
    """What a policy asks for agents by."""

    TASKS = "Tasks"
    SCHEDULE = "Schedule"
    PROMETHEUS = "Prometheus"
    EXTERNAL = "External"


_FIELDS: Final = {
    ("Tasks",): ("tasksPerAgent", "maxWaitSeconds"),
    ("Schedule",): ("schedule", "timeZone", "replicas", "durationSeconds"),
    ("Prometheus",): ("serverAddress", "query", "authentication", "tls"),
    ("External",): ("metric",),
    ("Prometheus", "External"): ("target", "timeoutSeconds", "pollingIntervalSeconds"),
}
"""Which fields fit which types of policy."""
_NEEDED: Final = {
    "Schedule": ("schedule", "replicas", "durationSeconds"),
    "Prometheus": ("serverAddress", "query", "target"),
    "External": ("metric", "target"),
}


def _only(types: tuple[str, ...], field: str) -> dict[str, str]:
    fits = " || ".join(f"self.type == '{one}'" for one in types)
    message = f"fits a policy of type {' or '.join(types)} only"
    return cel(f"{fits} || !has(self.{field})", message, path=f".{field}")


def _needs(kind: str, fields: tuple[str, ...]) -> dict[str, str]:
    *some, last = fields
    there = " && ".join(f"has(self.{field})" for field in fields)
    message = f"a policy of type {kind} needs {', '.join(some)} and {last}"
    return cel(f"self.type != '{kind}' || ({there})", message)


def _https(field: str, message: str) -> dict[str, str]:
    safe = "!has(self.serverAddress) || self.serverAddress.startsWith('https://')"
    return cel(f"!has(self.{field}) || {safe}", message, path=f".{field}")


class ScalingPolicy(ApiModel):
    """One reason to have agents; of several the one that asks for most wins."""

    model_config = ConfigDict(
        json_schema_extra=validated(
            *(_only(types, field) for types, fields in _FIELDS.items() for field in fields),
            *(_needs(kind, fields) for kind, fields in _NEEDED.items()),
            _https("authentication", "a token is sent over https only: change serverAddress"),
            _https("tls", "has no effect on a serverAddress without https"),
        )
    )

    type: Annotated[PolicyType, Strict(strict=False)] = Field(
        description="Tasks: as many agents as the queued and running Tasks need. Schedule: at least"
        " so many agents at certain times. Prometheus: as many as it takes for the result of a"
        " query to meet a target. External: the same for a metric of external.metrics.k8s.io."
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
    server_address: ServerAddress | None = Field(
        default=None, description="Prometheus: address of the server, without /api/v1/query."
    )
    query: Annotated[str, Field(min_length=1, max_length=MAX_QUERY_LENGTH)] | None = Field(
        default=None, description="Prometheus: a PromQL expression whose result is one number."
    )
    authentication: MetricsAuthentication | None = Field(
        default=None, description="Prometheus: the bearer token that is sent, if any."
    )
    tls: MetricsTls | None = Field(
        default=None, description="Prometheus: how the server proves itself over https."
    )
    metric: ExternalMetric | None = Field(
        default=None, description="External: which metric of external.metrics.k8s.io."
    )
    target: MetricTarget | None = Field(
        default=None, description="Prometheus, External: what the metric should be."
    )
    timeout_seconds: int | None = Field(
        default=None,
        ge=1,
        le=60,
        description="Prometheus, External: after so long without an answer a reading has failed;"
        f" {DEFAULT_TIMEOUT_SECONDS} if not set.",
    )
    polling_interval_seconds: int | None = Field(
        default=None,
        ge=1,
        le=3600,
        description="Prometheus, External: time between two readings;"
        f" {DEFAULT_POLLING_SECONDS} if not set.",
    )
