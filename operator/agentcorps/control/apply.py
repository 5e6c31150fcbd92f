"""Carries out decisions on Tasks. Starting is synchronous: the next decision sees it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from agentcorps.api.meta import TaskPhase, TaskReason
from agentcorps.control.blame import blame
from agentcorps.control.retold import attempt_ended
from agentcorps.core import lifecycle
from agentcorps.core.actions import Bind, DeleteTask, Explain, Finish, FollowGeneration, Requeue
from agentcorps.core.defaults import adopt
from agentcorps.core.why import LACKING
from agentcorps.ports import ClusterError, Kind, Note

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from agentcorps.control.deliveries import Deliveries
    from agentcorps.control.remembered import Remembered
    from agentcorps.control.task_writes import TaskWrites
    from agentcorps.core.actions import TaskAction
    from agentcorps.core.records import TaskRecord
    from agentcorps.core.state import State
    from agentcorps.ports import Clock, EventSink, Object

log = structlog.get_logger(__name__)

MAX_CONCURRENT_CHORES: Final = 8
"""Deletes and the like leave most of the connection to bindings and reports."""


class TaskApplier:
    """Starts the writes of the assignment loop."""

    def __init__(
        self,
        state: State,
        writes: TaskWrites,
        deliveries: Deliveries,
        events: EventSink,
        clock: Clock,
        remembered: Remembered,
    ) -> None:
        self._state = state
        self._writes = writes
        self._deliveries = deliveries
        self._events = events
        self._clock = clock
        self._remembered = remembered
        self._chores: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(MAX_CONCURRENT_CHORES)

    def start(self, action: TaskAction) -> None:
        """Start one action; what the Task's present state does not allow any more is left out."""
        match action:
            case Bind():
                self._bind(action)
            case Requeue():
                self._requeue(action)
            case Finish():
                self._finish(action)
            case Explain():
                self._explain(action)
            case FollowGeneration():
                self._chore(action.task_uid, self._follow(action.task_uid))
            case DeleteTask():
                self._chore(action.task_uid, self._delete(action.task_uid, action.reason))

    def works_on(self, uid: str) -> bool:
        """Whether a write or a deletion of this Task is under way."""
        return uid in self._chores or self._state.in_flight(uid)

    def _bind(self, action: Bind) -> None:
        now = self._clock.now()
        record = self._state.task(action.task_uid)
        plain = record is None or not record.payload_elsewhere
        courier = None if plain else self._deliveries.courier(self._ended)
        self._writes.begin(
            action.task_uid,
            lambda record: lifecycle.bind(
                self._limited(record), action.agent, action.pod_uid, action.instance, now
            ),
            prepare=None if courier is None else courier.prepare,
            then=self._deliveries.hand_over if courier is None else courier.deliver,
        )

    def _explain(self, action: Explain) -> None:
        self._writes.begin(
            action.task_uid,
            lambda record: lifecycle.explain(record, action.reason, action.message),
            then=self._explained if action.reason in LACKING else None,
        )

    def _explained(self, after: TaskRecord, _stored: Object) -> None:
        """What a Task lacks of its own is somebody's to mend: tell them."""
        self._events.emit(
            Note(
                kind=Kind.TASK,
                key=after.key,
                uid=after.uid,
                reason=after.reason,
                action="Wait",
                message=after.message,
                warning=True,
            )
        )

    def _requeue(self, action: Requeue) -> None:
        now = self._clock.now()

        def again(record: TaskRecord) -> TaskRecord:
            _same_attempt(record, action.attempt)
            return lifecycle.requeue(
                record,
                action.reason,
                action.message,
                counted=action.counted,
                now=now,
                crashed=action.crashed,
            )

        self._writes.begin(
            action.task_uid, again, then=lambda after, _: self._attempt_ended(after, action)
        )

    def _finish(self, action: Finish) -> None:
        now = self._clock.now()

        def end(record: TaskRecord) -> TaskRecord:
            _same_attempt(record, action.attempt)
            if action.phase is TaskPhase.CANCELLED:
                return lifecycle.cancel(self._limited(record), now)
            if action.phase is TaskPhase.TIMED_OUT:
                return lifecycle.expire(self._limited(record), action.message, now)
            return lifecycle.refuse(self._limited(record), action.reason, action.message, now)

        self._writes.begin(action.task_uid, end, then=self._ended)

    def _limited(self, record: TaskRecord) -> TaskRecord:
        """A waiting Task with its pool's defaults as they are now."""
        return adopt(record, self._state.pools.get(record.pool_key))

    def _attempt_ended(self, after: TaskRecord, action: Requeue) -> None:
        """The operator ended an attempt: stop the agent, tell the people."""
        self._deliveries.wake(after.agent)
        agent = self._state.agents.get(after.agent)
        guilty = action.crashed or action.reason == TaskReason.TIMEOUT
        if guilty and agent is not None:
            blame(self._state, self._remembered, agent)
        self._events.emit(attempt_ended(after, action.message))

    def _ended(self, after: TaskRecord, _stored: Object) -> None:
        """The operator ended a Task: stop the agent, tell the people."""
        if after.agent_name:
            self._deliveries.wake(after.agent)
        if after.reason == TaskReason.QUEUE_FULL:
            # They come in floods, which would push out the Events that tell something new.
            return
        self._events.emit(
            Note(
                kind=Kind.TASK,
                key=after.key,
                uid=after.uid,
                reason=after.reason or after.phase.value,
                action="Finish",
                message=after.message or f"task is {after.phase.value}",
                warning=after.phase is not TaskPhase.CANCELLED,
                related=after.agent if after.agent_name else None,
            )
        )

    def _chore(self, uid: str, work: Coroutine[None, None, None]) -> None:
        """Run a seldom write beside the others, at most one per Task."""
        if uid in self._chores:
            work.close()
            return
        chore = asyncio.create_task(work, name=f"task-chore {uid}")
        self._chores[uid] = chore
        chore.add_done_callback(lambda _: self._chores.pop(uid, None))

    async def _follow(self, uid: str) -> None:
        record = self._state.task(uid)
        if record is None:
            return
        try:
            async with self._room:
                await self._writes.follow_generation(record)
        except (ClusterError, lifecycle.IllegalTransition) as error:
            log.warning("observedGeneration not written", task=str(record.key), why=str(error))

    async def _delete(self, uid: str, reason: str) -> None:
        record = self._state.task(uid)
        if record is None:
            return
        try:
            async with self._room:
                await self._writes.delete(record, reason)
        except ClusterError as error:
            log.warning("finished task not deleted", task=str(record.key), why=str(error))


def _same_attempt(record: TaskRecord, attempt: int) -> None:
    if record.attempt != attempt:
        message = f"attempt {attempt} has ended"
        raise lifecycle.IllegalTransition(message)
