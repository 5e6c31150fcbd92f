"""Writes of Task.status: one in flight per Task, fenced by resourceVersion, never repeated blindly.

A write is a pure transition applied to what is known, then sent. If somebody wrote in between (409)
or the answer was lost, the Task is read before anything else, and its next transition is decided
anew.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from agentcorps.api.meta import TaskPhase
from agentcorps.control.drafts import Draft, NotApplied
from agentcorps.core import wire
from agentcorps.core.lifecycle import IllegalTransition
from agentcorps.ports import (
    UNMETERED,
    ClusterError,
    Conflict,
    Kind,
    NotFound,
    Object,
    Refused,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentcorps.control.drafts import Prepare
    from agentcorps.control.payloads import Payloads
    from agentcorps.control.unreadable import Unreadable
    from agentcorps.core.records import TaskRecord
    from agentcorps.core.state import State
    from agentcorps.ports import Clock, Cluster, Meter

log = structlog.get_logger(__name__)

MAX_CONCURRENT_WRITES: Final = 64
REFUSED_PAUSE_SECONDS: Final = 5.0
"""Rest of a Task whose write was refused: a hot loop would not change any mind."""
READ_BACKOFF_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
REPORT_TRIES: Final = 8
"""How often a report is judged anew after somebody else wrote the Task."""


class _Written(NamedTuple):
    record: TaskRecord
    stored: Object


class TaskWrites:
    """The only writer of Task.status."""

    def __init__(
        self,
        state: State,
        cluster: Cluster,
        clock: Clock,
        payloads: Payloads,
        unreadable: Unreadable,
        kick: Callable[[], None],
        *,
        meter: Meter = UNMETERED,
    ) -> None:
        """``kick`` is called after each write, whatever came of it."""
        self._state = state
        self._cluster = cluster
        self._clock = clock
        self._payloads = payloads
        self._unreadable = unreadable
        self._kick = kick
        self._meter = meter
        self._room = asyncio.Semaphore(MAX_CONCURRENT_WRITES)
        self._flights: dict[str, asyncio.Task[_Written]] = {}

    def begin(
        self,
        uid: str,
        transition: Callable[[TaskRecord], TaskRecord],
        *,
        prepare: Prepare | None = None,
        then: Callable[[TaskRecord, Object], None] | None = None,
    ) -> bool:
        """Start a write that a decision asked for; returns False when the Task moved on meanwhile.

        ``prepare`` is done first and has the last word on what is written. ``then`` gets the new
        record and the stored object once the API server has said yes. When it says no, nothing is
        called: the Task has been read again and the next decision sees it.
        """
        before = self._state.task(uid)
        if before is None or self._state.in_flight(uid):
            return False
        try:
            after = transition(before)
        except IllegalTransition as error:
            log.info("decision came too late", task=str(before.key), uid=uid, why=str(error))
            return False
        flight = self._fly(before, Draft(after), prepare)
        flight.add_done_callback(partial(self._landed, task=before, then=then))
        return True

    async def report(
        self,
        uid: str,
        transition: Callable[[TaskRecord], TaskRecord],
        *,
        result: object = wire.ABSENT,
    ) -> TaskRecord:
        """Write what an agent reported, judged anew against each fresh state.

        A result that belongs into a Secret is put there first; if that cannot be, the returned
        Task has failed.

        Raises:
            IllegalTransition: (or what ``transition`` raises) the report does not fit the Task.
            NotFound: the Task is gone.
            NotApplied: others kept writing the Task.
            ClusterError: the API server refused or did not answer.
        """
        for _ in range(REPORT_TRIES):
            await self._quiet(uid)
            before = self._state.task(uid)
            if before is None:
                raise NotFound(uid)
            after = transition(before)
            if after == before:
                return before
            flight = self._fly(before, Draft(after, result), self._keep(before, result))
            # The agent may hang up meanwhile: what became of the write must not go unnoticed.
            flight.add_done_callback(partial(self._landed, task=before, then=None))
            try:
                written = await asyncio.shield(flight)
            except NotApplied:
                continue
            return written.record
        message = f"Task {uid} was written by others {REPORT_TRIES} times in a row"
        raise NotApplied(message)

    async def refresh(self, record: TaskRecord) -> TaskRecord | None:
        """Read a Task into the state; None when it is gone or cannot be read."""
        try:
            stored = await self._cluster.get(Kind.TASK, record.key)
        except NotFound:
            self._state.forget_task(record.uid)
            return None
        return self._observe(stored, record.uid)

    async def follow_generation(self, record: TaskRecord) -> None:
        """Bring observedGeneration of a finished Task up, leaving its result as it is."""
        stored = await self._cluster.get(Kind.TASK, record.key)
        metadata = stored["metadata"]
        if metadata["uid"] != record.uid:
            self._state.forget_task(record.uid)
            return
        status = {**stored["status"], "observedGeneration": metadata["generation"]}
        version = int(metadata["resourceVersion"])
        self._observe(
            await self._cluster.replace_status(Kind.TASK, record.key, version, status), record.uid
        )

    async def delete(self, record: TaskRecord, reason: str) -> None:
        """Delete a finished Task that is still as it was when this was decided.

        Raises:
            ClusterError: the API server refused or did not answer.
        """
        version = record.resource_version
        try:
            await self._cluster.delete(
                Kind.TASK, record.key, uid=record.uid, resource_version=version
            )
        except NotFound:
            self._state.forget_task(record.uid)
        except Conflict:
            await self.refresh(record)
        else:
            self._state.forget_task(record.uid)
            self._meter.task_deleted(record, reason)

    async def drain(self) -> None:
        """Wait until no write is in flight (for an orderly stop)."""
        while self._flights:
            await asyncio.wait(list(self._flights.values()))

    async def _quiet(self, uid: str) -> None:
        while flight := self._flights.get(uid):
            await asyncio.wait([flight])

    def _keep(self, before: TaskRecord, result: object) -> Prepare | None:
        if result is wire.ABSENT or not before.result_secret:
            return None
        return partial(self._payloads.keep, result=result)

    def _fly(
        self, before: TaskRecord, draft: Draft, prepare: Prepare | None
    ) -> asyncio.Task[_Written]:
        self._state.assume(draft.record)
        flight = asyncio.create_task(
            self._commit(before, draft, prepare), name=f"task-write {before.key}"
        )
        self._flights[before.uid] = flight
        return flight

    def _landed(
        self,
        flight: asyncio.Task[_Written],
        task: TaskRecord,
        then: Callable[[TaskRecord, Object], None] | None,
    ) -> None:
        if flight.cancelled():
            return
        error = flight.exception()
        if error is None:
            if then is not None:
                then(*flight.result())
        elif not isinstance(error, ClusterError):
            log.error("task write failed", task=str(task.key), uid=task.uid, exc_info=error)

    async def _commit(self, before: TaskRecord, draft: Draft, prepare: Prepare | None) -> _Written:
        began = self._clock.now().monotonic
        lasted = began - self._since(before, began)
        try:
            if prepare is not None:
                draft = await prepare(before, draft.record)
            async with self._room:
                stored = await self._send(before, draft)
            self._observe(stored, before.uid)
            took = self._clock.now().monotonic - began
            self._meter.task_written(before, draft.record, lasted, took)
            return _Written(draft.record, stored)
        finally:
            self._state.settle(before.uid)
            del self._flights[before.uid]
            self._kick()

    def _since(self, record: TaskRecord, now: float) -> float:
        """Monotonic time since which a Task waits or runs."""
        timers = self._state.timers
        ask = timers.waits_since if record.phase is TaskPhase.QUEUED else timers.phase_began
        since = ask(record.uid)
        return now if since is None else since

    async def _send(self, before: TaskRecord, draft: Draft) -> Object:
        status = wire.task_status(draft.record, result=draft.result)
        try:
            return await self._cluster.replace_status(
                Kind.TASK, before.key, before.resource_version, status
            )
        except NotFound as error:
            await self._read_until_answered(before)
            raise NotApplied(str(error)) from error
        except (Conflict, Unavailable) as error:
            return await self._find_out(before, draft.record, error)
        except Refused as error:
            log.warning(
                "the API server refused a Task status",
                task=str(before.key),
                status=error.status,
                reason=error.reason,
            )
            await asyncio.sleep(REFUSED_PAUSE_SECONDS)
            raise

    async def _find_out(
        self, before: TaskRecord, after: TaskRecord, error: Conflict | Unavailable
    ) -> Object:
        """Somebody else wrote, or the answer was lost: our write may have happened all the same.

        After a conflict, too: an HTTP client repeats a PUT by itself when the connection breaks
        before the answer, and the second one then meets the first.
        """
        if isinstance(error, Unavailable):
            await asyncio.sleep(error.retry_after or 0)
        stored = await self._read_until_answered(before)
        if stored is not None and _bears(wire.task_record(stored), after):
            return stored
        if isinstance(error, Conflict) and after.attempt > before.attempt:
            self._meter.bind_conflict()
        raise NotApplied(str(error)) from error

    async def _read_until_answered(self, record: TaskRecord) -> Object | None:
        tries = 0
        while True:
            try:
                stored = await self._cluster.get(Kind.TASK, record.key)
            except NotFound:
                self._state.forget_task(record.uid)
                return None
            except ClusterError as error:
                pause = READ_BACKOFF_SECONDS[min(tries, len(READ_BACKOFF_SECONDS) - 1)]
                log.warning(
                    "cannot read a Task",
                    task=str(record.key),
                    why=str(error),
                    retry_in_seconds=pause,
                )
                await asyncio.sleep(pause)
                tries += 1
                continue
            return stored if self._observe(stored, record.uid) is not None else None

    def _observe(self, stored: Object, uid: str) -> TaskRecord | None:
        """Take in a stored object; None when it cannot be read, or is another Task."""
        record = self._unreadable.task(stored)
        if record is None:
            return None
        self._state.observe_task(record, self._clock.now())
        return record if record.uid == uid else None


def _bears(stored: TaskRecord, intended: TaskRecord) -> bool:
    """Whether a stored Task shows that the intended write has happened."""
    return _outcome(stored) == _outcome(intended)


def _outcome(record: TaskRecord) -> tuple[Any, ...]:
    return (
        record.uid,
        record.phase,
        record.reason,
        record.attempt,
        record.failures,
        record.progress_percent,
        record.agent_name,
        record.pod_uid,
        record.agent_instance,
    )
