"""`agentcorps task cancel`, `retry` and `get --watch` on a real API server."""

import json
from pathlib import Path

import pytest

from support import objects
from support.cli import Cli, ended
from support.kubectl import Kubectl, put_status
from support.poll import until

RETRY_OF = "agentcorps.dev/retry-of"


@pytest.fixture
def cli(kubeconfig: Path, namespace: str) -> Cli:
    """Return the command line in the test's namespace."""
    return Cli(kubeconfig, namespace)


def test_cancel_asks_once_and_leaves_what_has_ended(cli: Cli, kubectl: Kubectl) -> None:
    """What waits or runs is to be cancelled; asking again, or too late, is no error."""
    for name in ("waits", "runs", "done"):
        kubectl.create(objects.task(name))
    put_status(kubectl, "runs", phase="Running", attempt=1)
    put_status(kubectl, "done", phase="Succeeded")
    said = cli.run("task", "cancel", "waits", "task/runs", "done")
    assert (said.code, said.stderr) == (0, "")
    assert said.stdout.splitlines() == [
        "task.agentcorps.dev/waits is to be cancelled",
        "task.agentcorps.dev/runs is to be cancelled",
        "task.agentcorps.dev/done has already ended: Succeeded",
    ]
    wanted = {name: kubectl.get(f"task/{name}")["spec"]["cancel"] for name in ("waits", "done")}
    assert wanted == {"waits": True, "done": False}
    again = cli.run("task", "cancel", "waits", "-o", "name")
    assert (again.code, again.stdout) == (0, "task.agentcorps.dev/waits\n")


def test_one_wrong_name_does_not_save_the_others(cli: Cli, kubectl: Kubectl) -> None:
    """All Tasks that exist are cancelled; the exit code tells of the one that does not."""
    kubectl.create(objects.task("last"))
    said = cli.run("task", "cancel", "absent", "last")
    assert said.code == 3
    assert said.stdout == "task.agentcorps.dev/last is to be cancelled\n"
    assert said.stderr.startswith("error: task 'absent' not found")


def test_cancel_waits_for_the_end_and_says_which_it_was(cli: Cli, kubectl: Kubectl) -> None:
    """--wait prints the end of each, also of one that had succeeded before it was cancelled."""
    kubectl.create(objects.task("slow"))
    kubectl.create(objects.task("quick"))
    process = cli.start("task", "cancel", "slow", "quick", "--wait", "--timeout", "60s")
    until(lambda: kubectl.get("task/quick")["spec"]["cancel"], "request")
    put_status(kubectl, "slow", phase="Cancelled", reason="Cancelled")
    put_status(kubectl, "quick", phase="Succeeded")
    said = ended(process)
    assert said.code == 0, said.stderr
    assert said.stdout.splitlines()[2:] == [
        "task.agentcorps.dev/slow is Cancelled",
        "task.agentcorps.dev/quick is Succeeded",
    ]


def test_cancel_without_an_end_times_out(cli: Cli, kubectl: Kubectl) -> None:
    """Without an operator nothing ends: code 4, and the request stands."""
    kubectl.create(objects.task("t"))
    assert cli.run("task", "cancel", "t", "--wait", "--timeout", "1s").code == 4
    assert kubectl.get("task/t")["spec"]["cancel"] is True


