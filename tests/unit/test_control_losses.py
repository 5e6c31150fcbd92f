"""Losses, retries and quarantines through the gateway's calls: what is written and told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agentcorps.api.protocol import GoodbyeRequest
from agentcorps.core import wire
from agentcorps.core.records import Key
from agentcorps.ports import Kind, Note
from support.calls import bound, failure, result
from support.control_room import INSTANCE, NAMESPACE, POOL, ControlRoom

if TYPE_CHECKING:
    from agentcorps.ports import PodIdentity

AGENT = Key(NAMESPACE, "crew-0")


async def connected(room: ControlRoom) -> PodIdentity:
    """Return the pool's one agent, which said hello."""
    room.add_pool(1)
    return await room.connect()


async def fail_tasks(room: ControlRoom, who: PodIdentity, count: int) -> None:
    """Let tasks fail on an agent for good, one after the other."""
    for number in range(count):
        room.add_task(f"task-{number}")
        await room.calls.reports.fail(who, await bound(room, who), failure(retryable=False))


def told(room: ControlRoom, reason: str) -> Note:
    """Return the one Event of a reason."""
    [note] = [one for one in room.notes.notes if one.reason == reason]
    return note


def change_pod(room: ControlRoom, key: Key = AGENT, **status: Any) -> None:
    """The kubelet writes the pod's status."""
    pod = room.cluster.change(Kind.POD, key, lambda one: one.update(status=status))
    room.observer.pod_event("MODIFIED", wire.pod_record(pod))


def stored_agent(room: ControlRoom) -> dict[str, Any]:
    """Return the agent's status as stored."""
    status: dict[str, Any] = room.cluster.objects[Kind.AGENT, AGENT]["status"]
    return status


async def turns(room: ControlRoom, count: int = 3) -> None:
    """Run the fleet's loops a few times."""
    for _ in range(count):
        await room.monitor.step()
        await room.scale.step()
        await room.create.step()


async def test_an_eviction_spends_no_retry_and_its_event_says_why() -> None:
    """A pod that the cluster evicts gives its task back at once, uncounted."""
    room = ControlRoom()
    who = await connected(room)
    room.add_task()
    await bound(room, who)
    target = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    change_pod(room, conditions=[target])
    room.remove_pod("crew-0")
    await room.settle()
    status = room.status()
    assert (status["phase"], status["reason"], status["failures"]) == ("Queued", "Evicted", 0)
    note = told(room, "Requeued")
    assert "attempt 1 on agent crew-0 ended with Evicted" in note.message
    assert "EvictionByEvictionAPI; attempt 2 follows as soon as" in note.message
    assert note.related == AGENT


async def test_an_evicted_task_that_may_run_once_ends() -> None:
    """With a limit of 0 what may have been started is not started again."""
    room = ControlRoom()
    who = await connected(room)
    room.add_task(retry={"limit": 0})
    await bound(room, who)
    change_pod(room, phase="Failed", reason="Evicted")
    await room.settle()
    assert (room.status()["phase"], room.status()["reason"]) == ("Failed", "Evicted")


async def test_a_goodbye_tells_its_story() -> None:
    """What is given back with a goodbye is told with the next step, and not counted."""
    room = ControlRoom()
    who = await connected(room)
    room.add_task()
    await bound(room, who)
    await room.calls.goodbyes.goodbye(who, GoodbyeRequest(instance=INSTANCE))
    assert "AgentStopped: the agent said goodbye; attempt 2" in told(room, "Requeued").message
    assert room.status()["failures"] == 0


async def test_a_task_that_kills_three_processes_is_poison() -> None:
    """Whatever retry.limit says: the third death ends it, and the status counts them."""
    room = ControlRoom()
    who = await connected(room)
    room.add_task(retry={"limit": 100})
    for number in range(1, 4):
        await bound(room, who, instance=INSTANCE if number == 1 else f"instance-{number:04}")
        await room.hello(who, f"instance-{number + 1:04}")
        await room.settle()
        assert room.status()["crashes"] == number
    status = room.status()
    assert (status["phase"], status["reason"]) == ("Failed", "PoisonTask")
    assert "3 of its attempts ended with the death of a container" in status["message"]
    assert [one["reason"] for one in status["attempts"]] == ["AgentLost"] * 3
    assert told(room, "PoisonTask").warning


