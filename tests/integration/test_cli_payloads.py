"""`agentcorps task` and payloads in Secrets, on a real API server; kubectl plays the operator."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from support import objects
from support.cli import Cli, ended
from support.kubectl import Kubectl
from support.poll import until


@pytest.fixture
def cli(kubeconfig: Path, namespace: str) -> Cli:
    """Return the command line in the test's namespace."""
    return Cli(kubeconfig, namespace)


def put_status(kubectl: Kubectl, **status: Any) -> None:
    """Write the status of Task t as the operator would."""
    change = {"status": {"observedGeneration": 1, **status}}
    done = kubectl.patch("tasks/t", change, "--subresource=status")
    assert done.ok, done.stderr


def put_result(kubectl: Kubectl, text: str) -> None:
    """Let Task t have succeeded, with a result in Secret answer."""
    data = {"result.json": base64.b64encode(text.encode()).decode()}
    metadata = {"name": "answer"}
    kubectl.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
    reference = {"kind": "Secret", "name": "answer", "key": "result.json"}
    put_status(kubectl, phase="Succeeded", resultRef=reference)


def test_submit_names_secrets_for_input_and_result(cli: Cli, kubectl: Kubectl) -> None:
    """Only names stand in the Task; a ConfigMap is named alike."""
    options = ("task", "submit", "--pool", "readers", "--name")
    said = cli.run(*options, "a", "--input-from", "secret/mail:input.json", "--result-to", "answer")
    assert (said.code, said.stderr) == (0, "")
    assert cli.run(*options, "b", "--input-from", "configmap/mail:text").code == 0
    sealed, other = (kubectl.get(f"tasks/{name}")["spec"] for name in ("a", "b"))
    assert sealed["inputFrom"] == {"secretKeyRef": {"name": "mail", "key": "input.json"}}
    assert sealed["resultTo"] == {"secret": {"name": "answer"}}
    assert "input" not in sealed
    assert other["inputFrom"] == {"configMapKeyRef": {"name": "mail", "key": "text"}}


def test_result_reads_the_secret_that_keeps_it(cli: Cli, kubectl: Kubectl) -> None:
    """A result in a Secret is printed as any other, and by submit --wait as well."""
    submit = cli.start(
        "task", "submit", "--pool", "readers", "--input", "{}", "--name", "t", "--wait"
    )
    until(lambda: kubectl.run("get", "tasks/t").ok, "Task")
    put_result(kubectl, '{"words":3}')
    assert json.loads(ended(submit).stdout) == {"words": 3}
    assert cli.run("task", "result", "t", "-o", "raw").stdout == '{"words":3}\n'


def test_a_result_that_cannot_be_read_says_where_it_is(cli: Cli, kubectl: Kubectl) -> None:
    """Without the right 6, with a changed Secret or none 3, and never a word of its content."""
    kubectl.create(objects.task("t"))
    put_result(kubectl, "canary")
    where = "error: the result of task 't' is in Secret answer"
    changed = cli.run("task", "result", "t")
    assert changed.stderr == f"{where}, which was changed: its key result.json is no result\n"
    assert changed.code == 3
    allow_tasks(kubectl, "alice")
    until(lambda: cli.run("task", "get", "t", "--as", "alice").code == 0, "right on Tasks")
    denied = cli.run("task", "result", "t", "--as", "alice")
    assert denied.stderr.startswith(f"{where}: not allowed: ")
    assert denied.code == 6
    assert kubectl.run("delete", "secret", "answer").ok
    gone = cli.run("task", "result", "t")
    assert (gone.code, gone.stderr) == (3, f"{where}, which does not exist any more\n")


def allow_tasks(kubectl: Kubectl, user: str) -> None:
    """Allow a user to read Tasks, and nothing else."""
    role = kubectl.run(
        "create", "role", "tasks", "--verb=get,list", "--resource=tasks.agentcorps.dev"
    )
    assert role.ok, role.stderr
    binding = kubectl.run("create", "rolebinding", "tasks", "--role=tasks", f"--user={user}")
    assert binding.ok, binding.stderr


def test_retry_names_another_secret(cli: Cli, kubectl: Kubectl) -> None:
    """The Secret of the old Task is kept: the new one can be told to use another."""
    kubectl.create(objects.task("t", resultTo={"secret": {"name": "answer"}}))
    put_result(kubectl, "1")
    assert cli.run("task", "retry", "t", "--name", "u", "--result-to", "other").code == 0
    assert kubectl.get("tasks/u")["spec"]["resultTo"] == {"secret": {"name": "other"}}


def test_why_tells_what_an_input_lacks(cli: Cli, kubectl: Kubectl) -> None:
    """The operator's own words about a missing Secret are the answer of `why`."""
    kubectl.create(objects.pool())
    kubectl.create(objects.task("t", inputFrom={"secretKeyRef": {"name": "mail", "key": "a"}}))
    said = "there is no Secret mail in namespace team: create it"
    put_status(kubectl, phase="Queued", reason="InputNotFound", message=said)
    answer = cli.run("task", "why", "t")
    assert answer.stdout.startswith(f"t is Queued (InputNotFound): {said}\n")
