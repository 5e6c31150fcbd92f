"""Payloads in Secrets with the installed operator: its rights, the chart's policies, real pods."""

import base64
import hashlib
import json

from support import objects
from support.cli import Cli
from support.crew import Crew
from support.kubectl import Kubectl

CANARY = "canary-b02e77-in-a-secret"
SEALED = {
    "inputFrom": {"secretKeyRef": {"name": "mail", "key": "input.json"}},
    "resultTo": {"secret": {"name": "answer"}},
}
OPERATOR_POD = "app.kubernetes.io/component=operator"


def test_a_payload_stands_in_secrets_only(pair: Crew, cli: Cli, system: Kubectl) -> None:
    """What an agent in a pod reads from a Secret and answers into another shows nowhere else."""
    text = base64.b64encode(json.dumps({"text": CANARY}).encode()).decode()
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mail"}}
    pair.kubectl.create(secret | {"data": {"input.json": text}})
    pair.kubectl.create(objects.task("sealed", pool="crew", requires=["crew"], **SEALED))
    status = pair.ended("sealed")["status"]
    assert status["phase"] == "Succeeded", status
    stored = pair.kubectl.get("secret/answer")
    content = base64.b64decode(stored["data"]["result.json"])
    assert json.loads(content)["given"] == {"text": CANARY}
    assert status["resultDigest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert stored["metadata"]["ownerReferences"][0]["kind"] == "Task"
    assert json.loads(cli.run("task", "result", "sealed").stdout) == json.loads(content)
    kinds = "tasks,agents,agentpools,pods,configmaps,events.events.k8s.io"
    seen = pair.kubectl.run("get", kinds, "-o", "json").stdout
    seen += system.run("logs", "-l", OPERATOR_POD, "--tail=-1", "--prefix").stdout
    assert '"sealed"' in seen
    assert CANARY not in seen


def test_the_result_goes_with_its_task(pair: Crew) -> None:
    """Deleting the Task takes the Secret of its result along, and leaves that of its input."""
    pair.submit("short", {}, resultTo={"secret": {"name": "short-answer"}})
    assert pair.ended("short")["status"]["phase"] == "Succeeded"
    assert pair.kubectl.run("get", "secret/short-answer").ok
    assert pair.kubectl.run("delete", "task/short").ok
    gone = pair.kubectl.run("wait", "--for=delete", "secret/short-answer", "--timeout=60s")
    assert gone.ok, gone.stderr


def test_a_task_reaches_no_further_than_its_creator(pair: Crew) -> None:
    """The installed policy refuses a Task of somebody who may create Tasks, but read no Secrets."""
    grant = ("--verb=create", "--resource=tasks.agentcorps.dev")
    assert pair.kubectl.run("create", "role", "submitter", *grant).ok
    bound = pair.kubectl.run(
        "create", "rolebinding", "submitter", "--role=submitter", "--user=mallory"
    )
    assert bound.ok, bound.stderr
    task = objects.task("theft", pool="crew", requires=["crew"], **SEALED)
    answer = pair.kubectl.send("create", task, options=("--as=mallory",))
    assert "spec.inputFrom: mallory may not get Secret mail" in answer.stderr
