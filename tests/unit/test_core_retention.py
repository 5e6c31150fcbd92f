"""How many Tasks a pool takes, and how many finished ones it keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from agentcorps.api.meta import TaskPhase
from agentcorps.core import lifecycle
from agentcorps.core.actions import HISTORY_LIMIT, DeleteTask, Finish
from agentcorps.core.records import Key, Now, TaskRecord
from agentcorps.core.retention import FEWEST_DELETED, KEPT_SECONDS, overflow, surplus
from support.strategies import NOW, a_pool, a_seat, a_task, bound, state_of

if TYPE_CHECKING:
    from agentcorps.core.state import State

CREW = Key("east", "crew")


def carried_out(state: State, actions: list[Finish], now: Now = NOW) -> list[str]:
    """Write what was decided; returns the names of the Tasks that were refused."""
    names = []
    for action in actions:
        record = state.tasks[action.task_uid]
        names.append(record.key.name)
        after = lifecycle.refuse(record, action.reason, action.message, now)
        version = 10_000 + record.resource_version
        state.observe_task(replace(after, resource_version=version), now)
    return names


def refused(state: State) -> list[str]:
    """Decide and write until nothing is refused any more."""
    names: list[str] = []
    while actions := overflow(state):
        names += carried_out(state, actions)
    return names


def retried(number: int) -> TaskRecord:
    """Return a Task that waits for its second attempt."""
    running = bound(a_task(number), a_seat())
    return lifecycle.requeue(running, "AgentLost", "", counted=True, now=NOW)


def ended(number: int, ago: float, *, full: bool = False) -> TaskRecord:
    """Return a Task that ended so many seconds ago, or was refused then."""
    then = Now(NOW.monotonic - ago, NOW.wall - ago)
    if full:
        return lifecycle.refuse(a_task(number), "QueueFull", "", then)
    return lifecycle.succeed(bound(a_task(number), a_seat(), then), then)


ages = st.lists(st.integers(0, 5), max_size=30)


@settings(max_examples=200)
@given(ages, st.integers(1, 20), st.integers(0, 5))
def test_the_newest_tasks_beyond_the_limit_are_refused(
    created: list[int], limit: int, retries: int
) -> None:
    """Whatever the order of arrival: the oldest maxQueued stay, and all that were tried before."""
    first = [a_task(number, created=float(age)) for number, age in enumerate(created)]
    tried = [retried(100 + number) for number in range(retries)]
    state = state_of(*reversed(first), *tried)
    state.observe_pool(a_pool(max_queued=limit))
    kept = sorted(first, key=lambda task: (task.created, task.resource_version))[:limit]
    gone = {task.key.name for task in first} - {task.key.name for task in kept}
    assert set(refused(state)) == gone
    assert overflow(state) == []


def test_who_comes_later_is_refused_and_who_was_taken_stays() -> None:
    """Once taken a Task is not refused when another one comes."""
    state = state_of(a_task(1), a_task(2))
    state.observe_pool(a_pool(max_queued=2))
    assert refused(state) == []
    state.observe_task(a_task(3, created=NOW.wall), NOW)
    assert refused(state) == ["task-3"]
    assert "spec.tasks.maxQueued" in state.tasks["task-uid-3"].message
    assert (state.queued(CREW), state.tasks["task-uid-3"].phase) == (2, TaskPhase.FAILED)


def test_room_that_was_made_is_given_away() -> None:
    """When one of those that wait is bound, the next one is taken."""
    state = state_of(a_task(1))
    state.observe_pool(a_pool(max_queued=1))
    state.assume(bound(state.tasks["task-uid-1"], a_seat()))
    state.observe_task(a_task(2, created=NOW.wall), NOW)
    assert refused(state) == []


def test_a_lower_limit_refuses_the_newest() -> None:
    """A pool whose limit is lowered refuses what is now too much, the newest first."""
    state = state_of(*[a_task(number) for number in range(5)])
    state.observe_pool(a_pool())
    assert refused(state) == []
    state.observe_pool(a_pool(max_queued=3, resource_version=2))
    assert refused(state) == ["task-4", "task-3"]


def test_a_pool_that_is_not_there_or_not_readable_has_no_limit() -> None:
    """Without a limit that can be read nobody is refused; once it can be, the limit holds."""
    state = state_of(a_task(1), a_task(2))
    assert refused(state) == []
    state.observe_pool(a_pool(max_queued=1, invalid="spec: is missing"))
    assert refused(state) == []
    state.observe_pool(a_pool(max_queued=1, resource_version=2))
    assert refused(state) == ["task-2"]


def test_what_is_to_end_anyway_is_not_refused_as_well() -> None:
    """A cancelled Task or one with too large an input has its own end, and frees its place."""
    cancelled = a_task(2, created=NOW.wall, cancel=True)
    huge = a_task(3, created=NOW.wall, input_bytes=70_000)
    state = state_of(a_task(1), cancelled, huge)
    state.observe_pool(a_pool(max_queued=1))
    assert overflow(state) == []
    state.observe_task(replace(lifecycle.cancel(cancelled, NOW), resource_version=500), NOW)
    assert overflow(state) == []


def test_a_refusal_that_was_not_written_comes_again() -> None:
    """A write that fails leaves the Task waiting, and too many: it is refused anew."""
    state = state_of(a_task(1), a_task(2))
    state.observe_pool(a_pool(max_queued=1))
    (action,) = overflow(state)
    state.assume(lifecycle.refuse(state.tasks[action.task_uid], "QueueFull", "", NOW))
    assert overflow(state) == []
    state.settle(action.task_uid)
    assert overflow(state) == [action]


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 200), st.booleans()), max_size=80), st.integers(0, 40))
def test_the_history_comes_down_to_its_limit_in_order(
    ends: list[tuple[int, bool]], limit: int
) -> None:
    """The refused go first, then the oldest; none within a minute, none within the limit."""
    records = [ended(number, ago, full=full) for number, (ago, full) in enumerate(ends)]
    state = state_of(*records)
    state.observe_pool(a_pool(history_limit=limit))
    order = sorted(
        records, key=lambda task: (task.reason != "QueueFull", task.finished_at, task.uid)
    )
    too_many = order[: max(0, len(order) - limit)]
    old = [task.uid for task in too_many if NOW.wall - (task.finished_at or 0) >= KEPT_SECONDS]
    gone: list[str] = []
    while batch := surplus(state, NOW):
        assert len(batch) <= FEWEST_DELETED
        gone += [action.task_uid for action in batch]
        for action in batch:
            state.forget_task(action.task_uid)
    assert set(gone) <= set(old)
    if len(too_many) <= FEWEST_DELETED:
        assert gone == old


def test_a_large_surplus_goes_in_larger_batches() -> None:
    """A tenth of what is too much goes at a time, so that no rate of ends outruns it."""
    state = state_of(*[ended(number, 100) for number in range(2_000)])
    state.observe_pool(a_pool(history_limit=0))
    assert len(surplus(state, NOW)) == 200


def test_what_waits_runs_or_has_a_write_in_flight_is_no_history() -> None:
    """Only Tasks that ended, and that nobody is writing, are deleted."""
    state = state_of(a_task(1), bound(a_task(2), a_seat()), ended(3, 100), ended(4, 90))
    state.observe_pool(a_pool(history_limit=0))
    state.assume(state.tasks["task-uid-3"])
    assert surplus(state, NOW) == [DeleteTask("task-uid-4", HISTORY_LIMIT)]
    state.settle("task-uid-3")
    state.observe_pool(a_pool(history_limit=0, resource_version=2, invalid="spec: is missing"))
    assert surplus(state, NOW) == []
