"""What kubelets say of their pods, or say no more: nobody works twice, nor on for nothing."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from support.fault_table import Row
from support.forwarder import Forwarder
from support.poll import until
from support.raw_api import Json
from support.stage import AGENTS, POOL, Stage
from support.watcher import PODS

FENCE_SECONDS = 15
WORK_SECONDS = 60
HEALTH = {"heartbeatSeconds": 1, "failureThreshold": 3, "selfFenceSeconds": FENCE_SECONDS}
NODES = "/api/v1/nodes"
STRATEGIC = "application/strategic-merge-patch+json"
CUT_OFF, OTHER = f"{POOL}-0", f"{POOL}-1"


def condition(status: str, **more: Any) -> Json:
    """Return a status that says whether a node or a pod is ready."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    ready = {"type": "Ready", "status": status, "lastTransitionTime": now}
    return {"status": {**more, "conditions": [ready]}}


@pytest.fixture
def node(stage: Stage) -> Iterator[str]:
    """Return a node that is ready, though no kubelet stands behind it."""
    name = f"node-of-{stage.namespace}"
    stage.api.post(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    mark(stage, f"{NODES}/{name}", condition("True"))
    yield name
    stage.kubectl.run("delete", "pods", "--all", "--grace-period=0", "--force")
    stage.api.delete(f"{NODES}/{name}")


def pod_path(stage: Stage, pod: str) -> str:
    """Return where a pod is."""
    return f"{PODS.format(stage.namespace)}/{pod}"


def agent_path(stage: Stage, name: str) -> str:
    """Return where an Agent is."""
    return f"{AGENTS.format(stage.namespace)}/{name}"


def mark(stage: Stage, path: str, status: Json) -> None:
    """Write a status as a kubelet or the node controller would."""
    stage.api.call("PATCH", f"{path}/status", status, content_type=STRATEGIC)


def place(stage: Stage, pod: str, node: str) -> None:
    """Bind a pod to a node, and say that it runs there."""
    path = pod_path(stage, pod)
    until(lambda: stage.there(path), f"pod {pod}")
    target = {"apiVersion": "v1", "kind": "Node", "name": node}
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
    stage.api.post(f"{path}/binding", binding)
    mark(stage, path, condition("True", phase="Running"))


@pytest.mark.scenario("24", "Node lost, its pod Unknown, its agent cut off and still at work")
@pytest.mark.timeout(300)
def test_a_lost_node_gets_no_second_executor_before_its_agent_stopped(
    stage: Stage, row: Row, node: str
) -> None:
    """The agent works on, unheard, until it stops by selfFenceSeconds; only then another begins."""
    stage.lead()
    stage.pool(2, health=HEALTH)
    place(stage, CUT_OFF, node)
    with Forwarder(stage.kubectl.kubeconfig, stage.namespace) as line:
        until(lambda: line.target, "gateway")
        stage.agent(CUT_OFF, gateway=(line.url, stage.authority))
        (name,) = stage.submit(1, "held", sleep=WORK_SECONDS)
        stage.running([name])
        line.fall_silent()
        mark(stage, f"{NODES}/{node}", condition("Unknown"))
        mark(
            stage, f"{PODS.format(stage.namespace)}/{CUT_OFF}", condition("False", phase="Unknown")
        )
        stage.agent(OTHER)
        ends = stage.ended(seconds=200)
    first, second = stage.ledger.executions
    assert (first.agent, second.agent) == (CUT_OFF, OTHER)
    assert first.ended - first.began < WORK_SECONDS, "it was to be cut short by its fence"
    assert first.ended < second.began
    assert (ends[name].phase, ends[name].reasons) == ("Succeeded", ("AgentLost", "Completed"))
    assert stage.breaches() == []
    left = stage.api.get(pod_path(stage, CUT_OFF))
    assert (left["status"]["phase"], "deletionTimestamp" in left["metadata"]) == ("Unknown", True)
    row.recovered = second.began - first.ended
    row.faults = f"Node and Pod Unknown, agent out of reach, selfFenceSeconds {FENCE_SECONDS}"
    row.invariants = ["I1", "I3", "I8", "X"]


@pytest.mark.scenario("27", "Agent crash-loops")
def test_an_agent_that_crash_loops_gets_no_work_and_is_replaced(stage: Stage, row: Row) -> None:
    """Its pod is said to die for the sixth time: another takes its place, the rest works on."""
    stage.staffed(2)
    looping = stage.api.get(agent_path(stage, CUT_OFF))["metadata"]["uid"]
    stage.agents.pop(CUT_OFF).kill()
    died = {
        "name": "agent",
        "image": "i",
        "imageID": "",
        "ready": False,
        "restartCount": 6,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
    }
    told = condition("False", phase="Running", containerStatuses=[died])
    mark(stage, pod_path(stage, CUT_OFF), told)
    began = time.monotonic()
    stage.submit(6, sleep=0.2)

    def replaced() -> bool:
        found = stage.api.get(AGENTS.format(stage.namespace))["items"]
        return len(found) == 2 and looping not in {one["metadata"]["uid"] for one in found}

    until(replaced, "another agent in its place")
    row.recovered = time.monotonic() - began
    events = stage.api.get(f"/apis/events.k8s.io/v1/namespaces/{stage.namespace}/events")["items"]
    notes = [one["note"] for one in events if one["reason"] == "Quarantined"]
    assert any("CrashLoop" in note for note in notes), notes
    stage.flawless()
    assert {one.agent for one in stage.ledger.executions} == {OTHER}
    row.faults, row.invariants = "status of a pod: CrashLoopBackOff", ["I1", "I3", "I8", "X"]
