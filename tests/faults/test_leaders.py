"""Two replicas: whatever happens to the leader, the other one takes over and nothing is lost."""

import signal
import time

import pytest

from support.extent import EXTENT
from support.fault_table import Row
from support.poll import until
from support.stage import POOL, POOLS, PRODUCTION, Replica, Stage

AGENTS = 3
SLOTS = 2
HELD = ["I1", "I3", "I8", "X"]
BINDS = "PUT tasks/status"


def busy_pair(stage: Stage) -> tuple[Replica, Replica]:
    """Return a leader and a standby with a crew at work on long and short tasks."""
    leader = stage.lead()
    standby = stage.stand_by()
    stage.busy(AGENTS, AGENTS, SLOTS, "long", sleep=12)
    stage.submit(EXTENT.peak, "short", sleep=0.3)
    until(lambda: stage.phases(stage.created)["Running"] == AGENTS * SLOTS, "peak")
    assert stage.phases(stage.created)["Queued"] > EXTENT.peak / 4
    return leader, standby


def taken_over(stage: Stage, successor: Replica, since: float) -> float:
    """Wait for the successor and the end of all tasks; returns the seconds until it led."""
    until(lambda: successor.process.leading, "successor")
    seconds = time.monotonic() - since
    stage.submit(10, "after", sleep=0.1)
    ends = stage.ended()
    assert {end.phase for end in ends.values()} == {"Succeeded"}
    assert {name: end.attempt for name, end in ends.items() if end.attempt != 1} == {}
    assert stage.breaches() == []
    return seconds


@pytest.mark.quick
@pytest.mark.scenario(
    "4", "SIGKILL of the leader at peak: the signal of an OOM kill, without a cgroup's limit"
)
def test_a_killed_leader_is_replaced_and_nothing_is_lost(stage: Stage, row: Row) -> None:
    """SIGKILL under load: the standby leads after the Lease's time; all tasks end in attempt 1."""
    leader, standby = busy_pair(stage)
    began = time.monotonic()
    leader.process.kill()
    row.recovered = taken_over(stage, standby, began)
    row.faults, row.invariants = f"1 SIGKILL, all slots busy, {EXTENT.peak} tasks, 2 replicas", HELD


@pytest.mark.scenario("3", "SIGTERM of the leader during bindings")
def test_a_stopped_leader_hands_over_at_once(stage: Stage, row: Row) -> None:
    """SIGTERM under load: exit code 0, the Lease is free, and the standby leads without waiting."""
    leader, standby = busy_pair(stage)
    began = time.monotonic()
    assert leader.process.stop() == 0
    row.recovered = taken_over(stage, standby, began)
    row.faults, row.invariants = f"1 SIGTERM, all slots busy, {EXTENT.peak} tasks, 2 replicas", HELD


@pytest.mark.scenario("21", "Leader paused past its Lease, then resumed")
def test_a_paused_leader_changes_nothing_when_it_wakes(stage: Stage, row: Row) -> None:
    """SIGSTOP past the Lease, SIGCONT after the takeover: late writes and deliveries do nothing.

    The woken process exits once; no attempt is started twice although it had agents connected.
    """
    leader, standby = busy_pair(stage)
    began = time.monotonic()
    leader.process.send(signal.SIGSTOP)
    until(lambda: standby.process.leading, "successor")
    seconds = time.monotonic() - began
    leader.process.send(signal.SIGCONT)
    assert leader.process.wait(60) == 1
    taken_over(stage, standby, began)
    row.recovered = seconds
    row.faults, row.invariants = "SIGSTOP, takeover, SIGCONT under load", HELD


