"""What the use cases tell the meter: each event once, where it arises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agentcorps.adapters.metrics.meter import PrometheusMeter
from agentcorps.api.protocol import GoodbyeRequest
from agentcorps.core import wire
from agentcorps.core.actions import HISTORY_LIMIT, DeleteTask
from agentcorps.core.records import Key
from agentcorps.ports import Conflict, Kind
from support.api import eventually
from support.calls import bound, failure, result
from support.control_room import INSTANCE, NAMESPACE, POOL, ControlRoom

if TYPE_CHECKING:
    from agentcorps.ports import PodIdentity

AGENT = Key(NAMESPACE, "crew-0")


class Metered(ControlRoom):
    """A control room whose metrics can be read."""

    def __init__(self) -> None:
        self.meter = PrometheusMeter()
        super().__init__(meter=self.meter)
        self.meter.pools.follow(self.state)

    def counted(self, name: str, **labels: str) -> float:
        """Return the value of a metric of the pool; 0 where there is none."""
        pool = {"namespace": NAMESPACE, "pool": POOL}
        return self.meter.registry.get_sample_value(f"agentcorps_{name}", pool | labels) or 0.0

    def plain(self, name: str) -> float:
        """Return the value of a metric without labels."""
        return self.meter.registry.get_sample_value(f"agentcorps_{name}") or 0.0


@pytest.fixture
async def room() -> Metered:
    """Return a room with a pool of one."""
    made = Metered()
    made.add_pool(1)
    return made


def change_pod(room: Metered, **status: Any) -> None:
    """The kubelet writes the pod's status."""
    pod = room.cluster.change(Kind.POD, AGENT, lambda one: one.update(status=status))
    room.observer.pod_event("MODIFIED", wire.pod_record(pod))


def remove_agent(room: Metered) -> None:
    """Somebody deletes the Agent, and its pod follows."""
    agent = room.state.agents[AGENT]
    room.observer.absent(Kind.AGENT, AGENT, agent.uid)
    room.remove_pod("crew-0")


def lost(room: Metered) -> dict[str, float]:
    """Return how many agents were lost, by reason."""
    reasons = ("HeartbeatMissed", "PodEnded", "Evicted", "PodDeleted", "Quarantined", "Other")
    found = {reason: room.counted("agent_lost_total", reason=reason) for reason in reasons}
    return {reason: number for reason, number in found.items() if number}


async def test_a_tasks_life_is_measured(room: Metered) -> None:
    """Five seconds in line, two at work: one binding, one end, and the right sums."""
    who = await room.connect()
    room.add_task()
    room.clock.advance(5)
    waited = room.state.timers.waits_since(room.state.task_at(Key(NAMESPACE, "task")).uid)  # type: ignore[union-attr]
    assert waited is not None
    reference = await bound(room, who)
    expected = room.clock.seconds - waited
    assert room.counted("task_queue_seconds_sum") == pytest.approx(expected)
    assert room.plain("task_bind_seconds_count") == 1
    room.clock.advance(2)
    await room.calls.reports.complete(who, reference, result({"done": True}))
    assert room.counted("task_run_seconds_sum") == pytest.approx(2)
    done = {"outcome": "Succeeded", "reason": "Completed"}
    assert room.counted("tasks_finished_total", **done) == 1
    await room.calls.reports.complete(who, reference, result({"done": True}))
    assert room.counted("tasks_finished_total", **done) == 1


async def test_failures_and_goodbyes(room: Metered) -> None:
    """A failure for good is an end, whatever the agent calls it; a goodbye is a requeue."""
    who = await room.connect()
    room.add_task()
    report = failure("MadeUp", retryable=False)
    await room.calls.reports.fail(who, await bound(room, who), report)
    assert room.counted("tasks_finished_total", outcome="Failed", reason="Other") == 1
    room.add_task("second")
    await bound(room, who)
    await room.calls.goodbyes.goodbye(who, GoodbyeRequest(instance=INSTANCE))
    assert room.counted("task_requeues_total", reason="AgentStopped") == 1


async def test_a_conflict_of_a_binding_counts(room: Metered) -> None:
    """Somebody else wrote the Task in between: one conflict, then one binding."""
    who = await room.connect()
    room.add_task()
    room.cluster.fail("status", Conflict("written by another"))
    await bound(room, who)
    assert room.plain("bind_conflicts_total") == 1
    assert room.plain("task_bind_seconds_count") == 1


async def test_a_cut_history_counts(room: Metered) -> None:
    """A finished Task that is deleted counts under its reason, once it is gone."""
    who = await room.connect()
    uid = room.add_task()
    await room.calls.reports.complete(who, await bound(room, who), result({}))
    room.tasks.start(DeleteTask(uid, HISTORY_LIMIT))
    await eventually(lambda: not room.tasks.works_on(uid), "deletion")
    assert room.state.task(uid) is None
    assert room.counted("tasks_deleted_total", reason="HistoryLimit") == 1


async def test_a_scaling_decision_counts(room: Metered) -> None:
    """A Task for a pool that scales itself from zero: one decision upwards, by policy Tasks."""
    room.observer.absent(Kind.POOL, Key(NAMESPACE, POOL), room.state.pools[(NAMESPACE, POOL)].uid)  # type: ignore[index]
    room.add_pool(scaling={"maxReplicas": 3})
    await room.autoscale.step()
    room.add_task()
    await room.autoscale.step()
    assert room.counted("scaling_decisions_total", direction="up", reason="Tasks") == 1


async def test_a_pod_that_goes_by_itself_is_one_lost_agent(room: Metered) -> None:
    """Deleted by somebody, or evicted: once, with its reason."""
    await room.connect()
    room.remove_pod("crew-0")
    assert lost(room) == {"PodDeleted": 1}
    room.add_pod("crew-0", room.cluster.objects[Kind.AGENT, AGENT])
    change_pod(room, reason="Evicted", phase="Failed")
    room.remove_pod("crew-0")
    assert lost(room) == {"PodDeleted": 1, "Evicted": 1}


async def test_a_silent_agent_is_lost_once(room: Metered) -> None:
    """Its pod is given up by the operator, and that it is gone later counts no second time."""
    who = await room.connect()
    await room.poll(who, wait=0)
    room.clock.advance(3600)
    await room.create.step()
    assert lost(room) == {"HeartbeatMissed": 1}
    pod = wire.pod_record(deleted_pod(room, who))
    room.observer.pod_event("DELETED", pod)
    assert lost(room) == {"HeartbeatMissed": 1}


def deleted_pod(room: Metered, who: PodIdentity) -> Any:
    """Return the pod as the watch tells its end."""
    record = room.state.pods.get(who.pod)
    assert record is None or record.uid == who.pod_uid
    return {
        "metadata": {
            "namespace": NAMESPACE,
            "name": "crew-0",
            "uid": who.pod_uid,
            "resourceVersion": "100000",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"agentcorps.dev/agent": "crew-0"},
        },
        "spec": {"containers": [{"name": "agent"}]},
        "status": {"phase": "Running"},
    }


async def test_what_is_meant_to_go_is_no_loss(room: Metered) -> None:
    """An Agent that was deleted takes its pod with it; a standby counts nothing at all."""
    await room.connect()
    remove_agent(room)
    assert lost(room) == {}
    await room.connect()
    room.leader.leading = False
    room.remove_pod("crew-0")
    assert lost(room) == {}
