"""Observes what the feeds and handlers bring: update the state, wake the loops that care."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from agentcorps.api.meta import TaskPhase
from agentcorps.core import wire
from agentcorps.core.records import Key
from agentcorps.ports import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agentcorps.control.deliveries import Deliveries
    from agentcorps.control.kicks import Kicks
    from agentcorps.control.losses import Losses
    from agentcorps.control.unreadable import Unreadable
    from agentcorps.core.quota_record import QuotaRecord
    from agentcorps.core.records import AgentRecord, PodRecord, PoolRecord, TaskRecord
    from agentcorps.core.state import State
    from agentcorps.ports import Clock, Object

DELETED, LISTED = "DELETED", "LISTED"
Record = TypeVar("Record", "TaskRecord", "PodRecord")
Decoded = TypeVar("Decoded", "AgentRecord", "PoolRecord", "QuotaRecord")


class Observer:
    """The one place where news of the cluster enters the state."""

    def __init__(
        self,
        state: State,
        deliveries: Deliveries,
        clock: Clock,
        kicks: Kicks,
        unreadable: Unreadable,
        pod_gone: Callable[[str], None],
        losses: Losses,
    ) -> None:
        """``pod_gone`` is told the UID of each pod that is gone (its identity is forgotten)."""
        self._state = state
        self._deliveries = deliveries
        self._clock = clock
        self._kicks = kicks
        self.unreadable = unreadable
        self._pod_gone = pod_gone
        self._losses = losses

    def task_event(self, event: str, record: TaskRecord) -> None:
        """One watch event of a Task."""
        before = self._state.task(record.uid)
        self.unreadable.is_well(record.uid)
        if event == DELETED:
            self._state.forget_task(record.uid)
        elif not self._state.observe_task(record, self._clock.now()):
            return
        ours = self._state.in_flight(record.uid)
        if before is not None and before.phase is TaskPhase.RUNNING and not ours:
            self._wake_if_over(before)
        self._kicks.assign()
        self._kicks.autoscale()
        self._kicks.statuses()

    def tasks_listed(
        self, records: Sequence[TaskRecord], version: int, namespace: str | None
    ) -> None:
        """A consistent list of Tasks: what is absent is gone."""
        held = [task for task in self._state.tasks.values() if task.phase is TaskPhase.RUNNING]
        others = _elsewhere(self._state.tasks.values(), namespace)
        self._state.replace_tasks([*records, *others], self._clock.now(), version)
        for record in records:
            self.unreadable.is_well(record.uid)
        for before in held:
            self._wake_if_over(before)
        self._kicks.all()

    def pod_event(self, event: str, record: PodRecord) -> None:
        """One watch event of a Pod that bears the operator's label."""
        self.unreadable.is_well(record.uid)
        if event == DELETED:
            known = self._state.pods.get(record.key)
            if known is not None and known.uid == record.uid:
                self._state.observe_pod(record)  # its last words: how its containers ended
            self._state.forget_pod(record.key, record.uid)
            self._pod_left(record)
        else:
            self._state.observe_pod(record)
        self._kicks.all()

    def pods_listed(
        self, records: Sequence[PodRecord], version: int, namespace: str | None
    ) -> None:
        """A consistent list of the operator's Pods: what is absent is gone."""
        before = list(self._state.pods.values())
        self._state.replace_pods([*records, *_elsewhere(before, namespace)], version)
        for pod in before:
            now = self._state.pods.get(pod.key)
            if now is None or now.uid != pod.uid:
                self._pod_left(pod)
        self._kicks.all()

    def agent_event(self, event: str, obj: Object) -> None:
        """One watch event of an Agent."""
        record = self._read(Kind.AGENT, wire.agent_record, event, obj)
        if record is None:
            return
        if event == DELETED:
            self.absent(Kind.AGENT, record.key, record.uid)
        elif self._state.observe_agent(record):
            self._kicks.all()

    def pool_event(self, event: str, obj: Object) -> None:
        """One watch event of an AgentPool."""
        record = self._read(Kind.POOL, wire.pool_record, event, obj)
        if record is None:
            return
        if event == DELETED:
            self.absent(Kind.POOL, record.key, record.uid)
        elif self._state.observe_pool(record):
            self._kicks.all()

    def quota_event(self, event: str, obj: Object) -> None:
        """One watch event of a ResourceQuota."""
        record = self._read(Kind.QUOTA, wire.quota_record, event, obj)
        if record is None:
            return
        if event == DELETED:
            self.absent(Kind.QUOTA, record.key, record.uid)
        elif self._state.observe_quota(record):
            self._kicks.fleet()

    def agents_listed(self, objects: Iterable[Object]) -> None:
        """All Agents, at the start."""
        for obj in objects:
            self.agent_event(LISTED, obj)

    def pools_listed(self, objects: Iterable[Object]) -> None:
        """All AgentPools, at the start."""
        for obj in objects:
            self.pool_event(LISTED, obj)

    def quotas_listed(self, objects: Iterable[Object]) -> None:
        """All ResourceQuotas, at the start."""
        for obj in objects:
            self.quota_event(LISTED, obj)

    def not_read(self, kind: Kind, event: str, obj: Object, why: str) -> None:
        """An object that makes no record: it is as if it were not there."""
        if event == DELETED:
            self.unreadable.gone(obj)
            return
        before = self.unreadable.leave_out(kind, obj, why)
        if before is not None:
            self._wake_if_over(before)
        self._kicks.all()

    def absent(self, kind: Kind, key: Key, uid: str) -> None:
        """An Agent, AgentPool or ResourceQuota is gone."""
        if kind is Kind.AGENT:
            self._state.forget_agent(key, uid)
            self._deliveries.wake(key)
        elif kind is Kind.QUOTA:
            self._state.forget_quota(key, uid)
        else:
            self._state.forget_pool(key, uid)
        self._kicks.all()

    def _read(
        self, kind: Kind, decode: Callable[[Object], Decoded], event: str, obj: Object
    ) -> Decoded | None:
        try:
            record = decode(obj)
        except wire.Malformed as error:
            self.not_read(kind, event, obj, str(error))
            return None
        self.unreadable.is_well(record.uid)
        return record

    def _wake_if_over(self, before: TaskRecord) -> None:
        """Answer the agent's poll when an attempt that it may hold has ended without its report."""
        now = self._state.task(before.uid)
        if now is None or now.phase is not TaskPhase.RUNNING or now.attempt != before.attempt:
            self._deliveries.wake(before.agent)

    def _pod_left(self, pod: PodRecord) -> None:
        self._pod_gone(pod.uid)
        self._losses.gone(pod)
        agent = Key(pod.key.namespace, pod.agent_name)
        session = self._state.sessions.get(agent)
        if session is not None and session.pod_uid == pod.uid:
            self._state.close_session(agent)
            self._deliveries.close_box(agent)


def _elsewhere(known: Iterable[Record], namespace: str | None) -> list[Record]:
    """What a list of one namespace cannot tell about."""
    return [] if namespace is None else [one for one in known if one.key.namespace != namespace]