async def test_crashes_are_counted_on_by_the_next_leader() -> None:
    """A status with two crashes makes the third one the last."""
    room = ControlRoom()
    who = await connected(room)
    room.add_task()
    await bound(room, who)
    key = Key(NAMESPACE, "task")
    task = room.cluster.change(Kind.TASK, key, lambda one: one["status"].update(crashes=2))
    room.observer.task_event("MODIFIED", wire.task_record(task))
    await room.hello(who, "instance-next")
    await room.settle()
    assert room.status()["reason"] == "PoisonTask"


async def test_a_reason_that_is_not_named_ends_the_task() -> None:
    """An AgentError ends a Task that wants to be tried again after losses only."""
    room = ControlRoom()
    who = await connected(room)
    room.add_task(retry={"limit": 5, "reasons": ["AgentLost"]})
    await room.calls.reports.fail(who, await bound(room, who), failure())
    assert (room.status()["phase"], room.status()["reason"]) == ("Failed", "AgentError")
    assert "retry.reasons does not name AgentError" in told(room, "AgentError").message


async def test_the_loss_that_a_cut_off_agent_reports_is_a_loss() -> None:
    """An agent that cancelled its work by itself is not blamed; the attempt counts as lost."""
    room = ControlRoom()
    who = await connected(room)
    room.add_task()
    await room.calls.reports.fail(who, await bound(room, who), failure("AgentLost"))
    assert (room.status()["reason"], room.status()["failures"]) == ("AgentLost", 1)
    assert "ended with AgentLost: its agent heard nothing" in told(room, "AttemptFailed").message
    room.clock.advance(61)
    room.state.touch(AGENT, room.clock.now())
    await turns(room)
    assert "consecutiveFailures" not in stored_agent(room)


async def test_an_agent_that_fails_five_tasks_in_a_row_gets_no_sixth() -> None:
    """It is quarantined, told with reason and remedy, drained and replaced by its pool."""
    room = ControlRoom()
    who = await connected(room)
    await turns(room)
    await fail_tasks(room, who, 5)
    room.add_task("sixth")
    await room.settle()
    assert room.status("sixth")["phase"] == "Queued"
    await room.monitor.step()
    assert stored_agent(room)["consecutiveFailures"] == 5
    assert "TasksFailing: 5 tasks in a row failed" in told(room, "Quarantined").message
    await turns(room)
    assert "the next one is made at once" in told(room, "AgentReplaced").message
    assert (Kind.AGENT, AGENT) not in room.cluster.objects
    names = [key.name for kind, key in room.cluster.objects if kind is Kind.AGENT]
    assert names == ["crew-1"]


async def test_deaths_of_its_process_count_as_failures_of_the_agent() -> None:
    """An agent that dies of five different tasks in a row is quarantined, like one that reports."""
    room = ControlRoom()
    who = await connected(room)
    for number in range(1, 6):
        room.add_task(f"deadly-{number}", retry={"limit": 0})
        await bound(room, who, instance=INSTANCE if number == 1 else f"instance-{number:04}")
        await room.hello(who, f"instance-{number + 1:04}")
        await room.settle()
    await room.monitor.step()
    assert stored_agent(room)["consecutiveFailures"] == 5
    assert "TasksFailing: 5 tasks in a row failed" in told(room, "Quarantined").message


async def test_a_success_ends_the_row() -> None:
    """Four failures, a success and four more failures are no reason to quarantine."""
    room = ControlRoom()
    who = await connected(room)
    await fail_tasks(room, who, 4)
    room.add_task("good")
    await room.calls.reports.complete(who, await bound(room, who), result())
    await fail_tasks(room, who, 4)
    for _ in range(2):
        await room.monitor.step()
        room.clock.advance(61)
        room.state.touch(AGENT, room.clock.now())
    assert "Quarantined" not in room.notes.reasons()
    assert stored_agent(room)["consecutiveFailures"] == 4


