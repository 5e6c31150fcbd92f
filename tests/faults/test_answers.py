"""What the API server answers, or does not: nothing is lost, nothing is done twice."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from support.extent import EXTENT
from support.fault_rules import (
    WRITES,
    Fault,
    Rule,
    answering,
    delaying,
    dropping,
    losing_answer,
)
from support.fault_table import Row
from support.reference import References, is_counted
from support.stage import POOL, PRODUCTION, Replica, Stage, measured
from support.watcher import TASKS

HELD = ["I1", "I2", "I3", "I8", "X"]
NOT_LEASES = r"^(?!.*/leases)"


def all_well(stage: Stage, replica: Replica) -> None:
    """Wait for the end of all tasks and judge it."""
    stage.flawless()
    assert replica.process.running


@pytest.mark.quick
@pytest.mark.scenario("8", "Write applied, answer lost")
def test_lost_answers_change_nothing(stage: Stage, row: Row, references: References) -> None:
    """Each third write is done and its answer lost: every pod and attempt still exists once."""
    replica = stage.lead()
    lost = Rule(losing_answer(), WRITES, NOT_LEASES + r"(?!.*reviews)", chance=0.33)
    with replica.faults.injecting(lost):
        stage.crew(3)
        stage.submit(40, sleep=0.05)
        all_well(stage, replica)
    assert lost.hits > 10
    row.recovered = measured(stage.settled)
    assert stage.quiet() == []
    assert references.unlike(stage) == []
    row.faults, row.invariants = f"{lost.hits} answers lost", [*HELD, "I5"]


@pytest.mark.scenario("12", "Every connection for writes waits for its answer")
def test_slow_writes_do_not_cost_the_lease(stage: Stage, row: Row) -> None:
    """A leader whose writes all wait for longer than the Lease may goes on leading."""
    replica = stage.staffed(1, slots=100)
    slow = Rule(delaying(6), ("PUT",), r"/tasks/", times=80)
    with replica.faults.injecting(slow):
        stage.submit(80)
        all_well(stage, replica)
    assert slow.hits == 80
    assert "lease.lost" not in replica.process.log.read_text()
    row.faults, row.invariants = "80 status writes answered 6 s late", HELD


@pytest.mark.scenario("11", "429 with Retry-After")
def test_a_server_that_asks_for_time_gets_it(
    stage: Stage, row: Row, references: References
) -> None:
    """Within the seconds that a 429 names, the same object is not asked for again."""
    replica = stage.staffed(2)
    slow = Rule(answering(429, retry_after=3), ("PUT",), r"/tasks/", times=6)
    with replica.faults.injecting(slow):
        stage.submit(6, sleep=0.1)
        all_well(stage, replica)
    assert slow.hits == 6
    calls = [call for call in replica.faults.calls if "/tasks/" in call.path]
    refused = [call for call in calls if call.method == "PUT"][:6]
    for first in refused:
        name = first.path.split("/")[7]
        again = [
            call.at - first.at
            for call in calls
            if call.at > first.at and call.path.split("/")[7] == name
        ]
        assert min(again) >= 2.9
    assert references.unlike(stage) == []
    row.faults, row.invariants = "6 x 429, Retry-After 3 s", HELD


@pytest.mark.scenario("12", "500, 503, timeouts and broken connections at every kind of call")
@pytest.mark.parametrize(
    ("what", "fault"),
    [
        ("500", answering(500)),
        ("503", answering(503, retry_after=1)),
        ("broken off", dropping()),
        ("2 s late", delaying(2.0)),
    ],
    ids=["500", "503", "drop", "delay"],
)
def test_errors_at_any_call_pass_by(
    stage: Stage, row: Row, references: References, what: str, fault: Fault
) -> None:
    """The first call of each kind and a fifth of the others go wrong: every task still succeeds."""
    replica = stage.prepare()
    rule = Rule(fault, (), NOT_LEASES + r"(?!.*watch=true)", chance=0.2, first=True)
    with replica.faults.injecting(rule):
        replica.process.start()
        stage.crew(3)
        stage.submit(40, sleep=0.05)
        all_well(stage, replica)
    row.recovered = measured(stage.settled)
    asked = {call.what for call in replica.faults.calls if is_counted(call)}
    assert asked <= rule.kinds
    assert references.unlike(stage) == []
    row.faults = f"{rule.hits} calls of {len(rule.kinds)} kinds: {what}"
    row.invariants = HELD


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Do something again and again in another thread."""
    over = threading.Event()

    def again() -> None:
        while not over.is_set():
            act()

    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)


