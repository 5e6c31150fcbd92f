"""A status says what is true, in the words that kstatus, kubectl and people read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.api.agent import AgentStatus
from agentcorps.api.agentpool import AgentPoolStatus
from agentcorps.core import coalescing
from agentcorps.core.conditions import find
from agentcorps.core.fields import parse_time
from agentcorps.core.records import Key
from agentcorps.core.statuses import (
    Memory,
    Refusal,
    Tally,
    agent_status,
    pool_status,
)
from support.fleet import EPOCH, NAMESPACE, POOL, Fleet
from support.kstatus import kstatus

KEY = Key(NAMESPACE, "crew-0")
HEARD = Memory(first_hello=1_000.0)


def _agent(fleet: Fleet, memory: Memory = HEARD, drain: str = "") -> dict[str, Any]:
    """Return the agent's status, which fits its model."""
    status = agent_status(fleet.state, KEY, fleet.now, memory, drain)
    AgentStatus.model_validate(status)
    return status


def _pool(fleet: Fleet, memory: Memory = HEARD) -> dict[str, Any]:
    """Return the pool's status, which fits its model."""
    status = pool_status(fleet.state, POOL, fleet.now, memory)
    AgentPoolStatus.model_validate(status)
    return status


def _drain(fleet: Fleet) -> dict[str, Any]:
    """Write the Draining phase of the agent, and observe it."""
    status = _agent(fleet, drain="ScaledDown")
    since = parse_time(find(status, "Draining")["lastTransitionTime"])
    fleet.change_agent(KEY, status=status, draining_since=since)
    return status


def _summary(status: dict[str, Any]) -> tuple[str, str, str]:
    """Return the phase, what kstatus reads, and the reason."""
    return status["phase"], kstatus(status), find(status, "Ready")["reason"]


def test_an_agent_waits_for_its_pod_then_for_its_hello() -> None:
    """Until the agent itself says hello it is in progress, however ready its pod is."""
    fleet = Fleet()
    agent = fleet.agent()
    assert _summary(_agent(fleet)) == ("Pending", "InProgress", "PodPending")
    fleet.pod(agent)
    assert _summary(_agent(fleet)) == ("Starting", "InProgress", "HelloPending")
    fleet.hello(KEY)
    assert _summary(_agent(fleet)) == ("Idle", "Current", "Connected")
    fleet.task(KEY)
    assert _summary(_agent(fleet)) == ("Busy", "Current", "Connected")


def test_the_whole_status_of_a_busy_agent() -> None:
    """A busy agent tells its pod, its process, its slots, and what it has done so far."""
    fleet = Fleet()
    agent = fleet.agent(generation=4, status={"tasksSucceeded": 5, "tasksFailed": 1})
    pod = fleet.pod(agent)
    fleet.hello(KEY, "instance-9")
    fleet.task(KEY)
    assert _agent(fleet, Memory(finished={KEY: Tally(2, 1)})) == {
        "observedGeneration": 4,
        "phase": "Busy",
        "slotsUsed": 1,
        "tasksSucceeded": 7,
        "tasksFailed": 2,
        "podName": "crew-0",
        "podUID": pod.uid,
        "instance": "instance-9",
        "lastHeartbeatTime": "2027-01-15T08:16:40Z",
        "templateHash": agent.template_hash,
        "conditions": [
            {
                "type": kind,
                "status": holds,
                "reason": "Connected",
                "message": "",
                "lastTransitionTime": "2027-01-15T08:16:40Z",
                "observedGeneration": 4,
            }
            for kind, holds in (("Ready", "True"), ("Reconciling", "False"), ("Stalled", "False"))
        ],
    }


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("ErrImagePull", "imagePullSecrets"),
        ("ImagePullBackOff", "imagePullSecrets"),
        ("CrashLoopBackOff", "log"),
        ("CreateContainerConfigError", "Secrets and ConfigMaps"),
    ],
)
def test_pods_that_cannot_start_stall_their_agent(reason: str, advice: str) -> None:
    """The conditions name the pod, why it does not start, and what to do."""
    fleet = Fleet()
    fleet.pod(fleet.agent(), waiting_reason=reason, waiting_message="details of the kubelet")
    status = _agent(fleet)
    assert _summary(status) == ("Failed", "Failed", reason)
    message = find(status, "Stalled")["message"]
    assert message == status["message"]
    assert message.startswith(f"pod team/crew-0 cannot start: {reason} (details of the kubelet); ")
    assert advice in message


