"""Payloads in Secrets, as agents and users see them: fetched late, stored early, fenced."""

import asyncio
import base64
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import structlog

from agentcorps.api.protocol import TaskRef
from agentcorps.control.refusals import ProtocolError
from agentcorps.core.payloads import Access
from agentcorps.core.records import Key
from agentcorps.ports import Kind, NotFound, PodIdentity, Refused, Unavailable
from support.calls import adopt, assigning, bound, failure, result
from support.control_room import INSTANCE, NAMESPACE, ControlRoom

CANARY = "canary-77aa"
SOURCE = {"secretKeyRef": {"name": "mail", "key": "input.json"}}
TARGET = {"secret": {"name": "answer"}}
MAIL, ANSWER, TASK = Key(NAMESPACE, "mail"), Key(NAMESPACE, "answer"), Key(NAMESPACE, "task")


@pytest.fixture
def room() -> ControlRoom:
    """Return a room in which inputs may come from any Secret."""
    return ControlRoom()


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    """Return what is logged; nothing of a payload ever is."""
    with structlog.testing.capture_logs() as lines:
        yield lines
    assert CANARY not in repr(lines)


def put_mail(room: ControlRoom, text: str | None = None, **metadata: Any) -> None:
    """Somebody creates the Secret with the input."""
    content = json.dumps({"text": CANARY}) if text is None else text
    room.cluster.put(
        Kind.SECRET,
        {
            "metadata": {"namespace": NAMESPACE, "name": "mail", **metadata},
            "data": {"input.json": base64.b64encode(content.encode()).decode()},
        },
    )


def stored_result(room: ControlRoom) -> Any:
    """Return the result in the Secret."""
    secret = room.cluster.objects[Kind.SECRET, ANSWER]
    return json.loads(base64.b64decode(secret["data"]["result.json"]))


async def ready(room: ControlRoom) -> PodIdentity:
    """An agent that said hello."""
    return await room.connect()


def task_writes(room: ControlRoom) -> int:
    """Return how often a Task was written."""
    return sum(kind is Kind.TASK for _, kind, _ in room.cluster.writes)


# inputFrom


async def test_an_input_from_a_secret_arrives_like_any_other(room: ControlRoom) -> None:
    """The agent gets the Secret's object as its input; the Task never holds it."""
    who = await ready(room)
    put_mail(room)
    room.add_task(input=None, inputFrom=SOURCE)
    async with assigning(room):
        answer = await room.poll(who)
    assert answer is not None
    assert answer.tasks[0].input == {"text": CANARY}
    assert CANARY not in repr(room.cluster.objects[Kind.TASK, TASK])
    assert CANARY not in repr(vars(room.state))


async def test_a_task_whose_secret_is_missing_is_not_bound(room: ControlRoom) -> None:
    """It waits, says why once, and is bound when the Secret appears; no retry is spent."""
    who = await ready(room)
    room.add_task(input=None, inputFrom=SOURCE)
    poll = asyncio.create_task(room.poll(who, wait=60))
    await asyncio.sleep(0)
    for _ in range(30):
        await room.settle()
        room.clock.advance(1)
    status = room.status()
    assert (status["phase"], status["reason"]) == ("Queued", "InputNotFound")
    assert "there is no Secret mail in namespace team: create it" in status["message"]
    assert task_writes(room) == 1
    assert room.notes.reasons() == ["InputNotFound"]
    put_mail(room)
    room.clock.advance(60)
    await room.settle()
    answer = await poll
    assert answer is not None
    assert answer.tasks[0].input == {"text": CANARY}
    assert (room.status()["attempt"], room.status()["failures"]) == (1, 0)
    assert room.state.rests.of(room.state.task_at(TASK).uid) is None  # type: ignore[union-attr]


async def test_a_task_that_rests_holds_up_no_other(room: ControlRoom) -> None:
    """The one agent gets the next Task, although the first has the higher priority."""
    who = await ready(room)
    room.add_task("first", input=None, inputFrom=SOURCE, priority=9)
    second = room.add_task("second")
    assert (await bound(room, who)).uid == second


async def test_looking_for_a_missing_secret_becomes_seldom(room: ControlRoom) -> None:
    """An idle agent does not make the operator ask again and again: 1, 2, 4 … 60 s apart."""
    who = await ready(room)
    room.add_task(input=None, inputFrom=SOURCE)
    asked: list[float] = []
    get = room.cluster.get

    async def counting(kind: Kind, key: Key) -> Any:
        if kind is Kind.SECRET:
            asked.append(room.clock.seconds)
        return await get(kind, key)

    room.cluster.get = counting  # type: ignore[method-assign]
    poll = asyncio.create_task(room.poll(who, wait=60))
    await asyncio.sleep(0)
    for _ in range(300):
        await room.settle()
        room.clock.advance(1)
    poll.cancel()
    gaps = [later - sooner for sooner, later in pairwise(asked)]
    assert gaps[:6] == [1, 2, 4, 8, 16, 32]
    assert set(gaps[6:]) == {60}


