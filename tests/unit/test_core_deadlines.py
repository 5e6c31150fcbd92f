"""What becomes due for a Task though nobody reports it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcorps.api.meta import TaskPhase
from agentcorps.core import lifecycle
from agentcorps.core.actions import (
    TTL_EXPIRED,
    DeleteTask,
    Explain,
    Finish,
    FollowGeneration,
    Requeue,
    TaskAction,
)
from agentcorps.core.deadlines import due, next_due
from agentcorps.core.records import Key, Now, TaskRecord
from agentcorps.core.state import State
from support.strategies import NOW, a_pool, a_seat, a_task, bound, state_of

UID = "task-uid-0"
POOL = a_pool()


def after(seconds: float) -> Now:
    """Both clocks, some seconds later."""
    return Now(NOW.monotonic + seconds, NOW.wall + seconds)


def finished(**fields: object) -> TaskRecord:
    """Return a Task that has just succeeded."""
    done = lifecycle.succeed(bound(a_task(), a_seat()), NOW)
    return replace(done, **fields)  # type: ignore[arg-type]  # fields of a record


def written(state: State, record: TaskRecord, now: Now) -> None:
    """Observe what a write has made of a Task."""
    state.observe_task(replace(record, resource_version=10_000 + int(now.monotonic)), now)


def kinds(actions: list[TaskAction]) -> list[type]:
    """Tell only what kind of actions these are."""
    return [type(action) for action in actions]


def test_an_attempt_ends_at_its_timeout() -> None:
    """An attempt is taken back when it has run for timeoutSeconds, not before, and it counts."""
    state = state_of(bound(a_task(timeout_seconds=30), a_seat()))
    assert due(state, NOW) == []
    assert next_due(state) == after(30).monotonic
    assert due(state, after(29.9)) == []
    (action,) = due(state, after(30))
    assert isinstance(action, Requeue)
    assert (action.attempt, action.reason, action.counted) == (1, "Timeout", True)


def test_a_new_leader_counts_the_time_that_has_passed() -> None:
    """A Task that has run for 20 of its 30 seconds when it is first seen has 10 left."""
    running = bound(a_task(timeout_seconds=30), a_seat())
    state = State()
    state.observe_task(running, after(20))
    assert due(state, after(29.9)) == []
    assert kinds(due(state, after(30))) == [Requeue]


def test_a_new_leader_waits_for_the_outcome_of_an_attempt_that_ran_out_meanwhile() -> None:
    """Who finished in time while nobody led has half a minute to say so; then the attempt ends."""
    state = State()
    state.observe_task(bound(a_task(timeout_seconds=30), a_seat()), after(100))
    assert due(state, after(100), after(100).monotonic) == []
    assert next_due(state) == after(130).monotonic
    assert due(state, after(129.9), after(100).monotonic) == []
    assert kinds(due(state, after(130), after(100).monotonic)) == [Requeue]


def test_a_leader_gives_its_own_attempts_no_longer() -> None:
    """What it bound itself ends at its timeout, however short its term is yet."""
    state = state_of(bound(a_task(timeout_seconds=10), a_seat()))
    assert kinds(due(state, after(10), NOW.monotonic)) == [Requeue]


def test_a_start_in_the_future_is_now() -> None:
    """A clock that was set back does not prolong an attempt."""
    state = State()
    state.observe_task(bound(a_task(timeout_seconds=30), a_seat(), after(500)), NOW)
    assert kinds(due(state, after(30))) == [Requeue]


def test_the_writer_of_a_start_knows_it_to_the_fraction() -> None:
    """Status has whole seconds, but the operator that bound a Task counts from the exact start."""
    state = state_of(a_task(timeout_seconds=1))
    start = after(0.9)
    running = bound(state.tasks[UID], a_seat(), start)
    state.assume(running)
    written(state, replace(running, started_at=NOW.wall), after(0.95))
    state.settle(UID)
    assert state.started_monotonic(UID) == pytest.approx(start.monotonic)
    assert due(state, after(1.8)) == []
    assert kinds(due(state, after(2.0))) == [Requeue]


def fresh(**fields: Any) -> TaskRecord:
    """Return a Task that was created just now and waits at most 30 seconds."""
    return a_task(**{"created": NOW.wall, "queue_timeout_seconds": 30, **fields})


def test_a_task_that_nobody_takes_ends_at_its_queue_timeout() -> None:
    """A Task is TimedOut when it has waited for queueTimeoutSeconds, not before."""
    state = state_of(fresh())
    due(state, after(5))
    assert due(state, after(29.9)) == []
    (action,) = due(state, after(30))
    assert isinstance(action, Finish)
    assert (action.phase, action.reason) == (TaskPhase.TIMED_OUT, "QueueTimeout")
    assert action.message == "not bound within 30 s, PoolNotFound"


def test_the_reason_of_the_wait_is_told_at_the_queue_timeout() -> None:
    """What the status said of the wait is still said when the Task has ended over it."""
    said = lifecycle.explain(fresh(), "PoolNotFound", "there is no AgentPool crew")
    (action,) = due(state_of(said), after(30))
    assert isinstance(action, Finish)
    assert action.message == "not bound within 30 s, PoolNotFound: there is no AgentPool crew"


@pytest.mark.parametrize("age", [20, 29])
def test_a_new_leader_counts_the_time_that_was_waited(age: int) -> None:
    """A Task that waited before this operator saw it has only the rest left: at most 1 s more."""
    state = State()
    state.observe_task(fresh(), after(age))
    state.observe_pool(POOL)
    assert due(state, after(29.9)) == []
    assert kinds(due(state, after(31))) == [Finish]


def test_each_wait_counts_for_itself() -> None:
    """A Task that waits again after a lost attempt has all of queueTimeoutSeconds again."""
    running = bound(fresh(), a_seat(), after(25))
    lost = lifecycle.requeue(running, "AgentLost", "", counted=True, now=after(100))
    state = State()
    state.observe_pool(POOL)
    state.observe_task(lost, after(100))
    assert due(state, after(129.9)) == []
    assert kinds(due(state, after(131))) == [Finish]


def test_a_backoff_is_no_part_of_the_wait() -> None:
    """The wait begins when the Task may be bound again, however long its back-off is."""
    running = bound(fresh(backoff_seconds=60), a_seat())
    error = lifecycle.requeue(running, "AgentError", "", counted=True, now=NOW)
    state = state_of(error)
    state.observe_pool(POOL)
    due(state, after(5))
    assert kinds(due(state, after(89.9))) == []
    assert kinds(due(state, after(91))) == [Finish]


def test_the_writer_of_an_end_knows_it_to_the_fraction() -> None:
    """The operator that ended an attempt counts the next wait from the exact end."""
    running = bound(fresh(queue_timeout_seconds=1), a_seat())
    state = state_of(running)
    state.observe_pool(POOL)
    end = after(0.9)
    lost = lifecycle.requeue(running, "AgentLost", "", counted=True, now=end)
    state.assume(lost)
    stored = replace(lost, attempts=(replace(lost.attempts[0], finished_at=NOW.wall),))
    written(state, stored, after(0.95))
    state.settle(UID)
    assert due(state, after(1.8)) == []
    assert kinds(due(state, after(1.91))) == [Finish]


@pytest.mark.parametrize("running", [False, True], ids=["queued", "running"])
def test_a_cancelled_task_ends_at_once(*, running: bool) -> None:
    """spec.cancel ends a Task whether it waits or runs."""
    task = bound(a_task(), a_seat()) if running else a_task()
    (action,) = due(state_of(replace(task, cancel=True, generation=2)), NOW)
    assert isinstance(action, Finish)
    assert (action.phase, action.reason) == (TaskPhase.CANCELLED, "Cancelled")


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (a_task(input_bytes=65_537), "InputTooLarge"),
        (a_task(invalid="spec.pool is missing"), "InvalidObject"),
    ],
)
def test_a_task_that_can_never_run_fails_at_once(task: TaskRecord, reason: str) -> None:
    """Too large an input, or a spec that cannot be read, ends a Task without a binding."""
    (action,) = due(state_of(task), NOW)
    assert isinstance(action, Finish)
    assert (action.phase, action.reason) == (TaskPhase.FAILED, reason)


def test_a_finished_task_is_deleted_after_its_ttl() -> None:
    """TtlSecondsAfterFinished counts from the end, and without it a Task is kept."""
    state = state_of(finished(ttl_seconds=60))
    assert due(state, after(59.9)) == []
    assert due(state, after(60)) == [DeleteTask(UID, TTL_EXPIRED)]
    kept = state_of(finished())
    assert due(kept, after(10**8)) == []
    assert next_due(kept) is None


def test_a_finished_task_follows_its_generation() -> None:
    """A change of spec after the end is only noted in observedGeneration."""
    state = state_of(finished(generation=2, cancel=True))
    assert due(state, NOW) == [FollowGeneration(UID)]


def test_an_action_without_effect_comes_again() -> None:
    """If nothing is seen of an action for ten seconds it is asked for again, not in between."""
    state = state_of(finished(ttl_seconds=0))
    assert due(state, NOW) == [DeleteTask(UID, TTL_EXPIRED)]
    assert due(state, after(9.9)) == []
    assert due(state, after(10)) == [DeleteTask(UID, TTL_EXPIRED)]


def test_a_task_with_a_write_in_flight_is_left_alone() -> None:
    """No action is decided while a write is under way; it is decided once that has settled."""
    state = state_of(a_task(cancel=True))
    state.assume(state.tasks[UID])
    assert due(state, NOW) == []
    state.settle(UID)
    assert kinds(due(state, NOW)) == [Finish]


def test_a_missing_pool_is_told_after_five_seconds_and_once() -> None:
    """A Task of a pool that is not there gets its reason after five seconds, by one write."""
    state = state_of(a_task())
    assert due(state, after(4.9)) == []
    (action,) = due(state, after(5))
    assert isinstance(action, Explain)
    assert action.reason == "PoolNotFound"
    assert action.message == "there is no AgentPool crew in namespace east"
    written(state, lifecycle.explain(state.tasks[UID], action.reason, action.message), after(5))
    assert due(state, after(1_000)) == []


def test_a_missing_capability_is_told() -> None:
    """A Task that no agent of its pool matches is told so, with what they lack."""
    state = state_of(a_task(requires=frozenset({"juggle"})), seats=[a_seat()])
    state.observe_pool(POOL)
    (action,) = due(state, after(5))
    assert action == Explain(
        UID, "NoAgentMatches", "1 agent in pool crew: 1 lacks capability juggle"
    )


def test_a_reason_that_arises_later_is_told_too() -> None:
    """When the last agent that could serve a waiting Task is gone, its status says so."""
    state = state_of(a_task(), seats=[a_seat(offer=0)])
    state.observe_pool(replace(POOL, replicas=0))
    assert due(state, after(5)) == []
    state.forget_agent(Key("east", "crew-0"))
    assert kinds(due(state, after(35))) == [Explain]


@pytest.mark.parametrize("seats", [[a_seat(offer=0)], []], ids=["busy agent", "no agent yet"])
def test_waiting_for_an_idle_agent_is_never_written(seats: list[object]) -> None:
    """A Task whose agents are busy or still to come waits without a word: that is the default."""
    state = state_of(a_task(), seats=seats)  # type: ignore[arg-type]  # parametrised seats
    state.observe_pool(POOL)
    assert [due(state, after(seconds)) for seconds in (0, 5, 35, 70)] == [[], [], [], []]


def test_a_long_backoff_is_told() -> None:
    """A Task that waits for its next try says until when, and what ended the last one."""
    running = replace(bound(a_task(), a_seat()), failures=1)
    error = lifecycle.requeue(running, "AgentError", "out of cheese", counted=True, now=NOW)
    state = state_of(error)
    state.observe_pool(POOL)
    (action,) = due(state, after(5))
    assert isinstance(action, Explain)
    assert action.reason == "Backoff"
    assert action.message.endswith("because attempt 1 ended with AgentError: out of cheese")


def test_the_end_of_a_backoff_is_on_the_calendar() -> None:
    """next_due tells when a Task that waits for its back-off can be bound again."""
    error = lifecycle.requeue(
        bound(a_task(), a_seat()), "AgentError", "", counted=True, now=after(-2)
    )
    state = state_of(error)
    due(state, NOW)
    assert next_due(state) == pytest.approx(after(3).monotonic)


def test_a_forgotten_task_is_no_longer_due() -> None:
    """Nothing is decided for a Task that is gone."""
    state = state_of(finished(ttl_seconds=60))
    due(state, NOW)
    state.forget_task(UID)
    assert next_due(state) is None
    assert due(state, after(100)) == []


_TASKS = st.builds(
    lambda base, timeout, patience, ttl, cancel: replace(
        base,
        created=NOW.wall,
        timeout_seconds=timeout,
        queue_timeout_seconds=patience,
        ttl_seconds=ttl,
        cancel=cancel,
    ),
    st.sampled_from([a_task(), bound(a_task(), a_seat()), finished()]),
    st.integers(1, 40),
    st.none() | st.integers(1, 40),
    st.none() | st.integers(0, 40),
    st.booleans(),
)


@settings(max_examples=300)
@given(_TASKS)
def test_waking_up_when_told_is_enough(task: TaskRecord) -> None:
    """Who looks only when next_due says so sees the same actions as who looks every second."""
    often, seldom = state_of(task), state_of(task)
    every_second = [kinds(due(often, after(second))) for second in range(61)]
    told = {0: kinds(due(seldom, NOW))}
    while (wake := next_due(seldom)) is not None and wake <= after(60).monotonic:
        now = after(wake - NOW.monotonic)
        told[int(now.monotonic - NOW.monotonic)] = kinds(due(seldom, now))
    assert [told.get(second, []) for second in range(61)] == every_second