async def test_timeouts_count_against_the_agent() -> None:
    """Five attempts that ran out of time on it quarantine an agent."""
    room = ControlRoom()
    who = await connected(room)
    for number in range(5):
        room.add_task(f"task-{number}", timeoutSeconds=10, retry={"limit": 0})
        await bound(room, who)
        room.clock.advance(11)
        room.state.touch(AGENT, room.clock.now())
        await room.settle()
        assert room.status(f"task-{number}")["phase"] == "TimedOut"
    await room.monitor.step()
    assert told(room, "Quarantined").key == AGENT


async def test_replacements_of_a_broken_template_come_ever_more_slowly() -> None:
    """Each further quarantine delays the next agent; the pool says until when, and why."""
    room = ControlRoom()
    room.add_pool(1)
    rests = []
    for _ in range(4):
        await turns(room)
        [agent] = [one for (kind, _), one in room.cluster.objects.items() if kind is Kind.AGENT]
        key = Key(NAMESPACE, agent["metadata"]["name"])
        waiting = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 5}
        change_pod(room, key, containerStatuses=[waiting])
        await room.monitor.step()
        await room.scale.step()
        await room.scale.step()
        room.remove_pod(key.name)
        await room.monitor.step()
        pause = await room.scale.step()
        rests.append(pause)
        room.clock.advance(pause or 0)
    assert rests == [None, 10, 20, 40]
    pool = room.cluster.objects[Kind.POOL, Key(NAMESPACE, POOL)]["status"]
    stalled = next(one for one in pool["conditions"] if one["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "CrashLoop")
    assert "the next one is made not before" in stalled["message"]


async def test_a_pool_at_rest_still_shrinks() -> None:
    """Only creations wait: a pool whose template is broken can be scaled down."""
    room = ControlRoom()
    room.add_pool(1)
    await turns(room)
    pool = room.state.pools[Key(NAMESPACE, POOL)]
    for _ in range(3):
        room.remembered.replaced_agents.note(pool.edition, "CrashLoop", "", room.clock.seconds)
    changed = room.cluster.change(Kind.POOL, pool.key, lambda one: one["spec"].update(replicas=0))
    room.observer.pool_event("MODIFIED", changed)
    await turns(room)
    assert (Kind.AGENT, AGENT) not in room.cluster.objects


async def test_a_pod_that_hangs_again_and_again_is_replaced_ever_more_slowly() -> None:
    """The first replacement comes at once, the second one after ten seconds."""
    room = ControlRoom()
    room.add_pool(1)
    await turns(room)
    pauses = []
    for _ in range(2):
        pod = room.state.pods[AGENT]
        change_pod(room, phase="Failed")
        room.clock.advance(11)
        await room.create.step()
        assert (Kind.POD, AGENT) not in room.cluster.objects
        room.observer.pod_event("DELETED", pod)
        pauses.append(await room.create.step())
    assert (Kind.POD, AGENT) not in room.cluster.objects
    assert pauses[-1] == 10
    await room.monitor.step()
    room.clock.advance(2)
    await room.monitor.step()
    stalled = next(one for one in stored_agent(room)["conditions"] if one["type"] == "Stalled")
    assert "the next one is made not before" in stalled["message"]
    room.clock.advance(10)
    await room.create.step()
    assert (Kind.POD, AGENT) in room.cluster.objects


async def test_a_pool_whose_pod_never_ends_gets_another_agent_in_time() -> None:
    """Nothing else happens meanwhile: the step itself says when the deletion is overdue."""
    room = ControlRoom()
    room.add_pool(1)
    await turns(room)
    end = datetime.fromtimestamp(room.clock.now().wall + 30, UTC).isoformat(timespec="seconds")
    doomed = room.cluster.change(
        Kind.POD, AGENT, lambda one: one["metadata"].update(deletionTimestamp=end)
    )
    room.observer.pod_event("MODIFIED", wire.pod_record(doomed))
    pause = await room.scale.step()
    assert pause is not None
    assert 89 <= pause <= 91
    room.clock.advance(pause + 1)
    await turns(room)
    names = [key.name for kind, key in room.cluster.objects if kind is Kind.AGENT]
    assert names == ["crew-1"]