def test_retry_copies_spec_and_labels_and_tells_its_origin(cli: Cli, kubectl: Kubectl) -> None:
    """The new Task asks for the same, is not cancelled, and names the old one; so does its own."""
    labels = {"run": "7", "app.kubernetes.io/instance": "argo", "argocd.argoproj.io/x": "y"}
    old = objects.task("report", input={"n": None, "x": 1.5}, retry={"limit": 1}, priority=3)
    old["metadata"] |= {"labels": labels, "annotations": {"mine": "stays"}}
    kubectl.create(old)
    kubectl.patch("task/report", {"spec": {"cancel": True}})
    put_status(kubectl, "report", phase="Cancelled", reason="Cancelled")
    first = cli.run("task", "retry", "report", "-o", "name")
    assert (first.code, first.stderr) == (0, "")
    stored = kubectl.get(first.stdout.strip())
    assert stored["metadata"]["name"].startswith("report-retry-")
    assert stored["metadata"]["labels"] == {"run": "7"}
    assert stored["metadata"]["annotations"] == {RETRY_OF: "report"}
    assert stored["spec"] == kubectl.get("task/report")["spec"] | {"cancel": False}
    put_status(kubectl, stored["metadata"]["name"], phase="Failed", reason="AgentError")
    second = cli.run("task", "retry", first.stdout.strip(), "-o", "json")
    metadata = json.loads(second.stdout)["metadata"]
    assert metadata["annotations"] == {RETRY_OF: stored["metadata"]["name"]}
    assert metadata["name"].startswith("report-retry-")
    assert metadata["name"].count("-retry-") == 1


def test_retry_refuses_what_has_not_ended(cli: Cli, kubectl: Kubectl) -> None:
    """A Task that waits is not doubled by accident; --force doubles it, --dry-run does nothing."""
    kubectl.create(objects.task("t"))
    said = cli.run("task", "retry", "t")
    assert (said.code, said.stdout) == (2, "")
    assert said.stderr.startswith("error: task 't' is still Queued: ")
    dry = cli.run("task", "retry", "t", "--force", "--dry-run", "server")
    assert dry.code == 0, dry.stderr
    assert len(kubectl.get("tasks")["items"]) == 1
    assert cli.run("task", "retry", "t", "--force", "--name", "u").code == 0
    assert kubectl.get("task/u")["metadata"]["annotations"] == {RETRY_OF: "t"}
    own = cli.run("task", "retry", "t", "--force", "--name", "t")
    assert (own.code, own.stdout) == (2, "")


def test_retry_waits_like_submit(cli: Cli, kubectl: Kubectl) -> None:
    """--wait prints the result of the new Task; its failure is the command's."""
    kubectl.create(objects.task("t"))
    put_status(kubectl, "t", phase="Failed", reason="AgentError")
    process = cli.start("task", "retry", "t", "--name", "u", "--wait", "--timeout", "60s")
    until(lambda: kubectl.run("get", "task/u").ok, "new Task")
    put_status(kubectl, "u", phase="Succeeded", result={"sum": 3})
    said = ended(process)
    assert said.code == 0, said.stderr
    assert json.loads(said.stdout) == {"sum": 3}


def test_watching_prints_each_change_once(cli: Cli, kubectl: Kubectl, tmp_path: Path) -> None:
    """Get -w prints what is there, then a line per change with the progress, until interrupted."""
    kubectl.create(objects.task("t"))
    kubectl.create(objects.task("elsewhere", pool="other"))
    file = tmp_path / "out"
    with file.open("w") as out:
        process = cli.start("task", "get", "--pool", "readers", "-w", stdout=out)
        until(lambda: "Queued" in file.read_text(), "first line")
        put_status(
            kubectl, "t", phase="Running", attempt=1, agentName="readers-0",
            progress={"percent": 40, "message": "reading"},
        )  # fmt: skip
        until(lambda: "40%" in file.read_text(), "progress")
        put_status(kubectl, "t", phase="Succeeded", reason="Completed", progress=None)
        until(lambda: "Succeeded" in file.read_text(), "end")
        process.terminate()
        process.communicate(timeout=60)
    head, *lines = (line.split() for line in file.read_text().splitlines())
    assert head == ["NAME", "POOL", "PHASE", "REASON", "AGENT", "ATTEMPT", "PROGRESS", "AGE"]
    assert [line[2] for line in lines] == ["Queued", "Running", "Succeeded"]
    assert lines[1][:6] == ["t", "readers", "Running", "readers-0", "1", "40%"]