@pytest.mark.scenario("9", "409 storm from a parallel label editor")
def test_an_editor_of_labels_only_costs_time(
    stage: Stage, row: Row, references: References
) -> None:
    """Somebody labels all tasks without pause: every bind and every result wins in the end."""
    replica = stage.staffed(3)
    edits = 0

    def edit() -> None:
        nonlocal edits
        for name in list(stage.created):
            path = f"{TASKS.format(stage.namespace)}/{name}"
            edits += 1
            stage.api.patch(path, {"metadata": {"labels": {"edited": str(edits)}}})

    with meanwhile(edit):
        stage.submit(30, sleep=0.05)
        all_well(stage, replica)
    conflicts = Rule(answering(409), ("PUT",), r"/tasks/.*/status", chance=0.5)
    with replica.faults.injecting(conflicts):
        stage.submit(30, "more", sleep=0.05)
        all_well(stage, replica)
    assert references.unlike(stage) == []
    row.faults = f"{edits} foreign edits, {conflicts.hits} x 409"
    row.invariants = HELD


@pytest.mark.scenario("10", "ResourceQuota's own 409 while pods are created")
def test_conflicts_of_the_quota_are_tried_again(
    stage: Stage, row: Row, references: References
) -> None:
    """The API server answers 409 when quotas are counted in parallel: the pod is tried again."""
    replica = stage.lead()
    text = 'Operation cannot be fulfilled on resourcequotas "q": the object has been modified'
    rule = Rule(answering(409, message=text), ("POST",), r"/pods$", times=5)
    with replica.faults.injecting(rule):
        stage.crew(4)
        stage.submit(8, sleep=0.05)
        all_well(stage, replica)
        row.recovered = measured(stage.settled)
    assert rule.hits == 5
    assert references.unlike(stage) == []
    row.faults, row.invariants = "5 x 409 at pod creation", HELD


@pytest.mark.scenario("34", "Burst of tasks, many deleted while they wait and run")
@pytest.mark.timeout(3000)
def test_a_burst_with_deletes_ends_well(stage: Stage, row: Row) -> None:
    """Thousands of tasks wait at once, a tenth is deleted: the others succeed, once each.

    Half of the deletes come while all wait, the others while agents work the queue off.
    """
    replica = stage.lead(**PRODUCTION)
    stage.pool(4, slots=25)
    names = stage.submit(EXTENT.burst, sleep=0.2)
    doomed = names[:: EXTENT.burst // EXTENT.burst_deletes]
    for name in doomed[::2]:
        stage.delete_task(name)
    began = time.monotonic()
    for number in range(4):
        stage.agent(f"{POOL}-{number}", 25)
    for name in reversed(doomed[1::2]):
        stage.delete_task(name)
    stage.on_wait = replica.process.ready
    ends = stage.ended(set(names) - set(doomed), seconds=2400)
    assert {(end.phase, end.attempt) for end in ends.values()} == {("Succeeded", 1)}
    assert stage.breaches() == []
    assert not {one.uid for one in stage.ledger.executions} & stage.uids(doomed[::2])
    assert replica.process.running
    row.recovered = time.monotonic() - began
    assert stage.quiet() == []
    row.faults = f"{len(names):,} tasks before the first agent, {len(doomed):,} deletes"
    row.invariants = ["I1", "I3", "I5", "I8", "X"]


@pytest.mark.scenario("23", "Agent pod deleted while it works")
def test_a_pod_that_goes_gives_its_tasks_to_others(stage: Stage, row: Row) -> None:
    """Each of three pods is deleted in turn under load: their tasks end on others, once each."""
    stage.lead()
    stage.crew(3, 2)
    stage.submit(30, sleep=1)
    for number in range(3):
        stage.running([f"t{3 * number}"])
        stage.kill_pod(f"{POOL}-{number}")
        stage.agent(f"{POOL}-{number}", 2)
    ends = stage.ended()
    assert {end.phase for end in ends.values()} == {"Succeeded"}
    lost = [end for end in ends.values() if end.attempt > 1]
    assert lost
    assert {reason for end in lost for reason in end.reasons[:-1]} == {"AgentLost"}
    assert stage.breaches() == []
    row.faults, row.invariants = "3 pods deleted under load", ["I1", "I3", "I8", "X"]
