"""`agentcorps task why` on a real API server; the operator's status writes are made by kubectl."""

import json
from pathlib import Path

import pytest

from support import objects
from support.cli import Cli
from support.kubectl import Kubectl, put_status


@pytest.fixture
def cli(kubeconfig: Path, namespace: str) -> Cli:
    """Return the command line in the test's namespace."""
    return Cli(kubeconfig, namespace)


def test_why_a_task_waits(cli: Cli, kubectl: Kubectl) -> None:
    """Why names the reason, what speaks against each agent, and the operator that is missing."""
    kubectl.create(objects.task("t", requires=["fly"], retry={"limit": 1}))
    lonely = json.loads(cli.run("task", "why", "t", "-o", "json").stdout)
    assert lonely["reason"] == "PoolNotFound"
    assert lonely["operator"]["state"] == "absent"
    defaults = {"timeoutSeconds": 60, "retry": {"limit": 9}}
    swimmers = objects.pool(
        "readers", agent_spec={"capabilities": ["swim"]}, tasks={"defaults": defaults}
    )
    pool = kubectl.create(swimmers)
    agent = objects.agent("readers-0", capabilities=["swim"])
    agent["metadata"]["labels"] = {"agentcorps.dev/pool": "readers"}
    agent["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "agentcorps.dev/v1alpha1",
            "kind": "AgentPool",
            "name": "readers",
            "uid": pool["metadata"]["uid"],
            "controller": True,
        }
    ]
    kubectl.create(agent)
    said = cli.run("task", "why", "t")
    assert said.code == 0, said.stderr
    assert said.stdout.startswith("t is Queued (NoAgentMatches): 1 agent in pool readers:")
    assert "readers-0   lacks capability fly" in said.stdout
    assert ["capabilities", "1", "0"] in [line.split() for line in said.stdout.splitlines()]
    rows = [line.split() for line in said.stdout.splitlines()]
    assert ["timeoutSeconds", "60", "AgentPool"] in rows
    assert ["retry.limit", "1", "Task"] in rows
    assert ["retry.backoffSeconds", "5", "built", "in"] in rows


def test_why_a_task_was_retried(cli: Cli, kubectl: Kubectl) -> None:
    """Why tells of each attempt that ended, and of a Task that has ended."""
    kubectl.create(objects.task("t"))
    attempt = {
        "attempt": 1,
        "agentName": "readers-3",
        "startedAt": "2026-11-23T12:00:00Z",
        "finishedAt": "2026-11-23T12:00:05Z",
        "reason": "AgentLost",
    }
    put_status(
        kubectl, "t", phase="Failed", reason="AgentError", message="no text", attempt=2,
        failures=2, attempts=[attempt],
    )  # fmt: skip
    said = cli.run("task", "why", "t")
    assert said.code == 0, said.stderr
    first, *rest = said.stdout.splitlines()
    assert first == "t is Failed (AgentError): the Task has ended: Failed; no text"
    assert ["1", "readers-3", "5s", "AgentLost"] in [line.split() for line in rest]


def test_labels_instead_of_a_pool(cli: Cli, kubectl: Kubectl) -> None:
    """A Task can be submitted for labels, is listed, and says who has them and who is ahead."""
    agent = objects.agent("lone", capabilities=["swim"])
    agent["metadata"]["labels"] = {"size": "big"}
    kubectl.create(agent)
    for name, priority in (("first", "0"), ("urgent", "9")):
        said = cli.run(
            *("task", "submit", "--agent-selector", "size=big", "--input", "{}"),
            *("--name", name, "--priority", priority, "--affinity-key", "session-4"),
        )
        assert said.code == 0, said.stderr
    assert kubectl.get("task/first")["spec"]["affinityKey"] == "session-4"
    assert "first" in cli.run("task", "get").stdout
    why = json.loads(cli.run("task", "why", "first", "-o", "json").stdout)
    assert why["agentSelector"] == "size=big"
    assert why["agents"] == [{"name": "lone", "verdict": "starting"}]
    assert why["message"] == "1 agent with labels size=big: 1 starting; 1 task is ahead of it"
    assert cli.run("status").code == 0
