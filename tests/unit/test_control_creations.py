"""What comes of a creation is found out before anything is created again."""

from __future__ import annotations

import pytest

from agentcorps.control.creations import UNSURE_SECONDS, Creations, NameTaken, QuotaConflict
from agentcorps.core.records import Key
from agentcorps.ports import Conflict, Kind, Object, Refused, Unavailable
from support.control_room import ManualClock
from support.fake_cluster import FakeCluster

KEY = Key("team", "crew-0")
BUSY = 'POST: 409 Conflict: Operation cannot be fulfilled on resourcequotas "q": modified'


def _pod(owner: str = "agent-uid", name: str = "crew-0") -> Object:
    owners = [{"kind": "Agent", "name": name, "uid": owner, "controller": True}]
    return {"metadata": {"namespace": "team", "name": name, "ownerReferences": owners}}


class _Asked(FakeCluster):
    """A cluster that remembers what it was asked, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def get(self, kind: Kind, key: Key) -> Object:
        self.asked.append("get")
        return await super().get(kind, key)

    async def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        self.asked.append("create")
        return await super().create(kind, namespace, body)


async def _create(creations: Creations, owner: str = "agent-uid", name: str = "crew-0") -> Object:
    return await creations.create(Kind.POD, "team", _pod(owner, name))


async def test_a_lost_answer_is_looked_up() -> None:
    """The pod was created and the answer lost: it is read, and that is the answer."""
    cluster = _Asked()
    cluster.fail("create", Unavailable("no answer within 10 s"), applied=True)
    stored = await _create(Creations(cluster, ManualClock()))
    assert stored["metadata"]["uid"] == cluster.objects[Kind.POD, KEY]["metadata"]["uid"]
    assert cluster.asked == ["create", "get"]


async def test_a_creation_that_may_be_on_its_way_is_looked_for_before_the_next() -> None:
    """Nothing was there after a silence: the next call reads again, and creates only then."""
    cluster = _Asked()
    creations = Creations(cluster, ManualClock())
    cluster.fail("create", Unavailable("cut"))
    with pytest.raises(Unavailable, match="cut"):
        await _create(creations)
    await _create(creations)
    assert cluster.asked == ["create", "get", "get", "create"]


async def test_a_creation_that_came_late_is_found() -> None:
    """The pod appears after the silence: it is taken for what it is, and not created again."""
    cluster = _Asked()
    creations = Creations(cluster, ManualClock())
    cluster.fail("create", Unavailable("cut"))
    with pytest.raises(Unavailable):
        await _create(creations)
    late = cluster.put(Kind.POD, _pod())
    assert (await _create(creations))["metadata"]["uid"] == late["metadata"]["uid"]
    assert cluster.asked == ["create", "get", "get"]


async def test_where_nothing_can_be_read_nothing_is_created_either() -> None:
    """As long as nobody knows what came of a creation, only reads are sent."""
    cluster = _Asked()
    creations = Creations(cluster, ManualClock())
    cluster.fail("create", Unavailable("cut"), applied=True)
    for _ in range(2):
        cluster.fail("get", Unavailable("down"))
    with pytest.raises(Unavailable, match="cut"):
        await _create(creations)
    with pytest.raises(Unavailable, match="down"):
        await _create(creations)
    await _create(creations)
    assert cluster.asked == ["create", "get", "get", "get"]


async def test_a_server_that_asks_for_time_is_left_alone() -> None:
    """After a 429 with Retry-After nothing is read until the next call."""
    cluster = _Asked()
    cluster.fail("create", Unavailable("too many", retry_after=3))
    with pytest.raises(Unavailable, match="too many"):
        await _create(Creations(cluster, ManualClock()))
    assert cluster.asked == ["create"]


async def test_a_name_that_our_own_object_bears_is_no_trouble() -> None:
    """409 AlreadyExists about the very object of this owner: it is the answer."""
    cluster = _Asked()
    known = cluster.put(Kind.POD, _pod())
    stored = await _create(Creations(cluster, ManualClock()))
    assert stored["metadata"]["uid"] == known["metadata"]["uid"]


@pytest.mark.parametrize("silent", [False, True])
async def test_somebody_elses_object_is_told_apart(*, silent: bool) -> None:
    """An object of another owner under the name is named, and what to do about it."""
    cluster = _Asked()
    cluster.put(Kind.POD, _pod("another-uid"))
    if silent:
        cluster.objects.clear()
        cluster.fail("create", Unavailable("cut"))
        creations = Creations(cluster, ManualClock())
        with pytest.raises(Unavailable):
            await _create(creations)
        cluster.put(Kind.POD, _pod("another-uid"))
    else:
        creations = Creations(cluster, ManualClock())
    with pytest.raises(NameTaken, match="Pod team/crew-0 is there already and belongs to somebody"):
        await _create(creations)


async def test_a_conflict_of_the_quota_is_not_one_of_names() -> None:
    """Too many charged the quota at a time: nothing was created, and nothing is read."""
    cluster = _Asked()
    cluster.fail("create", Conflict(BUSY))
    with pytest.raises(QuotaConflict):
        await _create(Creations(cluster, ManualClock()))
    assert cluster.asked == ["create"]


async def test_other_errors_are_what_they_are() -> None:
    """A refusal, and a conflict about nothing that is there, are passed on."""
    cluster = _Asked()
    for error in (Refused(403, "Forbidden", "exceeded quota: q"), Conflict("409: odd")):
        cluster.fail("create", error)
        with pytest.raises(type(error)):
            await _create(Creations(cluster, ManualClock()))


async def test_names_that_never_come_back_are_forgotten() -> None:
    """Agents that were given up leave nothing behind; a name that is asked for is kept so long."""
    cluster, clock = _Asked(), ManualClock()
    creations = Creations(cluster, clock)
    for number in range(50):
        clock.advance(UNSURE_SECONDS / 10)
        cluster.fail("create", Unavailable("cut"))
        with pytest.raises(Unavailable):
            await _create(creations, name=f"given-up-{number}")
        assert creations.unsure <= 10
    cluster.asked.clear()
    for _ in range(20):
        clock.advance(UNSURE_SECONDS / 2)
        cluster.fail("get", Unavailable("down"))
        with pytest.raises(Unavailable, match="down"):
            await _create(creations, name="given-up-49")
    assert cluster.asked == ["get"] * 20
    await _create(creations, name="given-up-49")
    assert creations.unsure == 0


async def test_a_name_that_is_taken_after_a_silence_is_only_read() -> None:
    """While somebody else's object bears it, no creation charges the quota in vain."""
    cluster = _Asked()
    creations = Creations(cluster, ManualClock())
    cluster.fail("create", Unavailable("cut"))
    with pytest.raises(Unavailable):
        await _create(creations)
    cluster.put(Kind.POD, _pod("another-uid"))
    for _ in range(2):
        with pytest.raises(NameTaken):
            await _create(creations)
    assert cluster.asked == ["create", "get", "get", "get"]
