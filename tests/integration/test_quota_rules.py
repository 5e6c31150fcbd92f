"""What a ResourceQuota may be about, and what happens when it shrinks: with the real controllers.

Agents run where a test says so; elsewhere pods are mere objects that no node takes.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from agentcorps.api.meta import LABEL_POOL
from support import objects
from support.cli import Cli
from support.gates import gated_worker
from support.kubectl import Kubectl
from support.kubelet import Kubelet
from support.operator_process import PATIENT, OperatorProcess
from support.poll import until

Json = dict[str, Any]
SHORT = {"AGENTCORPS_MIN_RUNTIME_SECONDS": "2", "AGENTCORPS_UNSCHEDULABLE_SECONDS": "4"}
"""A minute's patience is for clusters; the rules are the same."""


@pytest.fixture
def operator_environ() -> Mapping[str, str]:
    """Return the variables of an operator that has little patience."""
    return {**PATIENT, **SHORT}


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Return the file that all Tasks wait for."""
    return tmp_path / "gate"


@pytest.fixture
def kubelet(operator: OperatorProcess, kubectl: Kubectl, tmp_path: Path) -> Iterator[Kubelet]:
    """Return what runs an agent for each pod, but for those of the pool ``broken``."""

    def starts(pod: str) -> bool:
        return not pod.startswith("broken-")

    with Kubelet(kubectl, operator.gateway_url, tmp_path, gated_worker, starts=starts) as runner:
        yield runner


def quota(kubectl: Kubectl, name: str = "team", *, pods: int, **spec: Any) -> None:
    """Create or change a ResourceQuota of pods, and wait until it is enforced."""
    hard = {"pods": str(pods)}
    document = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}}
    assert kubectl.send("apply", {**document, "spec": {"hard": hard, **spec}}).ok

    def enforced() -> bool:
        status = kubectl.get(f"resourcequota/{name}").get("status", {})
        return bool(status.get("hard") == hard and "used" in status)

    until(enforced, "quota")


def pool(kubectl: Kubectl, name: str, replicas: int, startup: int = 3600, **spec: Any) -> None:
    """Create a pool; more fields go to its spec, those of ``pod`` to its pods'."""
    template = objects.pod_template()
    template["spec"] |= spec.pop("pod", {})
    agent = {
        "podTemplate": template,
        "capabilities": ["work"],
        "health": {"startupSeconds": startup},
    }
    kubectl.create(objects.pool(name, agent, replicas=replicas, **spec))


def pods(kubectl: Kubectl) -> Counter[str]:
    """Count the pods of each pool."""
    found = kubectl.get("pods")["items"]
    return Counter(one["metadata"].get("labels", {}).get(LABEL_POOL, "") for one in found)


def has(kubectl: Kubectl, **wanted: int) -> bool:
    """Tell whether each pool has its number of pods."""
    return pods(kubectl) == wanted


def work(kubectl: Kubectl, name: str, count: int, gate: Path) -> None:
    """Submit Tasks to a pool that run until the gate is open."""
    spec = {"requires": ["work"], "input": {"gate": str(gate)}}
    for number in range(count):
        kubectl.create(objects.task(f"{name}-{number}", pool=name, **spec))


def tasks(kubectl: Kubectl) -> Counter[tuple[str, int]]:
    """Count the Tasks by phase and attempt."""
    items = kubectl.get("tasks")["items"]
    return Counter((one["status"]["phase"], one["status"].get("attempt", 0)) for one in items)


def wait(kubelet: Kubelet, probe: Callable[[], bool], what: str) -> None:
    """Wait for something while agents come and go with their pods."""

    def look() -> bool:
        kubelet.sync()
        return probe()

    until(look, what, seconds=180)


@pytest.mark.usefixtures("operator")
def test_quotas_with_scopes_each_count_their_own(kubectl: Kubectl, cluster: Kubectl) -> None:
    """Two places for pods of a priority class within six for all; none for what has a deadline."""
    urgent = f"urgent-{uuid4().hex[:8]}"
    priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1000}
    cluster.create({**priority, "metadata": {"name": urgent}})
    try:
        expression = {"scopeName": "PriorityClass", "operator": "In", "values": [urgent]}
        quota(kubectl, "all", pods=6)
        quota(kubectl, "urgent", pods=2, scopeSelector={"matchExpressions": [expression]})
        quota(kubectl, "ending", pods=0, scopes=["Terminating"])
        pool(kubectl, "rescue", 5, pod={"priorityClassName": urgent})
        pool(kubectl, "plain", 5)
        until(lambda: has(kubectl, rescue=2, plain=4), "pods within all scopes", seconds=120)
        until(lambda: limits(kubectl, "rescue") == ("Quota", 2), "the limit in the status")
        # While pods are still being made the other quota may be the one that is short.
        share = "its share is 2 of 5 agents, by pods of ResourceQuota urgent"
        until(lambda: share in limitation(kubectl, "rescue"), "which quota limits it")
    finally:
        cluster.run("delete", "priorityclass", urgent, "--wait=false")


def limitation(kubectl: Kubectl, name: str) -> str:
    """Return what a pool's condition QuotaLimited tells; nothing where there is none."""
    known = kubectl.get(f"agentpool/{name}").get("status", {}).get("conditions", [])
    return "".join(one["message"] for one in known if one["type"] == "QuotaLimited")


