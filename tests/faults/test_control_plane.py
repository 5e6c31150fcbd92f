"""API server and etcd end, stop and come back; clocks are wrong; namespaces go."""

import os
import time
from pathlib import Path

import pytest

from support import objects
from support.components import Component
from support.extent import EXTENT
from support.fault_table import Row
from support.poll import until
from support.raw_api import RawApiError
from support.reference import References
from support.stage import AGENTS, POOL, POOLS, Replica, Stage
from support.watcher import PODS, TASKS

HELD = ["I1", "I2", "I3", "I8", "X"]
DISTURBANCES = 4
"""How often at most an agent loses its leader: the leader ends, comes back, and is followed."""


def component(kubeconfig: Path, name: str) -> Component:
    """Return a component of the local control plane; of any other cluster it is not ours to end."""
    found = Component(kubeconfig, name)
    if not found.known:
        pytest.skip("not a control plane of hack/cluster")
    return found


def answering(stage: Stage) -> bool:
    """Whether the API server can be used: it serves custom resources last of all."""
    try:
        for kind in (PODS, TASKS, AGENTS):
            stage.api.get(kind.format(stage.namespace))
    except (RawApiError, OSError):
        return False
    return True


def caught_up(stage: Stage) -> float:
    """Wait until new work is done, too; returns the seconds that took."""
    began = time.monotonic()
    until(lambda: answering(stage), "API server", every=0.1)
    stage.submit(5, "after", sleep=0.05)
    stage.ended(seconds=90)
    seconds = time.monotonic() - began
    stage.flawless()
    return seconds


@pytest.mark.scenario("5", "API server restarted")
def test_a_restart_of_the_api_server_costs_less_than_a_minute(
    stage: Stage, row: Row, references: References, kubeconfig: Path
) -> None:
    """SIGKILL of kube-apiserver under load, and a new one at once: caught up within 60 s."""
    server = component(kubeconfig, "kube-apiserver")
    replica = stage.lead()
    standby = stage.stand_by()
    stage.busy(3, 30, slots=2, sleep=2)
    server.restart()
    revive(stage)
    row.recovered = caught_up(stage)
    assert row.recovered <= 60
    assert references.unlike(stage, DISTURBANCES) == []
    assert replica.process.running or standby.process.running
    row.faults, row.invariants = "SIGKILL of kube-apiserver", HELD


def revive(stage: Stage) -> None:
    """From now on, start again what ends while the stage waits, as the kubelet would."""
    ends: dict[int, int] = {}

    def look() -> None:
        for number, replica in enumerate(stage.replicas):
            if not replica.process.running:
                ends[number] = ends.get(number, 0) + 1
                assert ends[number] == 1, f"operator {number} ended again and again"
                replica.process.launch()

    stage.on_wait = look


def gives_up_once(stage: Stage, replica: Replica) -> None:
    """Wait until the leader has ended, start it again, and wait until the agents have finished."""
    assert replica.process.wait(60) == 1
    replica.process.launch()
    until(lambda: all(one.ended < float("inf") for one in stage.ledger.executions), "end of work")


