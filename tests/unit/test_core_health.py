"""What is lost is given back, what hangs is replaced, and what is merely slow is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.core.actions import CreatePod, DeletePod, Requeue
from agentcorps.core.assessment import Standing, assess
from agentcorps.core.health import doomed_pods, lost_tasks, next_due, pods_to_create
from agentcorps.core.records import Key
from support.fleet import NAMESPACE, Fleet

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = Key(NAMESPACE, "crew-0")
FIRST_HELLO = 1_000.0


def _lost(fleet: Fleet, first_hello: float | None = FIRST_HELLO) -> list[Requeue]:
    """Return the lost tasks."""
    return lost_tasks(fleet.state, fleet.now, first_hello)


def _doomed(fleet: Fleet, first_hello: float | None = FIRST_HELLO) -> list[DeletePod]:
    """Return the pods to delete."""
    return doomed_pods(fleet.state, fleet.now, first_hello)


def _standing(fleet: Fleet, first_hello: float | None = FIRST_HELLO) -> Standing:
    """Return how the agent stands."""
    return assess(fleet.state, fleet.state.agents[KEY], fleet.now, first_hello).standing


def _busy_fleet(**task: Any) -> Fleet:
    """Return a fleet whose one agent is heard and runs a task."""
    fleet = Fleet()
    fleet.ready_agent()
    fleet.task(KEY, **task)
    return fleet


def _unheard_fleet() -> Fleet:
    """A fleet after a takeover: the agent runs a task that another leader bound."""
    fleet = _busy_fleet()
    fleet.state.close_session(KEY)
    return fleet


def test_tasks_of_living_agents_are_kept() -> None:
    """A task whose process is heard stays where it is, for however long."""
    fleet = _busy_fleet()
    fleet.seconds += 10_000
    fleet.state.touch(KEY, fleet.now)
    assert _lost(fleet) == []
    assert _doomed(fleet) == []


def test_tasks_of_gone_pods_are_lost() -> None:
    """A task is requeued, and counted, when its pod is gone."""
    fleet = _busy_fleet()
    fleet.state.forget_pod(KEY)
    assert _lost(fleet) == [
        Requeue("task-1", 1, "AgentLost", "agent crew-0: its pod is gone", counted=True)
    ]


def test_tasks_of_replaced_pods_are_lost() -> None:
    """A new pod of the same name does not take over the tasks of the old one."""
    fleet = _busy_fleet()
    fleet.pod(fleet.state.agents[KEY])
    fleet.hello(KEY, "instance-2")
    assert [requeue.message for requeue in _lost(fleet)] == ["agent crew-0: its pod is gone"]


def test_tasks_of_ended_pods_are_lost() -> None:
    """A task is requeued as soon as its pod's containers are known to have ended."""
    fleet = _busy_fleet()
    fleet.change_pod(KEY, phase="Failed", terminated=True)
    assert [requeue.message for requeue in _lost(fleet)] == ["agent crew-0: its pod has ended"]


def test_tasks_of_restarted_processes_are_lost() -> None:
    """Another process in the same pod means that the task died with the one before."""
    fleet = _busy_fleet()
    fleet.hello(KEY, "instance-2")
    assert [(r.message, r.counted, r.crashed) for r in _lost(fleet)] == [
        ("agent crew-0: its process was started anew", True, True)
    ]


def test_tasks_left_by_a_goodbye_are_not_counted() -> None:
    """What a process leaves behind when it says goodbye goes back without spending a retry."""
    fleet = _busy_fleet()
    fleet.state.leave(KEY)
    assert [(r.reason, r.message, r.counted, r.crashed) for r in _lost(fleet)] == [
        ("AgentStopped", "agent crew-0: its process said goodbye", False, False)
    ]


