"""The fleet's loops while a write is on its way: what happens meanwhile is not missed."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agentcorps.control.relay import Answer, Relay, Verb
from agentcorps.core.records import Key
from agentcorps.ports import Conflict, Kind, Refused
from support.control_room import (
    NAMESPACE,
    PATIENT,
    ControlRoom,
    ManualClock,
    grow,
    names,
    set_replicas,
)
from support.fake_cluster import FakeCluster


class SlowCreations(Relay):
    """Creations take five seconds once the test says so."""

    def __init__(self, cluster: FakeCluster, clock: ManualClock) -> None:
        super().__init__(cluster)
        self.clock, self.slow = clock, False

    async def pass_on(
        self,
        verb: Verb,
        kind: Kind,
        key: Key,  # noqa: ARG002 -- all are slow
        ask: Callable[[], Awaitable[Answer]],
    ) -> Answer:
        """See Relay."""
        if self.slow and (verb, kind) == ("create", Kind.POD):
            self.clock.advance(5)
        return await ask()


async def test_a_rest_that_ends_while_others_are_created_is_not_slept_through() -> None:
    """The agent whose pod the quota's own count refused has its next turn at once."""
    cluster, clock = FakeCluster(), ManualClock()
    link = SlowCreations(cluster, clock)
    room = ControlRoom(cluster, clock=clock, link=link)
    room.add_pool(2, **PATIENT)
    await room.scale.step()
    busy = "Operation cannot be fulfilled on resourcequotas: the object has been modified"
    cluster.fail("create", Conflict(busy))
    assert 0 < (await room.create.step() or 0) < 1
    set_replicas(room, 3)
    await room.scale.step()
    link.slow = True
    pause = await room.create.step()
    assert names(room, Kind.POD) == ["crew-1", "crew-2"]
    assert pause is not None
    assert pause <= 0
    await room.create.step()
    assert len(names(room, Kind.POD)) == 3


class SlowDeletions(Relay):
    """Deletions wait for the test."""

    def __init__(self, cluster: FakeCluster) -> None:
        super().__init__(cluster)
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def pass_on(
        self,
        verb: Verb,
        kind: Kind,  # noqa: ARG002 -- only Agents are deleted here
        key: Key,  # noqa: ARG002
        ask: Callable[[], Awaitable[Answer]],
    ) -> Answer:
        """See Relay."""
        if verb == "delete":
            self.begun.set()
            await self.go_on.wait()
        return await ask()


@pytest.mark.parametrize("refused", [False, True])
async def test_an_agent_that_is_being_deleted_gets_no_task(*, refused: bool) -> None:
    """A Task that comes meanwhile waits; if the API server refuses the deletion, it is bound."""
    cluster = FakeCluster()
    link = SlowDeletions(cluster)
    room = ControlRoom(cluster, link=link)
    room.add_pool(1)
    who = await room.connect()
    if refused:
        cluster.fail("delete", Refused(403, "Forbidden", "a policy protects it"))
    set_replicas(room, 0)
    step = asyncio.create_task(room.scale.step())
    await link.begun.wait()
    room.add_task()
    poll = asyncio.create_task(room.poll(who, wait=30))
    await asyncio.sleep(0.01)
    await room.settle()
    assert room.status()["phase"] == "Queued"
    link.go_on.set()
    await step
    await room.settle()
    assert room.status()["phase"] == ("Running" if refused else "Queued")
    poll.cancel()


async def test_an_agent_that_was_given_a_task_meanwhile_is_not_deleted() -> None:
    """Between the decision and the write a Task was bound: it is drained instead, and works on."""
    room = ControlRoom()
    room.add_pool(1)
    who = await room.connect()
    set_replicas(room, 0)
    poll = asyncio.create_task(room.poll(who, wait=30))
    step = asyncio.create_task(room.scale.step())
    room.add_task()
    await asyncio.gather(step, room.settle())
    await grow(room)
    await poll
    assert names(room, Kind.AGENT) == ["crew-0"]
    assert room.state.agents[Key(NAMESPACE, "crew-0")].draining_since is not None
    assert room.status()["phase"] == "Running"
