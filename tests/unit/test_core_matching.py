"""Which agent gets which task."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcorps.api.meta import TaskPhase
from agentcorps.core import lifecycle
from agentcorps.core.matching import next_binding
from agentcorps.core.records import Key, Now, TaskRecord
from agentcorps.core.waiting import rank
from support.decide import bindings
from support.strategies import (
    DEFECTS,
    NOW,
    Seat,
    World,
    a_seat,
    a_task,
    bound,
    observed,
    state_of,
    worlds,
)

if TYPE_CHECKING:
    from agentcorps.core.actions import Bind


def agents_of(found: list[Bind]) -> dict[str, str]:
    """Map task UIDs to names of agents."""
    return {bind.task_uid: bind.agent.name for bind in found}


def places_left(world: World, found: list[Bind]) -> dict[Key, int]:
    """Count what each agent could still take after these bindings."""
    running = Counter(task.agent for task in world.tasks if task.phase is TaskPhase.RUNNING)
    given_now = Counter(bind.agent for bind in found)
    return {seat.key: seat.places(running[seat.key]) - given_now[seat.key] for seat in world.seats}


@settings(max_examples=400)
@given(worlds)
def test_every_binding_is_allowed(world: World) -> None:
    """A binding joins a waiting task and a serving agent of its pool that has all it requires."""
    found = bindings(observed(world.observations()), NOW)
    tasks = {task.uid: task for task in world.tasks}
    seats = {seat.key: seat for seat in world.seats}
    assert len({bind.task_uid for bind in found}) == len(found)
    for bind in found:
        task, seat = tasks[bind.task_uid], seats[bind.agent]
        assert task.phase is TaskPhase.QUEUED
        assert seat.fits(task)
        assert seat.pod is not None
        assert seat.session is not None
        assert (bind.pod_uid, bind.instance) == (seat.pod.uid, seat.session.instance)
    assert all(left >= 0 for left in places_left(world, found).values())


@settings(max_examples=400)
@given(worlds)
def test_no_compatible_pair_is_left(world: World) -> None:
    """After the bindings no waiting task is left that an agent with a free place could take."""
    state = observed(world.observations())
    found = bindings(state, NOW)
    left = places_left(world, found)
    taken = {bind.task_uid for bind in found}
    for task in world.tasks:
        if task.phase is TaskPhase.QUEUED and task.uid not in taken:
            assert not [seat for seat in world.seats if seat.fits(task) and left[seat.key] > 0]
    assert next_binding(state, NOW) is None


@settings(max_examples=400)
@given(worlds)
def test_the_first_in_line_goes_first(world: World) -> None:
    """Who is left waiting comes after everyone who got an agent that could have served it."""
    found = bindings(observed(world.observations()), NOW)
    tasks = {task.uid: task for task in world.tasks}
    seats = {seat.key: seat for seat in world.seats}
    taken = {bind.task_uid for bind in found}
    for task in world.tasks:
        if task.phase is TaskPhase.QUEUED and task.uid not in taken:
            rivals = [tasks[bind.task_uid] for bind in found if seats[bind.agent].fits(task)]
            assert all(rank(rival, 60) < rank(task, 60) for rival in rivals)


@settings(max_examples=400)
@given(worlds, st.randoms(use_true_random=False))
def test_the_order_of_observation_does_not_matter(world: World, random: object) -> None:
    """The same objects give the same bindings, in whatever order they were observed."""
    steps = world.observations()
    expected = bindings(observed(steps), NOW)
    random.shuffle(steps)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert bindings(observed(steps), NOW) == expected


@settings(max_examples=400)
@given(worlds)
def test_a_decision_changes_nothing(world: World) -> None:
    """A binding that nobody carried out is decided again, the same one."""
    state = observed(world.observations())
    assert next_binding(state, NOW) == next_binding(state, NOW)


@settings(max_examples=400)
@given(worlds)
def test_the_agent_that_lost_a_task_is_the_last_choice(world: World) -> None:
    """A task returns to the agent that lost it only if no other could take it instead."""
    found = bindings(observed(world.observations()), NOW)
    left = places_left(world, found)
    tasks = {task.uid: task for task in world.tasks}
    for bind in found:
        task = tasks[bind.task_uid]
        if lifecycle.avoided_agent(task) == bind.agent.name:
            others = [seat for seat in world.seats if seat.fits(task) and seat.key != bind.agent]
            assert all(left[seat.key] == 0 for seat in others)


@pytest.mark.parametrize("defect", DEFECTS)
def test_an_agent_with_a_defect_gets_nothing(defect: str) -> None:
    """Each thing that is in the way of an agent keeps work from it, and only from it."""
    broken, whole = DEFECTS[defect](a_seat(0)), a_seat(1)
    state = state_of(a_task(0), a_task(1), seats=[broken, whole])
    assert [bind.agent for bind in bindings(state, NOW)] == [whole.key]


@pytest.mark.parametrize(
    "task",
    [
        a_task(requires=frozenset({"juggle"})),
        a_task(pool="band"),
        a_task(key=Key("west", "task-0")),
        a_task(cancel=True),
        a_task(input_bytes=65_537),
        a_task(invalid="spec.pool is missing"),
        a_task(phase=TaskPhase.SUCCEEDED),
    ],
    ids=["capability", "pool", "namespace", "cancelled", "large", "invalid", "ended"],
)
def test_a_task_that_must_not_be_bound_is_not(task: TaskRecord) -> None:
    """A free agent does not get a task that is not for it, or that is to end without running."""
    assert bindings(state_of(task, seats=[a_seat()]), NOW) == []


def test_a_task_with_a_write_in_flight_is_left_alone() -> None:
    """While its status is being written a task is not bound; once that has settled it is."""
    state = state_of(a_task(), seats=[a_seat()])
    state.assume(lifecycle.explain(state.tasks["task-uid-0"], "PoolNotFound", ""))
    assert bindings(state, NOW) == []
    state.settle("task-uid-0")
    assert len(bindings(state, NOW)) == 1


def test_a_task_waits_for_the_end_of_its_backoff() -> None:
    """After an agent's error a task is bound again when five seconds have passed, not before."""
    error = lifecycle.requeue(bound(a_task(), a_seat()), "AgentError", "", counted=True, now=NOW)
    state = state_of(error, seats=[a_seat()])
    assert bindings(state, Now(NOW.monotonic + 4.9, NOW.wall + 4.9)) == []
    assert len(bindings(state, Now(NOW.monotonic + 5.0, NOW.wall + 5.0))) == 1


