"""Watches that break, repeat themselves, swap, lag, err or fall silent: the picture stays true."""

import re
import time

import pytest

from support.fault_rules import (
    Rule,
    WatchFault,
    answering,
    duplicating,
    failing_after,
    late,
    silent,
    swapping,
)
from support.fault_table import Row
from support.poll import until
from support.reference import References
from support.stage import POOL, POOLS, Stage

HELD = ["I1", "I3", "I8", "X"]
WATCHES = r"watch=true"


@pytest.mark.scenario("13", "Watches cut again and again")
def test_watches_that_are_cut_miss_nothing(stage: Stage, row: Row) -> None:
    """Everything that is open is broken off every quarter of a second under load."""
    replica = stage.lead()
    stage.crew(3)
    cuts = 0

    def cut() -> None:
        nonlocal cuts
        replica.faults.cut_watches()
        cuts += 1

    stage.on_wait = cut
    stage.submit(60, sleep=0.2)
    stage.flawless()
    row.faults, row.invariants = f"{cuts} cuts", HELD


@pytest.mark.scenario("13", "Half-open watches, silent")
def test_a_silent_watch_is_noticed(stage: Stage, row: Row) -> None:
    """Watches stay open and say nothing, new ones too: what happened is seen within 90 s."""
    replica = stage.staffed(2)
    with replica.faults.watching(silent):
        until(lambda: _watches(stage) >= 4, "new watches")
        began = time.monotonic()
        stage.submit(4)
        stage.ended(seconds=90)
    row.recovered = time.monotonic() - began
    assert row.recovered <= 90
    stage.flawless()
    row.faults, row.invariants = "all watches silent", HELD


@pytest.mark.quick
@pytest.mark.scenario("14", "410 Gone, with deletes meanwhile")
def test_a_relist_finds_what_was_deleted_meanwhile(stage: Stage, row: Row) -> None:
    """Tasks are deleted unseen, then comes 410: none is bound, a running one stops."""
    replica = stage.staffed(2)
    stage.submit(2, "busy", sleep=60)
    stage.running(["busy0", "busy1"])
    waiting = stage.submit(10, "waiting")
    unseen = Rule(answering(503), ("GET",), WATCHES)
    with replica.faults.injecting(unseen):
        replica.faults.cut_watches()
        until(lambda: unseen.hits > 0, "watches refused")
        for name in ["busy0", *waiting[:5]]:
            stage.delete_task(name)
        gone = Rule(answering(410), ("GET",), WATCHES, times=4)
        replica.faults.proxy.rules.insert(0, gone)
        until(lambda: gone.hits > 0, "410")
    began = time.monotonic()
    stage.ended(waiting[5:])
    row.recovered = time.monotonic() - began
    executed = {one.uid for one in stage.ledger.executions}
    assert not executed & {stage.created[name] for name in waiting[:5]}
    stage.delete_task("busy1")
    assert stage.breaches() == []
    row.faults, row.invariants = "watches refused, 6 deletes, 410", HELD


@pytest.mark.scenario("15, 16", "Watch events that err, repeat, swap or lag")
@pytest.mark.parametrize(
    ("what", "fault"),
    [
        ("ERROR 500 after every 3 events", failing_after(3, 500)),
        ("ERROR 410 after every 5 events", failing_after(5, 410)),
        ("every event twice", duplicating),
        ("events in the wrong order", swapping),
        ("events 0.3 s late, one by one", late(0.3)),
    ],
    ids=["error", "expired", "twice", "swapped", "late"],
)
def test_strange_watches_do_no_harm(stage: Stage, row: Row, what: str, fault: WatchFault) -> None:
    """Every watch of the operator does it, from its start to the end of forty tasks."""
    replica = stage.prepare()
    with replica.faults.watching(fault, cut=False):
        replica.process.start()
        stage.crew(3)
        stage.submit(40, sleep=0.1)
        stage.flawless()
    began = time.monotonic()
    stage.settled()
    row.recovered = time.monotonic() - began
    row.faults, row.invariants = what, HELD


@pytest.mark.scenario("17", "Intermediate events missed: a pool scaled 1, 3, 2 unseen")
def test_only_the_last_size_of_a_pool_counts(
    stage: Stage, row: Row, references: References
) -> None:
    """Unseen, a pool goes from one over three to two agents: two it has in the end, and rests."""
    replica = stage.staffed(1)
    unseen = Rule(answering(503), ("GET",), "/agentpools")
    pool = f"{POOLS.format(stage.namespace)}/{POOL}"
    with replica.faults.injecting(unseen):
        replica.faults.cut_watches()
        until(lambda: unseen.hits > 2, "watches refused")
        for replicas in (3, 2):
            stage.api.patch(pool, {"spec": {"replicas": replicas}})
    began = time.monotonic()
    stage.agent(f"{POOL}-1")
    stage.settled()
    row.recovered = time.monotonic() - began
    assert stage.quiet() == []
    assert references.unlike(stage) == []
    row.faults, row.invariants = "watches and lists refused, 2 changes", ["I2", "I5"]


@pytest.mark.scenario("18", "Restart against an older API server")
def test_no_decision_rests_on_an_old_list(stage: Stage, row: Row) -> None:
    """Every list asks for the newest state, so that no cache of an API server can answer it."""
    replica = stage.lead()
    stage.crew(1)
    stage.submit(2)
    stage.flawless()
    lists = [
        call.path
        for call in replica.faults.calls
        if call.method == "GET"
        and re.search(r"/(tasks|pods|agents|agentpools)(\?|$)", call.path)
        and "watch=true" not in call.path
    ]
    assert lists
    assert [path for path in lists if "resourceVersion=" in path] == []
    row.faults, row.invariants = f"{len(lists)} lists examined", ["consistent reads"]


def _watches(stage: Stage) -> int:
    return sum(replica.faults.proxy.watches for replica in stage.replicas)
