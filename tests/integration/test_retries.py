"""Losses and retries with a real API server, real operator processes and real SDK agents.

No kubelet runs there: the tests say what it would.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support import objects
from support.cli import Cli
from support.kubectl import Kubectl
from support.poll import until
from support.raw_api import RawApiError
from support.stage import AGENTS, POOL, POOLS, Stage

POD = "crew-0"
HEALTH = {"heartbeatSeconds": 1, "failureThreshold": 3}


@pytest.fixture
def stage(kubectl: Kubectl, namespace: str, tmp_path: Path) -> Iterator[Stage]:
    """Return a stage with an operator that leads."""
    with Stage(kubectl, namespace, tmp_path) as made:
        made.lead()
        yield made


def status(stage: Stage, name: str) -> dict[str, Any]:
    """Return the status of a Task."""
    found: dict[str, Any] = stage.task(name)["status"]
    return found


def is_at(stage: Stage, name: str, attempt: int) -> bool:
    """Tell whether an attempt of a Task runs."""
    now = status(stage, name)
    return (now["phase"], now.get("attempt")) == ("Running", attempt)


def phase(stage: Stage, name: str, wanted: str) -> dict[str, Any]:
    """Wait until a Task is in a phase; return its status."""

    def arrived() -> dict[str, Any] | None:
        now = status(stage, name)
        return now if now["phase"] == wanted else None

    return until(arrived, f"{wanted} of {name}", seconds=90)


def event(stage: Stage, reason: str) -> str:
    """Wait for an Event of a reason; return its note."""

    def arrived() -> str | None:
        path = f"/apis/events.k8s.io/v1/namespaces/{stage.namespace}/events"
        notes = [one["note"] for one in stage.api.get(path)["items"] if one["reason"] == reason]
        return notes[0] if notes else None

    return until(arrived, f"Event {reason}")


def told(stage: Stage, name: str) -> tuple[str, str]:
    """Return what the command line says of a Task: its why, and its line of the wide list."""
    cli = Cli(stage.kubectl.kubeconfig, stage.namespace)
    why, wide = cli.run("task", "why", name), cli.run("task", "get", name, "-o", "wide")
    assert (why.code, wide.code) == (0, 0), why.stderr + wide.stderr
    return why.stdout, wide.stdout.splitlines()[-1]


def one_agent(stage: Stage, **health: int) -> None:
    """Create a pool of one agent that is soon missed, and run that."""
    spec = {"capabilities": ["work"], "health": HEALTH | health}
    stage.api.post(POOLS.format(stage.namespace), objects.pool(POOL, spec, replicas=1))
    stage.agent(POD)


def agent_uids(stage: Stage) -> list[str]:
    """Return the UIDs of all Agents: another one may bear the name of the one before."""
    found = stage.api.get(AGENTS.format(stage.namespace))["items"]
    return [one["metadata"]["uid"] for one in found]


@pytest.fixture
def silent_node(kubectl: Kubectl, namespace: str) -> Iterator[str]:
    """Return the name of a node that is there, and never heard of."""
    name = f"silent-{namespace}"
    kubectl.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    yield name
    kubectl.run("delete", "node", name)


def put_on_a_node(stage: Stage, pod: str, node: str) -> None:
    """Bind a pod to a node without a kubelet: deleted, it stays until somebody forces it."""
    target = {"apiVersion": "v1", "kind": "Node", "name": node}
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
    stage.api.post(f"/api/v1/namespaces/{stage.namespace}/pods/{pod}/binding", body)


def is_leaving(stage: Stage, pod: str) -> bool:
    """Tell whether somebody deleted a pod that is still there."""
    try:
        found = stage.api.get(f"/api/v1/namespaces/{stage.namespace}/pods/{pod}")
    except RawApiError:
        return False
    return "deletionTimestamp" in found["metadata"]


def force(stage: Stage, pod: str) -> None:
    """Let a pod be gone for good."""
    answer = stage.kubectl.run("delete", "pod", pod, "--grace-period=0", "--force")
    assert answer.ok, answer.stderr


def test_an_evicted_task_is_tried_again_without_spending_a_retry(stage: Stage) -> None:
    """The pod's condition says who ended it; the Task succeeds with no failure counted."""
    one_agent(stage)
    stage.submit(1, "moved", sleep=5)
    phase(stage, "moved0", "Running")
    target = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "lastTransitionTime": datetime.now(UTC).isoformat(timespec="seconds"),  # an old one is void
    }
    patch = {"status": {"conditions": [target]}}
    answer = stage.kubectl.run("patch", "pod", POD, "--subresource=status", "-p", json.dumps(patch))
    assert answer.ok, answer.stderr
    stage.kill_pod(POD)
    stage.agent(POD)
    done = phase(stage, "moved0", "Succeeded")
    assert (done["attempt"], done.get("failures", 0)) == (2, 0)
    assert [one["reason"] for one in done["attempts"]] == ["Evicted", "Completed"]
    assert "EvictionByEvictionAPI; attempt 2 follows" in event(stage, "Requeued")
    why, wide = told(stage, "moved0")
    assert re.search(rf"1 +{POD} .* Evicted .*EvictionByEvictionAPI", why)
    assert "1:Evicted 2:Completed" in wide
    assert stage.breaches() == []


