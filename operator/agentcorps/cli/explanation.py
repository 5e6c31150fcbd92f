"""Why a Task is where it is: the operator's own explanation, computed from listed objects."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from agentcorps.api.kinds import AGENT, AGENT_POOL, TASK
from agentcorps.api.meta import LABEL_POOL, ConditionStatus, ConditionType, TaskPhase
from agentcorps.api.names import DEFAULT_AGING_SECONDS
from agentcorps.cli.errors import InputError, NotFoundError
from agentcorps.cli.model import status_of
from agentcorps.core.conditions import find
from agentcorps.core.defaults import adopt, to_api
from agentcorps.core.fields import Malformed
from agentcorps.core.label_selector import selector_text
from agentcorps.core.staffing import Staffing, staffing
from agentcorps.core.story import next_step, unreadable
from agentcorps.core.why import candidates_from_objects, explain, tasks_ahead
from agentcorps.core.wire import agent_record, pool_record, task_record

if TYPE_CHECKING:
    from agentcorps.cli.cluster import Cluster
    from agentcorps.cli.model import Object
    from agentcorps.core.records import Limits, PoolRecord, TaskRecord
    from agentcorps.core.why import Why


def explain_task(
    cluster: Cluster, task: Object, now_wall: float, aging_seconds: float = DEFAULT_AGING_SECONDS
) -> Object:
    """Read what decides about a Task, and say why it is where it is.

    Args:
        cluster: Where the Task is.
        task: The Task.
        now_wall: Seconds since the Unix epoch.
        aging_seconds: What the operator is set to.

    Raises:
        InputError: The Task's status cannot be read.
    """
    record = _record(task)
    pool = _pool(cluster, record.pool) if record.pool else None
    known = _pool_record(pool)
    record = adopt(record, known)
    running = _tasks(cluster, record, TaskPhase.RUNNING)
    waits = record.phase is TaskPhase.QUEUED
    queued = _tasks(cluster, record, TaskPhase.QUEUED) if waits else []
    agents = [] if record.pool and pool is None else _agents(cluster, record)
    ahead = tasks_ahead(record, queued, aging_seconds, now_wall)
    why = explain(
        record,
        pool=_staffing(pool, known),
        candidates=candidates_from_objects(agents, running),
        now_wall=now_wall,
        queue_ahead=ahead,
    )
    return _told(task, record, why, ahead) | {"poolTrouble": _trouble(pool)}


def _record(task: Object) -> TaskRecord:
    try:
        return task_record(task)
    except Malformed as error:
        name = task["metadata"]["name"]
        told = unreadable(TASK.kind, name, str(error))
        raise InputError(f"task {name!r} cannot be explained: {told}") from error


def _told(task: Object, record: TaskRecord, why: Why, ahead: int) -> Object:
    return {
        "namespace": record.key.namespace,
        "name": record.key.name,
        "pool": record.pool,
        "agentSelector": selector_text(record.selector),
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
        "ahead": ahead,
        "filters": [cut._asdict() for cut in why.cuts],
        "agents": [{"name": name, "verdict": verdict} for name, verdict in why.verdicts],
    }


def _pool(cluster: Cluster, name: str) -> Object | None:
    try:
        return cluster.get(AGENT_POOL, name)
    except NotFoundError:
        return None


def _trouble(pool: Object | None) -> str:
    """Why a pool is not as it should be, as its own status says; empty when it is."""
    ready = {} if pool is None else find(status_of(pool), ConditionType.READY)
    if ready.get("status", ConditionStatus.TRUE) == ConditionStatus.TRUE:
        return ""
    return f"{ready.get('reason', '')}: {ready.get('message', '')}"


def _pool_record(pool: Object | None) -> PoolRecord | None:
    if pool is not None:
        with suppress(Malformed):
            return pool_record(pool)
    return None


def _staffing(pool: Object | None, known: PoolRecord | None) -> Staffing | None:
    if pool is None:
        return None
    return Staffing(0) if known is None else staffing(known, known.told_target)


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


def _agents(cluster: Cluster, task: TaskRecord) -> list[Object]:
    query = f"{LABEL_POOL}={task.pool}" if task.pool else selector_text(task.selector)
    found = []
    for item in cluster.list_all(AGENT, cluster.namespace, labelSelector=query):
        with suppress(Malformed):
            if not task.pool or agent_record(item).pool == task.pool:
                found.append(item)
    return found


def _tasks(cluster: Cluster, task: TaskRecord, phase: TaskPhase) -> list[TaskRecord]:
    """Tasks in a phase: the Queued ones that may stand in line with it, or all that run."""
    query = f"status.phase={phase.value}"
    if task.pool and phase is TaskPhase.QUEUED:
        query = f"spec.pool={task.pool},{query}"
    records = []
    for page in cluster.pages(TASK, cluster.namespace, fieldSelector=query):
        for item in page["items"]:
            with suppress(
                Malformed
            ):  # another Task that cannot be read says nothing about this one
                records.append(task_record(item))
    return records
