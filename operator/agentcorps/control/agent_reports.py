"""What agents report of their attempts. Only the current binding's report counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import structlog

from agentcorps.api.meta import RetryReason, TaskPhase, TaskReason
from agentcorps.api.names import MAX_RESULT_BYTES
from agentcorps.api.protocol import Directives
from agentcorps.control.blame import blame, praise
from agentcorps.control.refusals import ProtocolError, unavailable
from agentcorps.control.retold import attempt_ended
from agentcorps.core import lifecycle, wire
from agentcorps.ports import ClusterError, NotFound, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentcorps.api.protocol import CompleteRequest, FailRequest, ProgressRequest, TaskRef
    from agentcorps.control.gatekeeper import Caller, Gatekeeper
    from agentcorps.control.progress import ProgressBook
    from agentcorps.control.remembered import Remembered
    from agentcorps.control.task_writes import TaskWrites
    from agentcorps.core.records import TaskRecord
    from agentcorps.core.state import State
    from agentcorps.ports import Clock, EventSink, PodIdentity

log = structlog.get_logger(__name__)

_RETRYABLE: Final = frozenset(RetryReason)
"""Reasons that stand for themselves; any other one is an AgentError."""


class AgentReports:
    """Takes reports, fenced by (uid, attempt, pod UID, instance)."""

    def __init__(
        self,
        state: State,
        gatekeeper: Gatekeeper,
        writes: TaskWrites,
        progress: ProgressBook,
        remembered: Remembered,
        events: EventSink,
        clock: Clock,
    ) -> None:
        """Reports need no session: they stay valid over a change of leader."""
        self._state = state
        self._gatekeeper = gatekeeper
        self._writes = writes
        self._progress = progress
        self._remembered = remembered
        self._events = events
        self._clock = clock

    async def progress(
        self, identity: PodIdentity, ref: TaskRef, body: ProgressRequest
    ) -> Directives:
        """Note how far an attempt is; written to the Task now and then."""
        caller = await self._admit(identity, body.instance)
        record = await self._find(caller, ref)
        try:
            lifecycle.fence(record, ref.attempt, caller.pod.uid, body.instance)
        except lifecycle.Stale as error:
            raise _stale(error) from error
        self._progress.note(record, body.percent, body.message)
        return self._directives(caller)

    async def complete(
        self, identity: PodIdentity, ref: TaskRef, body: CompleteRequest
    ) -> Directives:
        """Finish a Task with its result; answers only after the terminal write. Idempotent."""
        caller = await self._admit(identity, body.instance)
        _require_small(body.result)

        def succeed(record: TaskRecord) -> TaskRecord:
            if _finished_by(record, ref, caller, body.instance):
                return record
            lifecycle.fence(record, ref.attempt, caller.pod.uid, body.instance)
            return lifecycle.succeed(record, self._clock.now())

        after = await self._write(caller, ref, succeed, result=body.result)
        if caller.agent is not None:
            praise(self._state, self._remembered, caller.agent)
        if after.phase is not TaskPhase.SUCCEEDED:
            self._events.emit(attempt_ended(after, after.message))
            raise ProtocolError(422, after.reason, after.message)
        return self._directives(caller)

    async def fail(self, identity: PodIdentity, ref: TaskRef, body: FailRequest) -> Directives:
        """End an attempt that did not work out: again if it is retryable and retries are left."""
        caller = await self._admit(identity, body.instance)

        def give_up(record: TaskRecord) -> TaskRecord:
            lifecycle.fence(record, ref.attempt, caller.pod.uid, body.instance)
            now = self._clock.now()
            if not body.retryable:
                return lifecycle.fail(record, body.reason, body.message, now)
            if body.reason in _RETRYABLE:
                return lifecycle.requeue(record, body.reason, body.message, counted=True, now=now)
            message = f"{body.reason}: {body.message}"
            return lifecycle.requeue(
                record, RetryReason.AGENT_ERROR, message, counted=True, now=now
            )

        after = await self._write(caller, ref, give_up)
        if caller.agent is not None and body.reason != TaskReason.AGENT_LOST:
            blame(self._state, self._remembered, caller.agent)
        self._events.emit(attempt_ended(after, _cause(body, after), again="AttemptFailed"))
        return self._directives(caller)

    async def _admit(self, identity: PodIdentity, instance: str) -> Caller:
        """The caller; its report is a sign of life, as its fence against silence counts it."""
        caller = await self._gatekeeper.admit(identity)
        session = self._state.sessions.get(caller.key)
        if session is not None and (session.pod_uid, session.instance) == (
            caller.pod.uid,
            instance,
        ):
            self._state.touch(caller.key, self._clock.now())
        return caller

    async def _write(
        self,
        caller: Caller,
        ref: TaskRef,
        transition: Callable[[TaskRecord], TaskRecord],
        *,
        result: object = wire.ABSENT,
    ) -> TaskRecord:
        await self._find(caller, ref)
        try:
            return await self._writes.report(ref.uid, transition, result=result)
        except (lifecycle.Stale, lifecycle.IllegalTransition) as error:
            raise _stale(error) from error
        except NotFound as error:
            raise _unknown(ref) from error
        except Refused as error:
            raise ProtocolError(422, error.reason, "the API server refused this result") from error
        except ClusterError as error:
            raise unavailable("the result could not be stored now; send it again") from error

    async def _find(self, caller: Caller, ref: TaskRef) -> TaskRecord:
        """The Task that a report is about, if it can be this caller's.

        The state may lag behind an earlier leader's last binding: a lower attempt is read fresh.
        """
        record = self._state.task(ref.uid)
        try:
            if record is not None and record.attempt < ref.attempt:
                record = await self._writes.refresh(record)
        except ClusterError as error:
            raise unavailable() from error
        if record is None or record.key.namespace != caller.key.namespace:
            raise _unknown(ref)
        if record.attempt == ref.attempt and record.agent_name != caller.key.name:
            log.warning(
                "agent reported a foreign task", agent=str(caller.key), task=str(record.key)
            )
            raise ProtocolError(
                403, "NotYours", f"attempt {ref.attempt} of task {ref.uid} is another agent's"
            )
        return record

    def _directives(self, caller: Caller) -> Directives:
        # With more bound to it, it is told at its next poll, together with what it has not got yet.
        drain = caller.must_drain and not self._state.bound_to(caller.key)
        return Directives(epoch=self._gatekeeper.epoch, drain=drain)


def _cause(body: FailRequest, after: TaskRecord) -> str:
    """Why an attempt failed, without the agent's own words: they may quote the input."""
    if body.reason == TaskReason.AGENT_LOST:
        return "its agent heard nothing from the operator, and stopped the work by itself"
    return "" if body.reason == after.attempts[-1].reason else body.reason


def _require_small(result: object) -> None:
    size = len(json.dumps(result, separators=(",", ":"), ensure_ascii=False).encode())
    if size > MAX_RESULT_BYTES:
        raise ProtocolError(
            413,
            "ResultTooLarge",
            f"the result has {size} bytes, at most {MAX_RESULT_BYTES} fit; return a reference",
        )


def _finished_by(record: TaskRecord, ref: TaskRef, caller: Caller, instance: str) -> bool:
    return (
        record.phase is TaskPhase.SUCCEEDED
        and record.attempt == ref.attempt
        and record.pod_uid == caller.pod.uid
        and record.agent_instance == instance
    )


def _stale(error: Exception) -> ProtocolError:
    return ProtocolError(409, "StaleAttempt", str(error))


def _unknown(ref: TaskRef) -> ProtocolError:
    return ProtocolError(
        404, "UnknownTask", f"no task with UID {ref.uid} in this agent's namespace"
    )
