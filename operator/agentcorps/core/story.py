"""What Events and ``agentcorps task why`` say: what comes after an attempt, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.api.meta import RetryReason, TaskPhase, TaskReason
from agentcorps.core.conditions import timestamp
from agentcorps.core.lifecycle import not_before

if TYPE_CHECKING:
    from agentcorps.core.records import TaskRecord


def last_attempt(task: TaskRecord, cause: str = "") -> str:
    """Tell how the last attempt ended, and what comes next.

    Args:
        task: A Task with an attempt that ended.
        cause: Why it ended, for people; never what an agent said.
    """
    last = task.attempts[-1]
    told = f": {cause}" if cause else ""
    return (
        f"attempt {last.attempt} on agent {last.agent_name} ended with {last.reason}{told};"
        f" {next_step(task)}"
    )


def unreadable(kind: str, name: str, why: str) -> str:
    """Tell that an object cannot be read, and what to do about it.

    Args:
        kind: Of the object, such as ``Task``.
        name: Of the object.
        why: What is wrong, beginning with the field.
    """
    edit = f"kubectl edit {kind.lower()} {name}"
    if why.startswith("status"):
        edit += " --subresource=status"
    return (
        f"{why}: the operator leaves this {kind} alone until it can read it; correct that"
        f" ({edit}), or delete the {kind}"
    )


def next_step(task: TaskRecord) -> str:
    """Tell what comes next for a Task: another attempt and when, or why there is none."""
    if task.terminal:
        why = _why_no_more(task)
        return f"the Task has ended as {task.phase.value}{': ' if why else ''}{why}"
    if task.phase is TaskPhase.RUNNING:
        return f"agent {task.agent_name} works on attempt {task.attempt}"
    rest = not_before(task)
    when = f"not before {timestamp(rest)}" if rest else "as soon as an agent is free"
    return f"attempt {task.attempt + 1} follows {when} ({_spent(task)})"


def _spent(task: TaskRecord) -> str:
    noun = "retry is" if task.retry_limit == 1 else "retries are"
    return f"{task.failures} of {task.retry_limit} {noun} spent"


def _why_no_more(task: TaskRecord) -> str:
    if task.phase not in {TaskPhase.FAILED, TaskPhase.TIMED_OUT} or not task.attempts:
        return ""
    if task.reason == TaskReason.POISON_TASK:
        return f"{task.crashes} of its attempts ended with the death of a container"
    ended_at_work = task.reason == task.attempts[-1].reason
    # Why it ended while it waited, its message says.
    return _why_not_again(task) if ended_at_work else ""


def _why_not_again(task: TaskRecord) -> str:
    if task.reason in _RESULT_NOT_KEPT:
        return "its result cannot be kept where spec.resultTo asks for it"
    if task.retry_limit == 0 and (task.failures or task.reason in _UNCOUNTED):
        return "it is executed at most once (retry.limit is 0)"
    if task.failures > task.retry_limit:
        return f"no retry is left ({_spent(task)})"
    if task.reason in _COUNTED and task.reason not in task.retry_reasons:
        return f"retry.reasons does not name {task.reason}"
    return "the agent said that trying again would not help"


_COUNTED = frozenset(RetryReason)
_RESULT_NOT_KEPT = frozenset({TaskReason.RESULT_REFUSED, TaskReason.SECRETS_DISABLED})
_UNCOUNTED = frozenset({TaskReason.AGENT_STOPPED, TaskReason.EVICTED})