def test_terminating_pods_may_finish() -> None:
    """A task of a pod that is being deleted is kept for as long as its process is heard."""
    fleet = _busy_fleet()
    fleet.change_pod(KEY, deleting=True)
    for _ in range(40):
        fleet.seconds += 10
        fleet.state.touch(KEY, fleet.now)
        assert _lost(fleet) == []


def test_tasks_on_unreachable_nodes_are_given_up() -> None:
    """A silent pod that is not gone a minute later loses its tasks all the same."""
    fleet = _busy_fleet()
    fleet.change_pod(KEY, deleting=True)
    fleet.seconds += 15 + 59
    assert _lost(fleet) == []
    due = next_due(fleet.state, fleet.now, FIRST_HELLO)
    assert due == pytest.approx(fleet.seconds + 1)
    fleet.seconds += 1
    assert [requeue.counted for requeue in _lost(fleet)] == [True]


def test_tasks_that_a_new_leader_cannot_ask_about_are_given_up() -> None:
    """After a takeover a terminating pod that never says hello has the grace and a minute more."""
    fleet = _unheard_fleet()
    fleet.change_pod(KEY, deleting=True)
    fleet.seconds = FIRST_HELLO + 30 + 59
    assert _lost(fleet) == []
    fleet.seconds += 1
    assert len(_lost(fleet)) == 1
    assert _lost(fleet, None) == []


@pytest.mark.parametrize("make", [_busy_fleet, _unheard_fleet])
def test_tasks_of_deleted_agents_are_given_up_too(make: Callable[[], Fleet]) -> None:
    """Without its Agent a silent, terminating pod has a minute."""
    fleet = make()
    fleet.state.forget_agent(KEY)
    fleet.change_pod(KEY, deleting=True)
    fleet.seconds = FIRST_HELLO + 59
    assert _lost(fleet) == []
    fleet.seconds += 1
    assert len(_lost(fleet)) == 1


def test_writes_in_flight_are_left_alone() -> None:
    """No decision is taken about a task while a write of it is under way."""
    fleet = _busy_fleet()
    fleet.state.forget_pod(KEY)
    fleet.state.assume(fleet.state.tasks["task-1"])
    assert _lost(fleet) == []
    fleet.state.settle("task-1")
    assert len(_lost(fleet)) == 1


def test_waiting_and_finished_tasks_are_never_lost() -> None:
    """Only a Running task can be lost."""
    fleet = Fleet()
    fleet.task()
    assert _lost(fleet) == []


def test_a_new_leader_waits_for_hellos() -> None:
    """After a takeover a running task waits 30 s from the first hello, then its pod goes first."""
    fleet = _unheard_fleet()
    assert _standing(fleet) is Standing.AWAITED
    fleet.seconds = FIRST_HELLO + 29
    assert (_lost(fleet), _doomed(fleet)) == ([], [])
    assert next_due(fleet.state, fleet.now, FIRST_HELLO) == FIRST_HELLO + 30
    fleet.seconds = FIRST_HELLO + 30
    assert _lost(fleet) == []
    assert [pod.pod for pod in _doomed(fleet)] == [KEY]


def test_a_leader_that_nobody_reaches_kills_nothing() -> None:
    """Without any hello a leader deletes no pod and requeues no task."""
    fleet = _unheard_fleet()
    fleet.seconds += 100_000
    assert (_lost(fleet, None), _doomed(fleet, None)) == ([], [])
    assert next_due(fleet.state, fleet.now, None) is None


def test_slow_heartbeats_lengthen_the_grace() -> None:
    """The grace of an agent is three of its heartbeats where that is more than 30 s."""
    fleet = _unheard_fleet()
    fleet.change_agent(KEY, heartbeat_seconds=20)
    fleet.seconds = FIRST_HELLO + 59
    assert _doomed(fleet) == []
    fleet.seconds = FIRST_HELLO + 60
    assert len(_doomed(fleet)) == 1


