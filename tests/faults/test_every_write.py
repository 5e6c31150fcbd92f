"""A run is repeated with SIGKILL before and after every single API write that it makes."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from support.fault_proxy import Call
from support.fault_rules import WRITES, Held, Rule
from support.fault_table import Row
from support.kubectl import Kubectl
from support.operator_process import OperatorProcess
from support.stage import Stage

EVERY = os.environ.get("FAULTS") == "all"
"""All writes; otherwise the first one of each kind."""
HELD_SECONDS = 60
NOT_TOLD_APART = re.compile(r"reviews|/events|/leases/")
"""Reviews change nothing; Events are dropped under pressure; renewals come by the clock."""


@contextmanager
def fresh(cluster: Kubectl, folder: Path) -> Iterator[Stage]:
    """Return a stage in a namespace of its own."""
    name = f"crash-{uuid4().hex[:8]}"
    assert cluster.run("create", "namespace", name).ok
    inside = folder / name
    inside.mkdir()
    try:
        with Stage(cluster.within(name), name, inside) as stage:
            yield stage
    finally:
        cluster.run("delete", "namespace", name, "--wait=false")


def workload(stage: Stage) -> None:
    """Two agents, four tasks, one of which is tried again; then the pool shrinks by one."""
    stage.crew(2)
    stage.submit(3, sleep=0.1)
    stage.submit(1, "bumpy", failures=1)
    stage.ended()


def of_interest(call: Call) -> bool:
    """Whether a call is one of the writes that the run is judged by."""
    return call.is_write and not NOT_TOLD_APART.search(call.path)


def reference(cluster: Kubectl, folder: Path) -> tuple[list[Call], object]:
    """Return the writes of a run without faults, and what is left at its end."""
    with fresh(cluster, folder) as stage:
        leader = stage.lead()
        workload(stage)
        assert stage.breaches() == []
        return [call for call in leader.faults.calls if of_interest(call)], stage.end_state()


def chosen(writes: list[Call]) -> list[tuple[int, str]]:
    """Return number among the writes and kind of those to crash at."""
    kinds: dict[str, int] = {}
    for number, call in enumerate(writes):
        kinds.setdefault(call.what, number)
    if EVERY:
        return [(number, call.what) for number, call in enumerate(writes)]
    return [(number, what) for what, number in kinds.items()]


def crash(stage: Stage, number: int, *, after: bool) -> float | None:
    """Kill the operator at one write and start it again; None when the write did not come.

    The killing happens while the workload goes on, in the thread of the test: the proxy holds the
    request until the process is dead.
    """
    replica = stage.prepare()
    held = Held(after=after)
    unjudged = rf"^(?!.*({NOT_TOLD_APART.pattern}))"
    rule = Rule(held.fault, WRITES, unjudged, skip=number, times=1)
    with replica.faults.injecting(rule):
        replica.process.launch()
        killer = _Killer(held, replica.process)
        stage.on_wait = killer
        workload(stage)
    return killer.recovered()


class _Killer:
    """Kills the operator as soon as its request is held, and starts it again."""

    def __init__(self, held: Held, process: OperatorProcess) -> None:
        """Wait to be called."""
        self._held = held
        self._process = process
        self._killed: float | None = None

    def __call__(self) -> None:
        """Look whether it is time."""
        if self._killed is None and self._held.reached(0):
            self._process.kill()
            self._held.let_go()
            self._process.launch()
            self._killed = time.monotonic()

    def recovered(self) -> float | None:
        """Seconds since the process was killed; None if it never was."""
        return None if self._killed is None else time.monotonic() - self._killed


@pytest.mark.scenario("1, 2", "SIGKILL before and after API writes of a reference run")
@pytest.mark.timeout(3600 if EVERY else 900)
def test_a_crash_at_any_write_changes_nothing_about_the_end(
    cluster: Kubectl, tmp_path: Path, row: Row
) -> None:
    """Whichever write the operator dies at, before or after it: the end is the undisturbed one."""
    writes, wanted = reference(cluster, tmp_path)
    crashes = [(at, what, after) for at, what in chosen(writes) for after in (False, True)]
    broken: dict[str, object] = {}
    slowest = hit = 0.0
    for at, what, after in crashes:
        with fresh(cluster, tmp_path) as stage:
            moment = f"{'after' if after else 'before'} write {at} ({what})"
            recovered = crash(stage, at, after=after)
            found = stage.breaches()
            if found or stage.end_state() != wanted or stage.watcher.pods_made() != 2:
                broken[moment] = [found, stage.end_state(), stage.watcher.pods_made()]
            hit += recovered is not None
            slowest = max(slowest, recovered or 0.0)
    assert broken == {}
    assert hit >= len(crashes) * 0.8, f"only {hit} of {len(crashes)} crashes took place"
    row.recovered = slowest
    row.faults = f"{int(hit)} SIGKILLs, at {len(chosen(writes))} of {len(writes)} writes"
    row.invariants = ["I1", "I2", "I3", "I8", "X"]