async def test_a_malformed_input_ends_the_task(room: ControlRoom) -> None:
    """It fails as InputInvalid before any agent has it, in one write, with an Event."""
    await ready(room)
    put_mail(room, f"no JSON: {CANARY}")
    room.add_task(input=None, inputFrom=SOURCE)
    who = PodIdentity(Key(NAMESPACE, "crew-0"), room.state.pods[Key(NAMESPACE, "crew-0")].uid)
    async with assigning(room):
        assert await room.poll(who, wait=0.2) is None
    status = room.status()
    assert (status["phase"], status["reason"]) == ("Failed", "InputInvalid")
    assert "attempt" not in status or status["attempt"] == 0
    assert task_writes(room) == 1
    assert room.notes.reasons() == ["InputInvalid"]
    assert CANARY not in repr(status) + repr(room.notes.notes)


async def test_an_api_server_that_does_not_answer_is_no_missing_secret(room: ControlRoom) -> None:
    """After a failed read the Task rests for a second and is tried again, and is told nothing."""
    who = await ready(room)
    put_mail(room)
    room.add_task(input=None, inputFrom=SOURCE)
    room.cluster.fail("get", Unavailable("503"))
    poll = asyncio.create_task(room.poll(who, wait=60))
    await asyncio.sleep(0)
    await room.settle()
    assert room.status()["phase"] == "Queued"
    room.clock.advance(1)
    await room.settle()
    answer = await poll
    assert answer is not None
    assert task_writes(room) == 1


@pytest.mark.parametrize("gone", [True, False])
async def test_what_was_lost_on_the_way_is_fetched_again(room: ControlRoom, *, gone: bool) -> None:
    """A delivery that did not arrive comes again from the Secret, or goes back if that is gone."""
    who = await ready(room)
    put_mail(room)
    room.add_task(input=None, inputFrom=SOURCE, retry={"limit": 0})
    await bound(room, who)
    if gone:
        del room.cluster.objects[Kind.SECRET, MAIL]
    answer = await room.poll(who, wait=0)
    await room.writes.drain()
    if gone:
        assert answer is None
        assert room.status()["attempts"][0]["reason"] == "NotDelivered"
        assert room.status()["phase"] == "Queued"
    else:
        assert answer is not None
        assert (answer.tasks[0].input, answer.tasks[0].attempt) == ({"text": CANARY}, 1)


async def test_tasks_with_their_own_input_cost_no_request_more(room: ControlRoom) -> None:
    """Nothing is read for a Task that carries its input."""
    who = await ready(room)
    room.add_task()
    room.cluster.fail("get", AssertionError("nothing is to be read"))
    assert (await bound(room, who)).attempt == 1


@pytest.mark.parametrize("spec", [{"inputFrom": SOURCE, "input": None}, {"resultTo": TARGET}])
async def test_an_installation_without_secrets_says_so(spec: dict[str, Any]) -> None:
    """Where it is switched off the Task fails before its work begins, and nothing is read."""
    room = ControlRoom(access=Access.OFF)
    who = await ready(room)
    put_mail(room)
    room.add_task(**spec)
    async with assigning(room):
        assert await room.poll(who, wait=0.2) is None
    assert room.status()["reason"] == "SecretsDisabled"
    assert "secrets.enabled" in room.status()["message"]


async def test_without_policies_only_labelled_sources_are_read() -> None:
    """A Secret that nobody released for Tasks is waited for, and read once it is labelled."""
    room = ControlRoom(access=Access.LABELLED)
    who = await ready(room)
    put_mail(room)
    room.add_task(input=None, inputFrom=SOURCE)
    async with assigning(room):
        assert await room.poll(who, wait=0.2) is None
    assert room.status()["phase"] == "Queued"
    put_mail(room, labels={"agentcorps.dev/task-input": "true"})
    room.clock.advance(60)
    assert (await bound(room, who)).attempt == 1


# resultTo


async def work(room: ControlRoom, **spec: Any) -> tuple[PodIdentity, TaskRef]:
    """A Task with resultTo, bound to an agent."""
    who = await ready(room)
    room.add_task(resultTo=TARGET, **spec)
    return who, await bound(room, who)


async def test_a_result_goes_to_its_secret_first(room: ControlRoom) -> None:
    """The Secret is there before the Task succeeds, and only its name is in the status."""
    who, ref = await work(room)
    await room.calls.reports.complete(who, ref, result({"text": CANARY}))
    assert stored_result(room) == {"text": CANARY}
    status = room.status()
    assert status["phase"] == "Succeeded"
    assert status["resultRef"] == {"kind": "Secret", "name": "answer", "key": "result.json"}
    assert status["resultDigest"].startswith("sha256:")
    assert CANARY not in repr(status)
    kinds = [kind for _, kind, _ in room.cluster.writes]
    assert kinds == [Kind.TASK, Kind.SECRET, Kind.TASK]


