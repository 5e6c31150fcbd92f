"""Pools that scale themselves, with the operator as a process on a real API server."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support import objects
from support.cli import Cli
from support.kubectl import Kubectl
from support.kubelet import Kubelet
from support.poll import until

SECONDS = 240
pytestmark = pytest.mark.timeout(600)
SWIFT: dict[str, Any] = {
    "maxReplicas": 4,
    "panic": {"stableWindowSeconds": 0},
    "behavior": {"scaleDown": {"stabilizationWindowSeconds": 2}},
}


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Return a file that holds back the Tasks that name it for as long as it does not exist."""
    return tmp_path / "gate"


def pool(**scaling: Any) -> dict[str, Any]:
    """Return a pool of workers that scales itself."""
    spec = {"capabilities": ["work"]}
    return objects.pool("crew", spec, replicas=1, scaling={**SWIFT, **scaling})


def submit(
    kubectl: Kubectl, *names: str, sleep: float = 0, gate: Path | None = None, **spec: Any
) -> None:
    """Create Tasks; ``spec`` adds to theirs."""
    given = {"sleep": sleep, "gate": None if gate is None else str(gate)}
    for name in names:
        kubectl.create(objects.task(name, pool="crew", requires=["work"], input=given, **spec))


def status(kubectl: Kubectl) -> dict[str, Any]:
    """Return the status of the pool."""
    found: dict[str, Any] = kubectl.get("agentpool/crew")["status"]
    return found


def agents(kubectl: Kubectl) -> set[str]:
    """Return the names of the Agents that are not being drained."""
    items = kubectl.run("get", "agents", "-o", "json").json()["items"]
    phases = {item["metadata"]["name"]: item["status"].get("phase") for item in items}
    return {name for name, phase in phases.items() if phase != "Draining"}


def has(kubectl: Kubectl, count: int) -> bool:
    """Tell whether so many Agents are not being drained."""
    return len(agents(kubectl)) == count


def attempts(kubectl: Kubectl) -> list[tuple[str, int]]:
    """Return phase and attempt of each Task."""
    items = kubectl.run("get", "tasks", "-o", "json").json()["items"]
    return [(item["status"]["phase"], item["status"].get("attempt", 0)) for item in items]


def past(kubectl: Kubectl) -> list[str]:
    """Return the decisions as Events tell them, once the last one has taken all agents away."""
    told = status(kubectl)["decisions"]
    if told[-1]["targetReplicas"] != 0:
        return []
    return [
        f"from {one['previousReplicas']} to {one['targetReplicas']}: {one['message']}"
        for one in told
    ]


def wait(kubelet: Kubelet, probe: Callable[[], bool], what: str) -> None:
    """Wait for something while agents come and go with their pods."""

    def look() -> bool:
        kubelet.sync()
        return probe()

    until(look, what, seconds=SECONDS)


def test_a_pool_follows_its_queue_and_no_task_loses_an_attempt(
    kubectl: Kubectl, kubelet: Kubelet, gate: Path
) -> None:
    """Tasks bring agents up to the limit; the end of the queue takes them away, idle ones only."""
    kubectl.create(pool())
    wait(kubelet, lambda: status(kubectl).get("targetReplicas") == 0, "a pool at zero")
    assert agents(kubectl) == set()
    crowd = gate.with_name("crowd")
    submit(kubectl, *(f"quick-{number}" for number in range(10)), sleep=0.3, gate=crowd)
    submit(kubectl, "long", gate=gate)
    wait(kubelet, lambda: len(agents(kubectl)) == 4, "four agents")
    crowd.touch()
    wait(kubelet, lambda: attempts(kubectl).count(("Succeeded", 1)) == 10, "ten results")
    wait(kubelet, lambda: len(agents(kubectl)) <= 1, "the one agent that works")
    gate.touch()
    wait(kubelet, lambda: attempts(kubectl) == [("Succeeded", 1)] * 11, "the long one, at once")
    wait(kubelet, lambda: not kubectl.run("get", "agents", "-o", "name").stdout, "no agents")
    assert kubectl.get("agentpool/crew")["spec"]["replicas"] == 1
    until(lambda: past(kubectl), "the end in the history")
    targets = [one["targetReplicas"] for one in status(kubectl)["decisions"]]
    assert targets[0] >= 1
    assert max(targets) == 4
    assert targets[-1] == 0
    submit(kubectl, "again")
    wait(kubelet, lambda: attempts(kubectl).count(("Succeeded", 1)) == 12, "a pool that wakes")


