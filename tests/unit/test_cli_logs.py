"""`task logs`: which lines of which container's log, and what is said when there are none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.cli import task_logs, waiting
from agentcorps.cli.attempt_log import AttemptId, AttemptLog
from agentcorps.cli.main import main
from support.fake_server import serving, write_kubeconfig

OURS = AttemptId("uid-t", 2)
OTHER = AttemptId("uid-u", 1)
BEGAN = "2026-11-23T12:00:00Z"
LATER = "2026-11-23T12:30:00Z"
EARLIER = "2026-11-23T11:00:00Z"


def sdk(event: str, who: AttemptId = OURS) -> str:
    """Return a line as the SDK writes it."""
    return json.dumps({"event": event, "uid": who.uid, "attempt": who.attempt})


def shown(*lines: str, shared: bool = False) -> list[str]:
    """Return the lines that belong to attempt 2 of Task `t`."""
    log = AttemptLog(OURS, shared=shared)
    return [line for line in lines if log.takes(line)]


START, END = sdk("task started"), sdk("task ended")


def test_lines_between_start_and_end_are_the_attempts() -> None:
    """What the agent's code prints while only this attempt runs is shown, and nothing else is."""
    assert shown("boot", START, "mine", "{not json", END, "after") == [
        START,
        "mine",
        "{not json",
        END,
    ]


def test_an_earlier_attempt_of_the_same_task_is_another_one() -> None:
    """The same uid with another attempt number is not shown."""
    first = AttemptId(OURS.uid, 1)
    lines = [sdk("task started", first), "old", sdk("task ended", first), START, "new", END]
    assert shown(*lines) == [START, "new", END]


def test_what_two_tasks_may_have_written_is_left_out_and_counted() -> None:
    """While another attempt runs, only lines that name this one are shown, unless asked for."""
    lines = [START, sdk("task started", OTHER), "whose?", sdk("task ended", OTHER), "mine", END]
    assert shown(*lines) == [START, "mine", END]
    assert shown(*lines, shared=True) == [START, "whose?", "mine", END]
    log = AttemptLog(OURS, shared=False)
    for line in lines:
        log.takes(line)
    assert (log.withheld, log.shown, log.ended) == (1, 3, True)


@given(
    st.lists(
        st.sampled_from(
            [START, END, sdk("task started", OTHER), sdk("task ended", OTHER), "plain", '{"a": 1}']
        ),
        max_size=20,
    )
)
def test_no_line_of_another_attempt_is_ever_shown(lines: list[str]) -> None:
    """Whatever the order: lines that name another attempt are never shown, those of ours always."""
    for shared in (False, True):
        found = shown(*lines, shared=shared)
        assert OTHER.uid not in "".join(found)
        assert [line for line in found if OURS.uid in line] == [
            line for line in lines if OURS.uid in line
        ]


class Cluster:
    """An API server with one Task, perhaps its pod, and that pod's logs."""

    def __init__(self, **status: Any) -> None:
        self.tasks = [
            {
                "metadata": {"name": "t", "namespace": "default", "uid": "uid-t"},
                "spec": {"pool": "p"},
                "status": {
                    "phase": "Running", "attempt": 2, "agentName": "crew-0", "podUID": "pod-2",
                    "startedAt": BEGAN, **status,
                },
            }
        ]  # fmt: skip
        self.pod: dict[str, Any] | None = {
            "metadata": {"uid": "pod-2", "creationTimestamp": EARLIER},
            "spec": {"containers": [{"name": "agent"}, {"name": "side"}]},
            "status": {},
        }
        self.log: list[str] = [START, "mine", END]
        self.before: list[str] = []
        self.asked: list[str] = []

    def replace_pod(self) -> None:
        """Let another pod of the same name take its place."""
        assert self.pod is not None
        self.pod["metadata"]["uid"] = "pod-3"

    def restarted(self, began: str, before: str) -> None:
        """Let the container run since `began`, and have run since `before`."""
        assert self.pod is not None
        state = {"running": {"startedAt": began}}
        last = {"terminated": {"startedAt": before}}
        self.pod["status"] = {
            "containerStatuses": [{"name": "agent", "state": state, "lastState": last}]
        }

    def __call__(self, path: str) -> tuple[int, str]:
        """Answer a request."""
        if "/log?" in path:
            self.asked.append(path)
            lines = self.before if "previous=true" in path else self.log
            numbered = enumerate(lines, start=1)
            return 200, "".join(f"2026-11-23T12:00:{at:02}.5Z {line}\n" for at, line in numbered)
        if path.endswith("/tasks/t"):
            task = self.tasks.pop(0) if len(self.tasks) > 1 else self.tasks[0]
            return 200, json.dumps(task)
        if path.endswith("/pods/crew-0") and self.pod is not None:
            return 200, json.dumps(self.pod)
        return 404, json.dumps({"message": "not found", "details": {"name": "x"}})


