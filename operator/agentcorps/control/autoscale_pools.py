"""Decides how many agents each pool is to have that scales itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from agentcorps.core.autoscaling.decision import decide
from agentcorps.core.autoscaling.history import begin
from agentcorps.core.autoscaling.load import load_of
from agentcorps.core.scaling_status import FAILED_GET_METRIC, Scaled, changed, failures
from agentcorps.ports import UNMETERED, Kind, Note

if TYPE_CHECKING:
    from agentcorps.control.basis import Basis
    from agentcorps.control.kicks import Kicks
    from agentcorps.core.autoscaling.decision import Decision
    from agentcorps.core.autoscaling.history import History
    from agentcorps.core.records import Key, Now, PoolRecord
    from agentcorps.ports import EventSink, Meter


class AutoscalePools:
    """One step over the pools that have ``spec.scaling``; writes nothing by itself.

    `scale_agents` brings the agents to the target, `monitor_agents` tells it in the status.
    """

    def __init__(
        self, basis: Basis, events: EventSink, kicks: Kicks, meter: Meter = UNMETERED
    ) -> None:
        self._meter = meter
        self._state, self._remembered, self._clock = basis
        self._events = events
        self._kicks = kicks
        self._pools = self._state.news.of_pools(counts=True)
        self._histories: dict[Key, tuple[str, History]] = {}
        """With the UID of the pool."""

    async def step(self) -> float | None:
        """Decide; returns the seconds until time alone may change a decision."""
        now = self._clock.now()
        for key in self._pools.take_due(now.monotonic):
            pool = self._state.pools.get(key)
            known = self._histories.get(key)
            if known is not None and (pool is None or pool.uid != known[0] or not _scales(pool)):
                self._forget(key, known[0])
            if pool is not None and _scales(pool):
                due = self._decide(pool, now)
                self._pools.wake(key, None if due is None else now.monotonic + due)
            else:
                self._pools.forget(key)
        alarm = self._pools.next_alarm()
        return None if alarm is None else alarm - self._clock.now().monotonic

    def _forget(self, key: Key, uid: str) -> None:
        """The pool is gone, or does not scale itself any more."""
        del self._histories[key]
        self._remembered.scaled.pop(uid, None)
        self._state.targets.forget(uid)

    def _decide(self, pool: PoolRecord, now: Now) -> float | None:
        if pool.scaling is None:
            return None
        load = load_of(self._state, pool)
        known = self._histories.get(pool.key)
        before = begin(max(load.agents, pool.told_target), now) if known is None else known[1]
        decision, after = decide(pool.scaling, load, before, now)
        self._histories[pool.key] = pool.uid, after
        self._keep(pool, before.target, replace(decision, due_in=None), now)
        return decision.due_in

    def _keep(self, pool: PoolRecord, before: int, decision: Decision, now: Now) -> None:
        """Let everybody know what is different from the last decision."""
        known = self._remembered.scaled.get(pool.uid)
        if known is not None and known.decision == decision:
            return
        changes = tuple(pool.status.get("decisions") or ()) if known is None else known.changes
        if decision.target != before:
            changes = changed(changes, before, decision, now.wall)
            self._announce(pool, before, decision)
            self._meter.pool_scaled(pool.key, before, decision.target, decision.reason)
        self._tell_failures(pool, None if known is None else known.decision, decision)
        self._remembered.scaled[pool.uid] = Scaled(decision, changes)
        if known is None or known.decision.target != decision.target:
            self._state.targets.decide(pool.uid, decision.target)
            self._state.news.pool(pool.key)
            self._kicks.fleet()
        self._state.news.count(pool.key)
        self._kicks.statuses()

    def _announce(self, pool: PoolRecord, before: int, decision: Decision) -> None:
        reason = "ScaledUp" if decision.target > before else "ScaledDown"
        told = f"from {before} to {decision.target}: {decision.message}"
        self._events.emit(Note(Kind.POOL, pool.key, pool.uid, reason, "Scale", told))

    def _tell_failures(self, pool: PoolRecord, before: Decision | None, now: Decision) -> None:
        """One Event when metrics begin to fail, and one when all can be had again."""
        failed = before is not None and bool(before.failing)
        if failed == bool(now.failing):
            return
        reason, told = (FAILED_GET_METRIC, failures(now)) if now.failing else _MENDED
        self._events.emit(
            Note(Kind.POOL, pool.key, pool.uid, reason, "Scale", told, warning=not failed)
        )


_MENDED: Final = ("GotMetrics", "all metrics of its policies can be had again")


def _scales(pool: PoolRecord) -> bool:
    return pool.scaling is not None and not pool.invalid and not pool.deleting
