"""The fleet's loops: pools to agents to pods, statuses, and what rests after a refusal."""

import asyncio

from agentcorps.api.protocol import CompleteRequest, TaskRef
from agentcorps.core.records import Key
from agentcorps.ports import Conflict, Kind, Refused, Unavailable
from support.control_room import (
    INSTANCE,
    NAMESPACE,
    PATIENT,
    POOL,
    ControlRoom,
    grow,
    names,
    set_replicas,
)


async def test_a_pool_becomes_agents_and_each_agent_a_pod() -> None:
    """Names are deterministic, and a second turn creates nothing twice."""
    room = ControlRoom()
    room.add_pool(3)
    await grow(room)
    expected = ["crew-0", "crew-1", "crew-2"]
    assert names(room, Kind.AGENT) == expected
    assert names(room, Kind.POD) == expected


async def test_the_answer_of_a_creation_counts_before_the_watch_brings_it() -> None:
    """Between a create and its watch event no second agent is made."""
    room = ControlRoom()
    room.add_pool(1)
    await grow(room, turns=5)
    assert [verb for verb, kind, _ in room.cluster.writes if kind is Kind.AGENT] == ["create"]


async def test_the_first_pods_start_while_the_last_agents_are_made() -> None:
    """A turn creates 32 agents and their pods, asks for the next turn, and in the end all exist."""
    room = ControlRoom()
    room.add_pool(70, **PATIENT)
    counts = []
    while (pause := await room.scale.step()) == 0.0:
        await room.create.step()
        counts.append((len(names(room, Kind.AGENT)), len(names(room, Kind.POD))))
    assert counts == [(32, 32), (64, 64)]
    assert pause is None
    await room.create.step()
    assert len(names(room, Kind.POD)) == 70


async def test_the_last_agents_leave_while_the_first_places_are_taken() -> None:
    """A turn deletes 64 agents, and asks for the next turn."""
    room = ControlRoom()
    room.add_pool(150, **PATIENT)
    await grow(room, turns=6)
    set_replicas(room, 0)
    seen = []
    while (await room.scale.step()) == 0.0:
        seen.append(len(names(room, Kind.AGENT)))
    assert seen == [86, 22, 0]


async def test_a_large_pool_does_not_hold_up_a_small_one() -> None:
    """The agents of a turn are shared out: the pool that was made last has its three at once."""
    room = ControlRoom()
    room.add_pool(70)
    room.add_pool(3, "small")
    await room.scale.step()
    made = names(room, Kind.AGENT)
    assert [name for name in made if name.startswith("small")] == ["small-0", "small-1", "small-2"]
    assert len(made) == 32


async def test_what_a_pool_says_does_not_wait_for_what_its_agents_say() -> None:
    """Of 100 new statuses the pool's is first; agents' follow 64 at a time, and none is lost."""
    room = ControlRoom()
    room.add_pool(100, **PATIENT)
    await grow(room, turns=4)
    room.clock.advance(3600)  # all should have started by now, and none has
    before = len(room.cluster.writes)
    assert (await room.monitor.step() or 0) <= 0
    written = room.cluster.writes[before:]
    assert [kind for _, kind, _ in written] == [Kind.POOL, *[Kind.AGENT] * 64]
    await room.monitor.step()
    told = {key for _, kind, key in room.cluster.writes[before:] if kind is Kind.AGENT}
    assert len(told) == 100


async def test_an_idle_agent_is_deleted_without_a_drain() -> None:
    """Scaling down, with one write; the Agent's deletion takes its pod down.

    It counts before the watch tells, which then wakes nobody: hence the turn after it.
    """
    room = ControlRoom()
    room.add_pool(1)
    await grow(room)
    set_replicas(room, 0)
    assert await room.scale.step() == 0.0
    verbs = [verb for verb, kind, _ in room.cluster.writes if kind is Kind.AGENT]
    assert verbs == ["create", "delete"]
    assert names(room, Kind.AGENT) == []
    assert await room.scale.step() is None


