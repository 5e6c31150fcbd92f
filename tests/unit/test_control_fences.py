"""Reports are fenced: only the current binding counts, over losses, takeovers and lies."""

import asyncio

import pytest

from agentcorps.api.protocol import GoodbyeRequest
from agentcorps.control.refusals import ProtocolError
from agentcorps.core import wire
from agentcorps.core.records import Key
from agentcorps.ports import Conflict, Kind
from support.calls import adopt, bound, failure, polling, result
from support.control_room import INSTANCE, NAMESPACE, ControlRoom

OTHER = "instance-two"


async def test_completing_writes_the_result_once_and_may_be_repeated() -> None:
    """A repeated report is answered alike and writes nothing more."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task()
    ref = await bound(room, who)
    await room.calls.reports.complete(who, ref, result({"sum": 3}))
    writes = len(room.cluster.writes)
    await room.calls.reports.complete(who, ref, result({"sum": 3}))
    assert len(room.cluster.writes) == writes == 2
    assert room.status()["phase"] == "Succeeded"
    assert room.status()["result"] == {"sum": 3}


async def test_another_process_in_the_pod_makes_the_old_ones_task_lost() -> None:
    """A new instance means that the old one died with its task: counted, and bound anew."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task()
    old = await bound(room, who)
    await room.hello(who, OTHER)
    new = await bound(room, who, OTHER)
    assert (new.attempt, room.status()["failures"]) == (2, 1)
    with pytest.raises(ProtocolError) as refused:
        await room.calls.reports.complete(who, old, result())
    assert refused.value.status == 409


async def test_a_pod_that_is_gone_requeues_its_task_and_its_late_report_is_refused() -> None:
    """The dead pod's token is no use; another agent gets attempt 2."""
    room = ControlRoom()
    first, second = room.add_agent("crew-0"), room.add_agent("crew-1")
    await room.hello(first)
    room.add_task()
    ref = await bound(room, first)
    room.remove_pod("crew-0")
    await room.hello(second)
    again = await bound(room, second)
    assert again.attempt == 2
    assert room.status()["agentName"] == "crew-1"
    assert "Requeued" in room.notes.reasons()
    with pytest.raises(ProtocolError) as refused:
        await room.calls.reports.complete(first, ref, result())
    assert refused.value.status == 401


async def test_retries_end_with_the_limit() -> None:
    """Limit 1: two attempts fail, then the Task has failed for good."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task(retry={"limit": 1})
    await room.calls.reports.fail(who, await bound(room, who), failure())
    room.clock.advance(10)
    ref = await bound(room, who)
    assert ref.attempt == 2
    await room.calls.reports.fail(who, ref, failure())
    assert (room.status()["phase"], room.status()["failures"]) == ("Failed", 2)


async def test_a_failure_that_cannot_be_retried_ends_the_task_with_its_reason() -> None:
    """``retryable: false`` ends a Task at once."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task()
    await room.calls.reports.fail(
        who, await bound(room, who), failure("InputInvalid", retryable=False)
    )
    assert (room.status()["phase"], room.status()["reason"]) == ("Failed", "InputInvalid")


async def test_a_timeout_ends_the_attempt_and_the_agent_is_told_to_drop_it() -> None:
    """Out of time: the attempt goes back to the queue, and the next heartbeat says so."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task(timeoutSeconds=30)
    ref = await bound(room, who)
    room.clock.advance(31)
    await room.settle()
    assert (room.status()["phase"], room.status()["failures"]) == ("Queued", 1)
    answer = await room.poll(who, ref, free=0)
    assert answer is not None
    assert answer.drop == [ref]


async def test_a_deleted_task_is_cancelled_at_its_agent_and_its_report_is_unknown() -> None:
    """Deleting a Task stops the work; the late report is answered 404."""
    room = ControlRoom()
    who = await room.connect(slots=2)
    room.add_task()
    ref = await bound(room, who)
    async with polling(room, who, ref) as poll:
        task = room.cluster.objects.pop((Kind.TASK, Key(NAMESPACE, "task")))
        room.observer.task_event("DELETED", wire.task_record(task))
        answer = await asyncio.wait_for(poll, 10)
    assert answer is not None
    assert answer.cancel == [ref]
    with pytest.raises(ProtocolError) as refused:
        await room.calls.reports.complete(who, ref, result())
    assert refused.value.status == 404


async def test_a_report_of_a_foreign_task_is_refused() -> None:
    """403 for the task of another agent; nothing is written."""
    room = ControlRoom()
    owner, thief = room.add_agent("crew-0"), room.add_agent("crew-1")
    await room.hello(owner)
    await room.hello(thief)
    room.add_task()
    ref = await bound(room, owner)
    with pytest.raises(ProtocolError) as refused:
        await room.calls.reports.complete(thief, ref, result())
    assert refused.value.status == 403
    assert room.status()["phase"] == "Running"


async def test_goodbye_gives_tasks_back_without_spending_a_retry() -> None:
    """A process that ends returns what it holds: attempt counted, failure not."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task()
    await bound(room, who)
    await room.calls.goodbyes.goodbye(who, GoodbyeRequest(instance=INSTANCE))
    assert (room.status()["phase"], room.status()["failures"]) == ("Queued", 0)


