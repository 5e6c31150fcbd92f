"""Why a Task is where it is: the operator's own explanation, computed from listed objects."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from agentcorps.api.kinds import AGENT, AGENT_POOL, TASK
from agentcorps.api.meta import LABEL_POOL, TaskPhase
from agentcorps.cli.errors import InputError, NotFoundError
from agentcorps.cli.model import status_of
from agentcorps.core.defaults import adopt, to_api
from agentcorps.core.fields import Malformed
from agentcorps.core.story import next_step
from agentcorps.core.waiting import rank
from agentcorps.core.why import candidates_from_objects, explain
from agentcorps.core.wire import agent_record, pool_record, task_record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentcorps.cli.cluster import Cluster
    from agentcorps.cli.model import Object
    from agentcorps.core.records import Limits, PoolRecord, TaskRecord


def explain_task(cluster: Cluster, task: Object, now_wall: float) -> Object:
    """Read what decides about a Task, and say why it is where it is.

    Args:
        cluster: Where the Task is.
        task: The Task.
        now_wall: Seconds since the Unix epoch.

    Raises:
        InputError: The Task's status cannot be read.
    """
    try:
        record = task_record(task)
    except Malformed as error:
        raise InputError(
            f"task {task['metadata']['name']!r} cannot be explained: {error}"
        ) from error
    pool = _pool(cluster, record.pool)
    known = _pool_record(pool)
    record = adopt(record, known)
    running = _tasks(cluster, record.pool, TaskPhase.RUNNING)
    queued = _tasks(cluster, record.pool, TaskPhase.QUEUED)
    agents = [] if pool is None else _agents(cluster, record.pool)
    why = explain(
        record,
        pool_exists=pool is not None,
        pool_replicas=0 if known is None else known.replicas,
        candidates=candidates_from_objects(agents, running),
        now_wall=now_wall,
        queue_ahead=_ahead(record, queued),
    )
    return {
        "namespace": record.key.namespace,
        "name": record.key.name,
        "pool": record.pool,
        "phase": record.phase.value,
        "reason": why.reason,
        "message": why.message,
        "next": next_step(record) if record.attempts or record.terminal else "",
        "attempt": record.attempt,
        "failures": record.failures,
        "crashes": record.crashes,
        "retryLimit": record.retry_limit,
        "limits": _limits(record),
        "attempts": status_of(task).get("attempts", []),
        "agents": [{"name": name, "verdict": verdict} for name, verdict in why.filters],
    }


def _pool(cluster: Cluster, name: str) -> Object | None:
    try:
        return cluster.get(AGENT_POOL, name)
    except NotFoundError:
        return None


def _pool_record(pool: Object | None) -> PoolRecord | None:
    if pool is not None:
        with suppress(Malformed):
            return pool_record(pool)
    return None


def _limits(record: TaskRecord) -> Object:
    """Return the limits that hold, and where each comes from."""
    values = {
        "queueTimeoutSeconds": record.queue_timeout_seconds,
        "timeoutSeconds": record.timeout_seconds,
        "retry.limit": record.retry_limit,
        "retry.backoffSeconds": record.backoff_seconds,
        "retry.maxBackoffSeconds": record.max_backoff_seconds,
        "retry.reasons": sorted(record.retry_reasons),
        "ttlSecondsAfterFinished": record.ttl_seconds,
    }
    own, inherited = _set_names(record.own), _set_names(record.inherited)
    if record.queue_timeout_seconds is not None:
        own = own | {"queueTimeoutSeconds"}
    return {
        name: {
            "value": value,
            "from": "Task" if name in own else "AgentPool" if name in inherited else "built in",
        }
        for name, value in values.items()
    }


def _set_names(limits: Limits) -> frozenset[str]:
    told = to_api(limits)
    return frozenset(told) | {f"retry.{name}" for name in told.get("retry", ())}


def _agents(cluster: Cluster, pool: str) -> list[Object]:
    found = []
    for item in cluster.list_all(AGENT, cluster.namespace, labelSelector=f"{LABEL_POOL}={pool}"):
        with suppress(Malformed):
            if agent_record(item).pool == pool:
                found.append(item)
    return found


def _tasks(cluster: Cluster, pool: str, phase: TaskPhase) -> list[TaskRecord]:
    query = f"spec.pool={pool},status.phase={phase.value}"
    records = []
    for page in cluster.pages(TASK, cluster.namespace, fieldSelector=query):
        for item in page["items"]:
            with suppress(
                Malformed
            ):  # another Task that cannot be read says nothing about this one
                records.append(task_record(item))
    return records


def _ahead(record: TaskRecord, queued: Iterable[TaskRecord]) -> int:
    if record.phase is not TaskPhase.QUEUED:
        return 0
    return sum(1 for other in queued if rank(other) < rank(record))
