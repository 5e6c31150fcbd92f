"""Transitions of a Task."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcorps.api.meta import TaskPhase
from agentcorps.core import lifecycle
from agentcorps.core.lifecycle import IllegalTransition, Stale
from agentcorps.core.records import Key, Now, TaskRecord
from support.strategies import NOW, a_seat, a_task, bound

if TYPE_CHECKING:
    from collections.abc import Callable

SEAT = a_seat()
RUNNING = bound(a_task(), SEAT)
COUNTED = ("AgentLost", "Timeout", "AgentError")
UNCOUNTED = ("AgentStopped", "NotDelivered", "Evicted")

OPERATIONS: dict[str, Callable[[TaskRecord, Now], TaskRecord]] = {
    "bind": lambda task, now: bound(task, SEAT, now),
    "succeed": lifecycle.succeed,
    "fail": lambda task, now: lifecycle.fail(task, "AgentError", "no", now),
    "cancel": lifecycle.cancel,
    "refuse": lambda task, now: lifecycle.refuse(task, "InputTooLarge", "too large", now),
    "expire": lambda task, now: lifecycle.expire(task, "not bound within 1 s", now),
    "explain": lambda task, _: lifecycle.explain(task, "PoolNotFound", "no pool"),
    "progress": lambda task, _: lifecycle.progress(task, 50, "half way"),
}


def _requeue(reason: str, *, counted: bool) -> Callable[[TaskRecord, Now], TaskRecord]:
    """The operation that ends an attempt for this reason."""
    return lambda task, now: lifecycle.requeue(task, reason, "again", counted=counted, now=now)


OPERATIONS |= {reason: _requeue(reason, counted=True) for reason in COUNTED}
OPERATIONS |= {reason: _requeue(reason, counted=False) for reason in UNCOUNTED}
OPERATIONS["crash"] = lambda task, now: lifecycle.requeue(
    task, "AgentLost", "again", counted=True, now=now, crashed=True
)
# Binding and trying again come often enough to get far.
BIASED = [*OPERATIONS, *["bind"] * 8, *COUNTED, *UNCOUNTED * 2, "crash"]


def _walk(task: TaskRecord, names: list[str]) -> list[TaskRecord]:
    """All records that these operations lead through; those that are illegal change nothing."""
    records = [task]
    for step, name in enumerate(names, start=1):
        try:
            now = Now(NOW.monotonic + step, NOW.wall + step)
            records.append(OPERATIONS[name](records[-1], now))
        except IllegalTransition:
            continue
    return records


walks = st.builds(
    _walk,
    st.builds(
        a_task,
        retry_limit=st.integers(0, 5),
        retry_reasons=st.frozensets(st.sampled_from(COUNTED), min_size=1),
        generation=st.integers(1, 3),
        input_bytes=st.sampled_from([2, 2, 2, 70_000]),
    ),
    st.lists(st.sampled_from(BIASED), max_size=25),
)


@settings(max_examples=400)
@given(walks)
def test_an_end_is_final(walk: list[TaskRecord]) -> None:
    """Once a Task has ended no operation changes anything about it."""
    ends = [record for record in walk if record.terminal]
    assert len(ends) <= 1
    assert ends == [] or ends == walk[-1:]


@settings(max_examples=400)
@given(walks)
def test_attempts_only_go_up(walk: list[TaskRecord]) -> None:
    """Each binding has the next attempt number, and nothing else changes that number."""
    for before, after in pairwise(walk):
        begins = before.phase is TaskPhase.QUEUED and after.phase is TaskPhase.RUNNING
        assert after.attempt == before.attempt + begins


@settings(max_examples=400)
@given(walks)
def test_failures_spend_the_limit_and_nothing_else_does(walk: list[TaskRecord]) -> None:
    """A waiting Task has failed at most limit times, an ended one once more; the rest is free."""
    for before, after in pairwise(walk):
        spent = after.failures - before.failures
        assert spent in {0, 1}
        assert not spent or after.reason in {*COUNTED, "PoisonTask"}
        assert after.failures <= after.retry_limit + after.terminal


@settings(max_examples=400)
@given(walks)
def test_only_what_retry_reasons_name_is_tried_again(walk: list[TaskRecord]) -> None:
    """A counted end leads back to the queue only with a reason that the Task names."""
    for before, after in pairwise(walk):
        if after.failures > before.failures and after.phase is TaskPhase.QUEUED:
            assert after.reason in after.retry_reasons


@settings(max_examples=400)
@given(walks)
def test_a_task_that_kills_three_containers_is_given_up(walk: list[TaskRecord]) -> None:
    """The third crash ends a Task as PoisonTask, and nothing else does."""
    for before, after in pairwise(walk):
        assert after.crashes - before.crashes in {0, 1}
        crashed_out = after.crashes == 3 and before.crashes == 2
        assert crashed_out == (after.reason == "PoisonTask")
        assert not crashed_out or after.phase is TaskPhase.FAILED


@settings(max_examples=400)
@given(walks)
def test_the_last_five_attempts_are_kept(walk: list[TaskRecord]) -> None:
    """The attempts that ended are listed in order, the last five of them."""
    last = walk[-1]
    ended = last.attempt - (last.phase is TaskPhase.RUNNING)
    numbers = [attempt.attempt for attempt in last.attempts]
    assert numbers == list(range(max(1, ended - 4), ended + 1))


def test_of_many_attempts_the_last_five_are_kept() -> None:
    """After eight attempts the list has numbers four to eight."""
    last = _walk(a_task(), ["bind", "NotDelivered"] * 8)[-1]
    assert [attempt.attempt for attempt in last.attempts] == [4, 5, 6, 7, 8]


@settings(max_examples=400)
@given(walks)
def test_every_write_observes_the_generation(walk: list[TaskRecord]) -> None:
    """Whatever is written tells its generation."""
    for record in walk[1:]:
        assert record.observed_generation == record.generation


@settings(max_examples=400)
@given(walks)
def test_a_task_that_may_run_once_is_started_once(walk: list[TaskRecord]) -> None:
    """With a limit of 0 an attempt follows another only if that one never reached its agent."""
    last = walk[-1]
    if last.retry_limit == 0:
        for attempt in last.attempts:
            assert attempt.reason == "NotDelivered" or attempt.attempt == last.attempt


@pytest.mark.parametrize(
    ("phase", "legal"),
    [
        (TaskPhase.QUEUED, {"bind", "cancel", "refuse", "expire", "explain"}),
        (
            TaskPhase.RUNNING,
            {"succeed", "fail", "cancel", "progress", "crash", *COUNTED, *UNCOUNTED},
        ),
        (TaskPhase.SUCCEEDED, set()),
        (TaskPhase.FAILED, set()),
        (TaskPhase.CANCELLED, set()),
        (TaskPhase.TIMED_OUT, set()),
    ],
)
def test_which_operations_a_phase_allows(phase: TaskPhase, legal: set[str]) -> None:
    """Each phase allows exactly these operations; all others are refused."""
    record = replace(RUNNING, phase=phase)
    allowed = set()
    for name, operation in OPERATIONS.items():
        try:
            operation(record, NOW)
            allowed.add(name)
        except IllegalTransition:
            continue
    assert allowed == legal


@pytest.mark.parametrize(
    ("reason", "counted", "limit", "phase", "failures"),
    [
        ("AgentLost", True, 1, TaskPhase.QUEUED, 1),
        ("AgentLost", True, 0, TaskPhase.FAILED, 1),
        ("AgentError", True, 0, TaskPhase.FAILED, 1),
        ("Timeout", True, 1, TaskPhase.QUEUED, 1),
        ("Timeout", True, 0, TaskPhase.TIMED_OUT, 1),
        ("AgentStopped", False, 1, TaskPhase.QUEUED, 0),
        ("AgentStopped", False, 0, TaskPhase.FAILED, 0),
        ("NotDelivered", False, 0, TaskPhase.QUEUED, 0),
        ("Evicted", False, 1, TaskPhase.QUEUED, 0),
        ("Evicted", False, 0, TaskPhase.FAILED, 0),
    ],
)
def test_what_the_end_of_an_attempt_leads_to(
    reason: str, limit: int, phase: TaskPhase, failures: int, *, counted: bool
) -> None:
    """The reason, whether it counts, and the limit decide whether a Task is tried again."""
    task = replace(RUNNING, retry_limit=limit)
    after = lifecycle.requeue(task, reason, "why", counted=counted, now=NOW)
    assert (after.phase, after.failures) == (phase, failures)
    assert (after.reason, after.message) == (reason, "why")
    assert after.attempts[-1].reason == reason


@pytest.mark.parametrize(
    ("failures", "reason", "wait"),
    [
        (1, "AgentError", 5),
        (2, "Timeout", 10),
        (4, "AgentError", 40),
        (7, "AgentError", 300),
        (100, "AgentError", 300),
        (3, "AgentLost", None),
        (3, "AgentStopped", None),
        (3, "NotDelivered", None),
        (3, "Evicted", None),
    ],
)
def test_how_long_a_failed_task_waits(failures: int, reason: str, wait: float | None) -> None:
    """The wait doubles from five seconds to five minutes; a lost agent is no cause to wait."""
    task = replace(RUNNING, failures=failures - 1, retry_limit=200)
    after = lifecycle.requeue(task, reason, "", counted=True, now=NOW)
    assert lifecycle.not_before(after) == (0.0 if wait is None else NOW.wall + wait)


@given(
    failures=st.integers(1, 100),
    base=st.integers(0, 86_400),
    most=st.integers(0, 86_400),
    reason=st.sampled_from(["Timeout", "AgentError"]),
)
def test_the_wait_follows_the_tasks_own_fields(
    failures: int, base: int, most: int, reason: str
) -> None:
    """It is min(maxBackoffSeconds, backoffSeconds·2^(failures-1)) from the end of the attempt."""
    task = replace(
        RUNNING,
        failures=failures - 1,
        retry_limit=200,
        backoff_seconds=base,
        max_backoff_seconds=most,
    )
    after = lifecycle.requeue(task, reason, "", counted=True, now=NOW)
    wait = min(most, base * 2 ** (failures - 1))
    assert lifecycle.not_before(after) == (NOW.wall + wait if wait else 0.0)


def test_an_attempt_keeps_the_beginning_of_its_message() -> None:
    """Of a long message 256 characters stay with the attempt."""
    after = lifecycle.requeue(RUNNING, "Timeout", "x" * 2_000, counted=True, now=NOW)
    assert after.attempts[-1].message == "x" * 256


@pytest.mark.parametrize(
    ("attempt", "pod_uid", "instance", "told"),
    [
        (2, "pod-uid-0", "instance-0", "is at attempt 1, not 2"),
        (1, "pod-uid-1", "instance-0", "another pod"),
        (1, "pod-uid-0", "instance-1", "another process"),
    ],
)
def test_a_foreign_report_is_stopped(attempt: int, pod_uid: str, instance: str, told: str) -> None:
    """Attempt, pod and process must all be those of the current binding."""
    lifecycle.fence(RUNNING, 1, "pod-uid-0", "instance-0")
    with pytest.raises(Stale, match=told):
        lifecycle.fence(RUNNING, attempt, pod_uid, instance)


@pytest.mark.parametrize("phase", [phase for phase in TaskPhase if phase is not TaskPhase.RUNNING])
def test_a_report_for_a_task_that_does_not_run_is_stopped(phase: TaskPhase) -> None:
    """Outside Running not even the last binding may report."""
    with pytest.raises(Stale, match=f"is {phase}, not Running"):
        lifecycle.fence(replace(RUNNING, phase=phase), 1, "pod-uid-0", "instance-0")


@pytest.mark.parametrize(
    "task",
    [a_task(cancel=True), a_task(input_bytes=65_537), a_task(invalid="spec.pool is missing")],
    ids=["cancelled", "large", "invalid"],
)
def test_a_task_that_is_to_end_is_not_bound(task: TaskRecord) -> None:
    """A Task that was cancelled or can never run is not handed to an agent."""
    with pytest.raises(IllegalTransition, match="without being bound"):
        bound(task, SEAT)


def test_a_task_stays_in_its_namespace() -> None:
    """An agent of another namespace is refused."""
    with pytest.raises(IllegalTransition, match="west/crew-0"):
        lifecycle.bind(a_task(), Key("west", "crew-0"), "pod", "instance", NOW)


def test_the_limit_of_the_input_is_inclusive() -> None:
    """64 KiB of input are taken, one byte more is not."""
    assert lifecycle.refusal(a_task(input_bytes=65_536)) is None
    problem = lifecycle.refusal(a_task(input_bytes=65_537))
    assert problem is not None
    assert problem[0] == "InputTooLarge"


def test_a_new_attempt_begins_without_the_progress_of_the_last() -> None:
    """Progress belongs to one attempt."""
    told = lifecycle.progress(RUNNING, 80, "almost")
    again = lifecycle.requeue(told, "AgentLost", "", counted=True, now=NOW)
    assert (again.progress_percent, again.progress_message) == (None, "")