async def test_a_busy_agent_finishes_before_it_is_deleted() -> None:
    """Scale to zero while a task runs: it succeeds in its first attempt, then the agent goes."""
    room = ControlRoom()
    room.add_pool(1)
    await grow(room)
    who = room.add_pod("crew-0", room.cluster.objects[Kind.AGENT, Key(NAMESPACE, "crew-0")])
    await room.hello(who)
    uid = room.add_task()
    poll = asyncio.create_task(room.poll(who, wait=30))
    await asyncio.sleep(0.01)
    await room.settle()
    await poll
    set_replicas(room, 0)
    await grow(room)
    assert names(room, Kind.AGENT) == ["crew-0"]
    report = CompleteRequest(instance=INSTANCE, result=1)
    answer = await room.calls.reports.complete(who, TaskRef(uid=uid, attempt=1), report)
    assert answer.drain
    await grow(room)
    assert names(room, Kind.AGENT) == []
    verbs = [verb for verb, kind, _ in room.cluster.writes if kind is Kind.AGENT]
    assert verbs == ["create", "status", "delete"]
    assert (room.status()["phase"], room.status()["attempt"]) == ("Succeeded", 1)


async def test_an_exceeded_quota_rests_is_told_once_and_shows_in_the_status() -> None:
    """A refused pod: one Warning, one condition, no hot loop, and it works later by itself."""
    room = ControlRoom()
    room.add_pool(1)
    quota = Refused(403, "Forbidden", 'pods "crew-0" is forbidden: exceeded quota: small')
    for _ in range(2):
        room.cluster.fail("create", quota)
    await room.scale.step()  # the Agent is refused
    await room.scale.step()  # and rests
    assert names(room, Kind.AGENT) == []
    room.clock.advance(2)
    await room.scale.step()
    assert room.notes.reasons() == ["QuotaLimited"]
    await room.monitor.step()
    status = room.cluster.objects[Kind.POOL, Key(NAMESPACE, POOL)]["status"]
    stalled = next(one for one in status["conditions"] if one["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "QuotaLimited")
    room.clock.advance(10)
    await grow(room)
    assert names(room, Kind.POD) == ["crew-0"]


async def test_a_pool_whose_agents_do_not_start_tells_it_once() -> None:
    """One Event of the pool names the pod and the reason; looking again adds none."""
    room = ControlRoom()
    room.add_pool(2)
    await grow(room)

    async def told(seconds: float = 2.0) -> list[str]:
        await room.monitor.step()
        room.clock.advance(seconds)
        await room.monitor.step()
        return [
            note.message
            for note in room.notes.notes
            if note.warning and (note.kind, note.reason) == (Kind.POOL, "StartupTimeout")
        ]

    [message] = await told()
    assert message.startswith("no hello from pod team/crew-0 within")
    assert await told(300.0) == [message]
    for name in names(room, Kind.POD):
        await room.connect(name)
    assert await told() == [message]


async def test_an_agent_that_leaves_says_why() -> None:
    """The Events of a pool that shrinks name the reason and what it means."""
    room = ControlRoom()
    room.add_pool(1, **PATIENT)
    await grow(room)
    set_replicas(room, 0)
    await room.scale.step()
    told = [note.message for note in room.notes.notes if note.reason in {"Draining", "Deleted"}]
    assert told == ["ScaledDown: the pool is to have fewer agents"]


async def test_a_refused_object_does_not_hold_up_the_others() -> None:
    """Of three pods one is refused; the other two exist after the same turn."""
    room = ControlRoom()
    room.add_pool(3)
    await room.scale.step()
    room.cluster.fail("create", Refused(422, "Invalid", "no such image"))
    await room.create.step()
    assert len(names(room, Kind.POD)) == 2


async def test_an_unanswered_creation_is_made_up_for() -> None:
    """The answer of a creation is lost; the name being taken leads to no second agent."""
    room = ControlRoom()
    room.add_pool(1)
    room.cluster.fail("create", Unavailable("cut"), applied=True)
    await room.scale.step()
    room.observer.agent_event("ADDED", room.cluster.objects[Kind.AGENT, Key(NAMESPACE, "crew-0")])
    room.clock.advance(5)
    await grow(room)
    assert names(room, Kind.AGENT) == ["crew-0"]
    assert names(room, Kind.POD) == ["crew-0"]


async def test_a_status_conflict_is_left_to_the_next_look() -> None:
    """Somebody edited the Agent: nothing is told, nothing rests, the next write fits."""
    room = ControlRoom()
    room.add_pool(1)
    await grow(room)
    room.cluster.fail("status", Conflict("edited"))
    await room.monitor.step()
    room.clock.advance(1.5)
    await room.monitor.step()
    assert not [note for note in room.notes.notes if note.warning and note.kind is Kind.AGENT]
    assert "phase" in room.cluster.objects[Kind.AGENT, Key(NAMESPACE, "crew-0")]["status"]


async def test_an_idle_system_writes_nothing() -> None:
    """Ten minutes of polls and ticks with nothing to do: not one write."""
    room = ControlRoom()
    room.add_pool(1)
    await grow(room)
    agent = room.cluster.objects[Kind.AGENT, Key(NAMESPACE, "crew-0")]
    who = room.add_pod("crew-0", agent)
    await room.hello(who)
    for _ in range(5):
        await room.monitor.step()
        room.clock.advance(30)
        await room.poll(who, wait=0)
    before = len(room.cluster.writes)
    for _ in range(20):
        room.clock.advance(5)
        await room.poll(who, wait=0)
        await grow(room, turns=1)
        await room.settle()
        await room.monitor.step()
    assert room.cluster.writes[before:] == []


async def test_counters_reach_the_status_and_are_not_counted_twice() -> None:
    """A success is added to the stored counter once, however often the status is written."""
    room = ControlRoom()
    await room.connect()
    room.remembered.succeeded(room.state.agents[Key(NAMESPACE, "crew-0")])
    for _ in range(4):
        await room.monitor.step()
        room.clock.advance(61)
        room.state.touch(Key(NAMESPACE, "crew-0"), room.clock.now())
    status = room.cluster.objects[Kind.AGENT, Key(NAMESPACE, "crew-0")]["status"]
    assert status["tasksSucceeded"] == 1


async def test_a_pod_that_leaves_takes_its_session_and_its_identity_with_it() -> None:
    """What was cached of a dead pod's token is forgotten at once."""
    room = ControlRoom()
    who = await room.connect()
    room.remove_pod("crew-0")
    assert room.forgotten == [who.pod_uid]
    assert not room.state.sessions


async def test_a_list_of_one_namespace_says_nothing_about_the_others() -> None:
    """With several watched namespaces, each list replaces only its own part."""
    room = ControlRoom()
    uid = room.add_task()
    room.observer.tasks_listed([], 10_000, namespace="elsewhere")
    assert room.state.task(uid) is not None
    room.observer.tasks_listed([], 10_000, namespace=NAMESPACE)
    assert room.state.task(uid) is None


async def test_pods_missing_from_a_list_are_gone() -> None:
    """A relist that lacks a pod is as good as its delete event."""
    room = ControlRoom()
    who = await room.connect()
    room.observer.pods_listed([], 10_000, namespace=None)
    assert room.forgotten == [who.pod_uid]


async def test_a_status_that_was_computed_before_a_drain_does_not_undo_it() -> None:
    """The monitor's write is fenced by the version that it looked at, not by the newest one."""
    room = ControlRoom()
    who = room.add_agent()
    await room.monitor.step()
    await room.hello(who)
    drained: list[Key] = []

    def drain(kind: Kind, key: Key) -> None:
        if kind is not Kind.AGENT:
            room.cluster.before_write = drain
            return
        drained.append(key)
        agent = room.cluster.change(kind, key, lambda one: one["status"].update(phase="Draining"))
        room.observer.agent_event("MODIFIED", agent)

    room.cluster.before_write = drain
    await room.monitor.step()
    assert drained == [who.pod]
    assert room.cluster.objects[Kind.AGENT, who.pod]["status"]["phase"] == "Draining"
