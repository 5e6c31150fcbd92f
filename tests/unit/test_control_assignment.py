"""Assignment through the gateway's calls: bound once, after the write, delivered."""

import asyncio

import pytest

from agentcorps.api.protocol import HeartbeatRequest
from agentcorps.control.assign_tasks import (
    MAX_CONCURRENT_BINDINGS,
    MAX_CONCURRENT_ENDS,
    MAX_CONCURRENT_WORDS,
)
from agentcorps.control.refusals import ProtocolError
from agentcorps.core import lifecycle, wire
from agentcorps.core.records import Key
from agentcorps.ports import Conflict, Kind, Refused, Unavailable
from support.calls import assigning, bound, polling, result
from support.control_room import INSTANCE, NAMESPACE, POOL, ControlRoom

OTHER = "instance-two"


async def test_a_task_reaches_the_agent_with_its_input_after_its_binding_is_stored() -> None:
    """What an agent is handed is stored as Running on it, with attempt 1 and the epoch."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task()
    async with assigning(room):
        answer = await room.poll(who)
    assert answer is not None
    assert answer.epoch == 7
    assert answer.tasks[0].input == {"of": "task"}
    status = room.status()
    assert (status["phase"], status["agentName"], status["attempt"]) == ("Running", "crew-0", 1)
    assert status["agentInstance"] == INSTANCE


async def test_a_task_that_comes_while_a_poll_is_open_answers_it() -> None:
    """An idle agent gets a new task at once, not at its next poll."""
    room = ControlRoom()
    who = await room.connect()
    async with polling(room, who) as poll:
        room.add_task()
        answer = await asyncio.wait_for(poll, 10)
    assert answer is not None
    assert [task.name for task in answer.tasks] == ["task"]


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("error", [Unavailable("cut"), Conflict("a PUT that was sent twice")])
async def test_a_lost_answer_of_a_binding_is_looked_up_and_never_written_blindly(
    *, error: Exception, applied: bool
) -> None:
    """Whether the lost write had happened or not, the task is bound once and delivered once."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task()
    room.cluster.fail("status", error, applied=applied)
    ref = await bound(room, who)
    assert ref.attempt == 1
    assert room.status()["attempt"] == 1
    assert room.cluster.writes.count(("status", Kind.TASK, Key(NAMESPACE, "task"))) == (
        0 if applied else 1
    )


async def test_a_conflicting_write_leads_to_a_fresh_decision() -> None:
    """A Task that was cancelled while its binding was on the way is cancelled, not bound."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task()

    def cancel(kind: Kind, key: Key) -> None:
        room.cluster.change(kind, key, lambda task: task["spec"].update(cancel=True))

    room.cluster.before_write = cancel
    async with assigning(room):
        answer = await room.poll(who, wait=0.3)
    assert answer is None
    assert room.status()["phase"] == "Cancelled"
    assert room.status().get("attempt", 0) == 0


async def test_a_delivery_that_got_lost_is_handed_over_again_with_the_same_attempt() -> None:
    """An agent that does not name its task at its next call gets it again, uncounted."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task()
    first = await bound(room, who)
    again = await room.poll(who)
    assert again is not None
    assert (again.tasks[0].uid, again.tasks[0].attempt) == (first.uid, 1)
    assert room.status()["failures"] == 0


async def test_a_poll_whose_client_went_away_offers_nothing_any_more() -> None:
    """A closed connection takes its offer back: the task waits for somebody who is there."""
    room = ControlRoom()
    who = await room.connect()
    async with polling(room, who) as poll:
        poll.cancel()
        await asyncio.gather(poll, return_exceptions=True)
        room.add_task()
        await room.settle()
    assert room.status()["phase"] == "Queued"


async def test_a_newer_poll_ends_the_older_one_and_keeps_its_offer() -> None:
    """Only the latest poll of a process is answered with work."""
    room = ControlRoom()
    who = await room.connect()
    async with assigning(room):
        older = asyncio.create_task(room.poll(who, wait=30))
        await asyncio.sleep(0.01)
        newer = asyncio.create_task(room.poll(who, wait=30))
        await asyncio.sleep(0.01)
        assert await asyncio.wait_for(older, 10) is None
        room.add_task()
        answer = await asyncio.wait_for(newer, 10)
    assert answer is not None
    assert len(answer.tasks) == 1