async def test_a_report_is_repeated_after_the_secret_was_written(room: ControlRoom) -> None:
    """The operator dies between Secret and Task: the agent's next report ends the Task."""
    who, ref = await work(room)
    room.cluster.fail("status", Refused(500, "Crashed", "before the write"))
    with pytest.raises(ProtocolError):
        await room.calls.reports.complete(who, ref, result(1))
    successor = ControlRoom(room.cluster, epoch=8, clock=room.clock)
    adopt(successor)
    await successor.hello(who, INSTANCE, ref)
    await successor.calls.reports.complete(who, ref, result(1))
    await successor.calls.reports.complete(who, ref, result(1))
    assert room.status()["phase"] == "Succeeded"
    assert [verb for verb, kind, _ in room.cluster.writes if kind is Kind.SECRET] == ["create"]


async def test_a_lost_answer_of_the_secret_is_repaired(room: ControlRoom) -> None:
    """The Secret was written, but nobody heard: the agent is told to come again, and it fits."""
    who, ref = await work(room)
    room.cluster.fail("create", Unavailable("cut"), applied=True)
    with pytest.raises(ProtocolError) as refused:
        await room.calls.reports.complete(who, ref, result(1))
    assert refused.value.status == 503
    assert room.status()["phase"] == "Running"
    await room.calls.reports.complete(who, ref, result(1))
    assert room.status()["phase"] == "Succeeded"


async def test_a_secret_of_somebody_else_is_never_touched(room: ControlRoom) -> None:
    """It appears while the work is done: the Task fails as ResultRefused, the Secret stays."""
    who, ref = await work(room)
    theirs = {"metadata": {"namespace": NAMESPACE, "name": "answer"}, "data": {"password": "eA=="}}
    before = room.cluster.put(Kind.SECRET, theirs)
    with pytest.raises(ProtocolError) as refused:
        await room.calls.reports.complete(who, ref, result({"text": CANARY}))
    assert (refused.value.status, refused.value.title) == (422, "ResultRefused")
    assert room.cluster.objects[Kind.SECRET, ANSWER] == before
    assert (room.status()["phase"], room.status()["reason"]) == ("Failed", "ResultRefused")
    assert "was not created for this Task" in room.status()["message"]
    assert "ResultRefused" in room.notes.reasons()


async def test_a_name_that_is_taken_is_found_out_before_the_work(room: ControlRoom) -> None:
    """No agent works for a result that could not be stored."""
    who = await ready(room)
    room.cluster.put(Kind.SECRET, {"metadata": {"namespace": NAMESPACE, "name": "answer"}})
    room.add_task(resultTo=TARGET)
    async with assigning(room):
        assert await room.poll(who, wait=0.2) is None
    assert (room.status()["phase"], room.status()["reason"]) == ("Failed", "ResultRefused")


async def test_a_secret_that_the_api_server_refuses_ends_the_task(room: ControlRoom) -> None:
    """A quota or a missing right is told; the agent need not keep the result for ever."""
    who, ref = await work(room)
    room.cluster.fail("create", Refused(403, "Forbidden", f"quota, {CANARY}"))
    with pytest.raises(ProtocolError):
        await room.calls.reports.complete(who, ref, result(1))
    assert room.status()["reason"] == "ResultRefused"
    assert "403 Forbidden" in room.status()["message"]
    assert CANARY not in repr(room.status())


async def test_a_later_attempt_replaces_what_an_earlier_one_left(room: ControlRoom) -> None:
    """Attempt 1 stored a result and was lost before the Task was written; attempt 2's counts."""
    who, first = await work(room)
    room.cluster.fail("status", Refused(500, "Crashed", "before the write"))
    with pytest.raises(ProtocolError):
        await room.calls.reports.complete(who, first, result("first"))
    await room.calls.reports.fail(who, first, failure())
    room.clock.advance(60)
    second = await bound(room, who)
    await room.calls.reports.complete(who, second, result("second"))
    assert stored_result(room) == "second"
    annotations = room.cluster.objects[Kind.SECRET, ANSWER]["metadata"]["annotations"]
    assert annotations["agentcorps.dev/attempt"] == "2"


async def test_a_leader_that_is_behind_overwrites_nothing(room: ControlRoom) -> None:
    """What it believes of the Task is checked before a Secret is replaced: attempt 2's stays."""
    who, first = await work(room)
    behind = ControlRoom(room.cluster, clock=room.clock)
    adopt(behind)
    await behind.hello(who, INSTANCE, first)
    await room.calls.reports.fail(who, first, failure())
    room.clock.advance(60)
    second = await bound(room, who)
    await room.calls.reports.complete(who, second, result("second"))
    with pytest.raises(ProtocolError) as refused:
        await behind.calls.reports.complete(who, first, result("first"))
    assert refused.value.status in {409, 422}
    assert stored_result(room) == "second"
    assert room.status()["phase"] == "Succeeded"


async def test_a_report_of_a_lost_attempt_writes_no_secret(room: ControlRoom) -> None:
    """The fence is judged before anything is stored."""
    who, first = await work(room)
    await room.calls.reports.fail(who, first, failure())
    with pytest.raises(ProtocolError) as refused:
        await room.calls.reports.complete(who, first, result("late"))
    assert refused.value.status == 409
    with pytest.raises(NotFound):
        await room.cluster.get(Kind.SECRET, ANSWER)
