"""Objects that cannot be read: named once to people, and in nobody's way."""

import asyncio

import pytest

from agentcorps.api.protocol import TaskRef
from agentcorps.control.refusals import ProtocolError
from agentcorps.control.resync import Resync
from agentcorps.core import wire
from agentcorps.core.records import Key
from agentcorps.ports import Kind, Object
from support.calls import assigning, bound, result
from support.control_room import NAMESPACE, ControlRoom

NO_TIME = "0000-01-01T00:00:00Z"
WRONG = "status.startedAt must be an RFC 3339 time with a zone"
TOLD = (
    f"{WRONG}: the operator leaves this Task alone until it can read it; correct that"
    " (kubectl edit task task --subresource=status), or delete the Task"
)


def spoiled(room: ControlRoom, name: str = "task") -> Object:
    """Somebody writes a time that does not exist into the status of a Task."""
    return room.cluster.change(
        Kind.TASK, Key(NAMESPACE, name), lambda body: body["status"].update(startedAt=NO_TIME)
    )


def news(room: ControlRoom, event: str, task: Object) -> None:
    """The watch tells of a Task."""
    try:
        room.observer.task_event(event, wire.task_record(task))
    except wire.Malformed as error:
        room.observer.not_read(Kind.TASK, event, task, str(error))


def told(room: ControlRoom) -> list[str]:
    """Return the messages of the Events about what cannot be read."""
    return [note.message for note in room.notes.notes if note.reason == "Unreadable"]


async def test_an_unreadable_task_is_named_once_and_others_are_bound() -> None:
    """However often it is seen, one Event says what is wrong, where, and what to do."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task()
    for _ in range(3):
        news(room, "MODIFIED", spoiled(room))
    await room.observer.unreadable.step()
    other = room.add_task("other")
    assert (await bound(room, who)).uid == other
    assert told(room) == [TOLD]
    note = next(one for one in room.notes.notes if one.reason == "Unreadable")
    assert (note.kind, note.key, note.warning) == (Kind.TASK, Key(NAMESPACE, "task"), True)


async def test_a_task_that_can_be_read_again_is_bound_and_may_be_named_again() -> None:
    """Who corrects the status has the Task executed; a new fault is a new Event."""
    room = ControlRoom()
    who = await room.connect()
    uid = room.add_task()
    news(room, "MODIFIED", spoiled(room))
    key = Key(NAMESPACE, "task")
    mended = room.cluster.change(Kind.TASK, key, lambda body: body["status"].pop("startedAt"))
    news(room, "MODIFIED", mended)
    assert (await bound(room, who)).uid == uid
    news(room, "MODIFIED", spoiled(room))
    assert len(told(room)) == 2


async def test_a_list_that_shows_a_task_mended_clears_it() -> None:
    """What a watch missed, the next list tells: a fault that comes back is a new Event."""
    room = ControlRoom()
    room.add_task()
    news(room, "MODIFIED", spoiled(room))
    key = Key(NAMESPACE, "task")
    mended = room.cluster.change(Kind.TASK, key, lambda body: body["status"].pop("startedAt"))
    room.observer.tasks_listed([wire.task_record(mended)], 10_000, namespace=None)
    news(room, "MODIFIED", spoiled(room))
    assert told(room) == [TOLD, TOLD]


async def test_a_replica_that_stands_by_tells_only_when_it_leads() -> None:
    """What was found before is told by the first step of the leader, and no more after that."""
    room = ControlRoom()
    room.leader.leading = False
    room.add_task()
    news(room, "LISTED", spoiled(room))
    assert told(room) == []
    room.leader.leading = True
    await room.observer.unreadable.step()
    await room.observer.unreadable.step()
    assert told(room) == [TOLD]


async def test_a_deleted_task_is_no_longer_told_of() -> None:
    """What is gone before this process leads gets no Event."""
    room = ControlRoom()
    room.leader.leading = False
    room.add_task()
    news(room, "MODIFIED", spoiled(room))
    news(room, "DELETED", spoiled(room))
    room.leader.leading = True
    await room.observer.unreadable.step()
    assert told(room) == []


async def test_old_news_of_a_task_that_was_mended_since_is_passed_over() -> None:
    """A watch that lags does not take out of the state what was read later."""
    room = ControlRoom()
    uid = room.add_task()
    old = spoiled(room)
    key = Key(NAMESPACE, "task")
    mended = room.cluster.change(Kind.TASK, key, lambda body: body["status"].pop("startedAt"))
    news(room, "MODIFIED", mended)
    news(room, "MODIFIED", old)
    assert room.state.task(uid) is not None
    assert told(room) == []


async def test_the_binding_of_a_task_that_was_spoiled_meanwhile_is_not_tried_for_ever() -> None:
    """The conflict leads to one read and one Event; the agent's slot goes to another Task."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task()
    spoiled(room)  # the watch has not told of it yet
    other = room.add_task("other", priority=-5)
    assert (await bound(room, who)).uid == other
    assert told(room) == [TOLD]
    assert [key.name for verb, _, key in room.cluster.writes if verb == "status"] == ["other"]


async def test_the_report_on_a_task_that_was_spoiled_is_answered_404() -> None:
    """The agent drops the work; nothing is written, and its slot is free."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task()
    ref = await bound(room, who)
    spoiled(room)
    with pytest.raises(ProtocolError) as caught:
        await room.calls.reports.complete(who, ref, result())
    assert caught.value.status == 404
    assert room.status()["phase"] == "Running"
    other = room.add_task("other")
    assert (await bound(room, who)).uid == other


async def test_an_agent_stops_what_cannot_be_read_any_more() -> None:
    """Its open poll is answered at once with the attempt to drop, as if the Task was deleted."""
    room = ControlRoom()
    who = room.add_agent()
    await room.hello(who, slots=2)
    room.add_task()
    ref = await bound(room, who)
    async with assigning(room):
        held = TaskRef(uid=ref.uid, attempt=ref.attempt)
        poll = asyncio.create_task(room.poll(who, held, wait=30))
        await asyncio.sleep(0)
        news(room, "MODIFIED", spoiled(room))
        answer = await asyncio.wait_for(poll, 10)
    assert answer is not None
    assert answer.cancel == [ref]


@pytest.mark.parametrize("kind", [Kind.AGENT, Kind.POOL])
async def test_an_unreadable_agent_or_pool_stops_no_start_and_is_not_taken_for_missed(
    kind: Kind,
) -> None:
    """The others are taken in, one Event names it, and the comparison is not blind for it."""
    room = ControlRoom()
    room.add_agent("crew-0")
    room.add_agent("crew-1")
    name = "crew-0" if kind is Kind.AGENT else "crew"
    key = Key(NAMESPACE, name)
    room.cluster.change(kind, key, lambda body: body.update(status="nonsense"))
    fresh = ControlRoom(cluster=room.cluster)
    resync = Resync(fresh.state, fresh.observer, room.cluster, room.cluster, ())
    await resync.start()
    for _ in range(5):
        await resync.step()
    assert not resync.blind
    assert Key(NAMESPACE, "crew-1") in fresh.state.agents
    assert (key in fresh.state.agents, key in fresh.state.pools) == (False, False)
    assert [message.split(":")[0] for message in told(fresh)] == ["status must be an object"]
    room.cluster.change(kind, key, lambda body: body.update(status={}))
    for _ in range(2):
        await resync.step()
    assert key in {**fresh.state.agents, **fresh.state.pools}
