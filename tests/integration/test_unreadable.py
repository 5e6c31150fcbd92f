"""A Task whose status nobody can read, on a real API server with the operator as a process."""

from pathlib import Path

from support.cli import Cli
from support.kubectl import Kubectl
from support.poll import until
from support.stage import Stage
from support.watcher import TASKS

YEAR_ZERO = "0000-01-01T00:00:00Z"
"""A time for the API server's schema, and for no calendar."""
WRONG = "status.startedAt must be an RFC 3339 time with a zone: the operator leaves this Task alone"


def start_at(stage: Stage, name: str, moment: str | None) -> None:
    """Write a start into the status of a Task, or take it away."""
    path = f"{TASKS.format(stage.namespace)}/{name}/status"
    stage.api.patch(path, {"status": {"startedAt": moment}})


def told(stage: Stage) -> list[tuple[str, str]]:
    """Return whom Events tell of, and what, that cannot be read."""
    events = stage.api.get(f"/apis/events.k8s.io/v1/namespaces/{stage.namespace}/events")["items"]
    found = [one for one in events if one["reason"] == "Unreadable"]
    return sorted((one["regarding"]["name"], one["note"]) for one in found)


def test_a_spoiled_status_gets_one_event_and_holds_up_nobody(
    kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    """Spoiled before the operator starts or while it leads: two Events, and others are executed.

    No edit of such a Task repeats its Event; once its status is mended, it is executed, too.
    """
    with Stage(kubectl, namespace, tmp_path) as stage:
        stage.submit(2, "bad")
        start_at(stage, "bad0", YEAR_ZERO)
        replica = stage.lead()
        start_at(stage, "bad1", YEAR_ZERO)
        stage.crew(1)
        stage.ended(stage.submit(3, "good"))
        until(lambda: len(told(stage)) == 2, "two Events")
        assert [name for name, _ in told(stage)] == ["bad0", "bad1"]
        assert all(note.startswith(WRONG) for _, note in told(stage))
        assert "(kubectl edit task bad0 --subresource=status)" in told(stage)[0][1]
        assert kubectl.run("label", "task", "bad0", "seen=again").ok
        cli = Cli(kubectl.kubeconfig, namespace)
        said = cli.run("task", "why", "bad0")
        assert said.code == 2
        assert WRONG in said.stderr
        assert "bad0" in cli.run("task", "get", "-o", "wide").stdout
        assert stage.task("bad0")["status"]["phase"] == "Queued"
        stage.delete_task("bad0")
        start_at(stage, "bad1", None)
        stage.flawless(["good0", "good1", "good2", "bad1"])
        assert len(told(stage)) == 2
        assert '"loop step failed"' not in replica.process.log.read_text()