def test_unschedulable_pods_have_their_startup_time() -> None:
    """A pod without a node is in progress first, as a cluster autoscaler may bring one."""
    fleet = Fleet()
    fleet.pod(fleet.agent(), waiting_reason="Unschedulable")
    assert _summary(_agent(fleet)) == ("Starting", "InProgress", "Unschedulable")
    fleet.seconds += 120
    assert _summary(_agent(fleet)) == ("Failed", "Failed", "Unschedulable")


def test_a_missing_hello_fails_the_agent() -> None:
    """An agent that is not heard within startupSeconds has failed, and says where to look."""
    fleet = Fleet()
    fleet.pod(fleet.agent())
    fleet.seconds += 120
    status = _agent(fleet)
    assert _summary(status) == ("Failed", "Failed", "StartupTimeout")
    assert "within 120 s: look at its log" in status["message"]


def test_objects_that_cannot_be_read_stall() -> None:
    """An invalid Agent or pool says which field is wrong."""
    fleet = Fleet()
    fleet.agent(invalid="spec.slots: must be an integer")
    fleet.pool(invalid="spec.replicas: must be at least 0")
    assert _summary(_agent(fleet)) == ("Failed", "Failed", "InvalidObject")
    pool = _pool(fleet)
    assert kstatus(pool) == "Failed"
    assert find(pool, "Stalled")["message"].startswith("spec.replicas: must be at least 0")


def test_refused_pods_stall_their_agent() -> None:
    """What the API server says against a pod stands in the conditions of its Agent and its pool."""
    fleet = Fleet()
    fleet.pool()
    fleet.agent()
    refusal = Refusal("Forbidden", "exceeded quota: team")
    memory = Memory(refused={KEY: refusal})
    assert _summary(_agent(fleet, memory)) == ("Pending", "Failed", "Forbidden")
    assert "exceeded quota: team" in find(_pool(fleet, memory), "Stalled")["message"]
    fleet.pod(fleet.state.agents[KEY])
    assert _summary(_agent(fleet, memory)) == ("Starting", "InProgress", "HelloPending")


def test_silent_agents_are_unhealthy() -> None:
    """An agent that misses its heartbeats is not Ready, and is Ready again when it is heard."""
    fleet = Fleet()
    fleet.ready_agent()
    fleet.seconds += 15
    assert _summary(_agent(fleet)) == ("Unhealthy", "InProgress", "HeartbeatMissed")
    fleet.state.touch(KEY, fleet.now)
    assert _summary(_agent(fleet)) == ("Idle", "Current", "Connected")


def test_a_takeover_does_not_show() -> None:
    """A new leader leaves an agent's status as it is while it waits for the hello."""
    fleet = Fleet()
    fleet.ready_agent()
    stored = _agent(fleet)
    fleet.change_agent(KEY, status=stored)
    fleet.state.close_session(KEY)
    fleet.seconds += 20
    assert _agent(fleet, Memory()) == stored
    fleet.seconds = 1_030.0
    silent = _agent(fleet)
    assert _summary(silent) == ("Unhealthy", "InProgress", "HeartbeatMissed")
    fleet.change_agent(KEY, status=silent)
    assert _agent(fleet) == silent


