"""Durations, outcomes, and waiting through an API server that fails in between."""

import json
from pathlib import Path
from typing import Any

import pytest

from agentcorps.cli import waiting
from agentcorps.cli.connection import connect
from agentcorps.cli.errors import CliError, ExitCode, InputError, NotFoundError, UnreachableError
from agentcorps.cli.model import has_started, is_finished, phase_of
from agentcorps.cli.options import Connection
from agentcorps.cli.waiting import outcome_of, parse_duration, wait_for
from support.fake_server import serving, write_kubeconfig


def task(phase: str, name: str = "t") -> dict[str, Any]:
    """Return a Task in a phase."""
    return {
        "metadata": {"name": name, "namespace": "default", "resourceVersion": "5"},
        "spec": {"pool": "p"},
        "status": {"phase": phase, "reason": "Why"},
    }


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("1.5", 1.5), ("5m", 300), ("1h30m", 5400), ("0", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    """Durations are read as kubectl reads them; a bare number is seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1", "1d", "1s5", "5 m", "inf", "1e3"])
def test_bad_durations(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(InputError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("phases", "code"),
    [
        (["Succeeded"], None),
        (["Succeeded", "Failed"], ExitCode.TASK_FAILED),
        (["TimedOut"], ExitCode.TASK_FAILED),
        (["Cancelled"], ExitCode.CANCELLED),
        (["Cancelled", "Failed"], ExitCode.TASK_FAILED),
    ],
)
def test_outcomes(phases: list[str], code: ExitCode | None) -> None:
    """Failure goes before cancellation, and a Task that timed out has failed."""
    error = outcome_of([task(phase) for phase in phases])
    assert (error.code if error else None) == code


def test_outcome_says_what_happened() -> None:
    """The error names the first Task, its reason, and the next command."""
    assert str(outcome_of([task("Failed"), task("Failed", "u")])) == (
        "task 't' Failed: Why (and 1 more); see `agentcorps task why t`"
    )


def test_phases_of_the_future_are_not_guessed() -> None:
    """A phase that this version does not know is an error, not an endless wait."""
    with pytest.raises(InputError, match="update it"):
        phase_of(task("Hibernating"))


def test_a_new_task_is_queued() -> None:
    """A Task without a status is queued."""
    fresh = {"metadata": {"name": "t"}, "spec": {}}
    assert not has_started(fresh)
    assert not is_finished(fresh)


class Script:
    """Answers of an API server to the requests for one Task, in order; the last one stays."""

    def __init__(self, *gets: tuple[int, Any], watches: tuple[Any, ...] = ()) -> None:
        self._gets = iter(gets)
        self._last = gets[-1]
        self._watches = iter(watches)

    def __call__(self, path: str) -> tuple[int, str]:
        """Answer a request."""
        if "watch=true" in path:
            events: Any = next(self._watches, [])
            return 200, "".join(json.dumps(event) + "\n" for event in events)
        if path.endswith("/tasks/t"):
            code, body = next(self._gets, self._last)
            return code, json.dumps(body)
        return 200, json.dumps({"metadata": {}, "items": []})


def waited(script: Script, tmp_path: Path, timeout: float | None = 60) -> list[dict[str, Any]]:
    """Wait for the end of Task `t` at a server with these answers."""
    with serving(script) as host:
        path = write_kubeconfig(tmp_path / "config", host)
        with connect(Connection(kubeconfig=str(path))) as cluster:
            return wait_for(cluster, ["t"], is_finished, timeout=timeout, color=False)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let waiting go round without its pauses."""
    monkeypatch.setattr(waiting, "PAUSE_SECONDS", 0.01)


def test_a_change_seen_by_the_watch_ends_waiting(tmp_path: Path) -> None:
    """The watch's event is enough; no second look is needed."""
    script = Script(
        (200, task("Running")), watches=([{"type": "MODIFIED", "object": task("Succeeded")}],)
    )
    assert phase_of(waited(script, tmp_path)[0]) == "Succeeded"


def test_an_event_that_the_watch_missed_is_found_by_looking_again(tmp_path: Path) -> None:
    """Watches that end without the event (cut, expired, broken) do not hang the command."""
    gone = [{"type": "ERROR", "object": {"code": 410}}]
    script = Script(
        (200, task("Queued")), (200, task("Running")), (200, task("Failed")), watches=([], gone)
    )
    assert phase_of(waited(script, tmp_path)[0]) == "Failed"


def test_a_server_that_fails_for_a_while_is_survived(tmp_path: Path) -> None:
    """Errors of the server between two looks do not end the wait."""
    script = Script((200, task("Queued")), (500, {}), (500, {}), (200, task("Succeeded")))
    assert phase_of(waited(script, tmp_path)[0]) == "Succeeded"


def test_a_server_that_stays_away_ends_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the patience is used up, the server's error is the command's."""
    monkeypatch.setattr(waiting, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(UnreachableError, match="answered 500"):
        waited(Script((200, task("Queued")), (500, {})), tmp_path, timeout=None)


def test_a_deleted_task_ends_waiting(tmp_path: Path) -> None:
    """A Task that is deleted before its end is not waited for."""
    script = Script(
        (200, task("Running")), watches=([{"type": "DELETED", "object": task("Running")}],)
    )
    with pytest.raises(NotFoundError, match="was deleted while it was waited for"):
        waited(script, tmp_path)


def test_a_task_that_its_ttl_deleted_counts_as_what_it_was(tmp_path: Path) -> None:
    """The last state of a deleted Task counts if it had ended."""
    script = Script(
        (200, task("Running")), watches=([{"type": "DELETED", "object": task("Succeeded")}],)
    )
    assert phase_of(waited(script, tmp_path)[0]) == "Succeeded"


def test_time_is_up(tmp_path: Path) -> None:
    """After the time limit the error names the Task, its state and what to do."""
    with pytest.raises(CliError) as caught:
        waited(Script((200, task("Queued"))), tmp_path, timeout=0.1)
    assert caught.value.code == ExitCode.TIMEOUT
    assert str(caught.value) == (
        "task 't' (Queued: Why) not done after 0.1 s: wait on, or ask `agentcorps task why t`"
    )
