"""How the command line tells of attempts."""

from __future__ import annotations

from typing import Any

import pytest

from agentcorps.cli import task, task_why
from agentcorps.cli.attempt_pod import attempt_of
from agentcorps.cli.errors import InputError
from agentcorps.cli.options import Format
from agentcorps.cli.output import print_objects

ATTEMPTS: list[dict[str, Any]] = [
    {
        "attempt": 1,
        "agentName": "readers-0",
        "startedAt": "2026-11-23T12:00:00Z",
        "finishedAt": "2026-11-23T12:00:12Z",
        "reason": "AgentLost",
        "message": "agent readers-0: its pod is gone",
    },
    {"attempt": 2, "agentName": "readers-1", "reason": "Timeout"},
]


def test_a_wide_list_tells_failures_and_the_last_attempts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Attempt, failures, reason, agent, and how each kept attempt ended, in one line."""
    one = {
        "kind": "Task",
        "metadata": {"name": "report"},
        "spec": {"pool": "readers"},
        "status": {
            "phase": "Queued",
            "reason": "Timeout",
            "agentName": "readers-1",
            "attempt": 2,
            "failures": 2,
            "attempts": ATTEMPTS,
        },
    }
    print_objects([one], Format.WIDE, task.COLUMNS, color=False)
    head, line = capsys.readouterr().out.splitlines()
    wanted = ["POOL", "PHASE", "REASON", "AGENT", "ATTEMPT", "PROGRESS", "FAILURES", "ATTEMPTS"]
    assert head.split()[:8] == wanted
    assert line.split()[:6] == ["readers", "Queued", "Timeout", "readers-1", "2", "2"]
    assert "1:AgentLost 2:Timeout" in line


def test_why_prints_each_attempt_with_its_cause_and_the_next_step(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The story in order: where it is, what comes next, what was spent, each attempt."""
    answer = {
        "name": "report",
        "phase": "Queued",
        "reason": "Backoff",
        "message": "not before noon",
        "next": "attempt 3 follows not before noon (2 of 3 retries are spent)",
        "failures": 2,
        "crashes": 1,
        "retryLimit": 3,
        "poolTrouble": "Refused: an agent could not be created",
        "operator": {"state": "leading", "message": ""},
        "attempts": ATTEMPTS,
        "agents": [],
        "limits": {
            "timeoutSeconds": {"value": 60, "from": "AgentPool"},
            "retry.reasons": {"value": ["AgentLost", "Timeout"], "from": "Task"},
            "ttlSecondsAfterFinished": {"value": None, "from": "built in"},
        },
    }
    task_why.show(answer, color=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "report is Queued (Backoff): not before noon"
    assert lines[1] == "next: attempt 3 follows not before noon (2 of 3 retries are spent)"
    assert lines[2] == "pool: Refused: an agent could not be created"
    assert lines[4] == "crashes: 1 of 3 after which it is given up"
    assert lines[6].split() == ["ATTEMPT", "AGENT", "TOOK", "ENDED", "WITH", "BECAUSE"]
    assert lines[7].split()[:4] == ["1", "readers-0", "12s", "AgentLost"]
    assert lines[7].endswith("its pod is gone")
    limits = [line.split() for line in lines[10:]]
    assert limits == [
        ["LIMIT", "VALUE", "FROM"],
        ["timeoutSeconds", "60", "AgentPool"],
        ["retry.reasons", "AgentLost,Timeout", "Task"],
    ]


@pytest.mark.parametrize(
    ("spec", "status", "shown"),
    [
        ({}, {}, ["pool", "pool"]),
        ({"timeoutSeconds": 5, "retry": {"limit": 0}}, {}, ["5", "0"]),
        ({}, {"phase": "Running", "attempt": 1}, ["600", "2"]),
        (
            {"retry": {"backoffSeconds": 1}},
            {"phase": "Failed", "attempt": 1, "poolDefaults": {"retry": {"limit": 9}}},
            ["600", "9"],
        ),
        ({}, {"phase": "TimedOut", "poolDefaults": {"timeoutSeconds": 7}}, ["7", "2"]),
    ],
)
def test_a_wide_list_tells_the_limits_that_hold(
    spec: dict[str, Any], status: dict[str, Any], shown: list[str]
) -> None:
    """The Task's own, else what was taken from its pool, else built in; `pool` before a binding."""
    one = {"metadata": {"name": "report"}, "spec": {"pool": "readers", **spec}, "status": status}
    cells = {column.header: column.cell for column in task.COLUMNS}
    assert [str(cells[name](one)) for name in ("TIMEOUT", "RETRIES")] == shown


@pytest.mark.parametrize("started", [{}, {"startedAt": "0000-01-01T00:00:00Z"}])
def test_an_attempt_whose_begin_is_no_time_is_told_and_not_guessed(
    started: dict[str, str],
) -> None:
    """Without it nobody can tell whose log it is: the field is named, and nothing crashes."""
    told = {"metadata": {"name": "report"}, "status": {"attempt": 2, **started}}
    with pytest.raises(InputError, match="attempt 2 cannot be found: its startedAt"):
        attempt_of(told, None)
