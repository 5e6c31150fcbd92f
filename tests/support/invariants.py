"""The invariants that no fault may break, judged from what was seen and nothing else.

I1 at most one live binding per Task and at most ``slots`` per agent; I3 one immutable terminal
state per Task, none lost; and, as the agents know, no two executions of a Task at a time.
"""

import hashlib
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

TERMINAL = frozenset({"Succeeded", "Failed", "Cancelled", "TimedOut"})
DELETED = "DELETED"
Binding = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Sight:
    """A Task as one event of a watch showed it."""

    version: int
    event: str
    uid: str
    name: str
    phase: str
    attempt: int
    failures: int
    binding: Binding
    """Agent, pod UID, process."""
    outcome: str
    """Digest of what must never change after the end."""
    reasons: tuple[str, ...]
    """Of the attempts that ended."""

    @classmethod
    def of(cls, event: str, task: Mapping[str, Any]) -> "Sight":
        """Read an object."""
        meta, status = task["metadata"], task.get("status") or {}
        keys = ("phase", "reason", "attempt", "failures", "result", "finishedAt")
        ended = json.dumps([status.get(key) for key in keys], sort_keys=True)
        return cls(
            version=int(meta["resourceVersion"]),
            event=event,
            uid=meta["uid"],
            name=meta["name"],
            phase=status.get("phase", "Queued"),
            attempt=int(status.get("attempt", 0)),
            failures=int(status.get("failures", 0)),
            binding=tuple(status.get(key, "") for key in ("agentName", "podUID", "agentInstance")),
            outcome=hashlib.sha256(ended.encode()).hexdigest(),
            reasons=tuple(one["reason"] for one in status.get("attempts") or ()),
        )

    @property
    def terminal(self) -> bool:
        """Whether the Task has ended."""
        return self.phase in TERMINAL


@dataclass(slots=True)
class Execution:
    """One run of a handler in an agent."""

    uid: str
    attempt: int
    agent: str
    began: float
    ended: float = float("inf")


class Ledger:
    """What the agents really did, kept by themselves in memory."""

    def __init__(self) -> None:
        """Nothing was executed yet."""
        self._lock = threading.Lock()
        self._executions: list[Execution] = []

    @contextmanager
    def executing(self, uid: str, attempt: int, agent: str) -> Iterator[None]:
        """Note the begin and the end of an execution."""
        execution = Execution(uid, attempt, agent, time.monotonic())
        with self._lock:
            self._executions.append(execution)
        try:
            yield
        finally:
            execution.ended = time.monotonic()

    @property
    def executions(self) -> list[Execution]:
        """All of them, in the order of their begin."""
        with self._lock:
            return list(self._executions)


def binding_faults(sights: Sequence[Sight], slots: Mapping[str, int]) -> list[str]:
    """Return what breaks I1 in one kind's events, which are in the order of their versions.

    Args:
        sights: All events of all Tasks.
        slots: By agent name.
    """
    faults: list[str] = []
    last: dict[str, Sight] = {}
    live: dict[str, set[str]] = defaultdict(set)
    for sight in sights:
        before = last.get(sight.uid)
        if before is not None:
            faults += _step_faults(before, sight)
            live[before.binding[1]].discard(sight.uid)
        last[sight.uid] = sight
        if sight.phase == "Running" and sight.event != DELETED:
            agent, pod, _ = sight.binding
            live[pod].add(sight.uid)
            if len(live[pod]) > slots.get(agent, 1):
                faults.append(f"I1: {len(live[pod])} tasks on agent {agent} at {sight.version}")
    return faults


def _step_faults(before: Sight, after: Sight) -> list[str]:
    """What two events of a Task that follow each other must not do."""
    who = f"{after.name} at {after.version}"
    faults = []
    if after.attempt < before.attempt or after.failures < before.failures:
        faults.append(f"I1: attempts of {who} go backwards")
    same = after.attempt == before.attempt and before.attempt > 0
    if same and after.binding != before.binding:
        faults.append(f"I1: attempt {after.attempt} of {who} is bound anew")
    if same and before.phase == "Queued" and after.phase == "Running":
        faults.append(f"I1: attempt {after.attempt} of {who} begins twice")
    if before.terminal and after.outcome != before.outcome:
        faults.append(f"I3: the end of {who} was changed: {before.phase} -> {after.phase}")
    return faults


def ending_faults(
    sights: Sequence[Sight], created: Iterable[str], gone: Iterable[str]
) -> list[str]:
    """Return what breaks I3: Tasks that were created and neither ended nor were deleted by us.

    Args:
        sights: All events of all Tasks.
        created: UIDs of what was submitted.
        gone: UIDs of what the test deleted.
    """
    last = {sight.uid: sight for sight in sights}
    allowed = set(gone)
    faults = []
    for uid in created:
        sight = last.get(uid)
        if uid in allowed:
            continue
        if sight is None:
            faults.append(f"I3: task {uid} was never seen")
        elif sight.event == DELETED or not sight.terminal:
            faults.append(f"I3: {sight.name} is lost: {sight.event} {sight.phase}")
    return faults


def execution_faults(executions: Iterable[Execution]) -> list[str]:
    """Return Tasks that two executions worked on at a time, or the same attempt twice."""
    faults = []
    by_task: dict[str, list[Execution]] = defaultdict(list)
    for execution in executions:
        by_task[execution.uid].append(execution)
    for uid, runs in by_task.items():
        runs.sort(key=lambda run: run.began)
        for first, second in pairwise(runs):
            if second.began < first.ended:
                faults.append(f"two executions of {uid} at a time: {first} and {second}")
        if len({run.attempt for run in runs}) < len(runs):
            faults.append(f"an attempt of {uid} was executed twice: {runs}")
    return faults
