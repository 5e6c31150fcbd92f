"""A HorizontalPodAutoscaler scales a pool: the real HPA controller, on a real external metric."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support import objects
from support.external_metrics import ExternalMetrics
from support.kubectl import Kubectl
from support.kubelet import Kubelet
from support.poll import until

Json = dict[str, Any]

# The controller looks every few seconds, and learns every 30 s only which kinds have a /scale.
HPA_SECONDS = 300
GIT = ("--server-side", "--field-manager=git")
SCALE = "/apis/agentcorps.dev/v1alpha1/namespaces/{}/agentpools/crew/scale"
RUNNING = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


@pytest.fixture
def metrics(kubectl: Kubectl) -> Iterator[ExternalMetrics]:
    """Return external metrics that the API server serves."""
    with ExternalMetrics(kubectl) as served:
        yield served


def git_pool() -> Json:
    """Return the pool as it stands in Git: without replicas."""
    pool = objects.pool("crew", {"capabilities": ["work"]})
    del pool["spec"]["replicas"]
    return pool


def hpa(least: int = 1) -> Json:
    """Return an HPA by the work for each agent, and by how long it waits."""
    depth = {"type": "AverageValue", "averageValue": "10"}
    wait = {"type": "Value", "value": "100"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "crew"},
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "agentcorps.dev/v1alpha1",
                "kind": "AgentPool",
                "name": "crew",
            },
            "minReplicas": least,
            "maxReplicas": 5,
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
            "metrics": [external("queue_depth", depth), external("queue_wait_seconds", wait)],
        },
    }


def external(name: str, target: Json) -> Json:
    """Return a metric of an HPA, of the series for the pool only."""
    metric = {"name": name, "selector": {"matchLabels": {"pool": "crew"}}}
    return {"type": "External", "external": {"metric": metric, "target": target}}


def active(kubectl: Kubectl) -> list[str]:
    """Return the names of the Agents that are not being drained, sorted."""
    items = kubectl.get("agents")["items"]
    phases = {item["metadata"]["name"]: item["status"].get("phase") for item in items}
    return sorted(name for name, phase in phases.items() if phase != "Draining")


def scale(kubectl: Kubectl) -> tuple[int, int, str]:
    """Return what /scale says: replicas wanted, replicas there, and the selector."""
    assert kubectl.namespace is not None
    told = kubectl.run("get", "--raw", SCALE.format(kubectl.namespace)).json()
    # What is 0 is left out.
    wanted, there = (told[part].get("replicas", 0) for part in ("spec", "status"))
    return wanted, there, told["status"]["selector"]


def wait(kubectl: Kubectl, kubelet: Kubelet, probe: Callable[[], bool], what: str) -> None:
    """Wait for something while agents come and go with their pods, which become ready."""

    def look() -> bool:
        kubelet.sync()
        for pod in kubectl.get("pods")["items"]:
            if pod["status"].get("phase") != "Running":
                change = {"status": RUNNING}
                kubectl.patch(f"pod/{pod['metadata']['name']}", change, "--subresource=status")
        return probe()

    try:
        until(look, what, seconds=HPA_SECONDS)
    except AssertionError as error:
        hpas = [item["status"] for item in kubectl.get("hpa")["items"]]
        raise AssertionError(f"{error}; /scale: {scale(kubectl)}; HPA: {hpas}") from error


@pytest.mark.timeout(900)
def test_an_hpa_scales_a_pool_up_and_down_and_hurts_no_task(
    kubectl: Kubectl, kubelet: Kubelet, metrics: ExternalMetrics
) -> None:
    """By replicas and by ready pods; Git may apply again; the busy agent and its Task stay."""
    metrics.set("queue_depth", 30, pool="crew")
    metrics.set("queue_wait_seconds", 100, pool="crew")
    assert kubectl.send("apply", git_pool(), options=GIT).ok
    kubectl.create(hpa())

    def has(replicas: int) -> bool:
        return has_agents(kubectl, replicas)

    wait(kubectl, kubelet, lambda: has(3), "three agents, one for each ten in the queue")
    pods = kubectl.get("pods", "-l", scale(kubectl)[2])["items"]
    assert sorted(pod["metadata"]["name"] for pod in pods) == active(kubectl)

    # Of this metric the controller takes the ratio, times the pods that are ready by the selector.
    metrics.set("queue_wait_seconds", 130, pool="crew")
    wait(kubectl, kubelet, lambda: has(5), "1.3 times the ready ones, again and again, up to five")
    until(
        lambda: shown(kubectl) == ["AgentPool/crew", "1", "5", "5"], "the HPA as kubectl shows it"
    )
    assert kubectl.send("apply", git_pool(), options=GIT).ok
    assert scale(kubectl)[0] == 5

    kubectl.create(objects.task("long", pool="crew", requires=["work"], input={"sleep": 3600}))
    wait(kubectl, kubelet, lambda: bool(busy(kubectl)), "an agent at work")
    metrics.set("queue_depth", 1, pool="crew")
    metrics.set("queue_wait_seconds", 0, pool="crew")
    wait(kubectl, kubelet, lambda: has(1), "one agent, the least that the HPA allows")
    task = kubectl.get("task/long")["status"]
    assert [task["agentName"]] == active(kubectl)
    assert (task["phase"], task["attempt"]) == ("Running", 1)


@pytest.mark.timeout(900)
def test_an_hpa_takes_a_pool_to_zero_and_wakes_it(
    kubectl: Kubectl, kubelet: Kubelet, metrics: ExternalMetrics
) -> None:
    """With minReplicas 0 the last agent goes with the last work; more work brings one that does it.

    Needs Kubernetes 1.37, where the feature gate HPAScaleToZero is on unless it is turned off.
    """
    metrics.set("queue_depth", 5, pool="crew")
    metrics.set("queue_wait_seconds", 0, pool="crew")
    assert kubectl.send("apply", git_pool(), options=GIT).ok
    kubectl.create(hpa(least=0))
    wait(kubectl, kubelet, lambda: has_agents(kubectl, 1), "one agent for the little there is")
    metrics.set("queue_depth", 0, pool="crew")
    wait(kubectl, kubelet, lambda: has_agents(kubectl, 0), "no agent, with nothing to do")
    wait(kubectl, kubelet, lambda: not kubectl.get("pods")["items"], "no pod")
    until(lambda: condition(kubectl, "ScaledToZero") == "True", "the HPA that knows who did it")
    kubectl.create(objects.task("late", pool="crew", requires=["work"], input={}))
    metrics.set("queue_depth", 1, pool="crew")
    wait(kubectl, kubelet, lambda: has_agents(kubectl, 1), "an agent again")

    def done() -> bool:
        return bool(kubectl.get("task/late")["status"].get("phase") == "Succeeded")

    wait(kubectl, kubelet, done, "the Task's end")


def has_agents(kubectl: Kubectl, replicas: int) -> bool:
    """Tell whether there are so many agents that stay, and /scale says so."""
    there = len(active(kubectl)), scale(kubectl)
    return there == (replicas, (replicas, replicas, "agentcorps.dev/pool=crew"))


def condition(kubectl: Kubectl, name: str) -> str:
    """Return the status of a condition of the HPA; empty if it has none of that name."""
    found = kubectl.get("hpa/crew")["status"].get("conditions", [])
    return next((str(one["status"]) for one in found if one["type"] == name), "")


def shown(kubectl: Kubectl) -> list[str]:
    """Return what `kubectl get hpa` shows: target, minimum, maximum and number of replicas."""
    row = kubectl.run("get", "hpa", "crew", "--no-headers").stdout.split()
    return [row[1], *row[-4:-1]]


def busy(kubectl: Kubectl) -> str:
    """Return the agent that the Task is bound to, if there is one."""
    status = kubectl.get("task/long")["status"]
    return str(status.get("agentName", ""))