def test_a_manifest_that_is_applied_again_changes_nothing(
    kubectl: Kubectl, kubelet: Kubelet, gate: Path
) -> None:
    """Server-side apply again and again while load comes and goes: Git owns the spec, alone.

    Spec and generation stay, the target goes up to three and back as if nobody applied anything,
    and every Task succeeds at once.
    """
    manifest = pool()
    options = ("--server-side", "--field-manager=git")
    assert kubectl.send("apply", manifest, options=options).ok
    before = kubectl.get("agentpool/crew")
    submit(kubectl, *(f"long-{number}" for number in range(3)), gate=gate)

    def applied() -> None:
        answer = kubectl.send("apply", manifest, options=options)
        assert answer.ok, answer.stderr

    def has_again(count: int) -> bool:
        applied()
        return has(kubectl, count)

    wait(kubelet, lambda: has_again(3), "three agents")
    gate.touch()
    wait(kubelet, lambda: has_again(0), "no agents")
    assert attempts(kubectl) == [("Succeeded", 1)] * 3
    after = kubectl.get("agentpool/crew", "--show-managed-fields")
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    fields = after["metadata"]["managedFields"]
    assert {one["manager"] for one in fields if "f:spec" in one["fieldsV1"]} == {"git"}
    until(lambda: past(kubectl), "the end in the history")
    targets = [one["targetReplicas"] for one in status(kubectl)["decisions"]]
    assert targets == [*sorted(targets[:-1]), 0]
    assert max(targets) == 3


def test_what_asked_for_agents_is_told(
    kubectl: Kubectl, kubelet: Kubelet, kubeconfig: Path, namespace: str, gate: Path
) -> None:
    """`pool why`, `kubectl get agp` and an Event tell target, limit, demands and history."""
    kubectl.create(pool(maxReplicas=2, idle=1))
    submit(kubectl, "a", "b", "c", gate=gate)
    wait(kubelet, lambda: status(kubectl).get("busyReplicas") == 2, "two busy agents")
    cli = Cli(kubeconfig, namespace)

    def why() -> str:
        answer = cli.run("pool", "why", "crew").stdout
        return answer if "2 busy agents" in answer else ""

    said = until(why, "what asks for agents")
    assert "crew is to have 2 agents: 2 ready, 2 of them busy; 1 queued Tasks" in said
    assert "limited by: scaling.maxReplicas" in said
    overview = json.loads(cli.run("status", "--output", "json").stdout)
    assert [(one["target"], one["busy"]) for one in overview["pools"]] == [(2, 2)]
    rows = [line.split()[:3] for line in said.splitlines()]
    assert ["policies[0]", "Tasks", "3"] in rows
    assert ["idle", "IdleBuffer", "3"] in rows
    header, row = kubectl.run("get", "agp", "crew").stdout.splitlines()
    shown = dict(zip(header.split(), row.split(), strict=True))
    wanted = {"TARGET": "2", "READY": "2", "BUSY": "2", "QUEUED": "1", "LIMITED-BY": "MaxReplicas"}
    assert shown | wanted == shown
    wide = kubectl.run("get", "agp", "crew", "-o", "wide").stdout.splitlines()
    assert wide[0].split() == [*header.split()[:-1], "REASON", "MESSAGE", "AGE"]
    assert "2 of 2 agents are ready" in wide[1]
    waiting = cli.run("task", "why", "c").stdout.splitlines()[0]
    assert waiting.startswith("c is Queued (NoIdleAgent): 2 agents in pool crew: 2 busy")
    assert waiting.endswith("; the pool has as many agents as scaling.maxReplicas allows")


def test_each_change_of_the_target_is_one_event(
    kubectl: Kubectl, kubelet: Kubelet, gate: Path
) -> None:
    """The Events of a pool that went up and down are its decisions, no more and no fewer."""
    kubectl.create(pool())
    submit(kubectl, "a", "b", gate=gate)
    wait(kubelet, lambda: len(agents(kubectl)) == 2, "two agents")
    gate.touch()
    wait(kubelet, lambda: not agents(kubectl), "no agents")
    decided = until(lambda: past(kubectl), "the end in the history")

    def told() -> list[str]:
        events = kubectl.get("events.events.k8s.io")["items"]
        return [one["note"] for one in events if one["reason"] in {"ScaledUp", "ScaledDown"}]

    assert 2 <= len(decided) < 10
    until(lambda: sorted(told()) == sorted(decided), "an Event for each decision")


