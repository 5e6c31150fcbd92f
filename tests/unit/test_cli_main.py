"""The command line without a cluster: usage, kubeconfig and connection errors are one line each."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentcorps import __version__
from agentcorps.cli import completion, version
from agentcorps.cli.errors import ExitCode
from agentcorps.cli.main import main
from support.fake_server import serving, write_kubeconfig

DEAD = "http://127.0.0.1:9"
NO_INTEGER = "Input should be a valid integer, unable to parse string as an integer"


@dataclass
class Said:
    """What a command said."""

    code: int
    stdout: str
    error: str
    """Its one line on stderr, without the prefix."""


Run = Callable[..., Said]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the command line in this process."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", "/nonexistent")

    def call(*arguments: str) -> Said:
        code = main(list(arguments))
        streams = capsys.readouterr()
        assert streams.err.count("\n") <= 1, streams.err
        return Said(code, streams.out, streams.err.strip().removeprefix("error: "))

    return call


USAGE = {
    "unknown command": (["foo"], "No such command 'foo'; see `agentcorps --help`"),
    "misspelt command": (
        ["task", "submitt"],
        "No such command 'submitt'. Did you mean 'submit'?; see `agentcorps task --help`",
    ),
    "unknown option": (
        ["task", "get", "--colour"],
        "No such option: --colour (Possible options: --no-color); see `agentcorps task get --help`",
    ),
    "option before the command": (
        ["-n", "team", "status"],
        "No such option: -n here: options come after the command; see `agentcorps --help`",
    ),
    "option before the verb": (
        ["task", "-n", "team", "get"],
        "No such option: -n here: options come after the command; see `agentcorps task --help`",
    ),
    "missing argument": (
        ["task", "result"],
        "Missing argument 'NAME'; see `agentcorps task result --help`",
    ),
    "no number": (
        ["pool", "scale", "p", "--replicas", "three"],
        f"Invalid value for '--replicas': {NO_INTEGER}; see `agentcorps pool scale --help`",
    ),
    "negative replicas": (
        ["pool", "scale", "p", "--replicas", "-1"],
        "--replicas must be at least 0",
    ),
    "no duration": (
        ["task", "wait", "t", "--timeout", "soon"],
        "'soon' is not a duration: write for example 90s, 5m or 1h30m",
    ),
    "no input": (
        ["task", "submit", "--pool", "p"],
        "give exactly one of --input, --input-file, --input-from and -f",
    ),
    "two inputs": (
        ["task", "submit", "--pool", "p", "--input", "{}", "-f", "x"],
        "give exactly one of --input, --input-file, --input-from and -f",
    ),
    "input is no JSON": (
        ["task", "submit", "--pool", "p", "--input", "{'a': 1}"],
        "--input line 1 column 2: is not JSON: Expecting property name enclosed in double quotes",
    ),
    "two kinds of name": (
        ["task", "submit", "--pool", "p", "--input", "{}", "--name", "a", "--generate-name", "b"],
        "give --name or --generate-name, not both",
    ),
    "source without a key": (
        ["task", "submit", "--pool", "p", "--input-from", "secret/mail"],
        "--input-from must have the form secret/NAME:KEY or configmap/NAME:KEY",
    ),
    "source of an unknown kind": (
        ["task", "submit", "--pool", "p", "--input-from", "pod/mail:key"],
        "--input-from must have the form secret/NAME:KEY or configmap/NAME:KEY",
    ),
    "wait and dry run": (
        ["task", "submit", "--pool", "p", "--input", "{}", "--wait", "--dry-run=client"],
        "--wait and --dry-run exclude each other",
    ),
    "names and selection": (
        ["task", "get", "t", "-A"],
        "give names or a selection (-A, -l ...), not both",
    ),
    "pool without name": (
        ["pool", "create", "--image", "x"],
        "the name is missing: give it with --image, or give a manifest with -f",
    ),
    "pool without image": (
        ["pool", "create", "p"],
        "--image is missing: name the image of the agent, or a manifest with -f",
    ),
    "manifest and options": (
        ["agent", "create", "-f", "x", "--slots", "2"],
        "-f takes all from the manifest: drop the name and the other options",
    ),
    "broken quotes": (
        ["pool", "create", "p", "--image", "x", "--command", "a 'b"],
        "--command: no closing quotation",
    ),
    "no kubeconfig": (
        ["task", "get"],
        "no kubeconfig at ~/.kube/config: name one with --kubeconfig or KUBECONFIG",
    ),
    "kubeconfig that is not there": (
        ["task", "get", "--kubeconfig", "/nonexistent/k"],
        "no kubeconfig at /nonexistent/k: name one with --kubeconfig or KUBECONFIG",
    ),
}


@pytest.mark.parametrize(("arguments", "expected"), USAGE.values(), ids=USAGE)
def test_usage_errors(run: Run, arguments: list[str], expected: str) -> None:
    """A command that cannot be understood ends with 2, nothing on stdout and one line on stderr."""
    assert run(*arguments) == Said(ExitCode.USAGE, "", expected)


@pytest.mark.parametrize("arguments", [[], ["task"], ["pool"], ["agent"], ["task", "--help"]])
def test_help_is_no_error(run: Run, arguments: list[str]) -> None:
    """A noun alone shows its help and succeeds, as kubectl's do."""
    said = run(*arguments)
    assert said.code == ExitCode.OK
    assert said.stdout.startswith("Usage: agentcorps")


