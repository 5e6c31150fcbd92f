"""The generated reference of the command line is complete and the same everywhere."""

import pytest

from generate.cli_reference import PATH, generated_files

COMMANDS = [
    "task submit", "task get", "task wait", "task result", "task why",
    "pool get", "pool create", "pool scale", "agent get", "agent create", "status", "version",
]  # fmt: skip


def test_every_command_has_its_section() -> None:
    """Each command stands in the reference with its options."""
    text = generated_files()[PATH]
    for command in COMMANDS:
        assert f"\n## agentcorps {command}\n\n```text\nUsage: agentcorps {command} " in text


def test_the_terminal_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text depends neither on the width of a terminal nor on its colours."""
    monkeypatch.setenv("COLUMNS", "200")
    wide = generated_files()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert generated_files() == wide
