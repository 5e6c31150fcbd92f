"""After a 403 of a quota nothing is asked again until the quota has more room, or time passed."""

from __future__ import annotations

from typing import Any

from agentcorps.core.records import Key
from agentcorps.ports import Conflict, Kind, Refused
from support.control_room import NAMESPACE, POOL, ControlRoom

FULL = Refused(403, "Forbidden", 'pods "crew-0" is forbidden: exceeded quota: q')
BUSY = Conflict('Operation cannot be fulfilled on resourcequotas "q": the object has been modified')
AGENT = Key(NAMESPACE, "crew-0")


def _quota(room: ControlRoom, hard: str, used: str) -> None:
    """Somebody creates or changes the quota."""
    told: dict[str, Any] = {"hard": {"pods": hard}, "used": {"pods": used}}
    metadata = {"namespace": NAMESPACE, "name": "q"}
    stored = room.cluster.put(
        Kind.QUOTA, {"metadata": metadata, "spec": {"hard": told["hard"]}, "status": told}
    )
    room.observer.quota_event("MODIFIED", stored)


async def _turn(room: ControlRoom) -> int:
    """Run the fleet's steps once; returns how many pods there are."""
    await room.scale.step()
    await room.create.step()
    return sum(kind is Kind.POD for kind, _ in room.cluster.objects)


async def _refused(room: ControlRoom) -> None:
    """Let the quota refuse the pod of a pool of one, and rest for more than a minute."""
    room.add_pool(1)
    _quota(room, "5", "1")
    await room.scale.step()
    for rest in (2, 4, 8, 16, 32, 0):
        room.cluster.fail("create", FULL)
        assert await _turn(room) == 0
        room.clock.advance(rest)
    assert not room.cluster.faults


async def test_a_refused_pod_is_not_sent_again_while_nothing_is_known() -> None:
    """Ten turns at the same instant send nothing."""
    room = ControlRoom()
    await _refused(room)
    before = len(room.cluster.writes)
    for _ in range(10):
        assert await _turn(room) == 0
    assert len(room.cluster.writes) == before


async def test_room_in_the_quota_ends_the_rest() -> None:
    """Somebody else's pod goes, the quota says so, and the pod is made at once."""
    room = ControlRoom()
    await _refused(room)
    _quota(room, "5", "0")
    assert await _turn(room) == 1


async def test_news_without_more_room_do_not() -> None:
    """A quota that is used more, or as much as before, wakes nobody."""
    room = ControlRoom()
    await _refused(room)
    for used in ("2", "2"):
        _quota(room, "5", used)
        assert await _turn(room) == 0


async def test_time_ends_it_too() -> None:
    """A quota that never says anything is asked again after a while."""
    room = ControlRoom()
    await _refused(room)
    room.clock.advance(300)
    assert await _turn(room) == 1


async def test_a_quota_that_is_gone_refuses_nothing() -> None:
    """The quota is deleted: the pod is made at once."""
    room = ControlRoom()
    await _refused(room)
    gone = room.cluster.objects.pop((Kind.QUOTA, Key(NAMESPACE, "q")))
    room.observer.quota_event("DELETED", gone)
    assert await _turn(room) == 1


async def test_a_conflict_of_the_quota_is_tried_again_soon_and_not_told() -> None:
    """409 of the quota's own count: no Event, no name is taken for taken, and it works later."""
    room = ControlRoom()
    room.add_pool(1)
    await room.scale.step()
    room.cluster.fail("create", BUSY)
    await room.create.step()
    trouble = room.remembered.pods.of(AGENT)
    assert trouble is not None
    assert trouble.reason == "QuotaConflict"
    assert 0.1 <= room.remembered.pods.rest(AGENT, room.clock.now().monotonic) <= 0.25
    assert not [note for note in room.notes.notes if note.warning]
    room.clock.advance(1)
    assert await _turn(room) == 1


async def test_conflicts_of_many_spread() -> None:
    """Ten pods that were in each other's way come back at ten moments, the same in every run."""
    rests = []
    for _ in range(2):
        room = ControlRoom()
        room.add_pool(10)
        await room.scale.step()
        for _ in range(10):
            room.cluster.fail("create", BUSY)
        await room.create.step()
        now = room.clock.now().monotonic
        keys = [Key(NAMESPACE, f"{POOL}-{number}") for number in range(10)]
        rests.append([room.remembered.pods.rest(key, now) for key in keys])
    assert len(set(rests[0])) == 10
    assert rests[0] == rests[1]


async def test_somebody_elses_pod_of_the_name_is_told() -> None:
    """An Event and the status name the pod that is in the way, and what to do."""
    room = ControlRoom()
    room.add_pool(1)
    await room.scale.step()
    room.cluster.put(Kind.POD, {"metadata": {"namespace": NAMESPACE, "name": "crew-0"}})
    await room.create.step()
    assert room.notes.reasons()[-1] == "NameTaken"
    await room.monitor.step()
    status = room.cluster.objects[Kind.AGENT, AGENT]["status"]
    stalled = next(one for one in status["conditions"] if one["type"] == "Stalled")
    assert stalled["reason"] == "NameTaken"
    assert "belongs to somebody else: delete it" in stalled["message"]
