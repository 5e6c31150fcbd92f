"""The whole operator as a process against a real API server, with real SDK agents.

No pods run there, so agents are threads with the tokens of pods that are mere objects.
"""

import asyncio
import base64
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agentcorps.agent import Agent, Context, TaskError
from support import objects
from support.api import eventually
from support.kubectl import Kubectl
from support.live_agent import LiveAgent, pod_token
from support.operator_process import OperatorProcess
from support.poll import until

Start = Callable[[str], LiveAgent]
CANARY = "canary-5f1c"


@pytest.fixture
def operator_environ() -> Mapping[str, str]:
    """Return no variables: after a kill the next operator does not wait for long."""
    return {}


@pytest.fixture
def start(operator: OperatorProcess, kubectl: Kubectl, tmp_path: Path) -> Iterator[Start]:
    """Return a function that runs the example worker in the name of a pod."""
    running: list[LiveAgent] = []

    def run(pod: str) -> LiveAgent:
        until(lambda: kubectl.run("get", "pod", pod).ok, f"pod {pod}")
        secret = kubectl.get("secret/agentcorps-gateway-tls")
        authority = base64.b64decode(secret["data"]["ca.crt"]).decode()
        token = pod_token(kubectl, pod)
        agent = LiveAgent(worker(tmp_path), operator.gateway_url, authority, token, tmp_path)
        agent.__enter__()
        running.append(agent)
        return agent

    yield run
    for agent in running:
        agent.stop()


def worker(folder: Path) -> Agent:
    """Return an agent that echoes, sleeps, waits for a file or fails as its input says."""
    agent = Agent()

    @agent.task("work")
    async def work(task: dict[str, Any], ctx: Context) -> dict[str, Any]:
        ctx.progress(10, "begun")
        await asyncio.sleep(task.get("sleep", 0))
        if task.get("hold") and ctx.attempt == 1:
            await eventually((folder / "go").exists, "leave to go on")
        (folder / f"finished-{ctx.uid}").touch()
        if ctx.attempt <= task.get("failures", 0):
            raise TaskError("as asked", retryable=task.get("retryable", True))
        return {"echo": task.get("echo"), "attempt": ctx.attempt}

    return agent


def crew(replicas: int, name: str = "readers") -> dict[str, Any]:
    """Return a pool of workers."""
    return objects.pool(name, {"capabilities": ["work"]}, replicas=replicas)


