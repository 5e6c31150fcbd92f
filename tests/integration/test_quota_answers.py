"""What the API server answers to a creation, or does not: nothing is created in the dark."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import objects
from support.fault_proxy import Call, FaultProxy
from support.fault_rules import Rule, answering, losing_answer
from support.kubectl import Kubectl
from support.operator_process import PATIENT, OperatorProcess
from support.poll import until

Json = dict[str, Any]
PODS = r"/pods$"
FULL = 'pods "crew-0" is forbidden: exceeded quota: team, requested: pods=1, used: pods=9'
BUSY = 'Operation cannot be fulfilled on resourcequotas "team": the object has been modified'


@pytest.fixture
def faults(kubectl: Kubectl, namespace: str, tmp_path: Path) -> Iterator[FaultProxy]:
    """Return the only way that a leading operator has to the API server."""
    log = tmp_path / "operator.log"
    with (
        FaultProxy(kubectl.kubeconfig, tmp_path) as proxy,
        OperatorProcess(proxy.kubeconfig, namespace, log, environ=PATIENT),
    ):
        yield proxy


def prepare(kubectl: Kubectl, agents: int, pods: int = 9) -> None:
    """Create a quota, wait until it is enforced, and create a pool."""
    quota(kubectl, pods)
    agent = {"podTemplate": objects.pod_template(), "health": {"startupSeconds": 3600}}
    kubectl.create(objects.pool("crew", agent, replicas=agents))


def quota(kubectl: Kubectl, pods: int) -> None:
    """Create or change the quota, and wait until it is enforced."""
    document = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}}
    assert kubectl.send("apply", {**document, "spec": {"hard": {"pods": str(pods)}}}).ok
    until(lambda: used(kubectl, "hard") == pods, "quota")


def used(kubectl: Kubectl, what: str = "used") -> int:
    """Return how many pods the quota says there are; less than none while it says nothing."""
    told = kubectl.get("resourcequota/team").get("status", {}).get(what, {})
    return int(told.get("pods", -1))


def names(kubectl: Kubectl) -> set[str]:
    """Return the names of all pods."""
    return {one["metadata"]["name"] for one in kubectl.get("pods")["items"]}


def crew(count: int) -> set[str]:
    """Return the names of the pods of so many agents."""
    return {f"crew-{number}" for number in range(count)}


def creations(faults: FaultProxy) -> list[Call]:
    """Return the creations of pods that were asked for."""
    return [call for call in faults.calls if call.what == "POST pods"]


def told(kubectl: Kubectl) -> set[str]:
    """Return the reasons of all Events."""
    return {one.get("reason", "") for one in kubectl.get("events.events.k8s.io")["items"]}


def test_lost_answers_charge_nothing_twice(kubectl: Kubectl, faults: FaultProxy) -> None:
    """Half of the answers are lost: each creation was sent once, and is charged once."""
    lost = Rule(losing_answer(), ("POST",), PODS, times=3)
    with faults.injecting(lost):
        prepare(kubectl, 6, pods=6)
        until(lambda: names(kubectl) == crew(6), "all pods", seconds=120)
    assert lost.hits == 3
    assert len(creations(faults)) == 6
    until(lambda: used(kubectl) == 6, "what is charged")


def test_a_full_quota_is_asked_again_only_when_it_says_something_new(
    kubectl: Kubectl, faults: FaultProxy
) -> None:
    """Four refusals, ever further apart; a larger quota then ends the wait at once."""
    refused = Rule(answering(403, message=FULL), ("POST",), PODS, times=4)
    with faults.injecting(refused):
        prepare(kubectl, 1)
        until(lambda: refused.hits == 4, "four refusals", seconds=120)
        quota(kubectl, 20)
        until(lambda: names(kubectl) == crew(1), "the pod", seconds=120)
    assert len(creations(faults)) == 5
    assert "QuotaLimited" in told(kubectl)


def test_conflicts_of_the_quotas_own_count_pass_by(
    kubectl: Kubectl, faults: FaultProxy, tmp_path: Path
) -> None:
    """Five 409 of the quota are tried again, and nobody hears of a name that is taken."""
    busy = Rule(answering(409, message=BUSY), ("POST",), PODS, times=5)
    with faults.injecting(busy):
        prepare(kubectl, 5)
        until(lambda: names(kubectl) == crew(5), "all pods", seconds=120)
    assert busy.hits == 5
    assert "QuotaConflict" in (tmp_path / "operator.log").read_text()
    assert "NameTaken" not in told(kubectl)


@pytest.mark.usefixtures("faults")
def test_somebody_elses_pod_is_left_alone(kubectl: Kubectl) -> None:
    """A pod that bears an agent's name and is nobody's of ours is told, and waited for."""
    metadata = {"name": "crew-0"}
    spec = {"containers": [{"name": "c", "image": "example.com/other:1"}]}
    kubectl.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    prepare(kubectl, 2)
    until(lambda: names(kubectl) == crew(2), "the other agent's pod")
    until(lambda: "NameTaken" in told(kubectl), "an Event")
    other = kubectl.get("pod/crew-0")
    assert "ownerReferences" not in other["metadata"]
    assert kubectl.run("delete", "pod", "crew-0", "--wait=false").ok

    def ours() -> bool:
        found = [one for one in kubectl.get("pods")["items"] if one["metadata"]["name"] == "crew-0"]
        return any("ownerReferences" in one["metadata"] for one in found)

    until(ours, "the agent's own pod", seconds=120)