def test_a_pool_that_is_paused_at_zero_says_so_and_wakes_when_it_goes_on(
    kubectl: Kubectl, kubelet: Kubelet, kubeconfig: Path, namespace: str
) -> None:
    """A Task on a paused pool waits with PoolPaused; without the pause it is done."""
    kubectl.create(pool(pausedReplicas=0))
    submit(kubectl, "t")

    def reason() -> bool:
        return bool(kubectl.get("task/t")["status"].get("reason") == "PoolPaused")

    until(reason, "the reason in the status")
    cli = Cli(kubeconfig, namespace)
    why = cli.run("task", "why", "t").stdout.splitlines()[0]
    said = "pool crew is to have no agents: its spec.scaling is paused at 0"
    assert why == f"t is Queued (PoolPaused): {said}"
    told = cli.run("pool", "why", "crew").stdout
    assert "not scaling: Paused: the target stays 0" in told
    change = {"spec": {"scaling": {"pausedReplicas": None}}}
    assert kubectl.patch("agentpool/crew", change).ok
    wait(kubelet, lambda: attempts(kubectl) == [("Succeeded", 1)], "the result")


def test_a_pool_without_room_in_its_quota_says_so_and_goes_on_with_more(
    kubectl: Kubectl, kubelet: Kubelet, kubeconfig: Path, namespace: str
) -> None:
    """A Task on a pool that may have no pod waits with QuotaLimited; more quota, and it is done."""
    assert kubectl.run("create", "quota", "team", "--hard=pods=0").ok
    kubectl.create(pool(minReplicas=1))
    until(lambda: status(kubectl).get("limitedBy") == "Quota", "the limit", seconds=SECONDS)
    submit(kubectl, "t")

    def reason() -> bool:
        return bool(kubectl.get("task/t")["status"].get("reason") == "QuotaLimited")

    until(reason, "the reason in the status", seconds=SECONDS)
    why = Cli(kubeconfig, namespace).run("task", "why", "t").stdout.splitlines()[0]
    said = "pool crew has no agents: its ResourceQuotas leave no room for any"
    assert why == f"t is Queued (QuotaLimited): {said}"
    assert kubectl.patch("resourcequota/team", {"spec": {"hard": {"pods": "2"}}}).ok
    wait(kubelet, lambda: attempts(kubectl) == [("Succeeded", 1)], "the result")


def by_age(kubectl: Kubectl, names: set[str]) -> list[str]:
    """Return names of agents, the oldest first, by number among those of one second."""
    items = kubectl.get("agents")["items"]
    made = {one["metadata"]["name"]: one["metadata"]["creationTimestamp"] for one in items}
    return sorted(names, key=lambda name: (made[name], name))


def test_idle_agents_go_first_the_newest_first_and_those_with_a_session_last(
    kubectl: Kubectl, kubelet: Kubelet, gate: Path
) -> None:
    """A pool of five shrinks one by one; the busy agent that has to go finishes its Task."""
    kubectl.create(pool(pausedReplicas=5))
    wait(kubelet, lambda: status(kubectl).get("idleReplicas") == 5, "five idle agents")
    submit(kubectl, "talk", affinityKey="session-1")
    wait(kubelet, lambda: attempts(kubectl) == [("Succeeded", 1)], "the end of a talk")
    submit(kubectl, "a", "b", gate=gate)
    wait(kubelet, lambda: len(workers(kubectl)) == 2, "two agents at work")
    home = kubectl.get("task/talk")["status"]["agentName"]
    busy = by_age(kubectl, workers(kubectl))
    cold = by_age(kubectl, agents(kubectl) - {*busy, home})
    order = [*reversed(cold), *([] if home in busy else [home]), *reversed(busy)]
    assert len(order) == 5
    for left in range(4, 0, -1):
        change = {"spec": {"scaling": {"pausedReplicas": left}}}
        assert kubectl.patch("agentpool/crew", change).ok
        wait(kubelet, partial(has, kubectl, left), f"{left} agents")
        assert agents(kubectl) == set(order[-left:])
    assert workers(kubectl) == set(busy)
    gate.touch()
    wait(kubelet, lambda: attempts(kubectl) == [("Succeeded", 1)] * 3, "all results")
    wait(kubelet, lambda: status(kubectl)["replicas"] == 1, "one agent")


def workers(kubectl: Kubectl) -> set[str]:
    """Return the agents that Tasks run on."""
    tasks = [task["status"] for task in kubectl.get("tasks")["items"]]
    return {task["agentName"] for task in tasks if task["phase"] == "Running"}


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
