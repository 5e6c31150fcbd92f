"""The judge of the fault tests, judged: each breach that it looks for is planted once."""

from dataclasses import replace

from support.invariants import (
    Execution,
    Sight,
    binding_faults,
    ending_faults,
    execution_faults,
)
from support.raw_api import Json
from support.watcher import relisted

QUEUED = Sight(1, "ADDED", "u", "t", "Queued", 0, 0, ("", "", ""), "", ())
BOUND = replace(
    QUEUED, version=2, event="MODIFIED", phase="Running", attempt=1, binding=("a", "pod", "i")
)
DONE = replace(BOUND, version=3, phase="Succeeded", outcome="x")
SLOTS = {"a": 1}


def test_an_ordinary_life_is_no_breach() -> None:
    """Queued, bound, lost, bound elsewhere, done, deleted: nothing to say against it."""
    again = replace(BOUND, version=4, phase="Queued", failures=1)
    other = replace(again, version=5, phase="Running", attempt=2, binding=("b", "pod2", "j"))
    done = replace(other, version=6, phase="Succeeded", outcome="x")
    life = [QUEUED, BOUND, again, other, done, replace(done, version=7, event="DELETED")]
    assert binding_faults(life, SLOTS) == []
    assert ending_faults(life[:-1], ["u"], []) == []


def test_a_binding_that_changes_within_an_attempt_is_seen() -> None:
    """The same attempt on another process is a second live binding."""
    moved = replace(BOUND, version=3, binding=("a", "pod", "another"))
    assert "is bound anew" in binding_faults([QUEUED, BOUND, moved], SLOTS)[0]


def test_an_attempt_that_begins_twice_is_seen() -> None:
    """Queued again and bound under the same number: the fence would let both report."""
    back = replace(BOUND, version=3, phase="Queued")
    found = binding_faults([QUEUED, BOUND, back, replace(BOUND, version=4)], SLOTS)
    assert "begins twice" in found[0]


def test_attempts_that_go_backwards_are_seen() -> None:
    """A late write of an earlier leader would show as a lower attempt."""
    second = replace(BOUND, version=3, attempt=2, binding=("b", "pod2", "j"))
    assert "go backwards" in binding_faults([QUEUED, second, BOUND], SLOTS)[0]


def test_more_tasks_than_slots_are_seen() -> None:
    """Two tasks that run on an agent of one slot at the same version."""
    other = replace(BOUND, version=3, uid="v", name="other")
    assert "2 tasks on agent a" in binding_faults([BOUND, other], SLOTS)[0]


def test_an_end_that_changes_is_seen() -> None:
    """Another phase, or another result of the same phase."""
    assert "was changed" in binding_faults([DONE, replace(DONE, version=4, outcome="y")], SLOTS)[0]
    failed = replace(DONE, version=4, phase="Failed", outcome="y")
    assert "Succeeded -> Failed" in binding_faults([DONE, failed], SLOTS)[0]


def test_lost_tasks_are_seen() -> None:
    """Never shown, never ended, or deleted by somebody else; what the test deleted may go."""
    assert "never seen" in ending_faults([], ["u"], [])[0]
    assert "is lost" in ending_faults([BOUND], ["u"], [])[0]
    deleted = replace(DONE, version=4, event="DELETED")
    assert "is lost" in ending_faults([DONE, deleted], ["u"], [])[0]
    assert ending_faults([DONE, deleted], ["u"], ["u"]) == []


def test_two_executions_at_a_time_are_seen() -> None:
    """Overlapping attempts of one task, and one attempt executed twice."""
    first = Execution("u", 1, "a", 0.0, 10.0)
    assert "at a time" in execution_faults([first, Execution("u", 2, "b", 5.0, 6.0)])[0]
    assert "executed twice" in execution_faults([first, Execution("u", 1, "b", 11.0, 12.0)])[0]
    assert execution_faults([first, Execution("u", 2, "b", 10.0, 12.0)]) == []


def listed(name: str, version: int, phase: str) -> Json:
    """A Task as a list shows it."""
    meta = {"uid": name, "name": name, "resourceVersion": str(version)}
    status = {"phase": phase, "attempt": 1, "agentName": "a", "podUID": "pod"}
    return {"metadata": meta, "status": status}


def test_a_list_is_told_in_the_order_of_its_versions() -> None:
    """After a gap, one agent's next Task must not seem to run beside the one that made room."""
    before = [listed("t9", 2, "Running")]
    after = [listed("t1", 12, "Running"), listed("t9", 9, "Succeeded")]
    events = relisted({}, before) + relisted({"t9": before[0]}, after)
    assert binding_faults([Sight.of(*event) for event in events], SLOTS) == []


def test_a_list_tells_what_is_gone() -> None:
    """What was known and is not in the list was deleted unseen."""
    gone = listed("t1", 2, "Queued")
    assert relisted({"t1": gone}, []) == [("DELETED", gone)]
