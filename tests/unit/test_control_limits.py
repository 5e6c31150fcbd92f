"""Limits that a pool sets for its Tasks, and how long these wait, through the use cases."""

import asyncio
from typing import Any

from agentcorps.control.retain_tasks import RetainTasks
from agentcorps.core.records import Key
from agentcorps.ports import Kind
from support.calls import bound, polling
from support.control_room import NAMESPACE, POOL, ControlRoom

SILENT: dict[str, Any] = {"timeoutSeconds": None, "retry": None}


async def test_a_pools_defaults_hold_where_a_task_is_silent_and_are_told() -> None:
    """The attempt gets the pool's timeout, and the status tells what was taken from the pool."""
    room = ControlRoom()
    room.add_pool(tasks={"defaults": {"timeoutSeconds": 30, "retry": {"limit": 7}}})
    who = await room.connect()
    uid = room.add_task(timeoutSeconds=None, retry={"limit": 1})
    await bound(room, who)
    assert room.status()["poolDefaults"] == {"timeoutSeconds": 30}
    record = room.state.task(uid)
    assert record is not None
    assert (record.timeout_seconds, record.retry_limit) == (30, 1)


async def test_a_change_of_the_pool_does_not_touch_an_attempt_that_runs() -> None:
    """A timeout that is shortened, or a pool that is deleted, ends no attempt early."""
    room = ControlRoom()
    room.add_pool(tasks={"defaults": {"timeoutSeconds": 1000}})
    who = await room.connect()
    room.add_task(**SILENT)
    await bound(room, who)
    changed = room.cluster.change(
        Kind.POOL,
        Key(NAMESPACE, POOL),
        lambda pool: pool["spec"].update(tasks={"defaults": {"timeoutSeconds": 1}}),
    )
    room.observer.pool_event("MODIFIED", changed)
    room.clock.advance(700)
    await room.settle()
    room.observer.pool_event("DELETED", changed)
    await room.settle()
    assert room.status()["phase"] == "Running"
    room.clock.advance(301)
    await room.settle()
    assert (room.status()["phase"], room.status()["reason"]) == ("Queued", "Timeout")


async def test_a_task_without_pool_defaults_costs_no_byte_more() -> None:
    """Where a pool has no defaults, no status mentions them."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task(**SILENT)
    await bound(room, who)
    assert "poolDefaults" not in room.status()


async def test_a_task_that_waited_too_long_ends_as_timed_out_and_is_told() -> None:
    """QueueTimeout: TimedOut without an attempt, with an Event, and with the pool's ttl."""
    room = ControlRoom()
    room.add_pool(tasks={"defaults": {"ttlSecondsAfterFinished": 60}})
    room.clock.seconds = 0.0  # what the fake cluster stamps on what it creates
    room.add_task(queueTimeoutSeconds=10)
    room.clock.advance(9)
    await room.settle()
    assert room.status()["phase"] == "Queued"
    room.clock.advance(2)
    await room.settle()
    status = room.status()
    assert (status["phase"], status["reason"], status.get("attempt")) == (
        "TimedOut",
        "QueueTimeout",
        0,
    )
    assert status["poolDefaults"] == {"ttlSecondsAfterFinished": 60}
    assert "QueueTimeout" in room.notes.reasons()
    room.clock.advance(61)
    await room.settle()
    await asyncio.sleep(0)
    assert (Kind.TASK, Key(NAMESPACE, "task")) not in room.cluster.objects


async def test_of_too_many_tasks_the_newest_fail_and_the_rest_is_served() -> None:
    """One agent, two places in the queue, five Tasks: one runs, two wait, two are refused."""
    room = ControlRoom()
    room.add_pool(tasks={"maxQueued": 2})
    who = await room.connect()
    async with polling(room, who) as poll:
        for number in range(5):
            room.add_task(f"task-{number}")
        answer = await asyncio.wait_for(poll, 10)
    await room.settle()
    assert answer is not None
    assert [task.name for task in answer.tasks] == ["task-0"]
    phases = [room.status(f"task-{number}")["phase"] for number in range(5)]
    assert phases == ["Running", "Queued", "Queued", "Failed", "Failed"]
    assert room.status("task-4")["reason"] == "QueueFull"
    assert "QueueFull" not in room.notes.reasons()


async def test_a_pools_history_is_cut_with_preconditions() -> None:
    """The Task that ended first is deleted; one that somebody changed meanwhile is read again."""
    room = ControlRoom()
    room.add_pool(tasks={"historyLimit": 1})
    for number in range(3):
        room.add_task(f"task-{number}", cancel=True)
        await room.settle()
        room.clock.advance(1)
    retain = RetainTasks(room.state, room.tasks, room.clock)
    await retain.step()
    assert room.cluster.writes[-1][0] == "status"
    room.clock.advance(60)
    unseen = room.cluster.change(
        Kind.TASK, Key(NAMESPACE, "task-0"), lambda task: task["metadata"].update(labels={"a": "b"})
    )
    await retain.step()
    await asyncio.sleep(0.01)
    left = {key.name for kind, key in room.cluster.objects if kind is Kind.TASK}
    assert left == {"task-0", "task-2"}
    known = room.state.task(unseen["metadata"]["uid"])
    assert known is not None
    assert known.resource_version == int(unseen["metadata"]["resourceVersion"])
    await retain.step()
    await asyncio.sleep(0.01)
    left = {key.name for kind, key in room.cluster.objects if kind is Kind.TASK}
    assert left == {"task-2"}
