"""Who is quarantined, what its status says, and how its pool replaces it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.core.actions import CreateAgent, DeleteAgent, Drain
from agentcorps.core.conditions import find
from agentcorps.core.quarantine import quarantine
from agentcorps.core.records import AgentRecord, Key, Target
from agentcorps.core.scaling import replicas
from agentcorps.core.statuses import Memory, Refusal, agent_status, pool_status
from agentcorps.core.why import Availability, candidates_from_state
from support.fleet import NAMESPACE, POOL, Fleet
from support.kstatus import kstatus

KEY = Key(NAMESPACE, "crew-0")
HEARD = 1_000.0


def _status(fleet: Fleet, agent: AgentRecord, streak: int | None = None) -> dict[str, Any]:
    streaks = {} if streak is None else {agent.uid: streak}
    memory = Memory(first_hello=HEARD, streaks=streaks)
    return agent_status(fleet.state, agent.key, fleet.now, memory)


def _quarantined(fleet: Fleet, name: str = "crew-0", **fields: Any) -> AgentRecord:
    """Observe an agent whose quarantine is written."""
    agent = fleet.ready_agent(name)
    status = _status(fleet, agent, 5)
    return fleet.change_agent(agent.key, status=status, quarantined=True, **fields)


def _actions(fleet: Fleet) -> list[CreateAgent | Drain | DeleteAgent]:
    return replicas(fleet.state, POOL, fleet.now, HEARD)


@given(failures=st.integers(0, 20))
def test_five_failures_in_a_row_are_too_many(failures: int) -> None:
    """An agent is quarantined for failing tasks exactly from the fifth in a row on."""
    fleet = Fleet()
    agent = fleet.ready_agent()
    found = quarantine(fleet.state, agent, failures)
    assert (found is not None) == (failures >= 5)
    assert found is None or found.reason == "TasksFailing"


@pytest.mark.parametrize(
    ("pod", "looping"),
    [
        ({"waiting_reason": "CrashLoopBackOff", "restarts": 5}, True),
        ({"waiting_reason": "CrashLoopBackOff", "restarts": 4}, False),
        ({"waiting_reason": "", "restarts": 50}, False),
        ({"waiting_reason": "ImagePullBackOff", "restarts": 5}, False),
    ],
    ids=["looping", "not yet", "runs again", "never ran"],
)
def test_a_crash_loop_is_judged_by_the_pod(pod: dict[str, Any], *, looping: bool) -> None:
    """Five deaths, and the kubelet waits before the next start: that is a loop."""
    fleet = Fleet()
    agent = fleet.agent()
    fleet.pod(agent, exit_cause="OOMKilled (exit code 137)", **pod)
    found = quarantine(fleet.state, agent, 0)
    assert (found is not None) == looping
    if found is not None:
        assert found.reason == "CrashLoop"
        assert "died 5 times, last with OOMKilled (exit code 137)" in found.message


def test_a_quarantined_agent_says_so_and_is_not_ready() -> None:
    """Healthy is False with reason and remedy, the phase Unhealthy, and kstatus reads a failure."""
    fleet = Fleet()
    status = _status(fleet, fleet.ready_agent(), 5)
    healthy = find(status, "Healthy")
    assert (healthy["status"], healthy["reason"]) == ("False", "TasksFailing")
    assert "its pool replaces it" in healthy["message"]
    assert (status["phase"], status["consecutiveFailures"]) == ("Unhealthy", 5)
    assert kstatus(status) == "Failed"


def test_a_healthy_agent_says_nothing_of_it() -> None:
    """Without a quarantine there is no condition Healthy; the failures in a row are told."""
    fleet = Fleet()
    status = _status(fleet, fleet.ready_agent(), 4)
    assert not find(status, "Healthy")
    assert (status["phase"], status["consecutiveFailures"]) == ("Idle", 4)


def test_a_quarantine_outlives_its_cause_and_the_leader() -> None:
    """A new leader that counted nothing leaves a written quarantine as it is, word for word."""
    fleet = Fleet()
    agent = _quarantined(fleet)
    fleet.seconds += 3_600
    fleet.state.touch(KEY, fleet.now)
    again = _status(fleet, agent)
    assert find(again, "Healthy") == find(agent.status, "Healthy")
    assert again["consecutiveFailures"] == 5


def test_a_new_leader_counts_on() -> None:
    """The failures in a row are taken from the status when nothing happened since."""
    fleet = Fleet()
    agent = fleet.ready_agent(status={"consecutiveFailures": 3})
    assert _status(fleet, agent)["consecutiveFailures"] == 3


def test_a_quarantined_agent_gets_no_work() -> None:
    """Neither the written nor the coming quarantine leaves a free slot."""
    fleet = Fleet()
    fleet.ready_agent("crew-1")
    suspended = Key(NAMESPACE, "crew-1")
    fleet.state.open_poll(suspended, 1, fleet.now)
    fleet.state.suspend(suspended)
    _quarantined(fleet)
    fleet.state.open_poll(KEY, 1, fleet.now)
    for key in (KEY, suspended):
        vacancy = fleet.state.vacancy(key)
        assert vacancy is not None
        assert vacancy.free == 0
    told = {one.name: one.availability for one in candidates_from_state(fleet.state, Target(*POOL))}
    assert told["crew-0"] is Availability.QUARANTINED


def test_a_pool_drains_a_quarantined_agent_and_replaces_it_once_it_is_gone() -> None:
    """Its place stays taken until then: never are there more agents than replicas."""
    fleet = Fleet()
    fleet.pool(2)
    fleet.ready_agent("crew-1")
    agent = _quarantined(fleet)
    assert _actions(fleet) == [Drain(KEY, "Quarantined")]
    drained = fleet.drain(KEY)
    fleet.task(KEY)
    assert _actions(fleet) == []
    fleet.state.forget_task("task-1")
    assert _actions(fleet) == [
        DeleteAgent(KEY, agent.uid, drained.resource_version, "Drained"),
    ]
    fleet.state.forget_agent(KEY)
    assert _actions(fleet) == [CreateAgent(POOL, "crew-2")]
    fleet.state.forget_pod(KEY)
    assert _actions(fleet) == [CreateAgent(POOL, "crew-0")]


@given(
    wanted=st.integers(0, 5),
    healthy=st.integers(0, 5),
    sick=st.integers(0, 5),
    draining=st.booleans(),
)
def test_quarantines_never_lead_to_more_agents_than_replicas(
    wanted: int, healthy: int, sick: int, *, draining: bool
) -> None:
    """What is created fits beside all that is there, and no healthy agent goes for a sick one."""
    fleet = Fleet()
    fleet.pool(wanted)
    for number in range(healthy):
        fleet.ready_agent(f"crew-{number}")
    for number in range(healthy, healthy + sick):
        agent = _quarantined(fleet, f"crew-{number}")
        fleet.task(agent.key, f"task-{number}")
        if draining:
            fleet.drain(agent.key)
    actions = _actions(fleet)
    created = sum(isinstance(action, CreateAgent) for action in actions)
    leaving = {one.agent.name for one in actions if isinstance(one, Drain | DeleteAgent)}
    gone = {f"crew-{number}" for number in range(healthy)} & leaving
    assert created <= max(0, wanted - healthy - sick)
    assert len(gone) == max(0, healthy - wanted)


def test_a_pool_tells_that_it_waits_before_it_replaces() -> None:
    """While the next agent rests, the pool is Stalled with the reason of the last quarantine."""
    fleet = Fleet()
    pool = fleet.pool(1)
    rest = Refusal("CrashLoop", "agent crew-0 was quarantined; the next one is made later")
    memory = Memory(resting_agents={pool.edition: rest})
    stalled = find(pool_status(fleet.state, POOL, fleet.now, memory), "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "CrashLoop")
    assert stalled["message"] == rest.message


def test_a_pool_tells_why_an_agent_is_quarantined() -> None:
    """Until it is replaced the pool says what is wrong with it."""
    fleet = Fleet()
    fleet.pool(1)
    _quarantined(fleet)
    stalled = find(pool_status(fleet.state, POOL, fleet.now, Memory()), "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "TasksFailing")
