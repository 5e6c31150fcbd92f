"""Legal transitions of a Task: pure functions from record to record.

A terminal phase never changes. Whoever writes a status writes the record that one of these returns.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from agentcorps.api.meta import TaskPhase, TaskReason
from agentcorps.api.names import MAX_INPUT_BYTES, clip_message
from agentcorps.api.task import MAX_ATTEMPT_MESSAGE_LENGTH, MAX_ATTEMPTS_KEPT, MAX_CRASHES
from agentcorps.core.records import Attempt

if TYPE_CHECKING:
    from agentcorps.core.records import Key, Now, TaskRecord

NO_FAULT: Final = frozenset(
    {TaskReason.AGENT_STOPPED, TaskReason.NOT_DELIVERED, TaskReason.EVICTED}
)
"""Ends of an attempt that say nothing against the pair of task and agent."""
_NO_BACKOFF: Final = NO_FAULT | {TaskReason.AGENT_LOST}
"""Ends of an attempt that say nothing against the task, so that it may be tried again at once."""


class IllegalTransition(Exception):
    """The Task's phase does not allow this transition."""


class Stale(Exception):
    """A report does not come from the current binding of the Task."""


def bind(record: TaskRecord, agent: Key, pod_uid: str, instance: str, now: Now) -> TaskRecord:
    """Queued → Running: give the Task to a process of an agent; this begins the next attempt.

    Raises:
        IllegalTransition: The Task is not waiting, is to end without running, or is in another
            namespace.
    """
    _require(record, TaskPhase.QUEUED)
    problem = refusal(record)
    if record.cancel or problem is not None:
        raise IllegalTransition(f"Task {record.key} is to end without being bound")
    if agent.namespace != record.key.namespace:
        raise IllegalTransition(f"Task {record.key} cannot be bound to agent {agent}")
    return _written(
        record,
        phase=TaskPhase.RUNNING,
        reason=TaskReason.BOUND,
        message="",
        attempt=record.attempt + 1,
        agent_name=agent.name,
        pod_uid=pod_uid,
        agent_instance=instance,
        started_at=now.wall,
        progress_percent=None,
        progress_message="",
    )


def succeed(record: TaskRecord, now: Now) -> TaskRecord:
    """Running → Succeeded: the agent delivered a result.

    Raises:
        IllegalTransition: The Task is not running.
    """
    _require(record, TaskPhase.RUNNING)
    return _ended(record, TaskPhase.SUCCEEDED, TaskReason.COMPLETED, "", now)


def fail(record: TaskRecord, reason: str, message: str, now: Now) -> TaskRecord:
    """Running → Failed: trying again would not help.

    Raises:
        IllegalTransition: The Task is not running.
    """
    _require(record, TaskPhase.RUNNING)
    return _ended(record, TaskPhase.FAILED, reason, message, now)


def requeue(
    record: TaskRecord,
    reason: str,
    message: str,
    *,
    counted: bool,
    now: Now,
    crashed: bool = False,
) -> TaskRecord:
    """Running → Queued: end the attempt, or the Task if it may not be tried again.

    A counted end spends one of ``retry.limit``; beyond it, or with a reason that ``retry.reasons``
    does not name, the Task is Failed, or TimedOut after a timeout. An uncounted end spends none,
    but with a limit of 0 a Task that may have been started is not started again: only one that
    never reached its agent is. A Task whose attempts killed several containers is given up.

    Args:
        record: The Task.
        reason: Why the attempt ended, in one word.
        message: The same for people.
        counted: Whether that spends one of ``retry.limit``.
        now: This instant.
        crashed: Whether a container of the agent died in the attempt.

    Raises:
        IllegalTransition: The Task is not running.
    """
    _require(record, TaskPhase.RUNNING)
    failures, crashes = record.failures + counted, record.crashes + crashed
    spent = replace(record, failures=failures, crashes=crashes)
    if crashes >= MAX_CRASHES:
        told = f"{crashes} of its attempts ended with the death of a container: {message}"
        ended = _ended(spent, TaskPhase.FAILED, TaskReason.POISON_TASK, told, now)
        return replace(ended, attempts=_with_attempt(record, reason, message, now))
    if not _may_be_tried_again(spent, reason, counted=counted):
        phase = TaskPhase.TIMED_OUT if reason == TaskReason.TIMEOUT else TaskPhase.FAILED
        return _ended(spent, phase, reason, message, now)
    return _written(
        record,
        phase=TaskPhase.QUEUED,
        reason=reason,
        message=clip_message(message),
        failures=failures,
        crashes=crashes,
        attempts=_with_attempt(record, reason, message, now),
        progress_percent=None,
        progress_message="",
    )


def cancel(record: TaskRecord, now: Now) -> TaskRecord:
    """Queued or Running → Cancelled.

    Raises:
        IllegalTransition: The Task has ended.
    """
    _require(record, TaskPhase.QUEUED, TaskPhase.RUNNING)
    message = "cancelled while it ran" if record.phase is TaskPhase.RUNNING else "cancelled"
    return _ended(record, TaskPhase.CANCELLED, TaskReason.CANCELLED, message, now)