async def test_an_agent_never_holds_more_tasks_than_its_slots() -> None:
    """Two tasks and one slot: the second is bound after the first has ended."""
    room = ControlRoom()
    who = room.add_agent()
    await room.hello(who, slots=50)
    room.add_task("a")
    room.add_task("b")
    ref = await bound(room, who)
    async with assigning(room):
        assert await room.poll(who, ref, wait=0.2, free=40) is None
        await room.calls.reports.complete(who, ref, result())
        answer = await room.poll(who)
    assert answer is not None
    assert len(answer.tasks) == 1


async def test_cancelling_a_running_task_answers_the_open_poll() -> None:
    """Cancel is told in the open poll of an agent that still has a free slot."""
    room = ControlRoom()
    who = await room.connect(slots=2)
    room.add_task()
    ref = await bound(room, who)
    async with polling(room, who, ref) as poll:
        task = room.cluster.change(
            Kind.TASK, Key(NAMESPACE, "task"), lambda one: one["spec"].update(cancel=True)
        )
        room.observer.task_event("MODIFIED", wire.task_record(task))
        answer = await asyncio.wait_for(poll, 10)
    assert answer is not None
    assert answer.cancel == [ref]
    assert room.status()["phase"] == "Cancelled"
    with pytest.raises(ProtocolError) as refused:
        await room.calls.reports.complete(who, ref, result())
    assert refused.value.status == 409


async def test_a_task_whose_status_is_refused_does_not_hold_up_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Task that the API server will not take rests; the next one is bound."""
    monkeypatch.setattr("agentcorps.control.task_writes.REFUSED_PAUSE_SECONDS", 0.2)
    room = ControlRoom()
    who = await room.connect()
    room.add_task("a", priority=5)
    room.add_task("b")
    room.cluster.fail("status", Refused(422, "Invalid", "no"))
    async with assigning(room):
        answer = await room.poll(who)
    assert answer is not None
    assert answer.tasks[0].name in {"a", "b"}


async def test_finished_tasks_leave_after_their_ttl() -> None:
    """TtlSecondsAfterFinished deletes the object, not earlier."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task(ttlSecondsAfterFinished=60)
    await room.calls.reports.complete(who, await bound(room, who), result())
    room.clock.advance(59)
    await room.settle()
    assert (Kind.TASK, Key(NAMESPACE, "task")) in room.cluster.objects
    room.clock.advance(2)
    await room.settle()
    await asyncio.sleep(0)
    assert (Kind.TASK, Key(NAMESPACE, "task")) not in room.cluster.objects


def drained(room: ControlRoom) -> None:
    """The agent's written phase says from now on that it is drained."""
    agent = room.cluster.change(
        Kind.AGENT,
        Key(NAMESPACE, "crew-0"),
        lambda one: one.update(
            status={
                "phase": "Draining",
                "conditions": [
                    {
                        "type": "Draining",
                        "status": "True",
                        "reason": "ScaleDown",
                        "message": "",
                        "lastTransitionTime": "2026-01-01T00:16:40Z",
                    }
                ],
            }
        ),
    )
    room.observer.agent_event("MODIFIED", agent)


async def test_who_drains_is_told_so_only_with_all_that_is_bound_to_it() -> None:
    """A drained agent without work leaves, so it hears nothing while a binding to it is written."""
    room = ControlRoom()
    who = await room.connect()
    record = room.state.task(room.add_task())
    assert record is not None
    now = room.clock.now()
    room.state.assume(lifecycle.bind(record, who.pod, who.pod_uid, INSTANCE, now))
    drained(room)
    assert await room.poll(who, wait=0.05) is None
    beat = HeartbeatRequest(instance=INSTANCE, running=[])
    assert not (await room.calls.sessions.heartbeat(who, beat)).drain
    room.state.settle(record.uid)
    assert (await room.calls.sessions.heartbeat(who, beat)).drain
    answer = await room.poll(who, wait=0.05)
    assert answer is not None
    assert answer.drain


async def test_an_agent_that_drains_gets_no_work_and_is_told() -> None:
    """A draining agent's poll is answered with drain, never with a task."""
    room = ControlRoom()
    who = await room.connect()
    drained(room)
    room.add_task()
    async with assigning(room):
        answer = await room.poll(who, wait=0.2)
    assert answer is not None
    assert answer.drain
    assert not answer.tasks
    assert room.status()["phase"] == "Queued"