def test_client_version_needs_no_cluster(run: Run) -> None:
    """The command's own version is shown without any kubeconfig."""
    assert run("version", "--client").stdout == f"agentcorps {__version__}\n"


BROKEN: dict[str, tuple[Any, str]] = {
    "not YAML": ("a: [", "cannot be read (ParserError): is it a kubeconfig?"),
    "another file": ("just text", "cannot be read (TypeError): is it a kubeconfig?"),
    "empty": ("", "cannot be used: Invalid kube-config. {path} file is empty"),
    "no contexts": (
        "apiVersion: v1",
        "cannot be used: Invalid kube-config file. Expected key current-context in {path}",
    ),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN)
def test_broken_kubeconfig(run: Run, tmp_path: Path, text: str, expected: str) -> None:
    """A file that is no kubeconfig is named, with what is wrong and without its content."""
    path = tmp_path / "config"
    path.write_text(text)
    said = run("task", "get", "--kubeconfig", str(path))
    assert said == Said(ExitCode.USAGE, "", f"kubeconfig {path} {expected.format(path=path)}")


def test_unknown_context(run: Run, tmp_path: Path) -> None:
    """A context that the kubeconfig lacks is named, with the way to see those that it has."""
    path = write_kubeconfig(tmp_path / "config", DEAD)
    said = run("task", "get", "--kubeconfig", str(path), "--context", "prod")
    assert said.code == ExitCode.USAGE
    assert said.error == (
        f"kubeconfig {path} has no context 'prod': see `kubectl config get-contexts`"
    )


def test_failed_login_command(run: Run, tmp_path: Path) -> None:
    """A login command of the kubeconfig that fails is told with its own words."""
    login = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", "echo token expired >&2; exit 1"],
        "interactiveMode": "Never",
    }
    path = write_kubeconfig(tmp_path / "config", DEAD, user={"exec": login})
    said = run("task", "get", "--kubeconfig", str(path))
    assert said == Said(
        ExitCode.USAGE,
        "",
        f"the login that kubeconfig {path} runs failed: exec: process returned 1. token expired;"
        " log in again",
    )


def test_unreachable_server(run: Run, tmp_path: Path) -> None:
    """A server that does not answer is named, and the command ends with 6."""
    path = write_kubeconfig(tmp_path / "config", DEAD)
    said = run("task", "get", "--kubeconfig", str(path))
    assert said == Said(
        ExitCode.API,
        "",
        f"cannot reach the API server at {DEAD}: [Errno 111] Connection refused;"
        " is the cluster running, and is it the right --context?",
    )