Say = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """Return a function that runs `task logs t` on a cluster: (code, lines, stderr)."""
    monkeypatch.setattr(waiting, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(task_logs, "PAUSE_SECONDS", 0.01)

    def run(cluster: Cluster, *arguments: str) -> tuple[int, list[str], str]:
        with serving(cluster) as host:
            config = write_kubeconfig(tmp_path / "config", host)
            code = main(["task", "logs", "t", *arguments, "--kubeconfig", str(config)])
        streams = capsys.readouterr()
        return code, streams.out.splitlines(), streams.err

    return run


def test_the_lines_of_the_last_attempt_are_printed(say: Say) -> None:
    """Without options: the last attempt, the pod's first container, no times."""
    cluster = Cluster()
    cluster.log = ["boot", START, "mine", END, "after"]
    assert say(cluster) == (0, [START, "mine", END], "")
    assert "container=agent" in cluster.asked[0]
    assert "previous" not in cluster.asked[0]


def test_times_are_printed_when_asked_for(say: Say) -> None:
    """--timestamps puts the kubelet's time before each line."""
    cluster = Cluster()
    assert say(cluster, "--timestamps")[1][1] == "2026-11-23T12:00:02.5Z mine"


def test_a_container_that_restarted_since_is_read_as_it_was_before(say: Say) -> None:
    """The times say that the attempt ran in the container before its restart."""
    cluster = Cluster()
    cluster.restarted(LATER, EARLIER)
    cluster.before, cluster.log = [START, "last words"], ["boot again"]
    assert say(cluster) == (0, [START, "last words"], "")
    assert say(cluster, "--previous")[1] == [START, "last words"]


def test_a_container_that_restarted_before_is_read_as_it_is(say: Say) -> None:
    """A restart before the attempt began does not matter; --previous reads it all the same."""
    cluster = Cluster()
    cluster.restarted(EARLIER, EARLIER)
    assert say(cluster)[1] == [START, "mine", END]
    assert say(cluster, "--previous")[1] == []


GONE: dict[str, tuple[Callable[[Cluster], Any], list[str], int, str]] = {
    "no pod": (
        lambda cluster: setattr(cluster, "pod", None), [], 3, "whose pod is gone, and its log",
    ),
    "another pod": (
        lambda cluster: cluster.replace_pod(), [], 3,
        "whose pod has been replaced since",
    ),
    "two restarts": (
        lambda cluster: cluster.restarted(LATER, LATER), [], 3,
        "was restarted more than once since",
    ),
    "no container": (lambda _: None, ["-c", "sidecar"], 2, "it has agent, side"),
    "not yet": (
        lambda cluster: cluster.tasks[0].update(status={"phase": "Queued"}), [], 4,
        "has not been run: it is Queued; wait with -f, or ask `agentcorps task why t`",
    ),
    "never": (
        lambda cluster: cluster.tasks[0].update(status={"phase": "Cancelled"}), [], 4,
        "has not been run: it is Cancelled\n",
    ),
    "later attempt": (lambda _: None, ["--attempt", "3"], 4, "is Running after attempt 2"),
    "forgotten": (lambda _: None, ["--attempt", "1"], 3, "keeps no attempt 1"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "arguments", "code", "told"), GONE.values(), ids=list(GONE))
def test_a_log_that_is_not_there_is_explained(
    spoil: Callable[[Cluster], Any], arguments: list[str], code: int, told: str, say: Say
) -> None:
    """Each reason why there is no log has its exit code and its sentence."""
    cluster = Cluster()
    spoil(cluster)
    assert say(cluster, *arguments)[:2] == (code, [])
    assert told in say(cluster, *arguments)[2]


def test_an_earlier_attempt_is_found_by_the_age_of_its_pod(say: Say) -> None:
    """Only a pod that was there when the attempt began can have its log."""
    first = {"attempt": 1, "agentName": "crew-0", "startedAt": BEGAN}
    cluster = Cluster(attempts=[first])
    cluster.log = [sdk("task started", AttemptId("uid-t", 1)), "first", START, "second"]
    assert say(cluster, "--attempt", "1")[1][1:] == ["first"]
    assert cluster.pod is not None
    cluster.pod["metadata"]["creationTimestamp"] = LATER
    assert say(cluster, "--attempt", "1")[0] == 3


def test_silence_is_explained(say: Say) -> None:
    """A log without a line of the attempt, or with lines of anybody, says so on stderr."""
    cluster = Cluster()
    cluster.log = ["unknown"]
    code, lines, told = say(cluster)
    assert (code, lines) == (0, [])
    assert "says nothing of attempt 2" in told
    cluster.log = [START, sdk("task started", OTHER), "whose?", END]
    assert "1 lines left out" in say(cluster)[2]


def test_following_goes_over_all_attempts_to_the_end(say: Say) -> None:
    """-f waits for the start, survives a log that ends early, prints no line twice, and ends."""
    cluster = Cluster()
    running, *_ = cluster.tasks
    queued = running | {"status": {"phase": "Queued"}}
    again = running | {"status": running["status"] | {"phase": "Queued"}}
    third = running | {"status": running["status"] | {"attempt": 3}}
    done = third | {"status": third["status"] | {"phase": "Succeeded"}}
    for one in (queued, running, again, third, done):
        one["metadata"] = one["metadata"] | {"resourceVersion": "5"}
    last = AttemptId("uid-t", 3)
    begun = sdk("task started", last)
    cluster.tasks = [queued, running, running, running, again, third, third, done]
    cluster.log = [START, "mine", sdk("task ended"), begun, "again", sdk("task ended", last)]
    code, lines, _ = say(cluster, "-f", "--attempt", "2")
    assert (code, lines) == (0, [START, "mine", END])
    cluster.tasks = [running, running, again, third, third, done]
    code, lines, told = say(cluster, "-f")
    assert (code, lines) == (0, cluster.log)
    assert "t has ended: Succeeded" in told


def test_an_attempt_without_a_last_line_ends_following(say: Say) -> None:
    """An agent that died says nothing more: the Task's status ends the wait for its last line."""
    cluster = Cluster()
    running, *_ = cluster.tasks
    failed = running | {"status": running["status"] | {"phase": "Failed"}}
    cluster.tasks = [running, running, running, failed]
    cluster.log = [START, "last words"]
    code, lines, told = say(cluster, "-f")
    assert (code, lines) == (0, [START, "last words"])
    assert "t has ended: Failed" in told
    assert len(cluster.asked) >= 2
    assert "sinceTime=2026-11-23T12%3A00%3A02Z" in cluster.asked[-1]