async def test_goodbye_ends_a_task_that_must_run_at_most_once() -> None:
    """retry.limit 0 promises at most one execution."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task(retry={"limit": 0})
    await bound(room, who)
    await room.calls.goodbyes.goodbye(who, GoodbyeRequest(instance=INSTANCE))
    assert room.status()["phase"] == "Failed"


async def test_a_result_over_the_limit_is_refused_and_the_task_goes_on() -> None:
    """413 names both sizes; the agent can still fail or finish the attempt."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task()
    ref = await bound(room, who)
    with pytest.raises(ProtocolError, match="65536") as refused:
        await room.calls.reports.complete(who, ref, result("x" * 70_000))
    assert refused.value.status == 413
    assert room.status()["phase"] == "Running"


async def test_a_result_that_could_not_be_stored_is_answered_503_and_taken_later() -> None:
    """The agent keeps its result until the API server has it."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task()
    ref = await bound(room, who)
    for _ in range(8):
        room.cluster.fail("status", Conflict("somebody edits labels"))
    with pytest.raises(ProtocolError) as refused:
        await room.calls.reports.complete(who, ref, result())
    assert refused.value.status == 503
    await room.calls.reports.complete(who, ref, result())
    assert room.status()["phase"] == "Succeeded"


async def test_a_new_leader_waits_for_running_tasks_and_takes_their_results() -> None:
    """After a takeover the agent says hello with what it runs; the attempt stays and finishes."""
    before = ControlRoom()
    who = before.add_agent()
    await before.hello(who)
    before.add_task()
    ref = await bound(before, who)
    after = ControlRoom(before.cluster, epoch=8)
    adopt(after)
    await after.settle()
    assert after.status()["phase"] == "Running"
    answer = await after.hello(who, INSTANCE, ref)
    assert (answer.epoch, answer.drop) == (8, [])
    await after.settle()
    await after.calls.reports.complete(who, ref, result())
    assert (after.status()["phase"], after.status()["attempt"]) == ("Succeeded", 1)


async def test_a_report_needs_no_hello_after_a_takeover() -> None:
    """A result that comes before the hello counts: the fence is in the Task."""
    before = ControlRoom()
    who = before.add_agent()
    await before.hello(who)
    before.add_task()
    ref = await bound(before, who)
    after = ControlRoom(before.cluster)
    adopt(after)
    await after.calls.reports.complete(who, ref, result())
    assert after.status()["phase"] == "Succeeded"


async def test_a_binding_that_the_state_does_not_know_yet_is_read_before_it_is_dropped() -> None:
    """A leader whose watch lags behind its predecessor's last binding must not drop it."""
    before = ControlRoom()
    who = before.add_agent()
    await before.hello(who)
    before.add_task()
    after = ControlRoom(before.cluster)
    adopt(after)
    ref = await bound(before, who)
    answer = await after.hello(who, INSTANCE, ref)
    assert (answer.cancel, answer.drop) == ([], [])


async def test_a_replica_that_does_not_lead_refuses_everything() -> None:
    """503: agents go to the leader."""
    room = ControlRoom()
    who = room.add_agent()
    room.leader.leading = False
    with pytest.raises(ProtocolError) as refused:
        await room.hello(who)
    assert refused.value.status == 503


async def test_a_poll_of_an_unknown_process_must_say_hello_first() -> None:
    """409 UnknownInstance is how agents learn of a new leader."""
    room = ControlRoom()
    who = room.add_agent()
    with pytest.raises(ProtocolError) as refused:
        await room.poll(who)
    assert (refused.value.status, refused.value.title) == (409, "UnknownInstance")