def refuse(record: TaskRecord, reason: str, message: str, now: Now) -> TaskRecord:
    """Queued → Failed: the Task can never be bound.

    Raises:
        IllegalTransition: The Task is not waiting.
    """
    _require(record, TaskPhase.QUEUED)
    return _ended(record, TaskPhase.FAILED, reason, message, now)


def expire(record: TaskRecord, message: str, now: Now) -> TaskRecord:
    """Queued → TimedOut: no agent took the Task in the time that it may wait.

    Raises:
        IllegalTransition: The Task is not waiting.
    """
    _require(record, TaskPhase.QUEUED)
    return _ended(record, TaskPhase.TIMED_OUT, TaskReason.QUEUE_TIMEOUT, message, now)


def explain(record: TaskRecord, reason: str, message: str) -> TaskRecord:
    """Say why the Task waits.

    Raises:
        IllegalTransition: The Task is not waiting.
    """
    _require(record, TaskPhase.QUEUED)
    return _written(record, reason=reason, message=clip_message(message))


def progress(record: TaskRecord, percent: int | None, message: str) -> TaskRecord:
    """Note how far the agent says it is.

    Raises:
        IllegalTransition: The Task is not running.
    """
    _require(record, TaskPhase.RUNNING)
    return _written(record, progress_percent=percent, progress_message=clip_message(message))


def fence(record: TaskRecord, attempt: int, pod_uid: str, instance: str) -> None:
    """Let a report pass only from the process that holds the current attempt.

    Raises:
        Stale: The report belongs to another attempt, pod or process, or the Task is not running.
    """
    if record.phase is not TaskPhase.RUNNING:
        raise Stale(f"Task {record.key} is {record.phase}, not Running")
    if record.attempt != attempt:
        raise Stale(f"Task {record.key} is at attempt {record.attempt}, not {attempt}")
    if record.pod_uid != pod_uid:
        raise Stale(f"attempt {attempt} of Task {record.key} belongs to another pod")
    if record.agent_instance != instance:
        raise Stale(f"attempt {attempt} of Task {record.key} belongs to another process")


def refusal(record: TaskRecord) -> tuple[TaskReason, str] | None:
    """Reason and message why a Task can never be bound; None when it can."""
    if record.invalid:
        return TaskReason.INVALID_OBJECT, record.invalid
    if record.input_bytes > MAX_INPUT_BYTES:
        message = (
            f"spec.input takes {record.input_bytes} bytes as JSON, more than {MAX_INPUT_BYTES}:"
            " keep large input elsewhere and pass a reference to it"
        )
        return TaskReason.INPUT_TOO_LARGE, message
    return None


def not_before(record: TaskRecord) -> float:
    """Wall time before which a waiting Task is not bound again; 0.0 when it need not wait.

    A timeout or an agent's error waits min(maxBackoffSeconds, backoffSeconds·2^(failures-1)) from
    the end of the attempt; the loss of an agent says nothing against the task, so it is no cause to
    wait.
    """
    if not record.attempts or record.failures < 1 or record.attempts[-1].reason in _NO_BACKOFF:
        return 0.0
    # 2^17 seconds are longer than any bound; larger exponents would only overflow.
    doublings = min(record.failures - 1, 17)
    wait = min(record.max_backoff_seconds, record.backoff_seconds * 2**doublings)
    return record.attempts[-1].finished_at + wait if wait else 0.0


def avoided_agent(record: TaskRecord) -> str:
    """Name of the agent that just lost or failed the Task; empty when there is none."""
    if not record.attempts or record.attempts[-1].reason in NO_FAULT:
        return ""
    return record.attempts[-1].agent_name


def _may_be_tried_again(spent: TaskRecord, reason: str, *, counted: bool) -> bool:
    if spent.retry_limit == 0:
        return not counted and reason == TaskReason.NOT_DELIVERED
    if not counted:
        return True
    return spent.failures <= spent.retry_limit and reason in spent.retry_reasons


def _require(record: TaskRecord, *phases: TaskPhase) -> None:
    if record.phase not in phases:
        wanted = " or ".join(phases)
        raise IllegalTransition(f"Task {record.key} is {record.phase}, not {wanted}")


def _ended(record: TaskRecord, phase: TaskPhase, reason: str, message: str, now: Now) -> TaskRecord:
    ran = record.phase is TaskPhase.RUNNING
    return _written(
        record,
        phase=phase,
        reason=reason,
        message=clip_message(message),
        finished_at=now.wall,
        attempts=_with_attempt(record, reason, message, now) if ran else record.attempts,
    )


def _with_attempt(record: TaskRecord, reason: str, message: str, now: Now) -> tuple[Attempt, ...]:
    started = now.wall if record.started_at is None else record.started_at
    told = clip_message(message)[:MAX_ATTEMPT_MESSAGE_LENGTH]
    ended = Attempt(record.attempt, record.agent_name, started, now.wall, reason, told)
    return (*record.attempts, ended)[-MAX_ATTEMPTS_KEPT:]


def _written(record: TaskRecord, **changes: Any) -> TaskRecord:
    """The record as the next write of its status leaves it."""
    return replace(record, observed_generation=record.generation, **changes)