def test_a_task_that_kills_its_agent_three_times_is_given_up(stage: Stage) -> None:
    """Each time another process comes up in the same pod; no retry.limit saves the Task."""
    one_agent(stage)
    stage.submit(1, "poison", sleep=600, retry={"limit": 50})
    for attempt in range(1, 4):
        until(partial(is_at, stage, "poison0", attempt), f"attempt {attempt}")
        stage.agents.pop(POD).kill()
        stage.agent(POD)
    done = phase(stage, "poison0", "Failed")
    assert (done["reason"], done["crashes"]) == ("PoisonTask", 3)
    assert "the death of a container" in event(stage, "PoisonTask")
    why, wide = told(stage, "poison0")
    assert why.startswith("poison0 is Failed (PoisonTask): the Task has ended: Failed on agent")
    assert "crashes: 3 of 3" in why
    assert "its process was started anew" in why
    assert "1:AgentLost 2:AgentLost 3:AgentLost" in wide


def test_a_hung_agents_task_waits_until_its_pod_is_known_to_be_gone(
    stage: Stage, silent_node: str
) -> None:
    """The silent pod is deleted first; only when it is gone the Task is tried again."""
    one_agent(stage)
    put_on_a_node(stage, POD, silent_node)
    stage.submit(1, "held", sleep=2)
    phase(stage, "held0", "Running")
    stage.agents.pop(POD).kill()
    until(lambda: is_leaving(stage, POD), "deletion of the silent pod")
    assert status(stage, "held0")["phase"] == "Running"
    force(stage, POD)
    until(lambda: status(stage, "held0").get("failures") == 1, "requeue")
    stage.agent(POD)
    done = phase(stage, "held0", "Succeeded")
    assert [one["reason"] for one in done["attempts"]] == ["AgentLost", "Completed"]
    assert "its pod is gone; attempt 2 follows as soon as" in event(stage, "Requeued")
    why, wide = told(stage, "held0")
    assert f"agent {POD}: its pod is gone" in why
    assert "1:AgentLost 2:Completed" in wide


def test_a_task_on_an_unreachable_node_is_bound_again_after_the_fence(
    stage: Stage, silent_node: str
) -> None:
    """The pod never goes; the agent must have stopped by itself, so the Task is lost."""
    one_agent(stage, selfFenceSeconds=15)
    put_on_a_node(stage, POD, silent_node)
    stage.submit(1, "cut", sleep=600)
    phase(stage, "cut0", "Running")
    stage.agents.pop(POD).kill()
    lost = until(
        lambda: status(stage, "cut0") if status(stage, "cut0")["phase"] == "Queued" else None,
        "loss",
        seconds=90,
    )
    assert (lost["reason"], lost["failures"]) == ("AgentLost", 1)
    assert is_leaving(stage, POD)
    assert "nothing is heard of it or its node" in lost["message"]
    assert "nothing is heard of it or its node; attempt 2" in event(stage, "Requeued")
    why, wide = told(stage, "cut0")
    assert "next: attempt 2 follows as soon as an agent is free (1 of 2 retries are spent)" in why
    assert "1:AgentLost" in wide