async def test_a_poll_of_a_process_that_was_replaced_does_not_disturb_its_successor() -> None:
    """The old process's poll ends with 409; the new one's mailbox stays, and gets the task."""
    room = ControlRoom()
    who = await room.connect()
    async with assigning(room):
        old = asyncio.create_task(room.poll(who, wait=30))
        await asyncio.sleep(0.01)
        await room.hello(who, OTHER)
        with pytest.raises(ProtocolError):
            await asyncio.wait_for(old, 10)
        new = asyncio.create_task(room.poll(who, instance=OTHER, wait=30))
        await asyncio.sleep(0.01)
        room.add_task()
        answer = await asyncio.wait_for(new, 10)
    assert answer is not None
    assert len(answer.tasks) == 1


async def test_a_wake_up_without_anything_to_say_keeps_the_poll_open() -> None:
    """What concerned others does not cost an agent its poll."""
    room = ControlRoom()
    who = await room.connect()
    async with polling(room, who) as poll:
        room.deliveries.wake(Key(NAMESPACE, "crew-0"))
        await asyncio.sleep(0.01)
        assert not poll.done()
        room.add_task()
        answer = await asyncio.wait_for(poll, 10)
    assert answer is not None


async def test_bindings_begin_as_there_is_room_for_their_writes() -> None:
    """A flood of tasks is not a flood of writes, and yet all of them get bound."""
    room = ControlRoom()
    for number in range(3):
        who = room.add_agent(f"crew-{number}", slots=50)
        await room.hello(who, slots=50)
        room.state.open_poll(who.pod, 50, room.clock.now())
    for number in range(150):
        room.add_task(f"task-{number}")
    await room.assign.step()
    assert room.state.binding == MAX_CONCURRENT_BINDINGS
    await room.settle()
    assert room.state.binding == 0
    assert room.state.running(Key(NAMESPACE, POOL)) == 150


async def test_a_single_task_does_not_wait_for_another_pools_flood() -> None:
    """What comes while a flood is being written is among the next writes, though it is younger."""
    room = ControlRoom()
    who = room.add_agent(slots=100)
    await room.hello(who, slots=100)
    room.state.open_poll(who.pod, 100, room.clock.now())
    lone = room.add_agent("lone", slots=1)
    changes = {"labels": {"size": "big"}, "ownerReferences": []}
    changed = room.cluster.change(
        Kind.AGENT, lone.pod, lambda agent: agent["metadata"].update(changes)
    )
    room.observer.agent_event("MODIFIED", changed)
    for number in range(100):
        room.add_task(f"task-{number}", priority=9)
    await room.assign.step()
    await room.hello(lone)
    room.state.open_poll(lone.pod, 1, room.clock.now())
    single = room.add_task("single", pool="", agentSelector={"matchLabels": {"size": "big"}})
    await room.writes.drain()
    await room.assign.step()
    assert room.state.in_flight(single)
    await room.settle()


async def test_words_about_waiting_tasks_hold_up_no_binding() -> None:
    """Hundreds of reasons are written a few at a time, and their Tasks can be bound meanwhile."""
    room = ControlRoom()
    uids = [room.add_task(f"task-{number}") for number in range(200)]
    await room.settle()
    room.clock.advance(6)
    await room.assign.step()
    assert sum(map(room.state.in_flight, uids)) == MAX_CONCURRENT_WORDS
    room.add_pool()
    who = room.add_agent(slots=100)
    await room.hello(who, slots=100)
    room.state.open_poll(who.pod, 100, room.clock.now())
    await room.assign.step()
    assert room.state.binding == MAX_CONCURRENT_BINDINGS
    for _ in range(10):
        await room.settle()
    reasons = [room.status(f"task-{number}").get("reason") for number in range(200)]
    assert reasons.count("Bound") == 100
    assert reasons.count("PoolNotFound") >= MAX_CONCURRENT_WORDS


async def test_a_flood_of_cancellations_ends_all_of_them() -> None:
    """What is due is carried out a few at a time, until nothing is left."""
    room = ControlRoom()
    for number in range(100):
        room.add_task(f"task-{number}", cancel=True)
    await room.assign.step()
    assert sum(map(room.state.in_flight, room.state.tasks)) == MAX_CONCURRENT_ENDS
    await room.settle()
    await room.settle()
    assert {room.status(f"task-{number}")["phase"] for number in range(100)} == {"Cancelled"}