@pytest.mark.scenario("6", "API server away for longer than the Lease")
@pytest.mark.timeout(EXTENT.outage_seconds + 600)
def test_an_outage_ends_the_leader_once_and_agents_go_on(
    stage: Stage, row: Row, references: References
) -> None:
    """One exit, then alive and not ready; the agents finish, keep results and deliver them.

    Their tasks' time runs out meanwhile: they were done in time all the same.
    """
    replica = stage.lead()
    stage.busy(3, 3, sleep=8, timeoutSeconds=EXTENT.outage_seconds // 2)
    with replica.faults.down():
        gives_up_once(stage, replica)
        until(replica.process.alive, "living probe")
        over = time.monotonic() + EXTENT.outage_seconds
        while time.monotonic() < over:
            assert replica.process.alive()
            assert replica.process.probe("readyz") != []
            time.sleep(1)
    row.recovered = caught_up(stage)
    assert references.unlike(stage, DISTURBANCES) == []
    row.faults = f"API server out of reach {EXTENT.outage_seconds} s and longer"
    row.invariants = HELD


@pytest.mark.scenario("6", "API server takes requests and answers none")
def test_a_mute_api_server_ends_the_leader_once(
    stage: Stage, row: Row, references: References
) -> None:
    """Silence instead of refusal: the leader gives up by its own clock and comes back once."""
    replica = stage.lead()
    stage.busy(2, 2, sleep=6)
    with replica.faults.mute():
        gives_up_once(stage, replica)
    row.recovered = caught_up(stage)
    assert references.unlike(stage, DISTURBANCES) == []
    row.faults, row.invariants = "every request unanswered", HELD


@pytest.mark.scenario("7", "etcd restarted")
def test_a_restart_of_etcd_loses_nothing(
    stage: Stage, row: Row, references: References, kubeconfig: Path
) -> None:
    """SIGKILL of etcd under load, and a new one at once."""
    etcd = component(kubeconfig, "etcd")
    stage.lead()
    stage.busy(3, 30, slots=2, sleep=1)
    revive(stage)
    etcd.restart()
    row.recovered = caught_up(stage)
    assert references.unlike(stage, DISTURBANCES) == []
    row.faults, row.invariants = "SIGKILL of etcd", HELD


@pytest.mark.scenario("7", "etcd slow")
def test_a_slow_etcd_only_costs_time(
    stage: Stage, row: Row, references: References, kubeconfig: Path
) -> None:
    """Etcd stands still for 1.5 s of every two, for as long as twenty seconds."""
    etcd = component(kubeconfig, "etcd")
    stage.lead()
    stage.crew(3, 2)
    stage.submit(30, sleep=0.5)
    revive(stage)
    for _ in range(10):
        with etcd.paused():
            time.sleep(1.5)
        time.sleep(0.5)
    row.recovered = caught_up(stage)
    assert references.unlike(stage, DISTURBANCES) == []
    row.faults, row.invariants = "10 x SIGSTOP of etcd for 1.5 s", HELD


@pytest.mark.scenario("22", "Clock of the operator wrong by ten minutes")
@pytest.mark.parametrize("offset", [600, -600])
def test_a_wrong_clock_changes_nothing(
    stage: Stage, row: Row, references: References, tmp_path: Path, offset: int
) -> None:
    """The leader's clock is off, then one with a right clock takes over: no timeout, no retry."""
    shifted = "import time\nreal = time.time\ntime.time = lambda: real() + {0}\n"
    (tmp_path / "sitecustomize.py").write_text(shifted.format(offset))
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    wrong = stage.prepare(PYTHONPATH=path)
    wrong.process.start()
    right = stage.stand_by()
    stage.busy(2, 2, 2, "long", sleep=10, timeoutSeconds=60)
    stage.submit(10, sleep=0.1)
    assert wrong.process.stop() == 0
    until(lambda: right.process.leading, "successor")
    row.recovered = caught_up(stage)
    assert references.unlike(stage, DISTURBANCES) == []
    row.faults, row.invariants = f"time.time {offset:+} s, then a takeover", HELD


@pytest.mark.quick
@pytest.mark.scenario("30", "Namespace deleted with work running, operator down")
def test_a_namespace_goes_without_the_operator(stage: Stage, row: Row) -> None:
    """No finalizer of ours holds the namespace: it is gone soon though nobody of ours runs."""
    replica = stage.lead()
    stage.crew(2)
    stage.submit(6, sleep=60)
    stage.running(["t0"])
    replica.process.kill()
    began = time.monotonic()
    stage.api.delete(f"/api/v1/namespaces/{stage.namespace}")

    def gone() -> bool:
        try:
            stage.api.get(f"/api/v1/namespaces/{stage.namespace}")
        except RawApiError as error:
            return error.status == 404
        return False

    until(gone, "end of the namespace", seconds=90)
    row.recovered = time.monotonic() - began
    row.faults, row.invariants = "SIGKILL, namespace deleted", ["I7"]


@pytest.mark.scenario("19", "Same name, new UID, while the operator is away")
def test_pods_of_an_earlier_agent_are_not_adopted(stage: Stage, row: Row, kubeconfig: Path) -> None:
    """Pool and agents are made anew under their names: the old pods get no task, and then go."""
    controllers = component(kubeconfig, "kube-controller-manager")
    replica = stage.staffed(2)
    old = pods(stage)
    replica.process.kill()
    with controllers.paused():  # nobody collects what lost its owner
        stage.api.delete(f"{POOLS.format(stage.namespace)}/{POOL}")
        stage.api.delete(AGENTS.format(stage.namespace))
        spec = {"capabilities": ["work"]}
        stage.api.post(POOLS.format(stage.namespace), objects.pool(POOL, spec, replicas=2))
        replica.process.start()
        stage.submit(6, sleep=0.05)
        until(lambda: len(stage.api.get(AGENTS.format(stage.namespace))["items"]) == 2, "agents")
        assert stage.quiet(3) == []
        assert pods(stage) >= old
        assert stage.ledger.executions == []
    for agent in list(stage.agents):
        stage.agents.pop(agent).kill()
    began = time.monotonic()
    until(lambda: len(found := pods(stage)) == 2 and not found & old, "new pods", seconds=90)
    for agent in stage.api.get(AGENTS.format(stage.namespace))["items"]:
        stage.agent(agent["metadata"]["name"])
    row.recovered = time.monotonic() - began
    caught_up(stage)
    assert stage.watcher.pods_made() == 4
    row.faults, row.invariants = "pool and agents made anew, pods left", ["I1", "I3", "X"]


def pods(stage: Stage) -> set[str]:
    """Return the UIDs of the pods that are there."""
    items = stage.api.get(PODS.format(stage.namespace))["items"]
    return {pod["metadata"]["uid"] for pod in items}
