"""Tasks on real agents: results, failures, cancellation, timeout, and who hears of them."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from support import objects
from support.cli import Cli
from support.crew import Crew
from support.kubectl import Kubectl
from support.poll import until

OPERATOR_POD = "app.kubernetes.io/component=operator"
CANARY = "canary-5d1f0c7e-in-a-payload"
MAX_INPUT_BYTES = 65536


def test_applied_task_succeeds_with_the_agents_result(pair: Crew) -> None:
    """A Task applied with kubectl is worked on in a pod, and its result stands in its status."""
    wanted = {"text": "äöü €", "numbers": [1, 2.5, None], "nested": {"deep": True}}
    task = objects.task("applied", pool="crew", requires=["crew"], input=wanted)
    applied = pair.kubectl.send("apply", task)
    assert applied.ok, applied.stderr
    waited = pair.kubectl.run("wait", "--for=condition=Succeeded", "task/applied", "--timeout=120s")
    assert waited.ok, waited.stderr
    status = pair.task("applied")["status"]
    assert status["phase"] == "Succeeded"
    assert status["result"]["given"] == wanted
    assert status["result"]["by"] == status["agentName"]
    assert (status["attempt"], status["failures"]) == (1, 0)


def test_refused_work_is_not_tried_again(pair: Crew) -> None:
    """A failure that the agent calls final ends the Task at once, with the agent's reason."""
    pair.submit("refused", {"do": "fail"}, retry={"limit": 5})
    status = pair.ended("refused")["status"]
    assert (status["phase"], status["reason"], status["attempt"]) == ("Failed", "ToldTo", 1)
    assert status["message"] == "told to fail"


def test_cancelled_task_ends_and_frees_its_agent(pair: Crew) -> None:
    """Setting spec.cancel on running work ends it, and its agent takes the next Task."""
    pair.submit("cancelled", {"do": "hold"})
    agent = pair.started("cancelled")["status"]["agentName"]
    patched = pair.kubectl.patch("task/cancelled", {"spec": {"cancel": True}})
    assert patched.ok, patched.stderr
    status = pair.ended("cancelled")["status"]
    assert (status["phase"], status["reason"]) == ("Cancelled", "Cancelled")
    until(
        lambda: pair.agents("crew")[agent]["status"]["phase"] == "Idle", f"agent {agent} idle again"
    )


def test_cancelled_task_ends_even_if_its_handler_does_not(pair: Crew) -> None:
    """A handler that cannot be interrupted does not hold up the cancellation of its Task."""
    pair.submit("deaf", {"seconds": 12}, requires=["deaf"])
    pair.started("deaf")
    patched = pair.kubectl.patch("task/deaf", {"spec": {"cancel": True}})
    assert patched.ok, patched.stderr
    assert pair.ended("deaf")["status"]["phase"] == "Cancelled"


def test_waiting_task_is_cancelled_without_an_agent(pair: Crew) -> None:
    """A Task that no agent can take is cancelled where it waits, and was never bound."""
    pair.submit("waiting", {}, requires=["crew", "juggle"])
    patched = pair.kubectl.patch("task/waiting", {"spec": {"cancel": True}})
    assert patched.ok, patched.stderr
    status = pair.ended("waiting")["status"]
    assert (status["phase"], status.get("attempt", 0)) == ("Cancelled", 0)


def test_attempt_out_of_time_ends_the_task(pair: Crew) -> None:
    """Work that outlasts timeoutSeconds ends as TimedOut when no retry is left."""
    pair.submit("late", {"do": "hold"}, timeoutSeconds=2, retry={"limit": 0})
    status = pair.ended("late")["status"]
    assert (status["phase"], status["reason"], status["attempt"]) == ("TimedOut", "Timeout", 1)


def test_attempt_out_of_time_is_tried_again(pair: Crew) -> None:
    """With a retry left, an attempt out of time is followed by another one, which counts."""
    pair.submit("late-once", {"do": "hold-once"}, timeoutSeconds=2, retry={"limit": 1})
    status = pair.ended("late-once")["status"]
    assert (status["phase"], status["attempt"], status["failures"]) == ("Succeeded", 2, 1)
    assert [one["reason"] for one in status["attempts"]][:1] == ["Timeout"]


def test_finished_task_goes_after_its_ttl(pair: Crew) -> None:
    """A finished Task is deleted ttlSecondsAfterFinished after its end, and not before."""
    pair.submit("brief", {}, ttlSecondsAfterFinished=10)
    finished = datetime.fromisoformat(pair.ended("brief")["status"]["finishedAt"])
    until(lambda: not pair.kubectl.run("get", "task/brief").ok, "deletion of the finished task")
    assert datetime.now(UTC) >= finished + timedelta(seconds=10)


