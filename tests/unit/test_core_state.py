"""What the state remembers, and what it forgets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentcorps.core import lifecycle
from agentcorps.core.records import Key, Now
from support.decide import bindings
from support.strategies import NOW, a_seat, a_task, bound, state_of


def test_a_version_counts_across_incarnations() -> None:
    """A late event of an earlier Task of the same name does not replace the newer one."""
    state = state_of(a_task(uid="new", resource_version=20))
    assert not state.observe_task(a_task(uid="old", resource_version=19), NOW)
    assert state.observe_task(a_task(uid="newer", resource_version=21), NOW)
    assert list(state.tasks) == ["newer"]


def test_running_is_counted_from_the_first_look() -> None:
    """started_monotonic tells the start on our own clock, and None for what does not run."""
    state = state_of(bound(a_task(), a_seat()), a_task(1))
    assert state.started_monotonic("task-uid-0") == NOW.monotonic
    assert state.started_monotonic("task-uid-1") is None
    later = Now(NOW.monotonic + 90, NOW.wall + 90)
    again = replace(state.tasks["task-uid-0"], progress_percent=9, resource_version=900)
    state.observe_task(again, later)
    assert state.started_monotonic("task-uid-0") == NOW.monotonic


def test_a_place_is_free_only_when_the_end_of_its_task_is_written() -> None:
    """While the write that takes a Task back is in flight, the API server has it on the agent."""
    running = bound(a_task(), a_seat())
    state = state_of(running, seats=[a_seat()])
    lost = lifecycle.requeue(running, "AgentLost", "", counted=True, now=NOW)
    state.assume(lost)
    during = state.vacancy(Key("east", "crew-0"))
    assert during is None or during.free == 0
    state.observe_task(replace(lost, resource_version=901), NOW)
    state.settle(running.uid)
    after = state.vacancy(Key("east", "crew-0"))
    assert after is not None
    assert after.free == 1


def test_a_task_that_goes_during_its_write_gives_its_place_back() -> None:
    """When the binding of a deleted Task has settled, its agent can take another one."""
    state = state_of(a_task(), seats=[a_seat()])
    state.assume(bound(state.tasks["task-uid-0"], a_seat()))
    state.forget_task("task-uid-0")
    assert state.bound_to(Key("east", "crew-0")) == ()
    state.settle("task-uid-0")
    vacancy = state.vacancy(Key("east", "crew-0"))
    assert vacancy is not None
    assert vacancy.free == 1


def test_an_agent_that_moves_serves_only_its_new_pool() -> None:
    """An Agent that another pool owns now gets no Task of its former pool."""
    state = state_of(a_task(), seats=[a_seat()])
    moved = replace(a_seat().agent, pool="band", resource_version=900)
    state.observe_agent(moved)
    assert bindings(state, NOW) == []
    assert list(state.agents_of(Key("east", "crew"))) == []
    assert list(state.agents_of(Key("east", "band"))) == [moved]


def test_a_new_agent_has_no_past() -> None:
    """An Agent that is made anew under its old name does not inherit when that was last busy."""
    running = bound(a_task(), a_seat())
    state = state_of(running, seats=[a_seat()])
    state.observe_task(replace(lifecycle.succeed(running, NOW), resource_version=900), NOW)
    assert state.idle_since(Key("east", "crew-0")) == NOW.wall
    state.observe_agent(replace(a_seat().agent, uid="another", resource_version=901))
    assert state.idle_since(Key("east", "crew-0")) == 0.0


def test_an_empty_board_is_given_back() -> None:
    """Pools that are gone leave nothing behind."""
    state = state_of(a_task(), seats=[a_seat(slots=2)])
    bindings(state, NOW)
    state.forget_task("task-uid-0")
    state.forget_agent(Key("east", "crew-0"))
    state.close_session(Key("east", "crew-0"))
    bindings(state, NOW)
    assert len(state._boards) == 0


def test_a_touch_is_remembered() -> None:
    """A sign of life moves last_seen of a session, and is ignored without one."""
    state = state_of(seats=[a_seat()])
    later = Now(NOW.monotonic + 7, NOW.wall + 7)
    state.touch(Key("east", "crew-0"), later)
    state.touch(Key("east", "stranger"), later)
    assert state.sessions[Key("east", "crew-0")].last_seen == later.monotonic
    assert Key("east", "stranger") not in state.sessions


def test_views_cannot_be_written() -> None:
    """Who reads the state cannot change it past its methods."""
    state = state_of(a_task())
    tasks: Any = state.tasks
    with pytest.raises(TypeError):
        tasks["task-uid-0"] = a_task()