def status(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """Return the status of a Task."""
    found: dict[str, Any] = kubectl.get(f"task/{name}")["status"]
    return found


def phase(kubectl: Kubectl, name: str, wanted: str) -> dict[str, Any]:
    """Wait until a Task is in a phase; return its status."""

    def arrived() -> dict[str, Any] | None:
        now = status(kubectl, name)
        return now if now["phase"] == wanted else None

    return until(arrived, f"{wanted} of {name}")


def test_tasks_are_bound_executed_and_their_results_appear(
    kubectl: Kubectl, operator: OperatorProcess, start: Start
) -> None:
    """Twenty tasks on two agents: all succeed in their first attempt, with their own results."""
    kubectl.create(crew(2))
    start("readers-0")
    start("readers-1")
    for number in range(20):
        task = objects.task(f"t{number}", requires=["work"], input={"echo": f"{CANARY}-{number}"})
        kubectl.create(task)
    for number in range(20):
        done = phase(kubectl, f"t{number}", "Succeeded")
        assert done["result"] == {"echo": f"{CANARY}-{number}", "attempt": 1}
        assert done["attempt"] == 1
    assert CANARY not in operator.log.read_text()


def test_the_pool_and_its_agents_tell_that_they_are_ready(kubectl: Kubectl, start: Start) -> None:
    """Ready means that the agents said hello; kubectl wait sees it on both kinds."""
    kubectl.create(crew(1))
    start("readers-0")
    for resource in ("agent/readers-0", "agentpool/readers"):
        ready = kubectl.run("wait", "--for=condition=Ready", "--timeout=60s", resource)
        assert ready.ok, ready.stderr
    pool = kubectl.get("agentpool/readers")["status"]
    assert (pool["readyReplicas"], pool["idleReplicas"]) == (1, 1)


def test_labels_and_affinity_choose_the_agent(kubectl: Kubectl, start: Start) -> None:
    """A Task may name labels instead of a pool; those of one key return to one agent."""
    for name in ("lone-a", "lone-b"):
        agent = objects.agent(name, capabilities=["work"])
        agent["metadata"]["labels"] = {"size": "big"}
        kubectl.create(agent)
        start(name)
    for number in range(4):
        task = objects.task(f"t{number}", requires=["work"], affinityKey="session-4")
        del task["spec"]["pool"]
        task["spec"]["agentSelector"] = {"matchLabels": {"size": "big"}}
        kubectl.create(task)
        phase(kubectl, f"t{number}", "Succeeded")
    agents = {status(kubectl, f"t{number}")["agentName"] for number in range(4)}
    assert len(agents) == 1


def test_an_operator_that_is_killed_loses_nothing(
    kubectl: Kubectl, operator: OperatorProcess, start: Start
) -> None:
    """SIGKILL while a task runs and another waits: both succeed, the running one in attempt 1."""
    kubectl.create(crew(1))
    start("readers-0")
    kubectl.create(objects.task("long", requires=["work"], input={"sleep": 8}))
    phase(kubectl, "long", "Running")
    operator.kill()
    kubectl.create(objects.task("next", requires=["work"], input={"echo": 1}))
    operator.start()
    assert phase(kubectl, "long", "Succeeded")["attempt"] == 1
    assert phase(kubectl, "next", "Succeeded")["attempt"] == 1


def test_a_result_that_comes_while_the_operator_is_away_is_kept(
    kubectl: Kubectl, operator: OperatorProcess, start: Start, tmp_path: Path
) -> None:
    """The agent finishes with nobody to tell, and reports to the operator that comes back."""
    kubectl.create(crew(1))
    start("readers-0")
    given = objects.task("kept", requires=["work"], input={"hold": True, "echo": "kept"})
    finished = tmp_path / f"finished-{kubectl.create(given)['metadata']['uid']}"
    phase(kubectl, "kept", "Running")
    assert operator.stop() == 0
    (tmp_path / "go").touch()
    until(finished.exists, "end of the work, with the operator away")
    operator.start()
    done = phase(kubectl, "kept", "Succeeded")
    assert (done["result"]["echo"], done["attempt"]) == ("kept", 1)


def test_a_pod_that_is_deleted_gives_its_task_to_another(kubectl: Kubectl, start: Start) -> None:
    """The pod's end is a lost attempt; the Task ends once, on the other agent, as attempt 2."""
    kubectl.create(crew(2))
    start("readers-0")
    kubectl.create(objects.task("moved", requires=["work"], input={"hold": True}))
    phase(kubectl, "moved", "Running")
    start("readers-1")
    kubectl.run("delete", "pod", "readers-0", "--grace-period=0", "--force")
    done = phase(kubectl, "moved", "Succeeded")
    assert (done["attempt"], done["failures"], done["agentName"]) == (2, 1, "readers-1")
    assert [one["reason"] for one in done["attempts"]] == ["AgentLost", "Completed"]


def test_a_running_task_can_be_cancelled(kubectl: Kubectl, start: Start) -> None:
    """Cancelling ends the Task at once and frees the agent for the next one."""
    kubectl.create(crew(1))
    start("readers-0")
    kubectl.create(objects.task("endless", requires=["work"], input={"sleep": 600}))
    phase(kubectl, "endless", "Running")
    assert kubectl.patch("task/endless", {"spec": {"cancel": True}}).ok
    phase(kubectl, "endless", "Cancelled")
    kubectl.create(objects.task("after", requires=["work"], input={}))
    phase(kubectl, "after", "Succeeded")


def test_a_task_that_runs_out_of_time_is_tried_again_and_then_timed_out(
    kubectl: Kubectl, start: Start
) -> None:
    """TimeoutSeconds bounds each attempt; with no retry left the phase is TimedOut."""
    kubectl.create(crew(1))
    start("readers-0")
    retry = {"limit": 1, "backoffSeconds": 1}
    task = objects.task(
        "slow", requires=["work"], input={"sleep": 600}, timeoutSeconds=2, retry=retry
    )
    kubectl.create(task)
    done = phase(kubectl, "slow", "TimedOut")
    assert (done["attempt"], done["failures"]) == (2, 2)
    assert [one["reason"] for one in done["attempts"]] == ["Timeout", "Timeout"]


def test_a_task_that_nobody_takes_is_given_up_after_its_queue_timeout(
    kubectl: Kubectl, operator: OperatorProcess
) -> None:
    """QueueTimeoutSeconds 2 without agents: TimedOut, without an attempt, and kstatus says so."""
    assert operator.ready()
    kubectl.create(crew(0))
    kubectl.create(objects.task("patient", requires=["work"], queueTimeoutSeconds=2))
    done = phase(kubectl, "patient", "TimedOut")
    assert (done["reason"], done.get("attempt", 0)) == ("QueueTimeout", 0)
    assert kubectl.run("wait", "--for=condition=Stalled", "task/patient", "--timeout=9s").ok


def test_a_pool_takes_and_keeps_no_more_tasks_than_it_says(
    kubectl: Kubectl, operator: OperatorProcess
) -> None:
    """The newest beyond maxQueued fail as QueueFull; beyond historyLimit they go, results last."""
    assert operator.ready()
    pool = crew(0)
    pool["spec"]["tasks"] = {"maxQueued": 2, "historyLimit": 1}
    kubectl.create(pool)
    kubectl.create(objects.task("first", cancel=True))
    phase(kubectl, "first", "Cancelled")
    for name in ("a", "b", "c", "d"):
        kubectl.create(objects.task(name))
    for name in ("c", "d"):
        assert phase(kubectl, name, "Failed")["reason"] == "QueueFull"
    until(
        lambda: not (kubectl.run("get", "task/c").ok or kubectl.run("get", "task/d").ok),
        "end of the refused",
        seconds=120,
    )
    assert status(kubectl, "first")["phase"] == "Cancelled"
    assert [status(kubectl, name)["phase"] for name in ("a", "b")] == ["Queued", "Queued"]


def test_a_silent_task_runs_under_its_pools_defaults(kubectl: Kubectl, start: Start) -> None:
    """The pool's timeout and retry limit hold, stand in the status, and the spec stays silent."""
    defaults = {"timeoutSeconds": 2, "retry": {"limit": 0}}
    pool = crew(1)
    pool["spec"]["tasks"] = {"defaults": defaults}
    kubectl.create(pool)
    start("readers-0")
    kubectl.create(objects.task("slow", requires=["work"], input={"sleep": 600}))
    done = phase(kubectl, "slow", "TimedOut")
    assert (done["failures"], done["poolDefaults"]) == (1, defaults)
    assert {"timeoutSeconds", "retry"}.isdisjoint(kubectl.get("task/slow")["spec"])


def test_a_failing_task_is_tried_again_and_its_story_is_told(
    kubectl: Kubectl, start: Start
) -> None:
    """One retryable failure, then success; an Event names the failed attempt."""
    kubectl.create(crew(1))
    start("readers-0")
    kubectl.create(objects.task("bumpy", requires=["work"], input={"failures": 1}))
    done = phase(kubectl, "bumpy", "Succeeded")
    assert (done["attempt"], done["failures"]) == (2, 1)

    def told() -> list[str]:
        events = kubectl.get("events.events.k8s.io")["items"]
        return [event["note"] for event in events if event["reason"] == "AttemptFailed"]

    (note,) = until(told, "event")
    assert "attempt 1" in note


def test_scaling_down_drains_the_busy_agent_last(kubectl: Kubectl, start: Start) -> None:
    """Of two agents the idle one goes first; the busy one finishes its task before it goes."""
    kubectl.create(crew(2))
    start("readers-0")
    kubectl.create(objects.task("work", requires=["work"], input={"sleep": 6}))
    phase(kubectl, "work", "Running")
    start("readers-1")
    assert kubectl.run("wait", "--for=condition=Ready", "agent/readers-1", "--timeout=60s").ok
    assert kubectl.run("scale", "agentpool/readers", "--replicas=1").ok
    until(lambda: not kubectl.run("get", "agent/readers-1").ok, "end of the idle agent")
    assert kubectl.run("scale", "agentpool/readers", "--replicas=0").ok
    done = phase(kubectl, "work", "Succeeded")
    assert (done["attempt"], done["agentName"]) == (1, "readers-0")
    until(lambda: not kubectl.run("get", "agent/readers-0").ok, "end of the busy agent")


def test_an_input_over_the_limit_ends_as_failed_without_being_bound(
    kubectl: Kubectl, operator: OperatorProcess
) -> None:
    """What the policy cannot measure (it leaves zeros out), the operator refuses by its limit."""
    assert operator.ready()
    kubectl.create(objects.task("huge", input={"text": "0" * 70_000}))
    done = phase(kubectl, "huge", "Failed")
    assert (done["reason"], done.get("attempt", 0)) == ("InputTooLarge", 0)
    assert "65536" in done["message"]


def test_a_finished_task_leaves_after_its_ttl(kubectl: Kubectl, start: Start) -> None:
    """TtlSecondsAfterFinished 10: the object goes by itself, and not before that."""
    kubectl.create(crew(1))
    start("readers-0")
    task = objects.task("brief", requires=["work"], input={}, ttlSecondsAfterFinished=10)
    kubectl.create(task)
    finished = datetime.fromisoformat(phase(kubectl, "brief", "Succeeded")["finishedAt"])
    until(lambda: not kubectl.run("get", "task/brief").ok, "end of the Task")
    assert datetime.now(UTC) >= finished + timedelta(seconds=10)


def test_a_task_without_a_pool_says_so(kubectl: Kubectl, operator: OperatorProcess) -> None:
    """A pool that does not exist (yet) is told as the reason for waiting."""
    assert operator.ready()
    kubectl.create(objects.task("early", pool="nowhere"))
    until(lambda: status(kubectl, "early").get("reason") == "PoolNotFound", "reason")


def test_a_stopped_operator_hands_over_at_once(
    kubectl: Kubectl, operator: OperatorProcess, namespace: str
) -> None:
    """SIGTERM: exit code 0 and a released Lease; the epoch goes up with the next leader."""
    before = kubectl.get("lease/agentcorps-operator")["spec"]["leaseTransitions"]
    assert operator.stop() == 0
    assert not kubectl.get("lease/agentcorps-operator")["spec"].get("holderIdentity")
    operator.start()
    assert kubectl.get("lease/agentcorps-operator")["spec"]["leaseTransitions"] > before
    assert namespace


def test_a_namespace_with_work_in_it_can_be_deleted_without_the_operator(
    kubectl: Kubectl, operator: OperatorProcess, start: Start, namespace: str
) -> None:
    """No finalizer of ours holds a namespace up when nobody of ours is there to take it off."""
    kubectl.create(crew(1))
    start("readers-0")
    kubectl.create(objects.task("left", requires=["work"], input={"sleep": 600}))
    phase(kubectl, "left", "Running")
    operator.kill()
    kubectl.run("delete", "pod", "--all", "--grace-period=0", "--force")
    deleted = kubectl.run("delete", "namespace", namespace, "--timeout=90s")
    assert deleted.ok, deleted.stderr
