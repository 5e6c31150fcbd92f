"""The run without faults that one with faults is compared with (I2), and how far they may differ.

What counts is what the API server did, as the proxies saw it answer: each kind of write exactly as
often as without faults. What an operator asked in vain, and asked again, is no write.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import Self
from uuid import uuid4

from support.fault_proxy import Call
from support.kubectl import Kubectl
from support.raw_api import Json
from support.stage import Stage

UNCOUNTED = frozenset({"POST events", "PATCH events", "POST leases", "PUT leases"})
"""Events are put together and dropped under pressure; a Lease is renewed by the clock."""
COALESCED = frozenset({"PUT agents/status", "PUT agentpools/status"})
"""Put together by the clock: fewer are as good, and some more are allowed."""
POOL_SECONDS = 1
AGENT_SECONDS = 5
"""Statuses of a pool and of an agent that follow their tasks are written no more often."""
SLICES = "endpointslices"
Allowed = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a run had to do: agents with their slots, and tasks with their failures."""

    slots: tuple[tuple[str, int], ...]
    tasks: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, stage: Stage) -> Self:
        """What was put on a stage."""
        return cls(tuple(sorted(stage.slots.items())), tuple(stage.failures.items()))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run wrote and left."""

    done: Counter[str]
    """Writes that the API server did, by method and kind."""
    unknown: Counter[str]
    """Writes that it may have done before it died."""
    end: Json
    pods: int
    """How many there ever were."""
    seconds: float
    """From the first write to the last."""

    @classmethod
    def of(cls, stage: Stage) -> Self:
        """What came of a stage whose tasks have ended."""
        writes = [call for one in stage.replicas for call in one.faults.calls if is_counted(call)]
        return cls(
            done=Counter(call.what for call in writes if call.is_done),
            unknown=Counter(call.what for call in writes if call.is_unknown),
            end=stage.end_state(),
            pods=stage.watcher.pods_made(),
            seconds=max(call.at for call in writes) - min(call.at for call in writes),
        )


def is_counted(call: Call) -> bool:
    """Whether a call is one of the writes that a run is judged by."""
    return call.is_write and call.what not in UNCOUNTED


def restless(agents: int, seconds: float, disturbances: int = 1) -> dict[str, int]:
    """Return how many writes of statuses and of the gateway's slice may come on top.

    A run with faults takes longer, and statuses go by the clock: a pool's at most once a second,
    an agent's when it was idle or busy for five. Besides, with each disturbance every agent may be
    seen to go and to come back, the pool's numbers with it, and the slice may point elsewhere.

    Args:
        agents: How many there are.
        seconds: That the run took.
        disturbances: How often agents lose their leader.
    """
    flips = 2 * agents * disturbances
    by_clock = {
        "PUT agentpools/status": ceil(seconds / POOL_SECONDS),
        "PUT agents/status": agents * ceil(seconds / AGENT_SECONDS),
    }
    return {kind: flips + by_clock[kind] for kind in COALESCED} | {
        f"{method} {SLICES}": disturbances for method in ("POST", "PUT", "PATCH")
    }


def differences(found: Outcome, wanted: Outcome, allowed: Allowed) -> list[str]:
    """Return what breaks I2: an end or numbers of writes that are not those without faults.

    Args:
        found: Of the run with faults.
        wanted: Of the run without.
        allowed: How many writes of a kind may come on top, because the fault brings them about.
    """
    faults = [
        f"I2: {key} at the end: {found.end[key]}, without faults {wanted.end[key]}"
        for key in wanted.end
        if found.end[key] != wanted.end[key]
    ]
    if found.pods != wanted.pods:
        faults.append(f"I2: {found.pods} pods were made, without faults {wanted.pods}")
    for kind in sorted(found.done | wanted.done):
        most = wanted.done[kind] + allowed.get(kind, 0)
        least = 0 if kind in COALESCED else wanted.done[kind]
        if not found.done[kind] <= most or found.done[kind] + found.unknown[kind] < least:
            faults.append(
                f"I2: {found.done[kind]} x {kind} (and {found.unknown[kind]} perhaps),"
                f" without faults {wanted.done[kind]}, allowed up to {most}"
            )
    return faults


@contextmanager
def fresh(cluster: Kubectl, folder: Path, prefix: str) -> Iterator[Stage]:
    """Return a stage in a namespace of its own."""
    name = f"{prefix}-{uuid4().hex[:8]}"
    assert cluster.run("create", "namespace", name).ok
    inside = folder / name
    inside.mkdir()
    try:
        with Stage(cluster.within(name), name, inside) as stage:
            yield stage
    finally:
        cluster.run("delete", "namespace", name, "--wait=false")


@dataclass
class References:
    """Runs without faults, each shape once."""

    cluster: Kubectl
    folder: Path
    _known: dict[Shape, Outcome] = field(default_factory=dict)

    def of(self, shape: Shape) -> Outcome:
        """Return what comes of a shape without faults."""
        if shape not in self._known:
            self._known[shape] = self._run(shape)
        return self._known[shape]

    def unlike(self, stage: Stage, disturbances: int = 1) -> list[str]:
        """Return what breaks I2 on a stage whose tasks have ended."""
        found = Outcome.of(stage)
        allowed = restless(len(stage.slots), found.seconds, disturbances)
        return differences(found, self.of(Shape.of(stage)), allowed)

    def _run(self, shape: Shape) -> Outcome:
        with fresh(self.cluster, self.folder, "reference") as stage:
            stage.lead()
            perform(stage, shape)
            assert stage.breaches() == []
            assert Shape.of(stage) == shape
            return Outcome.of(stage)


def perform(stage: Stage, shape: Shape) -> None:
    """Put agents and tasks of a shape on a stage and wait for the end of all."""
    (slots,) = {count for _, count in shape.slots}
    stage.crew(len(shape.slots), slots)
    for (prefix, failures), names in groupby(shape.tasks, _batch):
        stage.submit(len(list(names)), prefix, sleep=0.05, failures=failures)
    if shape.tasks:
        stage.ended()
    stage.settled()


def _batch(task: tuple[str, int]) -> tuple[str, int]:
    """What tasks that were submitted together have in common."""
    name, failures = task
    return name.rstrip("0123456789"), failures
