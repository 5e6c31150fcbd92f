"""What an agent may cost the operator by what it says, and what becomes of writes it abandons."""

import asyncio

import pytest
import structlog

from agentcorps.api.protocol import TaskRef
from agentcorps.control.blame import blame
from agentcorps.control.refusals import ProtocolError
from agentcorps.control.task_writes import TaskWrites
from agentcorps.control.verdicts import MOST_FRESH_READS
from agentcorps.core.quarantine import FAILURES_IN_A_ROW
from agentcorps.core.records import Key
from agentcorps.ports import Kind, Object
from support.calls import bound, result
from support.control_room import ControlRoom


async def test_attempts_that_never_were_are_read_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An agent that names a hundred future attempts costs a bounded number of reads per call."""
    room = ControlRoom()
    who = await room.connect()
    refs = [TaskRef(uid=room.add_task(f"task-{n}"), attempt=9) for n in range(30)]
    reads: list[Key] = []
    get = room.cluster.get

    async def counted(kind: Kind, key: Key) -> Object:
        reads.append(key)
        return await get(kind, key)

    monkeypatch.setattr(room.cluster, "get", counted)
    answer = await room.hello(who, "instance-two", *refs, *refs)
    assert len(reads) == MOST_FRESH_READS
    assert answer.cancel == []
    assert len(answer.drop) == MOST_FRESH_READS


async def test_a_write_that_fails_after_its_agent_hung_up_is_not_lost_from_sight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody waits for the report any more, so the log has to tell."""
    room = ControlRoom()
    who = await room.connect()
    room.add_task()
    ref = await bound(room, who)
    gate = asyncio.Event()

    async def fail(*_: object) -> Object:
        await gate.wait()
        raise RuntimeError("a mistake")

    monkeypatch.setattr(TaskWrites, "_send", fail)
    report = asyncio.create_task(room.calls.reports.complete(who, ref, result()))
    await asyncio.sleep(0)
    report.cancel()
    await asyncio.gather(report, return_exceptions=True)
    gate.set()
    with structlog.testing.capture_logs() as logged:
        await room.writes.drain()
        await asyncio.sleep(0)
    assert [entry["event"] for entry in logged] == ["task write failed"]


async def test_a_success_in_time_lifts_the_suspension_of_an_agent() -> None:
    """Five failures suspend; a success before the quarantine is written makes it serve again."""
    room = ControlRoom()
    who = await room.connect(slots=2)
    room.add_task("good")
    good = await bound(room, who)
    agent = room.state.agents[who.pod]
    for _ in range(FAILURES_IN_A_ROW):
        blame(room.state, room.remembered, agent)
    assert room.state.sessions[who.pod].suspended
    await room.calls.reports.complete(who, good, result())
    assert not room.state.sessions[who.pod].suspended


async def test_a_report_is_a_sign_of_life_of_its_own_process_only() -> None:
    """An agent that reports is not silent; a report of an earlier process says nothing of it."""
    room = ControlRoom()
    who = await room.connect(slots=2)
    room.add_task()
    ref = await bound(room, who)
    heard = room.state.sessions[who.pod].last_seen
    room.clock.advance(12)
    with pytest.raises(ProtocolError):
        await room.calls.reports.complete(who, ref, result(instance="instance-two"))
    assert room.state.sessions[who.pod].last_seen == heard
    await room.calls.reports.complete(who, ref, result())
    assert room.state.sessions[who.pod].last_seen == heard + 12