def test_idle_agents_of_the_last_leader_are_awaited() -> None:
    """An idle agent that an earlier leader heard is replaced when it never says hello again."""
    fleet = Fleet()
    agent = fleet.agent()
    pod = fleet.pod(agent)
    fleet.change_agent(KEY, status={"podUID": pod.uid, "instance": "instance-1"})
    assert _standing(fleet) is Standing.AWAITED
    fleet.seconds = FIRST_HELLO + 30
    assert [pod.reason for pod in _doomed(fleet)] == ["HeartbeatMissed"]


def test_silent_agents_are_replaced() -> None:
    """An agent that misses three heartbeats of 5 s loses its pod first, and only then its task."""
    fleet = _busy_fleet()
    pod = fleet.state.pods[KEY]
    fleet.seconds += 14.9
    assert _doomed(fleet) == []
    assert next_due(fleet.state, fleet.now, FIRST_HELLO) == 1_015.0
    fleet.seconds = 1_015.0
    message = "pod team/crew-0 missed 3 heartbeats: it is being replaced"
    assert _doomed(fleet) == [DeletePod(KEY, pod.uid, "HeartbeatMissed", message)]
    assert _lost(fleet) == []
    fleet.change_pod(KEY, deleting=True)
    assert _doomed(fleet) == []


def test_a_verdict_ends_with_its_cause() -> None:
    """A silent agent that is heard again before its pod is deleted is as good as ever."""
    fleet = _busy_fleet()
    fleet.seconds += 60
    assert _standing(fleet) is Standing.SILENT
    fleet.state.touch(KEY, fleet.now)
    assert _standing(fleet) is Standing.READY
    assert _doomed(fleet) == []


def test_an_open_poll_is_a_heartbeat() -> None:
    """An agent with an open poll is never silent."""
    fleet = Fleet()
    fleet.ready_agent()
    fleet.state.open_poll(KEY, 1, fleet.now)
    fleet.seconds += 1_000
    assert _doomed(fleet) == []
    assert next_due(fleet.state, fleet.now, FIRST_HELLO) is None


def test_departed_agents_are_not_hung() -> None:
    """A process that said goodbye is silent by right."""
    fleet = Fleet()
    fleet.ready_agent()
    fleet.state.leave(KEY)
    fleet.seconds += 60
    assert _standing(fleet) is Standing.STARTING
    assert _doomed(fleet) == []


def test_crash_loops_are_left_to_the_kubelet() -> None:
    """A crash-looping pod is kept, so that its back-off grows; only tasks bound to it end that."""
    fleet = Fleet()
    fleet.ready_agent()
    fleet.change_pod(KEY, waiting_reason="CrashLoopBackOff", ready=False)
    fleet.seconds += 600
    assert _standing(fleet) is Standing.STUCK
    assert _doomed(fleet) == []
    fleet.task(KEY)
    assert len(_doomed(fleet)) == 1


def test_agents_that_never_say_hello_are_not_recreated() -> None:
    """An agent without a hello within startupSeconds is shown as failed, and its pod is kept."""
    fleet = Fleet()
    fleet.pod(fleet.agent())
    fleet.seconds += 119
    assert _standing(fleet) is Standing.STARTING
    assert next_due(fleet.state, fleet.now, FIRST_HELLO) == pytest.approx(fleet.seconds + 1)
    fleet.seconds += 1
    assert _standing(fleet) is Standing.STARTUP_TIMEOUT
    assert _doomed(fleet) == []
    assert pods_to_create(fleet.state) == []
    fleet.hello(KEY)
    assert _standing(fleet) is Standing.READY


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_ended_pods_are_replaced_without_haste(phase: str) -> None:
    """A pod that ended is deleted once it is 10 s old, so pods that end at once do not spin."""
    fleet = Fleet()
    pod = fleet.pod(fleet.agent(), phase=phase, terminated=True)
    fleet.seconds += 9
    assert _doomed(fleet) == []
    assert next_due(fleet.state, fleet.now, None) == pytest.approx(fleet.seconds + 1)
    fleet.seconds += 1
    assert [(doomed.uid, doomed.reason) for doomed in _doomed(fleet)] == [(pod.uid, "PodEnded")]