def test_draining_lasts_until_the_agent_goes() -> None:
    """The Draining phase, its reason and its time stand from the first write to the end."""
    fleet = Fleet()
    fleet.ready_agent()
    first = _drain(fleet)
    assert _summary(first) == ("Draining", "InProgress", "ScaledDown")
    assert fleet.state.agents[KEY].draining_since == fleet.now.wall
    fleet.seconds += 1_000
    assert _agent(fleet)["conditions"] == first["conditions"]
    assert _agent(fleet)["reason"] == "ScaledDown"
    fleet.change_agent(KEY, deleting=True)
    assert _agent(fleet)["phase"] == "Terminated"


def test_draining_counts_from_its_own_condition() -> None:
    """An agent that was not Ready for long before it was drained still has its whole time."""
    fleet = Fleet()
    fleet.agent()
    fleet.change_agent(KEY, status=_agent(fleet))
    fleet.seconds += 500
    _drain(fleet)
    assert fleet.state.agents[KEY].draining_since == EPOCH + 1_500


def test_conditions_keep_their_time_while_they_hold() -> None:
    """The lastTransitionTime moves with the condition's status and with nothing else."""
    fleet = Fleet()
    agent = fleet.agent()
    pending = _agent(fleet)
    fleet.change_agent(KEY, status=pending)
    fleet.seconds += 10
    fleet.pod(agent)
    starting = _agent(fleet)
    fleet.change_agent(KEY, status=starting)
    fleet.seconds += 10
    fleet.hello(KEY)
    times = [
        [find(status, kind)["lastTransitionTime"][-3:-1] for kind in ("Ready", "Stalled")]
        for status in (pending, starting, _agent(fleet))
    ]
    assert times == [["40", "40"], ["40", "40"], ["00", "40"]]


def test_a_pool_is_ready_when_all_its_agents_are() -> None:
    """A pool is in progress until as many agents as were asked for have said hello."""
    fleet = Fleet()
    fleet.pool(replicas=2)
    assert kstatus(_pool(fleet)) == "InProgress"
    fleet.ready_agent("crew-0")
    fleet.task(KEY)
    fleet.task(uid="task-2")
    fleet.pod(fleet.agent("crew-1"))
    assert kstatus(_pool(fleet)) == "InProgress"
    fleet.hello(Key(NAMESPACE, "crew-1"))
    status = _pool(fleet)
    assert kstatus(status) == "Current"
    assert find(status, "Ready")["message"] == "2 of 2 agents are ready"
    assert {name: value for name, value in status.items() if name != "conditions"} == {
        "observedGeneration": 1,
        "replicas": 2,
        "readyReplicas": 2,
        "idleReplicas": 1,
        "busyReplicas": 1,
        "drainingReplicas": 0,
        "updatedReplicas": 2,
        "unhealthyReplicas": 0,
        "targetReplicas": 2,
        "limitedBy": "None",
        "queuedTasks": 1,
        "runningTasks": 1,
        "selector": "agentcorps.dev/pool=crew",
    }


def test_an_empty_pool_is_ready() -> None:
    """A pool of no agents has all that it was asked for."""
    fleet = Fleet()
    fleet.pool(replicas=0)
    assert kstatus(_pool(fleet)) == "Current"


def test_a_pool_that_sheds_agents_is_in_progress() -> None:
    """While surplus agents drain, the pool is Ready and still Reconciling."""
    fleet = Fleet()
    fleet.pool(replicas=1)
    for number in range(2):
        fleet.ready_agent(f"crew-{number}")
    fleet.drain(Key(NAMESPACE, "crew-1"))
    status = _pool(fleet)
    assert (kstatus(status), find(status, "Ready")["status"]) == ("InProgress", "True")
    assert (status["replicas"], status["readyReplicas"], status["drainingReplicas"]) == (2, 1, 1)


def test_a_stalled_pool_names_the_pod_and_the_reason() -> None:
    """A pool whose agents cannot start says which pod, why, and how many more there are."""
    fleet = Fleet()
    fleet.pool(replicas=12)
    for number in (10, 9, 11):
        fleet.pod(fleet.agent(f"crew-{number}"), waiting_reason="ErrImagePull")
    status = _pool(fleet)
    assert kstatus(status) == "Failed"
    message = find(status, "Stalled")["message"]
    assert message.startswith("pod team/crew-9 cannot start: ErrImagePull")
    assert message.endswith("(2 more agents are stalled)")
    assert status["unhealthyReplicas"] == 3