def draining(kubectl: Kubectl) -> list[str]:
    """Return why agents drain."""
    found = [one["status"] for one in kubectl.get("agents")["items"]]
    return [one.get("reason", "") for one in found if one.get("phase") == "Draining"]


def test_preemption_drains_what_works_and_loses_nothing(
    kubectl: Kubectl, kubelet: Kubelet, gate: Path
) -> None:
    """As many at work are drained as a pool with Drain lacks, none for others; they finish."""
    quota(kubectl, pods=4)
    pool(kubectl, "crew", 4)
    wait(kubelet, lambda: len(kubelet.running) == 4, "four agents")
    work(kubectl, "crew", 4, gate)
    wait(kubelet, lambda: tasks(kubectl) == {("Running", 1): 4}, "four tasks that run")
    pool(kubectl, "patient", 4)
    pool(kubectl, "claim", 4, quota={"preemption": "Drain", "weight": 2})
    wait(kubelet, lambda: draining(kubectl) == ["QuotaPreempted"] * 2, "two that drain")
    assert tasks(kubectl) == {("Running", 1): 4}
    assert has(kubectl, crew=4)
    gate.touch()
    shares = {"crew": 1, "patient": 1, "claim": 2}
    wait(kubelet, lambda: has(kubectl, **shares), "two for who claims, one for who is patient")
    assert tasks(kubectl) == {("Succeeded", 1): 4}


def test_a_smaller_quota_waits_for_those_at_work(
    kubectl: Kubectl, kubelet: Kubelet, gate: Path
) -> None:
    """Hard falls below used: who works stays, who is idle goes, and nothing is made meanwhile."""
    quota(kubectl, pods=4)
    pool(kubectl, "crew", 4)
    wait(kubelet, lambda: len(kubelet.running) == 4, "four agents")
    work(kubectl, "crew", 3, gate)
    wait(kubelet, lambda: tasks(kubectl) == {("Running", 1): 3}, "three tasks that run")
    first = {one["metadata"]["uid"] for one in kubectl.get("pods")["items"]}
    quota(kubectl, pods=2)
    wait(kubelet, lambda: has(kubectl, crew=3), "the idle one to go")
    assert tasks(kubectl) == {("Running", 1): 3}
    gate.touch()
    wait(kubelet, lambda: has(kubectl, crew=2), "as many as there may be")
    assert tasks(kubectl) == {("Succeeded", 1): 3}
    assert {one["metadata"]["uid"] for one in kubectl.get("pods")["items"]} <= first
    until(lambda: limits(kubectl, "crew") == ("Quota", 2), "the limit in the status")


def limits(kubectl: Kubectl, name: str) -> tuple[str, int]:
    """Return what a pool's status says of its limit and its share."""
    told = kubectl.get(f"agentpool/{name}").get("status", {})
    return told.get("limitedBy", ""), told.get("grantedReplicas", -1)


def find_no_node(kubectl: Kubectl, pod: str) -> None:
    """Say of a pod what the scheduler would say."""
    message = "0/3 nodes are available: 3 Insufficient cpu."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    status = json.dumps({"status": {"conditions": [{**condition, "message": message}]}})
    command = ("patch", "pod", pod, "--subresource=status", "--type=merge", f"--patch={status}")
    said = kubectl.run(*command)
    assert said.ok, said.stderr


def test_what_finds_no_node_is_kept_and_holds_nothing(
    kubectl: Kubectl, kubelet: Kubelet, kubeconfig: Path, namespace: str
) -> None:
    """Pods without a node are not made anew, nor more of them; others get their places but one.

    Status and `pool why` name the cluster's capacity.
    """
    quota(kubectl, pods=4)
    pool(kubectl, "broken", 3, startup=4)
    wait(kubelet, lambda: has(kubectl, broken=3), "three pods")
    first = {one["metadata"]["uid"] for one in kubectl.get("pods")["items"]}
    for number in range(3):
        find_no_node(kubectl, f"broken-{number}")

    def limited() -> bool:
        return limits(kubectl, "broken")[0] == "Capacity"

    wait(kubelet, limited, "the capacity as the limit")
    said = Cli(kubeconfig, namespace).run("pool", "why", "broken").stdout
    assert "limited by: the cluster's capacity" in said
    assert "Unschedulable (0/3 nodes are available: 3 Insufficient cpu.)" in said
    assert kubectl.run("scale", "agentpool/broken", "--replicas=9").ok
    pool(kubectl, "crew", 2)
    wait(kubelet, lambda: has(kubectl, broken=2, crew=2), "two agents that start")
    pool(kubectl, "late", 9)
    wait(kubelet, lambda: pods(kubectl)["broken"] == 1, "one that may go on trying")
    wait(kubelet, lambda: pods(kubectl).total() == 4, "all places taken")
    left = [one for one in kubectl.get("pods")["items"] if _of(one) == "broken"]
    assert {one["metadata"]["uid"] for one in left} <= first


def _of(pod: Json) -> str:
    return str(pod["metadata"]["labels"][LABEL_POOL])
