"""Pools that scale themselves: a decision becomes agents, status and Event."""

from __future__ import annotations

from typing import Any

import pytest

from agentcorps.core import wire
from agentcorps.core.records import Key
from agentcorps.ports import Kind
from support.control_room import NAMESPACE, POOL, ControlRoom

KEY = Key(NAMESPACE, POOL)
SWIFT: dict[str, Any] = {
    "maxReplicas": 10,
    "panic": {"stableWindowSeconds": 0},
    "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
}


async def turn(room: ControlRoom) -> float | None:
    """Decide, bring the agents to the target, and tell it in the status."""
    due = await room.autoscale.step()
    await room.scale.step()
    await room.monitor.step()
    room.clock.advance(1.5)
    await room.monitor.step()
    return due


def pool_status(room: ControlRoom) -> dict[str, Any]:
    """Return the status of the pool as stored."""
    found: dict[str, Any] = room.cluster.objects[Kind.POOL, KEY]["status"]
    return found


def agents(room: ControlRoom) -> list[str]:
    """Return the names of the pool's agents."""
    return sorted(agent.key.name for agent in room.state.agents_of(KEY))


async def test_tasks_bring_agents() -> None:
    """Three Tasks have three agents created; spec.replicas stays what it was."""
    room = ControlRoom()
    room.add_pool(1, scaling=SWIFT)
    await turn(room)
    assert agents(room) == []
    for number in range(3):
        room.add_task(f"task-{number}")
    await turn(room)
    assert agents(room) == ["crew-0", "crew-1", "crew-2"]
    assert room.cluster.objects[Kind.POOL, KEY]["spec"]["replicas"] == 1


async def test_tasks_that_nobody_can_do_bring_no_agents() -> None:
    """A pool does not grow for a Task that requires what its template lacks, until it has it."""
    room = ControlRoom()
    pool = room.add_pool(scaling=SWIFT)
    room.add_task(requires=["gpu"])
    await turn(room)
    assert agents(room) == []
    assert pool_status(room)["queuedTasks"] == 1
    pool = room.cluster.objects[Kind.POOL, KEY]
    pool["spec"]["template"]["spec"]["capabilities"].append("gpu")
    room.observer.pool_event("MODIFIED", room.cluster.put(Kind.POOL, pool))
    await turn(room)
    assert agents(room) == ["crew-0"]


async def test_status_and_event_tell_the_same_decision() -> None:
    """Target, limit, demands, history, condition and Event come from one decision."""
    room = ControlRoom()
    room.add_pool(scaling={**SWIFT, "maxReplicas": 2})
    for number in range(3):
        room.add_task(f"task-{number}")
    await turn(room)
    status = pool_status(room)
    assert (status["targetReplicas"], status["limitedBy"]) == (2, "MaxReplicas")
    asked = status["demands"][0]
    assert (asked["policy"], asked["reason"], asked["replicas"]) == ("policies[0]", "Tasks", 3)
    decision = status["decisions"][0]
    assert (decision["previousReplicas"], decision["targetReplicas"]) == (0, 2)
    active = next(one for one in status["conditions"] if one["type"] == "ScalingActive")
    assert (active["status"], active["reason"]) == ("True", "Scaling")
    notes = [note for note in room.notes.notes if note.reason == "ScaledUp"]
    assert [note.message for note in notes] == [f"from 0 to 2: {decision['message']}"]


async def test_nothing_is_written_or_awaited_while_nothing_changes() -> None:
    """A pool at its target asks for no further look, and its status is not written again."""
    room = ControlRoom()
    room.add_pool(scaling={**SWIFT, "minReplicas": 1})
    await turn(room)
    version = room.cluster.objects[Kind.POOL, KEY]["metadata"]["resourceVersion"]
    room.clock.advance(100)
    assert await turn(room) is None
    room.clock.advance(100)
    assert await turn(room) is None
    assert room.cluster.objects[Kind.POOL, KEY]["metadata"]["resourceVersion"] == version


async def test_a_takeover_shrinks_nothing_for_one_window() -> None:
    """A new leader keeps the agents that it finds until its own window has passed."""
    room = ControlRoom()
    room.add_pool(scaling=SWIFT)
    for number in range(4):
        room.add_task(f"task-{number}")
    await turn(room)
    heir = ControlRoom(room.cluster, clock=room.clock)
    heir.observer.pools_listed([room.cluster.objects[Kind.POOL, KEY]])
    heir.observer.agents_listed(
        [one for (kind, _), one in room.cluster.objects.items() if kind is Kind.AGENT]
    )
    await heir.scale.step()
    assert len(agents(heir)) == 4
    await turn(heir)
    assert pool_status(heir)["targetReplicas"] == 4
    assert len(pool_status(heir)["decisions"]) == 1
    heir.clock.advance(60)
    await turn(heir)
    assert pool_status(heir)["targetReplicas"] == 0
    assert [one["targetReplicas"] for one in pool_status(heir)["decisions"]] == [4, 0]


async def test_without_scaling_replicas_count_again() -> None:
    """A pool whose spec.scaling is removed has spec.replicas agents, and no trace of decisions."""
    room = ControlRoom()
    pool = room.add_pool(1, scaling={**SWIFT, "minReplicas": 3})
    await turn(room)
    assert len(agents(room)) == 3
    pool = room.cluster.change(Kind.POOL, KEY, lambda one: one["spec"].pop("scaling"))
    room.observer.pool_event("MODIFIED", pool)
    await turn(room)
    status = pool_status(room)
    assert (status["targetReplicas"], status["limitedBy"]) == (1, "None")
    assert "decisions" not in status
    assert {one["type"] for one in status["conditions"]} == {"Ready", "Reconciling", "Stalled"}


async def test_a_pause_is_told() -> None:
    """A paused pool keeps its target, and ScalingActive says why."""
    room = ControlRoom()
    room.add_pool(scaling={**SWIFT, "pausedReplicas": 2})
    await turn(room)
    status = pool_status(room)
    assert (status["targetReplicas"], status["limitedBy"]) == (2, "Paused")
    active = next(one for one in status["conditions"] if one["type"] == "ScalingActive")
    assert (active["status"], active["reason"]) == ("False", "Paused")


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        ({"schedule": "0 8 * * 8"}, "schedule: is no cron expression (bad day-of-week)"),
        ({"timeZone": "Europe/Atlantis"}, "timeZone: is not known"),
    ],
)
def test_a_schedule_that_cannot_be_used_is_told(policy: dict[str, Any], path: str) -> None:
    """What the schema lets through and nobody can compute makes the pool invalid, with the path."""
    schedule = {"type": "Schedule", "schedule": "0 8 * * *", "replicas": 1, "durationSeconds": 60}
    room = ControlRoom()
    pool = room.add_pool(scaling={"maxReplicas": 1, "policies": [{**schedule, **policy}]})
    told = wire.pool_record(pool).invalid
    assert told.startswith(f"spec.scaling.policies[0].{path}")