def test_a_pool_whose_agents_are_refused_stalls() -> None:
    """A pool says why the API server does not let it have its agents."""
    fleet = Fleet()
    fleet.pool(replicas=1)
    memory = Memory(refused_agents={POOL: Refusal("Forbidden", "no agents on Sundays")})
    assert "no agents on Sundays" in find(_pool(fleet, memory), "Stalled")["message"]


def test_pools_count_only_their_own_agents() -> None:
    """Agents of an earlier pool of that name, or of an older template, are told apart."""
    fleet = Fleet()
    fleet.pool(replicas=2)
    fleet.ready_agent("crew-0", pool_uid="an-earlier-pool")
    fleet.ready_agent("crew-1", template_hash="an-old-one")
    status = _pool(fleet)
    assert (status["replicas"], status["updatedReplicas"]) == (1, 0)


_SCENES = st.lists(
    st.tuples(
        st.sampled_from(
            ["agent", "pod", "hello", "task", "stuck", "drain", "leave", "end", "invalid", "wait"]
        ),
        st.floats(0, 100),
    ),
    max_size=12,
)


def _play(fleet: Fleet, scene: str) -> None:
    """Let something happen to the Agent."""
    state = fleet.state
    if scene == "agent":
        fleet.agent()
    elif scene == "pod" and KEY in state.agents:
        fleet.pod(state.agents[KEY])
    elif scene == "drain" and KEY in state.agents:
        _drain(fleet)
    elif scene == "invalid" and KEY in state.agents:
        fleet.change_agent(KEY, invalid="spec: is missing")
    elif KEY in state.pods:
        _play_pod(fleet, scene)


def _play_pod(fleet: Fleet, scene: str) -> None:
    """Let something happen to its pod."""
    match scene:
        case "hello":
            fleet.hello(KEY)
        case "task":
            fleet.task(KEY, uid=f"task-{fleet.version()}")
        case "stuck":
            fleet.change_pod(KEY, waiting_reason="CrashLoopBackOff")
        case "end":
            fleet.change_pod(KEY, terminated=True, phase="Failed")
        case "leave":
            fleet.state.leave(KEY)
        case _:
            return


@given(_SCENES)
def test_a_stored_status_is_computed_again_as_it_is(scenes: list[tuple[str, float]]) -> None:
    """Whatever happened, storing a computed status makes the next one equal: nothing to write."""
    fleet = Fleet()
    fleet.pool()
    for scene, seconds in scenes:
        _play(fleet, scene)
        pool = _pool(fleet)
        fleet.pool(status=pool)
        assert _pool(fleet) == pool
        if KEY in fleet.state.agents:
            agent = _agent(fleet)
            fleet.change_agent(KEY, status=agent)
            assert _agent(fleet) == agent
            later = fleet.now.monotonic + 1e9
            assert coalescing.agent_status_change(agent, _agent(fleet), None, later) is None
        fleet.seconds += seconds


@given(_SCENES)
def test_kstatus_reads_one_meaning(scenes: list[tuple[str, float]]) -> None:
    """Ready, in progress and failed exclude each other for every Agent that ever is."""
    fleet = Fleet()
    for scene, seconds in scenes:
        fleet.seconds += seconds
        _play(fleet, scene)
        if KEY not in fleet.state.agents:
            continue
        status = _agent(fleet)
        holds = [c["type"] for c in status["conditions"] if c["status"] == "True"]
        assert [kind for kind in holds if kind != "Draining"] in (
            ["Ready"],
            ["Reconciling"],
            ["Stalled"],
        )
        assert ("Draining" in holds) == (status["phase"] == "Draining")
        assert (holds == ["Ready"]) == (status["phase"] in {"Idle", "Busy"})