def test_bad_namespace_is_not_sent(run: Run, tmp_path: Path) -> None:
    """A namespace that cannot exist is refused before it gets into a URL."""
    path = write_kubeconfig(tmp_path / "config", DEAD)
    said = run("task", "get", "--kubeconfig", str(path), "-n", "a/../b")
    assert said == Said(ExitCode.USAGE, "", "'a/../b' cannot be the name of a namespace")


ANSWERS = {
    "expired login": (
        401,
        json.dumps({"kind": "Status", "reason": "Unauthorized", "message": "Unauthorized"}),
        ExitCode.USAGE,
        "{host} does not accept your login: it is missing, wrong or expired; log in",
    ),
    "server error": (
        500,
        "boom\nbang",
        ExitCode.API,
        "the API server answered 500: boom bang; try again",
    ),
    "another web server": (
        200,
        "<html>",
        ExitCode.API,
        "the answer of {host} broke off: try again",
    ),
    "another API": (200, "[]", ExitCode.API, "{host} does not answer like a Kubernetes API server"),
    "no CRDs": (
        404,
        "404 page not found",
        ExitCode.USAGE,
        "{host} does not serve agentcorps.dev: install agentcorps there, or name another --context",
    ),
}


@pytest.mark.parametrize(("code", "text", "exit_code", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_answers_of_the_server(
    run: Run, tmp_path: Path, code: int, text: str, exit_code: ExitCode, expected: str
) -> None:
    """Each kind of answer has its exit code and one line that says what to do."""
    with serving(lambda _path: (code, text)) as host:
        path = write_kubeconfig(tmp_path / "config", host)
        said = run("task", "get", "--kubeconfig", str(path))
    assert said == Said(exit_code, "", expected.format(host=host))


def test_crds_of_another_version(run: Run, tmp_path: Path) -> None:
    """CRDs of another version are told apart from none at all."""

    def script(path: str) -> tuple[int, str]:
        if path == "/apis/agentcorps.dev":
            return 200, json.dumps({"versions": [{"version": "v1"}]})
        return 404, "404 page not found"

    with serving(script) as host:
        path = write_kubeconfig(tmp_path / "config", host)
        said = run("task", "get", "--kubeconfig", str(path))
    assert said == Said(
        ExitCode.USAGE,
        "",
        f"{host} serves agentcorps.dev v1, this command speaks v1alpha1:"
        " use a version of it that fits",
    )


def test_nothing_is_sent_when_a_later_document_is_wrong(run: Run, tmp_path: Path) -> None:
    """All documents are checked before the first request: a typo in the second sends nothing."""
    asked: list[str] = []

    def script(path: str) -> tuple[int, str]:
        asked.append(path)
        return 500, "{}"

    tasks = tmp_path / "tasks.yaml"
    tasks.write_text("pool: p\n---\npool: p\npriorty: 3\n")
    with serving(script) as host:
        path = write_kubeconfig(tmp_path / "config", host)
        said = run("task", "submit", "-f", str(tasks), "--kubeconfig", str(path))
    assert said == Said(
        ExitCode.USAGE, "", f"{tasks} document 2: spec.priorty: is not a known field"
    )
    assert asked == []


def test_unexpected_errors_are_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug shows its kind and place; no traceback, and not its text, which may hold data."""

    def broken(_text: str) -> None:
        raise KeyError("payload")

    monkeypatch.setattr(version, "emit", broken)
    said = run("version", "--client")
    assert said.code == ExitCode.API
    assert said.error.startswith("unexpected KeyError at test_cli_main.py:")
    assert "payload" not in said.error


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["task", "r"], ["retry", "result"]),
        (["po"], ["pool"]),
        (["task", "get", "--phase", "Can"], ["Cancelled"]),
        (["pool", "scale", "--rep"], ["--replicas"]),
    ],
)
def test_completion_for_kubectl(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    expected: list[str],
) -> None:
    """Commands, options and choices are completed in kubectl's protocol."""
    for name in ("_AGENTCORPS_COMPLETE", "COMP_WORDS", "COMP_CWORD"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr("sys.argv", ["kubectl_complete-agentcorps", *words])
    completion.run()
    assert capsys.readouterr().out.split() == [*expected, ":4"]