def test_an_agent_on_a_lost_node_is_replaced_under_another_name(
    stage: Stage, silent_node: str
) -> None:
    """Its pod never ends: another agent takes its place, and does its Task."""
    template = objects.pod_template()
    template["spec"]["terminationGracePeriodSeconds"] = 1
    stage.pool(1, health=HEALTH, podTemplate=template)
    stage.agent(POD)
    put_on_a_node(stage, POD, silent_node)
    stage.submit(1, "moved", sleep=1)
    phase(stage, "moved0", "Running")
    stage.agents.pop(POD).kill()
    other = f"{POOL}-1"
    until(lambda: stage.kubectl.run("get", "pod", other).ok, f"pod {other}", seconds=180)
    stage.agent(other)
    done = phase(stage, "moved0", "Succeeded")
    assert [one["agentName"] for one in done["attempts"]] == [POD, other]
    assert is_leaving(stage, POD)
    assert "PodStuckTerminating" in event(stage, "Draining")
    until(lambda: len(agent_uids(stage)) == 1, "deletion of the lost agent")
    assert stage.breaches() == []


def test_an_agent_that_keeps_failing_is_quarantined_and_replaced(stage: Stage) -> None:
    """Five tasks fail on it; another agent takes its place, and Events tell why."""
    one_agent(stage)
    before = agent_uids(stage)
    names = stage.submit(5, "bad", failures=9, retry={"limit": 0})
    for name in names:
        phase(stage, name, "Failed")
    until(lambda: agent_uids(stage) not in ([], before), "another agent")
    assert "TasksFailing: 5 tasks in a row failed" in event(stage, "Quarantined")
    assert "the next one is made at once" in event(stage, "AgentReplaced")


def test_a_task_that_takes_too_long_tells_of_each_try(stage: Stage) -> None:
    """The Event of the first timeout says when it goes on, that of the last one why it does not."""
    one_agent(stage)
    retry = {"limit": 1, "backoffSeconds": 1}
    stage.submit(1, "slow", sleep=600, timeoutSeconds=1, retry=retry)
    phase(stage, "slow0", "TimedOut")
    assert "attempt 1 ran longer than 1 s; attempt 2 follows not before" in event(stage, "Requeued")
    assert "no retry is left (2 of 1 retry is spent)" in event(stage, "Timeout")
    why, wide = told(stage, "slow0")
    assert "attempt 2 ran longer than 1 s" in why.splitlines()[0]
    assert "1:Timeout 2:Timeout" in wide


def test_why_tells_the_story_of_each_attempt_and_of_the_next(stage: Stage) -> None:
    """A Task that rests says why, and when it is tried again."""
    one_agent(stage)
    stage.submit(1, "bumpy", failures=1, retry={"backoffSeconds": 120})
    until(lambda: status(stage, "bumpy0").get("failures") == 1, "failure")
    assert "ended with AgentError; attempt 2 follows not before" in event(stage, "AttemptFailed")
    why, wide = told(stage, "bumpy0")
    lines = why.splitlines()
    assert lines[0].startswith("bumpy0 is Queued (Backoff): not before 20")
    assert lines[1].startswith("next: attempt 2 follows not before 20")
    assert lines[1].endswith("(1 of 2 retries are spent)")
    assert any(line.split()[:2] == ["1", POD] and "AgentError" in line for line in lines)
    assert "1:AgentError" in wide


def test_why_names_what_keeps_the_pool_from_having_agents(stage: Stage) -> None:
    """A Task of a pool whose pods are refused tells the pool's own trouble, with the refusal."""
    template = objects.pod_template()
    template["spec"]["serviceAccountName"] = "nobody"
    stage.pool(1, podTemplate=template)
    stage.submit(1, "stranded")
    until(lambda: "pool: Refused: " in told(stage, "stranded0")[0], "trouble of the pool")
    why, _ = told(stage, "stranded0")
    assert "pool has no agents" not in why
    assert 'serviceaccount "nobody" not found' in why
    assert 'serviceaccount "nobody" not found' in event(stage, "Refused")