def test_progress_is_seen_while_work_runs(pair: Crew) -> None:
    """What an agent says of its progress appears in the Task's status."""
    pair.submit("slow", {"do": "hold"})
    until(
        lambda: pair.task("slow")["status"].get("progress") == {"percent": 50, "message": "held"},
        "progress in the status",
    )
    pair.release(pair.task("slow"))
    assert pair.ended("slow")["status"]["phase"] == "Succeeded"


def test_payloads_stay_out_of_logs_and_events(pair: Crew, system: Kubectl) -> None:
    """Neither input nor result of a Task is in the operator's log, the agents', or any Event."""
    pair.submit("secret", {"word": CANARY})
    pair.submit("secret-failing", {"do": "fail", "word": CANARY})
    pair.submit("secret-crashing", {"do": "crash-once", "word": CANARY}, retry={"limit": 1})
    assert pair.ended("secret")["status"]["result"]["given"]["word"] == CANARY
    assert pair.ended("secret-failing")["status"]["phase"] == "Failed"
    crashed = pair.ended("secret-crashing")["status"]
    assert (crashed["phase"], crashed["attempt"], crashed["failures"]) == ("Succeeded", 2, 1)
    operator = system.run("logs", "-l", OPERATOR_POD, "--tail=-1").stdout
    agents = pair.kubectl.run("logs", "-l", "agentcorps.dev/pool=crew", "--tail=-1").stdout
    events = pair.kubectl.run("get", "events.events.k8s.io", "-o", "json").stdout
    assert "task started" in agents
    for said in (operator, agents, events):
        assert said
        assert CANARY not in said


def test_events_tell_the_story_of_objects(pair: Crew) -> None:
    """Making agents and pods and failing a Task are told as events.k8s.io Events on the objects."""
    pair.submit("told", {"do": "fail"})
    pair.ended("told")

    def told() -> set[tuple[str, str]]:
        found = pair.kubectl.get("events.events.k8s.io")["items"]
        ours = [event for event in found if "agentcorps" in event.get("reportingController", "")]
        return {(event["regarding"]["kind"], event["reason"]) for event in ours}

    wanted = {("AgentPool", "AgentCreated"), ("Agent", "PodCreated"), ("Task", "Failed")}
    until(lambda: wanted <= told(), f"events {sorted(wanted)}")


@pytest.mark.parametrize("over", [0, 1])
def test_input_over_64_kib_is_refused_by_the_policy(pair: Crew, over: int) -> None:
    """An input of exactly 64 KiB is taken; one byte more is refused, with what to do instead."""
    text = "x" * (MAX_INPUT_BYTES + over - len(json.dumps({"text": ""}, separators=(",", ":"))))
    task = objects.task(f"big-{over}", pool="nobody", input={"text": text})
    answer = pair.kubectl.send("create", task)
    if over:
        assert "spec.input: must have at most 65536 bytes" in answer.stderr
        assert "xxx" not in answer.stderr
    assert answer.ok == (not over)


@pytest.mark.usefixtures("pair")
def test_command_line_works_on_the_cluster(cli: Cli) -> None:
    """Submit, wait, get, result, why and status agree on one Task and its pool."""
    submitted = cli.run(
        *("task", "submit", "--pool", "crew", "--requires", "crew", "--name", "typed"),
        *("--input", '{"text": "by hand"}', "--wait", "--timeout", "2m"),
    )
    assert submitted.ok, submitted.stderr
    assert submitted.json()["given"] == {"text": "by hand"}
    assert cli.run("task", "result", "typed").json() == submitted.json()
    [row] = cli.run("task", "get", "typed").stdout.splitlines()[1:]
    assert {"typed", "crew", "Succeeded"} <= set(row.split())
    assert "Succeeded" in cli.run("task", "why", "typed").stdout
    failing = cli.run(
        *("task", "submit", "--pool", "crew", "--requires", "crew", "--name", "typed-badly"),
        *("--input", '{"do": "fail"}', "--wait", "--timeout", "2m"),
    )
    assert failing.code == 1
    assert "ToldTo" in failing.stderr
    pools = cli.run("status", "-o", "json")
    assert pools.ok, pools.stderr
    assert "crew" in pools.stdout
    unmatched = cli.run(
        *("task", "submit", "--pool", "crew", "--requires", "juggle", "--name", "untyped"),
        *("--input", "{}"),
    )
    assert unmatched.ok, unmatched.stderr
    assert "juggle" in cli.run("task", "why", "untyped").stdout