def test_pods_of_earlier_agents_are_never_adopted() -> None:
    """A pod of another Agent UID is neither deleted nor replaced: its own owner takes it down."""
    fleet = Fleet()
    fleet.pod(fleet.agent(), owner_uid="an-earlier-agent", phase="Failed", terminated=True)
    fleet.seconds += 600
    assert _standing(fleet) is Standing.NAME_TAKEN
    assert _doomed(fleet) == []
    assert pods_to_create(fleet.state) == []
    fleet.state.forget_pod(KEY)
    assert pods_to_create(fleet.state) == [CreatePod(KEY)]


@pytest.mark.parametrize(
    "fields",
    [{"deleting": True}, {"invalid": "spec.slots: must be an integer"}, {"draining_since": 1.0}],
)
def test_only_agents_that_stay_get_pods(fields: dict[str, Any]) -> None:
    """No pod is made for an Agent that is leaving or cannot be read."""
    fleet = Fleet()
    fleet.agent(**fields)
    assert pods_to_create(fleet.state) == []


_CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["hello", "poll", "close", "leave", "touch", "wait", "end", "delete"]),
        st.sampled_from([KEY, Key(NAMESPACE, "crew-1")]),
        st.floats(0, 40),
    ),
    max_size=25,
)


def _change(fleet: Fleet, what: str, key: Key) -> None:
    """Let something happen to an agent, its process or its pod."""
    match what:
        case "hello":
            fleet.hello(key, f"instance-{fleet.version()}")
        case "poll":
            fleet.state.open_poll(key, 1, fleet.now)
        case "close":
            fleet.state.close_poll(key, fleet.now)
        case "leave":
            fleet.state.leave(key)
        case "touch":
            fleet.state.touch(key, fleet.now)
        case "end":
            fleet.change_pod(key, terminated=True, phase="Failed")
        case "delete":
            fleet.change_pod(key, deleting=True)
        case _:
            assert what == "wait"


@given(_CHANGES)
def test_nobody_who_is_heard_is_harmed(changes: list[tuple[str, Key, float]]) -> None:
    """No order of events dooms a pod, or loses a task, of a process that was heard in time."""
    fleet = Fleet()
    for number in range(2):
        agent = fleet.ready_agent(f"crew-{number}")
        fleet.task(agent.key, uid=f"task-{number}")
    for what, key, seconds in changes:
        fleet.seconds += seconds
        _change(fleet, what, key)
        doomed, lost = {pod.pod for pod in _doomed(fleet)}, {r.task_uid for r in _lost(fleet)}
        for number, session in enumerate(fleet.state.sessions.values()):
            pod, task = fleet.state.pods[session.agent], fleet.state.tasks[f"task-{number}"]
            fresh = session.polling or fleet.seconds - session.last_seen < 14
            if fresh and not pod.terminated:
                assert session.agent not in doomed
            if fresh and not (pod.terminated or session.leaving):
                assert (task.uid in lost) == (session.instance != task.agent_instance)


@given(_CHANGES)
def test_verdicts_change_only_when_they_are_due(changes: list[tuple[str, Key, float]]) -> None:
    """Between two events nothing changes before the time that `next_due` names."""
    fleet = Fleet()
    for number in range(2):
        fleet.task(fleet.ready_agent(f"crew-{number}").key, uid=f"task-{number}")
    for what, key, seconds in changes:
        _change(fleet, what, key)
        verdict = (_doomed(fleet), _lost(fleet), _standing(fleet))
        due = next_due(fleet.state, fleet.now, FIRST_HELLO)
        fleet.seconds += seconds
        if due is None or fleet.seconds < due - 1e-3:
            assert (_doomed(fleet), _lost(fleet), _standing(fleet)) == verdict
