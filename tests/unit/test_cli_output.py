"""Names, ages, tables and stories as people read them."""

import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from agentcorps.cli.agent_spec import AgentOptions, PullPolicy
from agentcorps.cli.errors import one_line
from agentcorps.cli.output import Column, age, bare_name, duration, emit, print_table
from agentcorps.cli.progress import MAX_NARRATED, Narrator, bar, story


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0s"), (119, "119s"), (120, "2m"), (570, "9m30s"), (600, "10m"), (10740, "179m"),
        (10800, "3h"), (25500, "7h5m"), (172799, "47h"), (172800, "2d"),
    ],
)  # fmt: skip
def test_duration(seconds: int, expected: str) -> None:
    """Durations have at most two units, like kubectl's."""
    assert duration(seconds) == expected


def test_age_of_a_clock_ahead() -> None:
    """A server whose clock is ahead gives no negative age."""
    now = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
    assert age("2026-11-23T12:00:09Z", now) == "0s"
    assert age(None) == ""


def test_age_of_a_time_that_does_not_exist() -> None:
    """What somebody wrote into a status must not keep a list from being printed."""
    assert age("0000-01-01T00:00:00Z") == "<unknown>"


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("x", "x"), ("task/x", "x"), ("tasks.agentcorps.dev/x", "x"), ("agt/x", "x"),
        ("Task/x", "x"), ("pod/x", "pod/x"), ("task/", ""),
    ],
)  # fmt: skip
def test_bare_name(argument: str, expected: str) -> None:
    """Names are taken as `-o name` prints them."""
    assert bare_name(argument) == expected


def test_control_characters_do_not_reach_the_terminal() -> None:
    """A message from an agent cannot move the cursor, colour the terminal or forge a line."""
    assert one_line("a\x1b[31mb\r\nerror: c\u2028d\x9be") == "a [31mb error: c d e"


def test_table_is_as_wide_as_its_data(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal nothing is cut, wrapped or coloured, and markup is shown as it is."""
    rows: list[dict[str, Any]] = [{"a": "[bold]x" + "y" * 300, "b": "Failed"}, {"a": "", "b": 1}]
    columns = [Column("A", lambda row: row["a"]), Column("B", lambda row: row["b"])]
    print_table(columns, rows, color=True)
    gap = " " * 307
    assert capsys.readouterr().out == f"A{gap[1:]}   B\n[bold]x{'y' * 300}   Failed\n{gap}   1\n"


STORIES: dict[str, tuple[dict[str, Any], str]] = {
    "new": ({}, "Queued"),
    "waiting": (
        {"phase": "Queued", "reason": "PoolNotFound", "message": "no pool x"},
        "Queued: PoolNotFound: no pool x",
    ),
    "running": (
        {
            "phase": "Running",
            "agentName": "p-0",
            "attempt": 2,
            "progress": {"percent": 40, "message": "reading"},
        },
        "Running on p-0 (attempt 2) 40% reading",
    ),
    "succeeded": ({"phase": "Succeeded", "reason": "Completed"}, "Succeeded"),
    "failed": ({"phase": "Failed", "reason": "AgentError"}, "Failed: AgentError"),
}


@pytest.mark.parametrize(("status", "expected"), STORIES.values(), ids=STORIES)
def test_story(status: dict[str, Any], expected: str) -> None:
    """A Task's state is told in a few words."""
    assert story({"metadata": {"name": "t"}, "status": status}) == expected


def test_narrator_tells_each_change_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal each change is one line on stderr, and many Tasks are not narrated."""
    queued = {"metadata": {"name": "t"}, "status": {"phase": "Queued"}}
    done = {"metadata": {"name": "t"}, "status": {"phase": "Succeeded"}}
    few, many = Narrator(1), Narrator(MAX_NARRATED + 1)
    for task in (queued, queued, done):
        few.tell(task)
        many.tell(task)
    streams = capsys.readouterr()
    assert streams.err == "t: Queued\nt: Succeeded\n"
    assert streams.out == ""


def test_a_bar_does_not_swallow_the_data(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the bar on a terminal and stdout in a file, the data is in the file and nowhere else."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    with bar("submitting", 2, color=True) as show:
        emit("data")
        show(1, "[words]")
    streams = capsys.readouterr()
    assert streams.out == "data\n"
    assert "submitting" in streams.err
    assert "data" not in streams.err


def test_agent_options_make_a_spec() -> None:
    """Every option lands in its field; what was not given is left to the API's defaults."""
    options = AgentOptions(
        image="i:1",
        capabilities=["a"],
        slots=2,
        command="python -m 'my agent'",
        env=["A=1=2"],
        cpu="1",
        memory="1Gi",
        pull_policy=PullPolicy.NEVER,
    )
    limits = {"cpu": "1", "memory": "1Gi"}
    assert options.spec() == {
        "capabilities": ["a"],
        "slots": 2,
        "podTemplate": {
            "spec": {
                "containers": [
                    {
                        "name": "agent",
                        "image": "i:1",
                        "imagePullPolicy": "Never",
                        "command": ["python", "-m", "my agent"],
                        "env": [{"name": "A", "value": "1=2"}],
                        "resources": {"requests": limits, "limits": limits},
                    }
                ]
            }
        },
    }
    assert AgentOptions(image="i").spec() == {
        "podTemplate": {"spec": {"containers": [{"name": "agent", "image": "i"}]}}
    }
