"""Counters and histograms, moved where things happen: a look into a dictionary and an addition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram

from agentcorps.adapters.metrics import definitions
from agentcorps.adapters.metrics.definitions import OTHER, UNKNOWN_POOL, Definition
from agentcorps.api.meta import TaskPhase
from agentcorps.control.losses import LossReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agentcorps.core.records import Key, TaskRecord
    from agentcorps.core.state import State

Child = TypeVar("Child", Counter, Histogram)

FEWEST_SWEPT: Final = 256
"""Series of one metric from which on those of pools that are gone are removed though nobody
scrapes."""


class Pools:
    """Which pools series are kept of."""

    def __init__(self) -> None:
        self._state: State | None = None

    def follow(self, state: State) -> None:
        """From now on those that this state knows."""
        self._state = state

    def label(self, pool: Key) -> tuple[str, str]:
        """Return the labels of a pool: Tasks may name any number of pools that there are not."""
        if not pool.name or (self._state is not None and pool in self._state.pools):
            return pool
        return pool.namespace, UNKNOWN_POOL

    def namespaces(self) -> set[str]:
        """Return the namespaces that have pools or agents."""
        state = self._state
        return set() if state is None else {key.namespace for key in (*state.pools, *state.agents)}

    def keeps(self, namespace: str, pool: str, namespaces: set[str]) -> bool:
        """Tell whether a series is kept; ``namespaces`` are those that have pools or agents."""
        if pool in {"", UNKNOWN_POOL}:
            return namespace in namespaces
        return self._state is not None and (namespace, pool) in self._state.pools


class PerPool(Generic[Child]):
    """The series of one metric, each resolved once; with namespace and pool as first labels."""

    def __init__(self, metric: Child, pools: Pools) -> None:
        self._metric: Child = metric
        self._pools = pools
        self._children: dict[tuple[str, ...], Child] = {}
        self._sweep_at = FEWEST_SWEPT

    def of(self, *labels: str) -> Child:
        """Return the series of these labels."""
        child = self._children.get(labels)
        if child is None:
            if len(self._children) >= self._sweep_at:
                self.sweep()
                self._sweep_at = max(FEWEST_SWEPT, 2 * len(self._children))
            child = self._children[labels] = self._metric.labels(*labels)
        return child

    def __len__(self) -> int:
        return len(self._children)

    def sweep(self) -> None:
        """Remove the series of pools that are gone."""
        namespaces = self._pools.namespaces()
        for labels in list(self._children):
            if not self._pools.keeps(labels[0], labels[1], namespaces):
                del self._children[labels]
                self._metric.remove(*labels)


class PrometheusMeter:
    """A ``ports.Meter``; also takes note of loops and of requests to the API server."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        self.pools: Final = Pools()
        self._finished = PerPool(self._counter(definitions.FINISHED), self.pools)
        self._requeues = PerPool(self._counter(definitions.REQUEUES), self.pools)
        self._deleted = PerPool(self._counter(definitions.DELETED), self.pools)
        self._lost = PerPool(self._counter(definitions.LOST), self.pools)
        self._scaled = PerPool(self._counter(definitions.SCALED), self.pools)
        self._queue_seconds = PerPool(self._histogram(definitions.QUEUE_SECONDS), self.pools)
        self._run_seconds = PerPool(self._histogram(definitions.RUN_SECONDS), self.pools)
        self._bind_seconds = self._histogram(definitions.BIND_SECONDS)
        self._conflicts = self._counter(definitions.CONFLICTS)
        self._loop_seconds = self._histogram(definitions.LOOP_SECONDS)
        self._loop_failures = self._counter(definitions.LOOP_FAILURES)
        self._requests = self._counter(definitions.REQUESTS)
        self._answers: dict[tuple[str, int | None], Counter] = {}

    def prepare(self, pools: Iterable[Key]) -> None:
        """Begin those series at 0 that an alert looks at: a first event would else be no increase.

        Also removes the series of pools that are gone.
        """
        for pool in pools:
            self._queue_seconds.of(*pool)
            for reason in LossReason:
                self._lost.of(*pool, reason.value)
        for counters in (self._finished, self._requeues, self._deleted, self._lost, self._scaled):
            counters.sweep()
        self._queue_seconds.sweep()
        self._run_seconds.sweep()

    def task_written(
        self, before: TaskRecord, after: TaskRecord, phase_seconds: float, write_seconds: float
    ) -> None:
        """See ports.Meter."""
        if before.phase is after.phase:
            return
        pool = self.pools.label(after.pool_key)
        if after.phase is TaskPhase.RUNNING:
            self._queue_seconds.of(*pool).observe(max(0.0, phase_seconds))
            self._bind_seconds.observe(write_seconds)
            return
        if before.phase is TaskPhase.RUNNING:
            self._run_seconds.of(*pool).observe(max(0.0, phase_seconds))
        if after.phase is TaskPhase.QUEUED:
            self._requeues.of(*pool, _word(definitions.REQUEUES, after.reason)).inc()
        else:
            reason = _word(definitions.FINISHED, after.reason)
            self._finished.of(*pool, after.phase.value, reason).inc()

    def bind_conflict(self) -> None:
        """See ports.Meter."""
        self._conflicts.inc()

    def task_deleted(self, task: TaskRecord, reason: str) -> None:
        """See ports.Meter."""
        word = _word(definitions.DELETED, reason)
        self._deleted.of(*self.pools.label(task.pool_key), word).inc()

    def agent_lost(self, pool: Key, reason: str) -> None:
        """See ports.Meter."""
        self._lost.of(*self.pools.label(pool), _word(definitions.LOST, reason)).inc()

    def pool_scaled(self, pool: Key, before: int, after: int, reason: str) -> None:
        """See ports.Meter."""
        direction = "up" if after > before else "down"
        self._scaled.of(*self.pools.label(pool), direction, _word(definitions.SCALED, reason)).inc()

    def loop(self, name: str) -> Callable[[float, bool], None]:
        """Return what a loop tells of each step: its seconds, and whether it went well."""
        seconds, failures = self._loop_seconds.labels(name), self._loop_failures.labels(name)

        def ran(took: float, went_well: bool) -> None:  # noqa: FBT001 - as Loop calls it
            seconds.observe(took)
            if not went_well:
                failures.inc()

        return ran

    def answered(self, verb: str, code: int | None) -> None:
        """The API server answered a request; ``code`` is None when it did not."""
        known = self._answers.get((verb, code))
        if known is None:
            told = "error" if code is None else str(code)
            known = self._answers[verb, code] = self._requests.labels(verb, told)
        known.inc()

    def _counter(self, one: Definition) -> Counter:
        return Counter(one.name, one.help, one.labels, registry=self.registry)

    def _histogram(self, one: Definition) -> Histogram:
        return Histogram(
            one.name, one.help, one.labels, buckets=one.buckets, registry=self.registry
        )


def _word(one: Definition, reason: str) -> str:
    """Return a reason that is the operator's own; one word for all others."""
    return str(reason) if reason in one.words else OTHER
