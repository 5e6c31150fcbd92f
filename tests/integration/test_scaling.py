"""Pools that scale themselves, with the operator as a process on a real API server."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentcorps.agent import Agent
from support import objects
from support.cli import Cli
from support.kubectl import Kubectl
from support.kubelet import Kubelet
from support.operator_process import OperatorProcess
from support.poll import until

SWIFT: dict[str, Any] = {
    "maxReplicas": 4,
    "panic": {"stableWindowSeconds": 0},
    "behavior": {"scaleDown": {"stabilizationWindowSeconds": 2}},
}


@pytest.fixture
def operator(kubectl: Kubectl, namespace: str, tmp_path: Path) -> Iterator[OperatorProcess]:
    """Return an operator that serves the test's namespace, and leads."""
    with OperatorProcess(kubectl.kubeconfig, namespace, tmp_path / "operator.log") as process:
        yield process


@pytest.fixture
def kubelet(operator: OperatorProcess, kubectl: Kubectl, tmp_path: Path) -> Iterator[Kubelet]:
    """Return what runs an agent for each pod."""
    with Kubelet(kubectl, operator.gateway_url, tmp_path, worker) as runner:
        yield runner


def worker() -> Agent:
    """Return an agent that sleeps for as long as its input says."""
    agent = Agent()

    @agent.task("work")
    async def work(task: dict[str, Any]) -> None:
        await asyncio.sleep(task.get("sleep", 0))

    return agent


def pool(**scaling: Any) -> dict[str, Any]:
    """Return a pool of workers that scales itself."""
    spec = {"capabilities": ["work"]}
    return objects.pool("crew", spec, replicas=1, scaling={**SWIFT, **scaling})


def submit(kubectl: Kubectl, *names: str, sleep: float = 0) -> None:
    """Create Tasks."""
    for name in names:
        kubectl.create(objects.task(name, pool="crew", requires=["work"], input={"sleep": sleep}))


def status(kubectl: Kubectl) -> dict[str, Any]:
    """Return the status of the pool."""
    found: dict[str, Any] = kubectl.get("agentpool/crew")["status"]
    return found


def agents(kubectl: Kubectl) -> set[str]:
    """Return the names of the Agents that are not being drained."""
    items = kubectl.run("get", "agents", "-o", "json").json()["items"]
    phases = {item["metadata"]["name"]: item["status"].get("phase") for item in items}
    return {name for name, phase in phases.items() if phase != "Draining"}


def attempts(kubectl: Kubectl) -> list[tuple[str, int]]:
    """Return phase and attempt of each Task."""
    items = kubectl.run("get", "tasks", "-o", "json").json()["items"]
    return [(item["status"]["phase"], item["status"].get("attempt", 0)) for item in items]


def wait(kubelet: Kubelet, probe: Callable[[], bool], what: str) -> None:
    """Wait for something while agents come and go with their pods."""

    def look() -> bool:
        kubelet.sync()
        return probe()

    until(look, what)


def test_a_pool_follows_its_queue_and_no_task_loses_an_attempt(
    kubectl: Kubectl, kubelet: Kubelet
) -> None:
    """Tasks bring agents up to the limit; the end of the queue takes them away, idle ones only."""
    kubectl.create(pool())
    wait(kubelet, lambda: status(kubectl).get("targetReplicas") == 0, "a pool at zero")
    assert agents(kubectl) == set()
    submit(kubectl, *(f"quick-{number}" for number in range(10)), sleep=0.3)
    submit(kubectl, "long", sleep=20)
    wait(kubelet, lambda: len(agents(kubectl)) == 4, "four agents")
    wait(kubelet, lambda: attempts(kubectl).count(("Succeeded", 1)) == 10, "ten results")
    wait(kubelet, lambda: len(agents(kubectl)) <= 1, "the one agent that works")
    wait(kubelet, lambda: attempts(kubectl) == [("Succeeded", 1)] * 11, "the long one, at once")
    wait(kubelet, lambda: not kubectl.run("get", "agents", "-o", "name").stdout, "no agents")
    assert kubectl.get("agentpool/crew")["spec"]["replicas"] == 1
    targets = [one["targetReplicas"] for one in status(kubectl)["decisions"]]
    assert targets[0] >= 1
    assert max(targets) == 4
    assert targets[-1] == 0
    submit(kubectl, "again")
    wait(kubelet, lambda: attempts(kubectl).count(("Succeeded", 1)) == 12, "a pool that wakes")


def test_a_manifest_that_is_applied_again_changes_nothing(
    kubectl: Kubectl, kubelet: Kubelet
) -> None:
    """Server-side apply of the same manifest during load leaves spec, generation and target."""
    manifest = pool()
    options = ("--server-side", "--field-manager=git")
    assert kubectl.send("apply", manifest, options=options).ok
    submit(kubectl, *(f"long-{number}" for number in range(3)), sleep=6)
    wait(kubelet, lambda: len(agents(kubectl)) == 3, "three agents")
    until(lambda: status(kubectl)["targetReplicas"] == 3, "the target in the status")
    before = kubectl.get("agentpool/crew")
    for _ in range(3):
        answer = kubectl.send("apply", manifest, options=options)
        assert answer.ok, answer.stderr
    after = kubectl.get("agentpool/crew")
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    wait(kubelet, lambda: attempts(kubectl) == [("Succeeded", 1)] * 3, "all results")


def test_what_asked_for_agents_is_told(
    kubectl: Kubectl, kubelet: Kubelet, kubeconfig: Path, namespace: str
) -> None:
    """`pool why`, `kubectl get agp` and an Event tell target, limit, demands and history."""
    kubectl.create(pool(maxReplicas=2, idle=1))
    submit(kubectl, "a", "b", "c", sleep=60)
    wait(kubelet, lambda: status(kubectl).get("busyReplicas") == 2, "two busy agents")
    cli = Cli(kubeconfig, namespace)

    def why() -> str:
        answer = cli.run("pool", "why", "crew").stdout
        return answer if "2 busy agents" in answer else ""

    said = until(why, "what asks for agents")
    assert "crew is to have 2 agents: 2 ready, 2 of them busy; 1 queued Tasks" in said
    assert "limited by: scaling.maxReplicas" in said
    rows = [line.split()[:3] for line in said.splitlines()]
    assert ["policies[0]", "Tasks", "3"] in rows
    assert ["idle", "IdleBuffer", "3"] in rows
    header, row = kubectl.run("get", "agp", "crew").stdout.splitlines()
    shown = dict(zip(header.split(), row.split(), strict=True))
    wanted = {"TARGET": "2", "READY": "2", "BUSY": "2", "QUEUED": "1", "LIMITED-BY": "MaxReplicas"}
    assert shown | wanted == shown
    until(lambda: "ScaledUp" in kubectl.run("get", "events").stdout, "an Event")


def test_scaling_by_hand_is_refused_with_what_to_do_instead(
    kubectl: Kubectl, kubeconfig: Path, namespace: str
) -> None:
    """`kubectl scale` and `agentcorps pool scale` on such a pool name the fields to change."""
    kubectl.create(pool())
    answers = (
        kubectl.run("scale", "agentpool/crew", "--replicas=3"),
        Cli(kubeconfig, namespace).run("pool", "scale", "crew", "--replicas", "3"),
    )
    for answer in answers:
        assert not answer.ok
        assert "change minReplicas, maxReplicas or pausedReplicas of spec.scaling" in answer.stderr
    assert kubectl.get("agentpool/crew")["spec"]["replicas"] == 1
