"""Every metric: name, labels, meaning. The reference is generated from here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from agentcorps.api.meta import AgentPhase, TaskPhase, TaskReason
from agentcorps.api.scaling import LimitedBy
from agentcorps.api.scaling_policy import PolicyType
from agentcorps.control.losses import LossReason
from agentcorps.core.actions import HISTORY_LIMIT, TTL_EXPIRED

OTHER: Final = "Other"
"""Stands for every reason that is not the operator's own: agents may make up any number."""
UNKNOWN_POOL: Final = "_unknown"
"""Stands for every pool that does not exist: Tasks may name as many as they like. No pool can bear
this name."""

POOL: Final = ("namespace", "pool")
LABELS: Final = {
    "namespace": "Namespace of the pool, or of the quota.",
    "pool": (
        "Name of the AgentPool; empty for Tasks with an `agentSelector` and Agents that stand "
        "alone; "
        f"`{UNKNOWN_POOL}` for Tasks whose pool does not exist."
    ),
    "phase": "Phase of the Task or the Agent, as `status.phase` names it.",
    "outcome": "Terminal phase of the Task.",
    "quota": "Name of the ResourceQuota.",
    "resource": "Resource of the quota, such as `requests.cpu`.",
    "direction": "`up` or `down`.",
    "verb": "HTTP method, or `WATCH`.",
    "code": "HTTP status code, or `error` where there was no answer.",
    "loop": "Name of the operator's loop.",
    "kind": "Kind of the watched objects.",
    "version": "Version of the operator.",
}
"""What each label says; that of ``reason`` differs from metric to metric."""


class Type(StrEnum):
    """Types of metrics."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric."""

    name: str
    type: Type
    help: str
    labels: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()
    """All values of its label ``reason`` or ``phase``."""
    buckets: tuple[float, ...] = ()
    """Upper bounds, in seconds."""
    everywhere: bool = False
    """Whether a replica that does not lead has it, too."""


def _gauge(name: str, told: str, *labels: str, words: frozenset[str] = frozenset()) -> Definition:
    return Definition(f"agentcorps_{name}", Type.GAUGE, told, labels, words)


def _counter(name: str, told: str, *labels: str, words: frozenset[str] = frozenset()) -> Definition:
    return Definition(f"agentcorps_{name}_total", Type.COUNTER, told, labels, words)


_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LONG_SECONDS: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
_TASK_WORDS: Final = frozenset({*TaskReason, OTHER})

TASKS: Final = _gauge(
    "tasks", "Tasks there are.", *POOL, "phase", words=frozenset(phase.value for phase in TaskPhase)
)
AGENTS: Final = _gauge(
    "agents",
    "Agents there are. Busy are those that a Task is bound to.",
    *POOL,
    "phase",
    words=frozenset(phase.value for phase in AgentPhase),
)
TARGET: Final = _gauge(
    "pool_target_replicas", "Agents that the pool is to have, quotas apart.", *POOL
)
DESIRED: Final = _gauge(
    "pool_desired_replicas",
    "Agents that the highest policy of the pool asks for, before limits and behavior; "
    "spec.replicas of a pool that does not scale itself.",
    *POOL,
)
READY: Final = _gauge("pool_ready_replicas", "Agents of the pool that are Idle or Busy.", *POOL)
GRANTED: Final = _gauge(
    "pool_granted_replicas",
    "Agents that the quotas of the namespace leave to the pool: its share. Absent without a quota.",
    *POOL,
)
SHARE: Final = _gauge(
    "pool_share_ratio",
    "Largest part of any resource of the namespace's quotas that the pool's pods take: its "
    "dominant share, of 1. Absent without a quota.",
    *POOL,
)
LIMITED: Final = _gauge(
    "pool_limited",
    "1 for what keeps the pool from the agents that it asks for (status.limitedBy), 0 for the "
    "rest.",
    *POOL,
    "reason",
    words=frozenset(reason.value for reason in LimitedBy if reason is not LimitedBy.NONE),
)
FAILING: Final = _gauge(
    "pool_failing_metrics", "Policies of the pool whose metric cannot be had.", *POOL
)
_QUOTA: Final = ("namespace", "quota", "resource")
QUOTA_USED: Final = _gauge(
    "quota_used", "What is used of a ResourceQuota, in namespaces that have pools.", *_QUOTA
)
QUOTA_HARD: Final = _gauge("quota_hard", "The limit of it.", *_QUOTA)

