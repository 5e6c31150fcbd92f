"""Names of objects, completed by the shell."""

import json
from pathlib import Path

import pytest

from agentcorps.cli import completion
from agentcorps.cli.names import MOST
from support.fake_server import serving, write_kubeconfig


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    """Return a function that completes the last of some words."""
    for name in ("_AGENTCORPS_COMPLETE", "COMP_WORDS", "COMP_CWORD"):
        monkeypatch.setenv(name, "")

    def run(*words: str) -> list[str]:
        monkeypatch.setattr("sys.argv", ["kubectl_complete-agentcorps", *words])
        completion.run()
        *names, end = capsys.readouterr().out.split()
        assert end == completion.NO_FILES
        return names

    return run


def script(path: str) -> tuple[int, str]:
    """Answer with the objects of namespace `team`."""
    plural = path.partition("?")[0].rpartition("/")[2]
    if "/namespaces/team/" not in path or plural == "agents":
        return 403, json.dumps({"message": "no"})
    names = [f"{plural}-{number:03}" for number in range(300)]
    return 200, json.dumps({"metadata": {}, "items": [{"metadata": {"name": n}} for n in names]})


@pytest.mark.parametrize(
    ("words", "incomplete", "expected"),
    [
        (["task", "why"], "tasks-01", [f"tasks-01{digit}" for digit in range(10)]),
        (["task", "cancel", "tasks-001"], "tasks-002", ["tasks-002"]),
        (["pool", "scale"], "agentpools-299", ["agentpools-299"]),
        (["task", "submit", "--pool"], "agentpools-299", ["agentpools-299"]),
        (["task", "logs"], "nothing", []),
        (["agent", "get"], "a", []),
    ],
)
def test_names_that_exist_are_offered(
    complete: object, words: list[str], incomplete: str, expected: list[str], tmp_path: Path
) -> None:
    """Names of the right kind in the right namespace; what may not be listed offers nothing."""
    assert callable(complete)
    with serving(script) as host:
        config = write_kubeconfig(tmp_path / "config", host)
        where = ["-n", "team", "--kubeconfig", str(config)]
        assert complete(*words[:2], *where, *words[2:], incomplete) == expected


def test_not_more_names_are_offered_than_help(complete: object, tmp_path: Path) -> None:
    """Of 300 Tasks the first 200 are offered."""
    assert callable(complete)
    with serving(script) as host:
        config = write_kubeconfig(tmp_path / "config", host, namespace="team")
        names = complete("task", "why", "--kubeconfig", str(config), "tasks-")
    assert len(names) == MOST