@pytest.mark.scenario("21", "Leader paused and never resumed, times as in production")
@pytest.mark.timeout(300)
def test_agents_leave_a_leader_that_stays_paused(stage: Stage, row: Row) -> None:
    """SIGSTOP for good: agents whose polls hang find the new leader before it gives them up.

    Their connections to the paused process stay open, so only their own patience ends a poll; a new
    agent's hello, which starts the leader's grace for all others, comes as soon as it can.
    """
    leader, standby = stage.prepare(**PRODUCTION), stage.prepare(**PRODUCTION)
    leader.process.start()
    standby.process.launch()
    stage.crew(AGENTS, SLOTS)
    long = stage.submit(AGENTS, "long", sleep=80)
    stage.running(long)
    stage.ended(stage.submit(2 * AGENTS, "short", sleep=0.1))
    began = time.monotonic()
    leader.process.send(signal.SIGSTOP)
    until(lambda: standby.process.leading, "successor")
    row.recovered = time.monotonic() - began
    pool = f"{POOLS.format(stage.namespace)}/{POOL}"
    stage.api.patch(pool, {"spec": {"replicas": AGENTS + 1}})
    stage.agent(f"{POOL}-{AGENTS}", SLOTS)
    taken_over(stage, standby, began)
    row.faults, row.invariants = "SIGSTOP for good under load", HELD


@pytest.mark.scenario("3", "Rolling restart of both replicas under load")
def test_a_rolling_restart_fails_no_task(stage: Stage, row: Row) -> None:
    """Both replicas are replaced one after the other, twice, under load: no attempt is spent."""
    replicas = busy_pair(stage)
    began = time.monotonic()
    for number in range(2):
        for replica in replicas:
            stage.submit(20, f"turn{number}-{replicas.index(replica)}-", sleep=0.2)
            assert replica.process.stop() == 0
            replica.process.launch()
            until(replica.process.ready, "ready again")
    until(lambda: any(one.process.leading for one in replicas), "leader")
    stage.flawless()
    row.recovered = time.monotonic() - began
    row.faults, row.invariants = "4 SIGTERM, one replica at a time", HELD


@pytest.mark.scenario("6", "The leader alone loses the API server")
def test_a_leader_without_an_api_server_exits_once_and_comes_back_as_standby(
    stage: Stage, row: Row
) -> None:
    """Only the leader's way to the API server is cut: it exits, the standby leads, tasks go on."""
    leader, standby = busy_pair(stage)
    began = time.monotonic()
    with leader.faults.down():
        assert leader.process.wait(60) == 1
        leader.process.launch()
        until(lambda: standby.process.leading, "successor")
        seconds = time.monotonic() - began
        assert leader.process.running
    taken_over(stage, standby, began)
    row.recovered = seconds
    until(leader.process.ready, "the old leader as standby")
    row.faults, row.invariants = "API server out of the leader's reach", HELD


@pytest.mark.scenario("20", "Two operators active at a time")
def test_two_leaders_bind_no_task_twice(stage: Stage, row: Row) -> None:
    """Two leaders, by a misconfiguration with two Leases, work off one queue for two minutes.

    Every task runs once, in its first attempt, on one agent, whichever of the two bound it.
    """
    stage.lead(**PRODUCTION)
    other = f"{stage.namespace}-b"
    assert stage.kubectl.run("create", "namespace", other).ok
    second = stage.prepare(
        AGENTCORPS_NAMESPACE=other,
        AGENTCORPS_WATCH_NAMESPACES=stage.namespace,
        AGENTCORPS_POD_IP="",
        **PRODUCTION,
    ).process
    second.start()
    own = (f"https://localhost:{second.gateway_port}", stage.authority_of(other))
    # Each misses the hellos of the other's agents, and would soon take them for dead.
    stage.pool(2 * AGENTS, SLOTS, health={"heartbeatSeconds": 300})
    for number in range(2 * AGENTS):
        stage.agent(f"{POOL}-{number}", SLOTS, own if number % 2 else None)
    began, batches = time.monotonic(), 0
    while time.monotonic() - began < EXTENT.overlap_seconds:
        stage.submit(20, f"b{batches}-", sleep=0.1)
        batches += 1
        stage.wait(lambda: stage.phases(stage.created)["Queued"] < 20, "room in the queue")
        assert all(one.process.leading and one.process.running for one in stage.replicas)
    ends = stage.flawless()
    for replica in stage.replicas:
        bound = [call for call in replica.faults.calls if call.what == BINDS and call.is_done]
        assert len(bound) > len(ends) / 4, "both leaders were to bind"
    assert {one.agent for one in stage.ledger.executions} == set(stage.slots)
    stage.kubectl.run("delete", "namespace", other, "--wait=false")
    row.faults = f"2 leaders with a Lease each, {EXTENT.overlap_seconds} s, {len(ends):,} tasks"
    row.invariants = HELD
