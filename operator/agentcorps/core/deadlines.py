"""What is due for a Task though nobody reports it: its end, its removal, a word about its wait."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from agentcorps.api.meta import TaskPhase, TaskReason
from agentcorps.api.names import clip_message
from agentcorps.core.actions import (
    TTL_EXPIRED,
    DeleteTask,
    Explain,
    Finish,
    FollowGeneration,
    Requeue,
)
from agentcorps.core.lifecycle import not_before, refusal
from agentcorps.core.staffing import Staffing, staffing
from agentcorps.core.why import Candidate, candidates_from_state, explain, waiting_reason

if TYPE_CHECKING:
    from agentcorps.core.actions import TaskAction
    from agentcorps.core.records import Now, Target, TaskRecord
    from agentcorps.core.state import State

EXPLAIN_SECONDS: Final = 5.0
"""How long a Task waits before its status says why; most are bound earlier."""
EXPLAIN_AGAIN_SECONDS: Final = 30.0
"""How often the reason of a long wait is looked at again."""
REPEAT_SECONDS: Final = 10.0
"""After which time an action comes again whose effect was not seen."""
HANDOVER_SECONDS: Final = 30.0
"""How long a new leader waits for outcomes of attempts whose time ran out before or soon after it
began: an agent that had nobody to report to may well have finished in time. It covers the longest
pause between two tries of an agent to reach a leader."""


def due(state: State, now: Now, led_since: float = -inf) -> list[TaskAction]:
    """Decide what is due now; looks only at Tasks that changed or whose time has come.

    A Task with a write in flight is left alone: it is looked at again when that has settled.

    Args:
        state: What was observed.
        now: This instant.
        led_since: Since when (monotonic) this process leads.
    """
    look = _Look(state, now, led_since)
    actions: list[TaskAction] = []
    for uid in state.timers.take_due(now):
        record = state.task(uid)
        if record is None or state.in_flight(uid):
            continue
        action, again = look.at(record)
        state.timers.wake(uid, again)
        if action is not None:
            actions.append(action)
    return actions


def next_due(state: State) -> float | None:
    """Monotonic time at which ``due`` or ``bindings`` has work, unless something changes before."""
    times = (state.timers.next_alarm(), state.next_rest_over())
    return min((time for time in times if time is not None), default=None)


class _Look:
    """One round of looks."""

    def __init__(self, state: State, now: Now, led_since: float) -> None:
        self._state = state
        self._now = now
        self._led_since = led_since
        self._candidates: dict[Target, list[Candidate]] = {}

    def at(self, record: TaskRecord) -> tuple[TaskAction | None, float | None]:
        """What is due for a Task, and the monotonic time of the next look."""
        if record.terminal:
            return self._ended(record)
        if record.cancel:
            end = Finish(
                record.uid,
                record.attempt,
                TaskPhase.CANCELLED,
                TaskReason.CANCELLED.value,
                "spec.cancel is true",
            )
            return end, self._repeat
        return self._running(record) if record.phase is TaskPhase.RUNNING else self._queued(record)

    @property
    def _repeat(self) -> float:
        return self._now.monotonic + REPEAT_SECONDS

    def _ended(self, record: TaskRecord) -> tuple[TaskAction | None, float | None]:
        if record.generation > record.observed_generation:
            return FollowGeneration(record.uid), self._repeat
        if record.ttl_seconds is None or record.finished_at is None:
            return None, None
        left = record.finished_at + record.ttl_seconds - self._now.wall
        if left <= 0:
            return DeleteTask(record.uid, TTL_EXPIRED), self._repeat
        return None, self._now.monotonic + left

    def _running(self, record: TaskRecord) -> tuple[TaskAction | None, float | None]:
        started = self._state.started_monotonic(record.uid)
        if started is None:
            return None, None
        ends = started + record.timeout_seconds
        if started < self._led_since:
            ends = max(ends, self._led_since + HANDOVER_SECONDS)
        if self._now.monotonic < ends:
            return None, ends
        message = f"attempt {record.attempt} ran longer than {record.timeout_seconds} s"
        reason = TaskReason.TIMEOUT.value
        return Requeue(record.uid, record.attempt, reason, message, counted=True), self._repeat

    def _queued(self, record: TaskRecord) -> tuple[TaskAction | None, float | None]:
        problem = refusal(record)
        if problem is not None:
            reason, message = problem
            end = Finish(record.uid, record.attempt, TaskPhase.FAILED, reason.value, message)
            return end, self._repeat
        patience = self._patience_ends(record)
        if patience <= self._now.monotonic:
            return self._gave_up(record), self._repeat
        action, again = self._waiting(record)
        return action, min(again, patience)

    def _patience_ends(self, record: TaskRecord) -> float:
        """Monotonic time at which a Queued Task has waited for queueTimeoutSeconds."""
        since = self._state.timers.waits_since(record.uid)
        if since is None or record.queue_timeout_seconds is None:
            return inf
        rest_over = not_before(record)
        if rest_over:
            since = max(since, self._state.timers.monotonic(rest_over))
        return since + record.queue_timeout_seconds

    def _gave_up(self, record: TaskRecord) -> Finish:
        reason = self._reason(record)
        told = f": {record.message}" if record.message and record.reason == reason else ""
        message = f"not bound within {record.queue_timeout_seconds} s, {reason.value}{told}"
        cause = TaskReason.QUEUE_TIMEOUT.value
        return Finish(record.uid, record.attempt, TaskPhase.TIMED_OUT, cause, message)

    def _waiting(self, record: TaskRecord) -> tuple[Explain | None, float]:
        """A word about a wait, if there is one to say, and the monotonic time of the next look."""
        began = self._state.timers.phase_began(record.uid) or self._now.monotonic
        if self._now.monotonic < began + EXPLAIN_SECONDS:
            return None, began + EXPLAIN_SECONDS
        again = self._now.monotonic + EXPLAIN_AGAIN_SECONDS
        rest = self._state.rests.of(record.uid)
        if rest is not None and rest.reason is not None:
            known = (record.reason, record.message) == (rest.reason, clip_message(rest.message))
            told = None if known else Explain(record.uid, rest.reason.value, rest.message)
            return told, again
        reason = self._reason(record)
        if reason in {TaskReason.NO_IDLE_AGENT, record.reason}:
            return None, again
        return Explain(record.uid, reason.value, self._message(record)), again

    def _reason(self, record: TaskRecord) -> TaskReason:
        """Why a Task waits, without a look at each agent."""
        return waiting_reason(
            record,
            pool=self._pool(record),
            empty=not self._state.agents_of(record.pool_key),
            able=self._state.can(record.target, record.requires),
            now_wall=self._now.wall,
        )

    def _pool(self, record: TaskRecord) -> Staffing | None:
        pool = self._state.pools.get(record.pool_key)
        return None if pool is None else staffing(pool, self._state.targets.of(pool))

    def _message(self, record: TaskRecord) -> str:
        target = record.target
        if target not in self._candidates:
            self._candidates[target] = candidates_from_state(self._state, target)
        return explain(
            record,
            pool=self._pool(record),
            candidates=self._candidates[target],
            now_wall=self._now.wall,
            queue_ahead=0,
        ).message