LEADER: Final = Definition(
    "agentcorps_leader", Type.GAUGE, "1 if this replica leads, else 0.", everywhere=True
)
WATCH_AGE: Final = Definition(
    "agentcorps_watch_age_seconds",
    Type.GAUGE,
    "Time since the API server last confirmed what this replica knows of a kind; of several "
    "watches the oldest.",
    ("kind",),
    everywhere=True,
)
BUILD: Final = Definition(
    "agentcorps_build_info", Type.GAUGE, "Always 1.", ("version",), everywhere=True
)

FINISHED: Final = _counter(
    "tasks_finished",
    "Tasks that ended. Reasons that agents make up count as `Other`.",
    *POOL,
    "outcome",
    "reason",
    words=_TASK_WORDS,
)
REQUEUES: Final = _counter(
    "task_requeues",
    "Attempts after whose end the Task went back to the queue.",
    *POOL,
    "reason",
    words=_TASK_WORDS,
)
DELETED: Final = _counter(
    "tasks_deleted",
    "Finished Tasks that the operator deleted.",
    *POOL,
    "reason",
    words=frozenset({TTL_EXPIRED, HISTORY_LIMIT, OTHER}),
)
CONFLICTS: Final = _counter(
    "bind_conflicts", "Bindings that the API server refused, because the Task had changed."
)
LOST: Final = _counter(
    "agent_lost",
    "Agents that were gone, or no good, though they should have been there.",
    *POOL,
    "reason",
    words=frozenset({*LossReason, OTHER}),
)
SCALED: Final = _counter(
    "scaling_decisions",
    "Changes of the target of a pool that scales itself, by what decided them.",
    *POOL,
    "direction",
    "reason",
    words=frozenset({*PolicyType, "IdleBuffer", "MinReplicas", "Paused", "PausedReplicas", OTHER}),
)
REQUESTS: Final = Definition(
    "agentcorps_api_requests_total",
    Type.COUNTER,
    "Requests to the API server, those of kopf's watches apart.",
    ("verb", "code"),
    everywhere=True,
)
LOOP_FAILURES: Final = _counter("loop_failures", "Steps of a loop that failed.", "loop")

QUEUE_SECONDS: Final = Definition(
    "agentcorps_task_queue_seconds",
    Type.HISTOGRAM,
    "Time for which a Task had waited when it was bound: since its creation (kept in whole "
    "seconds: up to one too few) or the end of its last attempt.",
    POOL,
    buckets=_LONG_SECONDS,
)
BIND_SECONDS: Final = Definition(
    "agentcorps_task_bind_seconds",
    Type.HISTOGRAM,
    "Time from the decision to bind a Task to the API server's answer that it is.",
    buckets=_SECONDS,
)
RUN_SECONDS: Final = Definition(
    "agentcorps_task_run_seconds",
    Type.HISTOGRAM,
    "Duration of an attempt, however it ended.",
    POOL,
    buckets=_LONG_SECONDS,
)
LOOP_SECONDS: Final = Definition(
    "agentcorps_loop_seconds",
    Type.HISTOGRAM,
    "Duration of a step of a loop, the writes that it waits for included.",
    ("loop",),
    buckets=(0.001, *_SECONDS),
)

DEFINITIONS: Final = (
    TASKS,
    AGENTS,
    TARGET,
    DESIRED,
    READY,
    GRANTED,
    SHARE,
    LIMITED,
    FAILING,
    QUOTA_USED,
    QUOTA_HARD,
    FINISHED,
    REQUEUES,
    DELETED,
    QUEUE_SECONDS,
    BIND_SECONDS,
    RUN_SECONDS,
    CONFLICTS,
    LOST,
    SCALED,
    LOOP_SECONDS,
    LOOP_FAILURES,
    REQUESTS,
    WATCH_AGE,
    LEADER,
    BUILD,
)
