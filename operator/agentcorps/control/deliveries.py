"""Hands bound tasks to agents: into the open poll, or into the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.api.meta import TaskPhase
from agentcorps.api.protocol import TaskDelivery
from agentcorps.control.mailbox import Mailbox
from agentcorps.core import wire
from agentcorps.ports import Kind, NotFound

if TYPE_CHECKING:
    from collections.abc import Collection

    from agentcorps.api.protocol import TaskRef
    from agentcorps.core.records import Key, Now, TaskRecord
    from agentcorps.core.state import State
    from agentcorps.ports import Clock, Cluster, Object


class Deliveries:
    """Mailboxes of all agent processes (``ports.Delivery``)."""

    def __init__(self, state: State, cluster: Cluster, clock: Clock) -> None:
        """Inputs are not kept in memory: what is handed over again is read from the cluster."""
        self._state = state
        self._cluster = cluster
        self._clock = clock
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

    def hand_over(self, record: TaskRecord, stored: Object) -> None:
        """Deliver a task by the object that the binding write returned (it carries the input)."""
        self.deliver(
            record.agent, record.agent_instance, self._delivery(record, stored, self._clock.now())
        )

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
        fresh = wire.task_record(stored)
        if fresh.uid != record.uid or not _current(fresh, record.attempt):
            self._state.observe_task(fresh, now)
            return None
        return self._delivery(record, stored, now)

    def _delivery(self, record: TaskRecord, stored: Object, now: Now) -> TaskDelivery:
        started = self._state.started_monotonic(record.uid)
        elapsed = 0.0 if started is None else now.monotonic - started
        return TaskDelivery(
            name=record.key.name,
            namespace=record.key.namespace,
            uid=record.uid,
            attempt=record.attempt,
            requires=sorted(record.requires),
            input=stored["spec"].get("input") or {},
            remaining_seconds=max(0.0, record.timeout_seconds - elapsed),
        )


def _current(record: TaskRecord, attempt: int) -> bool:
    return record.phase is TaskPhase.RUNNING and record.attempt == attempt
