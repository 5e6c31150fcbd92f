"""Hands bound tasks to agents: into the open poll, or into the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentcorps.api.meta import TaskPhase, TaskReason
from agentcorps.api.protocol import TaskDelivery
from agentcorps.control.courier import Courier
from agentcorps.control.mailbox import Mailbox
from agentcorps.core.actions import Requeue
from agentcorps.core.payloads import Unusable
from agentcorps.ports import Kind, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from agentcorps.api.protocol import TaskRef
    from agentcorps.control.payloads import Payloads
    from agentcorps.control.unreadable import Unreadable
    from agentcorps.core.records import Key, Now, TaskRecord
    from agentcorps.core.state import State
    from agentcorps.ports import Clock, Cluster, Object


class Deliveries:
    """Mailboxes of all agent processes (``ports.Delivery``)."""

    def __init__(
        self,
        state: State,
        cluster: Cluster,
        clock: Clock,
        payloads: Payloads,
        unreadable: Unreadable,
        give_back: Callable[[Requeue], None],
    ) -> None:
        """Inputs are not kept in memory: what is handed over again is read from the cluster.

        ``give_back`` returns a bound Task to the queue whose input is gone meanwhile.
        """
        self._state = state
        self._cluster = cluster
        self._clock = clock
        self._payloads = payloads
        self._unreadable = unreadable
        self._give_back = give_back
        self._boxes: dict[Key, Mailbox] = {}

    def open_box(self, agent: Key, instance: str) -> Mailbox:
        """The mailbox of this process; what waited for an earlier one is dropped."""
        box = self._boxes.get(agent)
        if box is None or box.instance != instance:
            if box is not None:
                box.wake()
            box = self._boxes[agent] = Mailbox(instance)
        return box

    def close_box(self, agent: Key) -> None:
        """Forget the mailbox of an agent that is gone."""
        box = self._boxes.pop(agent, None)
        if box is not None:
            box.wake()

    def deliver(self, agent: Key, instance: str, task: TaskDelivery) -> None:
        """Put a task whose binding is written into the agent's mailbox."""
        box = self._boxes.get(agent)
        if box is not None and box.instance == instance:
            box.put(task)

    def wake(self, agent: Key) -> None:
        """Answer the agent's poll now."""
        box = self._boxes.get(agent)
        if box is not None:
            box.wake()

    def hand_over(
        self, record: TaskRecord, stored: Object, fetched: dict[str, Any] | None = None
    ) -> None:
        """Deliver a task by the object that the binding write returned.

        That carries the input, unless it had to be ``fetched`` from elsewhere.
        """
        delivery = self._delivery(record, stored, fetched, self._clock.now())
        self.deliver(record.agent, record.agent_instance, delivery)

    def courier(self, refused: Callable[[TaskRecord, Object], None]) -> Courier:
        """Return who fetches the input of a Task that is to be bound, and hands it over.

        ``refused`` is told when the Task had to be ended instead.
        """
        return Courier(self._payloads, self.hand_over, refused)

    async def collect(
        self, agent: Key, instance: str, running: Collection[TaskRef]
    ) -> list[TaskDelivery]:
        """What this process has to get now: what waits, and what never arrived.

        A task that is bound to this very process, but that it does not name among those it runs,
        was lost on the way: it is handed over again, with the same attempt.
        """
        held = {(ref.uid, ref.attempt) for ref in running}
        now = self._clock.now()
        found: dict[str, TaskDelivery] = {}
        for delivery in self.open_box(agent, instance).take():
            record = self._state.task(delivery.uid)
            if record is not None and _current(record, delivery.attempt):
                found[delivery.uid] = delivery
        for record in list(self._state.bound_to(agent)):
            missing = record.agent_instance == instance and (record.uid, record.attempt) not in held
            if missing and record.uid not in found and not self._state.in_flight(record.uid):
                again = await self._read(record, now)
                if again is not None:
                    found[record.uid] = again
        return [one for one in found.values() if (one.uid, one.attempt) not in held]

    async def _read(self, record: TaskRecord, now: Now) -> TaskDelivery | None:
        try:
            stored = await self._cluster.get(Kind.TASK, record.key)
        except NotFound:
            return None
        fresh = self._unreadable.task(stored)
        if fresh is None:
            return None
        if fresh.uid != record.uid or not _current(fresh, record.attempt):
            self._state.observe_task(fresh, now)
            return None
        try:
            source = fresh.input_from
            fetched = None if source is None else await self._payloads.fetch(fresh, source)
        except Unusable as error:
            reason, told = TaskReason.NOT_DELIVERED.value, error.message
            self._give_back(Requeue(fresh.uid, fresh.attempt, reason, told, counted=False))
            return None
        return self._delivery(record, stored, fetched, now)

    def _delivery(
        self, record: TaskRecord, stored: Object, fetched: dict[str, Any] | None, now: Now
    ) -> TaskDelivery:
        started = self._state.started_monotonic(record.uid)
        elapsed = 0.0 if started is None else now.monotonic - started
        return TaskDelivery(
            name=record.key.name,
            namespace=record.key.namespace,
            uid=record.uid,
            attempt=record.attempt,
            requires=sorted(record.requires),
            input=(stored["spec"].get("input") or {}) if fetched is None else fetched,
            remaining_seconds=max(0.0, record.timeout_seconds - elapsed),
        )


def _current(record: TaskRecord, attempt: int) -> bool:
    return record.phase is TaskPhase.RUNNING and record.attempt == attempt