def test_a_task_that_goes_during_its_backoff_is_not_missed() -> None:
    """The end of the back-off of a Task that was deleted meanwhile passes unnoticed."""
    error = lifecycle.requeue(bound(a_task(), a_seat()), "AgentError", "", counted=True, now=NOW)
    state = state_of(error, seats=[a_seat()])
    state.forget_task(error.uid)
    assert bindings(state, Now(NOW.monotonic + 5.0, NOW.wall + 5.0)) == []


def test_priority_comes_before_age_and_age_before_name() -> None:
    """One free agent after another goes to higher priority, then to the older, then by name."""
    tasks = [
        a_task(0, created=NOW.wall - 5),
        a_task(1, created=NOW.wall - 9),
        a_task(2, priority=1, created=NOW.wall),
        a_task(3, created=NOW.wall - 5),
    ]
    state = state_of(*tasks, seats=[a_seat(slots=4)])
    order = [bind.task_uid for bind in bindings(state, NOW)]
    assert order == ["task-uid-2", "task-uid-1", "task-uid-0", "task-uid-3"]


def test_work_is_spread_over_the_least_busy_agents() -> None:
    """The agent with the fewest running tasks comes first, names decide among equals."""
    busy, idle = a_seat(0, slots=3), a_seat(1, slots=3)
    running = bound(a_task(9), busy)
    state = state_of(running, *(a_task(number) for number in range(3)), seats=[busy, idle])
    names = [bind.agent.name for bind in bindings(state, NOW)]
    assert names == ["crew-1", "crew-0", "crew-1"]


def test_the_agent_that_has_been_idle_for_longest_comes_first() -> None:
    """Among idle agents the one whose last task ended first gets the next one."""
    seats = [a_seat(0), a_seat(1)]
    running = [bound(a_task(number), seat) for number, seat in enumerate(seats)]
    state = state_of(*running, seats=seats)
    for number, ended in ((0, 20.0), (1, 10.0)):
        later = Now(NOW.monotonic + ended, NOW.wall + ended)
        done = lifecycle.succeed(running[number], later)
        state.observe_task(replace(done, resource_version=500 + number), later)
    state.observe_task(a_task(5), NOW)
    assert agents_of(bindings(state, NOW)) == {"task-uid-5": "crew-1"}


def _returned(reason: str, seat: Seat) -> TaskRecord:
    """A task that came back from an agent, uncounted."""
    return lifecycle.requeue(bound(a_task(), seat), reason, "", counted=False, now=NOW)


def test_a_lost_task_goes_to_another_agent_if_there_is_one() -> None:
    """The agent that lost a task gets it back only when no other one is free."""
    seats = [a_seat(0), a_seat(1)]
    task = _returned("AgentLost", seats[0])
    assert agents_of(bindings(state_of(task, seats=seats), NOW)) == {task.uid: "crew-1"}
    assert agents_of(bindings(state_of(task, seats=seats[:1]), NOW)) == {task.uid: "crew-0"}


@pytest.mark.parametrize("reason", ["AgentStopped", "NotDelivered"])
def test_an_agent_without_fault_is_not_avoided(reason: str) -> None:
    """A goodbye or a lost delivery says nothing against giving the task to the same agent."""
    seats = [a_seat(0), a_seat(1)]
    task = _returned(reason, seats[0])
    state = state_of(task, seats=seats)
    assert agents_of(bindings(state, NOW)) == {task.uid: "crew-0"}


def test_a_failed_write_gives_the_offer_back() -> None:
    """An assumed binding takes a place of the agent until its write has failed."""
    state = state_of(a_task(), seats=[a_seat()])
    (bind,) = bindings(state, NOW)
    state.observe_task(a_task(1), NOW)
    assert bindings(state, NOW) == []
    state.settle(bind.task_uid)
    assert agents_of(bindings(state, NOW)) == {"task-uid-0": "crew-0"}


def test_a_written_binding_uses_the_offer_up() -> None:
    """An agent with two slots that asked for one task gets one, also once that is written."""
    state = state_of(a_task(0), a_task(1), seats=[a_seat(slots=2, offer=1)])
    (bind,) = bindings(state, NOW)
    running = lifecycle.bind(
        state.tasks[bind.task_uid], bind.agent, bind.pod_uid, bind.instance, NOW
    )
    state.assume(running)
    state.observe_task(replace(running, resource_version=900), NOW)
    state.settle(running.uid)
    assert bindings(state, NOW) == []
    state.open_poll(bind.agent, 1, NOW)
    assert agents_of(bindings(state, NOW)) == {"task-uid-1": "crew-0"}
