"""A run is repeated with SIGKILL before and after every single API write that it makes."""

import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from support.extent import EXTENT
from support.fault_rules import Held, Rule
from support.fault_table import Row
from support.invariants import DELETED
from support.kubectl import Kubectl
from support.operator_process import OperatorProcess
from support.reference import Outcome, Shape, differences, fresh, perform, restless
from support.stage import POOL, POOLS, Stage
from support.watcher import TASKS

SHAPE = Shape(
    slots=((f"{POOL}-0", 1), (f"{POOL}-1", 1)),
    tasks=(("t0", 0), ("t1", 0), ("t2", 0), ("bumpy0", 1)),
)
"""Two agents, four tasks, one of which is tried again."""
AT_A_TIME = 5
"""Each run mostly waits: for leases, for pauses between attempts, for a process to start."""
DISTURBANCES = 2
"""What passes by itself at the start of a run, and the crash."""


def workload(stage: Stage) -> None:
    """Let the operator make, bind, retry, cancel, clear away and scale down: all that it writes."""
    perform(stage, SHAPE)
    cancelled, brief = f"{TASKS.format(stage.namespace)}/cancelled0", "brief0"
    stage.submit(1, "cancelled", sleep=300)
    stage.running(["cancelled0"])
    stage.api.patch(cancelled, {"spec": {"cancel": True}})
    stage.submit(1, "brief", ttlSecondsAfterFinished=1)
    stage.gone.add(stage.created[brief])
    stage.wait(lambda: (seen := stage.seen(brief)) and seen.event == DELETED, "end of a TTL")
    stage.ended(name for name in stage.created if name != brief)
    pool = f"{POOLS.format(stage.namespace)}/{POOL}"
    stage.api.patch(pool, {"spec": {"replicas": 0}})
    stage.wait(lambda: not stage.end_state()["agents"], "end of the agents")
    stage.wait(lambda: not stage.end_state()["pods"], "end of their pods")
    stage.settled()


class Moment(NamedTuple):
    """When the operator dies."""

    kind: str
    nth: int
    """Among the writes of this kind, from 0."""
    after: bool

    def __str__(self) -> str:
        """Say it."""
        return f"{'after' if self.after else 'before'} {self.kind} number {self.nth + 1}"


class Crash(NamedTuple):
    """What came of it."""

    moment: Moment
    recovered: float | None
    """Seconds from the death to the end of all work; None when the write did not come."""
    breaches: list[str]


def reference(cluster: Kubectl, folder: Path) -> Outcome:
    """Return what comes of the run without a crash."""
    with fresh(cluster, folder, "reference") as stage:
        stage.lead()
        workload(stage)
        assert stage.breaches() == []
        return Outcome.of(stage)


def moments(writes: Counter[str], *, every: bool) -> list[Moment]:
    """Return when to crash, given the writes of a run without faults."""
    return [
        Moment(kind, nth, after)
        for kind, count in sorted(writes.items())
        for nth in range(count if every else 1)
        for after in (False, True)
    ]


class _Killer:
    """Kills the operator as soon as its request is held, and starts it again.

    It is asked by the thread of the test, while that waits for the work's progress: the proxy holds
    the request until the process is dead.
    """

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


def crash(cluster: Kubectl, folder: Path, moment: Moment, wanted: Outcome) -> Crash:
    """Repeat the run, killing the operator at a moment of it; return what differs."""
    with fresh(cluster, folder, "crash") as stage:
        replica = stage.prepare()
        held = Held(after=moment.after)
        rule = Rule(held.fault, kind=moment.kind, skip=moment.nth, times=1)
        with replica.faults.injecting(rule):
            replica.process.launch()
            stage.on_wait = killer = _Killer(held, replica.process)
            try:
                workload(stage)
            except AssertionError as error:
                return Crash(moment, killer.recovered(), [str(error)])
        found = Outcome.of(stage)
        allowed = restless(len(SHAPE.slots), found.seconds, DISTURBANCES)
        breaches = stage.breaches() + differences(found, wanted, allowed)
        return Crash(moment, killer.recovered(), breaches)


def crashes(cluster: Kubectl, folder: Path, when: Iterable[Moment], wanted: Outcome) -> list[Crash]:
    """Repeat the run once for each moment, a few of them at a time."""
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        return list(threads.map(lambda moment: crash(cluster, folder, moment, wanted), when))


@pytest.mark.scenario("1, 2", "SIGKILL before and after API writes of a reference run")
@pytest.mark.timeout(1800)
def test_a_crash_at_any_write_changes_nothing_about_the_end(
    cluster: Kubectl, tmp_path: Path, row: Row
) -> None:
    """Whichever write the operator dies at, before or after it: the end is the undisturbed one."""
    wanted = reference(cluster, tmp_path)
    when = moments(wanted.done, every=EXTENT.every_write)
    found = crashes(cluster, tmp_path, when, wanted)
    assert {str(one.moment): one.breaches for one in found if one.breaches} == {}
    took_place = [one.recovered for one in found if one.recovered is not None]
    missed = [str(one.moment) for one in found if one.recovered is None]
    assert len(took_place) >= len(when) * 0.8, f"these writes did not come: {missed}"
    row.recovered = max(took_place)
    some = "each" if EXTENT.every_write else f"the first of each of the {len(wanted.done)} kinds"
    row.faults = (
        f"{len(took_place)} SIGKILLs, before and after {some} of {wanted.done.total()} writes"
    )
    row.invariants = ["I1", "I2", "I3", "I8", "X"]
