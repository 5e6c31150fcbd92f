"""The loop skeleton, the minute's comparison with the API server, and what rests."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from agentcorps.control.loop import Loop
from agentcorps.control.mailbox import Mailbox
from agentcorps.control.progress import ProgressBook
from agentcorps.control.resync import Resync
from agentcorps.control.troubles import LONGEST_REST_SECONDS, Troubles
from agentcorps.core.records import Key
from agentcorps.ports import Kind
from support.control_room import NAMESPACE, POOL, ControlRoom

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = Key("team", "crew-0")


async def run_until(loop: Loop, done: asyncio.Event) -> None:
    """Run a loop until an event is set, with a generous limit."""
    task = asyncio.create_task(loop.run())
    try:
        await asyncio.wait_for(done.wait(), 20)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_kicks_during_a_step_lead_to_one_more_run() -> None:
    """A hundred kicks are coalesced into the run that follows."""
    runs = 0
    done = asyncio.Event()

    async def step() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            for _ in range(100):
                loop.kick()
        await asyncio.sleep(0)
        if runs == 2:
            asyncio.get_running_loop().call_later(0.1, done.set)

    loop = Loop("test", step, tick=60)
    await run_until(loop, done)
    assert runs == 2


async def test_a_step_is_run_again_when_it_asked_to() -> None:
    """The seconds that a step returns come before the tick."""
    done = asyncio.Event()
    runs: list[int] = []

    async def step() -> float:
        runs.append(1)
        if len(runs) == 3:
            done.set()
        return 0.01

    await run_until(Loop("test", step, tick=60), done)
    assert len(runs) >= 3


async def test_a_step_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error is logged and the loop goes on, after a pause."""
    monkeypatch.setattr("agentcorps.control.loop.FIRST_BACKOFF_SECONDS", 0.01)
    done = asyncio.Event()
    failures: Iterator[Exception | None] = iter([RuntimeError("one"), ValueError("two"), None])

    async def step() -> None:
        failure = next(failures, None)
        if failure is not None:
            raise failure
        done.set()

    await run_until(Loop("test", step, tick=60), done)
    assert done.is_set()


async def test_a_loop_tells_for_how_long_its_step_runs() -> None:
    """A step that hangs can be noticed; between steps the age is zero."""
    hangs = asyncio.Event()

    async def step() -> None:
        await hangs.wait()

    loop = Loop("test", step, tick=60)
    assert loop.step_age() == 0.0
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(0.05)
    assert loop.step_age() > 0.0
    hangs.set()
    await asyncio.sleep(0.05)
    assert loop.step_age() == 0.0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_resync_forgets_what_is_gone() -> None:
    """An Agent and a pool whose delete events were lost leave the state."""
    room, resync = watched()
    room.add_agent()
    room.cluster.objects.clear()
    await resync.step()
    assert not room.state.agents
    assert not room.state.pools


async def test_a_resync_fetches_what_was_missed_twice() -> None:
    """One late event is no miss; what is missed twice is fetched, and that heals."""
    room, resync = watched()
    room.add_pool(1)

    def scale(replicas: int) -> None:
        room.cluster.change(
            Kind.POOL, Key(NAMESPACE, POOL), lambda one: one["spec"].update(replicas=replicas)
        )

    scale(2)
    await resync.step()
    assert room.state.pools[Key(NAMESPACE, POOL)].replicas == 1
    await resync.step()
    assert room.state.pools[Key(NAMESPACE, POOL)].replicas == 2
    assert not resync.blind
    await resync.step()
    assert not resync.blind


async def test_a_watch_that_keeps_missing_changes_is_blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes that stay missed over three passes in a row are reported to the liveness probe."""
    room, resync = watched()
    room.add_pool(1)
    monkeypatch.setattr(room.observer, "pool_event", lambda *_: None)
    room.cluster.change(Kind.POOL, Key(NAMESPACE, POOL), lambda one: one["spec"].update(replicas=9))
    for _ in range(4):
        await resync.step()
    assert resync.blind


async def test_the_first_resync_lists_everything() -> None:
    """A new leader knows all Agents and pools before it decides."""
    room = ControlRoom()
    room.add_agent()
    fresh = ControlRoom(room.cluster)
    await Resync(fresh.state, fresh.observer, room.cluster, room.cluster, ()).start()
    assert list(fresh.state.agents) == [Key(NAMESPACE, "crew-0")]
    assert list(fresh.state.pools) == [Key(NAMESPACE, POOL)]


def test_rests_grow_and_end() -> None:
    """Each failure doubles the rest up to five minutes; success clears it."""
    troubles: Troubles[Key] = Troubles()
    rests = []
    now = 0.0
    for _ in range(12):
        troubles.note(KEY, "Refused", "no", now)
        rest = troubles.next_due(now)
        assert rest is not None
        rests.append(rest)
        assert troubles.resting(KEY, now)
        now += rest
        assert not troubles.resting(KEY, now)
    assert rests[:3] == [1.0, 2.0, 4.0]
    assert rests[-1] == LONGEST_REST_SECONDS
    troubles.clear(KEY)
    assert troubles.of(KEY) is None


def test_replacements_rest_from_the_second_one_on_and_are_forgiven_in_time() -> None:
    """One failure is pardoned; after a quiet time the next one is the first again."""
    troubles: Troubles[str] = Troubles(10, pardoned=1, quiet=600)
    rests = []
    now = 0.0
    for _ in range(8):
        troubles.note("uid", "CrashLoop", "", now)
        rests.append(troubles.rest("uid", now))
        now += rests[-1] + 1
    assert rests == [0, 10, 20, 40, 80, 160, 300, 300]
    now += 600
    troubles.note("uid", "CrashLoop", "", now)
    assert troubles.rest("uid", now) == 0


def test_the_same_trouble_is_news_only_once() -> None:
    """People are told when the reason or the message changes."""
    troubles: Troubles[Key] = Troubles()
    assert troubles.note(KEY, "Refused", "no", 0)
    assert not troubles.note(KEY, "Refused", "no", 5)
    assert troubles.note(KEY, "Refused", "never", 9)


async def test_a_mailbox_wakes_the_poll_that_is_open() -> None:
    """An open poll ends when something is put in; a closed one is not the latest."""
    box = Mailbox("instance-one")
    older = box.open()
    newer = box.open()
    assert await asyncio.wait_for(older, 10)
    assert not box.close(older)
    box.wake()
    assert await asyncio.wait_for(newer, 10)
    assert box.close(newer)


async def test_progress_of_an_attempt_that_has_ended_is_dropped() -> None:
    """Only the progress of the current attempt is written."""
    room = ControlRoom()
    uid = room.add_task()
    book = ProgressBook(room.writes)
    record = room.state.tasks[uid]
    book.note(record, 50, "half")
    await book.flush()
    await room.writes.drain()
    assert room.cluster.writes == []


def watched() -> tuple[ControlRoom, Resync]:
    """Return a room and the comparison of its state with its cluster."""
    room = ControlRoom()
    return room, Resync(room.state, room.observer, room.cluster, room.cluster, ())
