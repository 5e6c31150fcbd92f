"""`agentcorps task` on a real API server; the operator's status writes are made by kubectl."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import objects
from support.cli import PROGRAM, Cli, call, ended
from support.kubectl import Kubectl, put_status
from support.poll import until

LATER = "2026-11-23T12:00:05Z"


@pytest.fixture
def cli(kubeconfig: Path, namespace: str) -> Cli:
    """Return the command line in the test's namespace."""
    return Cli(kubeconfig, namespace)


def names_of(kubectl: Kubectl) -> list[str]:
    """Return the names of all Tasks of the namespace."""
    return [
        item["metadata"]["name"]
        for item in kubectl.run("get", "tasks", "-o", "json").json()["items"]
    ]


def test_submit_creates_a_task(cli: Cli, kubectl: Kubectl) -> None:
    """Every option of submit stands in the stored Task."""
    said = cli.run(
        "task", "submit", "--pool", "readers", "--requires", "a", "--requires", "b",
        "--input", '{"text": "x", "n": null}', "--name", "first", "--priority", "-5",
        "--queue-timeout-seconds", "90", "--timeout-seconds", "60", "--retry-limit", "0",
        "--ttl", "30", "--label", "run=1",
    )  # fmt: skip
    assert (said.code, said.stdout, said.stderr) == (0, "task.agentcorps.dev/first created\n", "")
    stored = kubectl.get("tasks/first")
    assert stored["metadata"]["labels"] == {"run": "1"}
    assert stored["spec"] == {
        "pool": "readers",
        "requires": ["a", "b"],
        "input": {"text": "x", "n": None},
        "priority": -5,
        "queueTimeoutSeconds": 90,
        "timeoutSeconds": 60,
        "retry": {"limit": 0},
        "ttlSecondsAfterFinished": 30,
        "cancel": False,
    }


def test_a_name_makes_submit_idempotent(cli: Cli, kubectl: Kubectl) -> None:
    """The same spec under the same name changes nothing; another spec is refused."""
    arguments = ["task", "submit", "--pool", "p", "--name", "one", "--input"]
    assert cli.run(*arguments, '{"n": 1.0}').stdout == "task.agentcorps.dev/one created\n"
    again = cli.run(*arguments, '{"n": 1}')
    assert (again.code, again.stdout) == (0, "task.agentcorps.dev/one unchanged\n")
    other = cli.run(*arguments, '{"n": 2}')
    assert (other.code, other.stdout) == (2, "")
    assert other.stderr == (
        "error: task 'one' exists with another spec and cannot be changed: choose another name\n"
    )
    assert names_of(kubectl) == ["one"]


def test_jsonl_from_stdin(cli: Cli, kubectl: Kubectl) -> None:
    """Each line of inputs becomes a Task, and their names are ready for the next command."""
    lines = "".join(json.dumps({"text": str(number)}) + "\n" for number in range(3))
    said = cli.run("task", "submit", "--pool", "p", "--input-file", "-", "-o", "name", stdin=lines)
    names = said.stdout.split()
    assert said.code == 0
    assert sorted(name.partition("/")[2] for name in names) == names_of(kubectl)
    assert said.stderr == ""


def test_manifests_of_both_forms(cli: Cli, kubectl: Kubectl, tmp_path: Path) -> None:
    """A file may hold whole Tasks and bare specs."""
    file = tmp_path / "tasks.yaml"
    spec = {"pool": "readers", "input": {"b": 2}}
    file.write_text(yaml.safe_dump_all([objects.task("whole", input={"a": 1}), spec]))
    said = cli.run("task", "submit", "-f", str(file), "--label", "run=7")
    assert said.code == 0, said.stderr
    stored = kubectl.get("tasks", "-l", "run=7")["items"]
    assert sorted(json.dumps(item["spec"]["input"]) for item in stored) == ['{"a": 1}', '{"b": 2}']


@pytest.mark.parametrize(
    ("dry_run", "suffix"), [("client", " (dry run)"), ("server", " (server dry run)")]
)
def test_dry_run_creates_nothing(cli: Cli, kubectl: Kubectl, dry_run: str, suffix: str) -> None:
    """A dry run says what would happen and stores nothing."""
    arguments = ["--pool", "p", "--input", "{}", "--name", "t", f"--dry-run={dry_run}"]
    said = cli.run("task", "submit", *arguments)
    assert said.stdout == f"task.agentcorps.dev/t created{suffix}\n"
    assert names_of(kubectl) == []


def test_the_server_refuses_what_only_it_knows(cli: Cli) -> None:
    """A field that only the API server can judge is refused with its path."""
    said = cli.run("task", "submit", "--pool", "No Pool", "--input", "{}", "--name", "t")
    assert (said.code, said.stdout) == (2, "")
    assert said.stderr.startswith("error: the API server refused it: ")
    assert "spec.pool" in said.stderr
    assert said.stderr.count("\n") == 1


def test_unknown_metadata_is_refused(cli: Cli, tmp_path: Path) -> None:
    """Strict validation of the server covers what the models do not: metadata."""
    task = objects.task()
    task["metadata"]["lables"] = {"a": "b"}
    file = tmp_path / "task.json"
    file.write_text(json.dumps(task))
    said = cli.run("task", "submit", "-f", str(file))
    assert said.code == 2
    assert 'unknown field "metadata.lables"' in said.stderr


def test_a_large_input_is_not_sent(cli: Cli, kubectl: Kubectl, tmp_path: Path) -> None:
    """An input over 64 KiB is refused before anything is sent, in one line without the input."""
    file = tmp_path / "inputs.jsonl"
    file.write_text('{"text": "small"}\n' + json.dumps({"text": "x" * 65536}) + "\n")
    said = cli.run("task", "submit", "--pool", "p", "--input-file", str(file))
    assert said.code == 2
    assert said.stderr == (
        f"error: {file} line 2: input has 65547 bytes, more than the 65536 that a Task may carry:"
        " store the data elsewhere and give its address\n"
    )
    assert names_of(kubectl) == []


def test_submit_says_how_far_it_came(cli: Cli, tmp_path: Path) -> None:
    """When the server refuses one of several Tasks, those before it are counted."""
    file = tmp_path / "tasks.yaml"
    file.write_text(yaml.safe_dump_all([objects.task("a"), objects.task("b", pool="No Pool")]))
    said = cli.run("task", "submit", "-f", str(file))
    assert (said.code, said.stdout) == (2, "task.agentcorps.dev/a created\n")
    assert said.stderr.endswith("(1 of 2 submitted)\n")


def test_submit_wait_prints_the_result(cli: Cli, kubectl: Kubectl) -> None:
    """With --wait only the result is on stdout; what happens meanwhile is told on stderr."""
    process = cli.start("task", "submit", "--pool", "p", "--input", "{}", "--name", "t", "--wait")
    until(lambda: names_of(kubectl) == ["t"], "Task")
    put_status(kubectl, "t", phase="Running", agentName="p-0", attempt=1, startedAt=LATER)
    put_status(kubectl, "t", phase="Succeeded", result={"words": 3}, finishedAt=LATER)
    said = ended(process)
    assert (said.code, json.loads(said.stdout)) == (0, {"words": 3})
    assert said.stderr.endswith("t: Succeeded\n")


def test_submit_wait_with_several_tasks(cli: Cli, kubectl: Kubectl, tmp_path: Path) -> None:
    """Several results are one line each in the order of the file; one failure ends with 1."""
    file = tmp_path / "tasks.yaml"
    file.write_text(yaml.safe_dump_all([objects.task("b"), objects.task("a")]))
    process = cli.start("task", "submit", "-f", str(file), "--wait")
    until(lambda: names_of(kubectl) == ["a", "b"], "Tasks")
    put_status(kubectl, "a", phase="Failed", reason="AgentError", message="no", finishedAt=LATER)
    put_status(kubectl, "b", phase="Succeeded", result=[1], finishedAt=LATER)
    said = ended(process)
    assert said.code == 1
    assert [json.loads(line) for line in said.stdout.splitlines()] == [
        {"name": "b", "phase": "Succeeded", "result": [1]},
        {"name": "a", "phase": "Failed", "result": None},
    ]
    assert said.stderr.endswith(
        "error: task 'a' Failed: AgentError: no; see `agentcorps task why a`\n"
    )


ENDS = [
    ({"phase": "Succeeded", "result": "text"}, 0, ""),
    (
        {"phase": "Failed", "reason": "AgentError", "message": "no text"},
        1,
        "error: task 't' Failed: AgentError: no text; see `agentcorps task why t`\n",
    ),
    (
        {"phase": "TimedOut", "reason": "Timeout"},
        1,
        "error: task 't' TimedOut: Timeout; see `agentcorps task why t`\n",
    ),
    (
        {"phase": "Cancelled", "reason": "Cancelled"},
        5,
        "error: task 't' Cancelled: Cancelled; see `agentcorps task why t`\n",
    ),
]


@pytest.mark.parametrize(("status", "code", "error"), ENDS, ids=lambda value: str(value)[:24])
def test_wait_and_result_tell_how_it_ended(
    cli: Cli, kubectl: Kubectl, status: dict[str, Any], code: int, error: str
) -> None:
    """Both end with the code of the Task's end, and say why on stderr."""
    kubectl.create(objects.task("t"))
    put_status(kubectl, "t", **status)
    waited = cli.run("task", "wait", "task/t", "--timeout", "30s")
    assert (waited.code, waited.stdout) == (code, f"task.agentcorps.dev/t {status['phase']}\n")
    assert waited.stderr.endswith(error)
    result = cli.run("task", "result", "t", "-o", "raw")
    assert (result.code, result.stdout) == (code, "text\n" if code == 0 else "")
    assert result.stderr == error


def test_waiting_has_an_end(cli: Cli, kubectl: Kubectl) -> None:
    """A Task that does not end in time gives 4, from wait as from result."""
    kubectl.create(objects.task("t"))
    waited = cli.run("task", "wait", "t", "--timeout", "1s")
    assert (waited.code, waited.stdout) == (4, "")
    assert waited.stderr.endswith(
        "error: task 't' (Queued) not done after 1 s: wait on, or ask `agentcorps task why t`\n"
    )
    result = cli.run("task", "result", "t")
    assert (result.code, result.stderr) == (4, "error: task 't' is still Queued: add --wait\n")


def test_wait_for_the_start(cli: Cli, kubectl: Kubectl) -> None:
    """--for=running ends when the work begins."""
    kubectl.create(objects.task("t"))
    process = cli.start("task", "wait", "t", "--for=running", "--timeout", "60s")
    put_status(kubectl, "t", phase="Running", agentName="p-0", attempt=1, startedAt=LATER)
    said = ended(process)
    assert (said.code, said.stdout) == (0, "task.agentcorps.dev/t Running\n")


def test_wait_for_a_task_that_is_deleted(cli: Cli, kubectl: Kubectl) -> None:
    """A Task deleted meanwhile ends the wait with 3."""
    kubectl.create(objects.task("t"))
    process = cli.start("task", "wait", "t")
    assert process.stderr is not None
    assert process.stderr.readline() == "t: Queued\n"
    assert kubectl.run("delete", "tasks", "t").ok
    said = ended(process)
    assert said.code == 3
    assert said.stderr == "error: task 't' was deleted while it was waited for\n"


def test_results_keep_their_type(cli: Cli, kubectl: Kubectl) -> None:
    """A string is quoted as JSON and plain when raw; nulls and unicode survive."""
    kubectl.create(objects.task("t"))
    put_status(kubectl, "t", phase="Succeeded", result={"ü": [None, 1.5]})
    assert json.loads(cli.run("task", "result", "t").stdout) == {"ü": [None, 1.5]}
    assert cli.run("task", "result", "t", "-o", "raw").stdout == '{"ü":[null,1.5]}\n'
    assert yaml.safe_load(cli.run("task", "result", "t", "-o", "yaml").stdout) == {"ü": [None, 1.5]}


def test_get_in_every_format(cli: Cli, kubectl: Kubectl) -> None:
    """Tables for people, the others for programs; selections restrict what is listed."""
    kubectl.create(objects.task("one", pool="p"))
    kubectl.create(objects.task("two", pool="q"))
    put_status(kubectl, "two", phase="Failed", reason="AgentError", agentName="q-0", attempt=3)
    header, *rows = cli.run("task", "get").stdout.splitlines()
    assert header.split() == [
        "NAME",
        "POOL",
        "PHASE",
        "REASON",
        "AGENT",
        "ATTEMPT",
        "PROGRESS",
        "AGE",
    ]
    assert [row.split()[:3] for row in rows] == [["one", "p", "Queued"], ["two", "q", "Failed"]]
    assert cli.run("task", "get", "--phase", "Failed", "-o", "name").stdout == (
        "task.agentcorps.dev/two\n"
    )
    assert cli.run("task", "get", "--pool", "p", "-o", "name").stdout == "task.agentcorps.dev/one\n"
    listed = json.loads(cli.run("task", "get", "-o", "json").stdout)
    assert [item["metadata"]["name"] for item in listed["items"]] == ["one", "two"]
    single = yaml.safe_load(cli.run("task", "get", "one", "-o", "yaml").stdout)
    assert single["kind"] == "Task"
    assert "managedFields" not in single["metadata"]


def test_an_exported_task_can_be_sent_again(cli: Cli, kubectl: Kubectl) -> None:
    """What `get -o yaml` prints is a manifest that submit takes under another name."""
    kubectl.create(objects.task("one", input={"a": 1}))
    exported = yaml.safe_load(cli.run("task", "get", "one", "-o", "yaml").stdout)
    again = cli.run("task", "submit", "-f", "-", "--name", "two", stdin=yaml.safe_dump(exported))
    assert (again.code, again.stdout) == (0, "task.agentcorps.dev/two created\n"), again.stderr
    assert kubectl.get("tasks/two")["spec"]["input"] == {"a": 1}


def test_an_empty_list_is_no_error(cli: Cli, namespace: str) -> None:
    """Nothing to list is said on stderr, and JSON is an empty List."""
    said = cli.run("task", "get")
    assert (said.code, said.stdout) == (0, "")
    assert said.stderr == f"no tasks found in namespace {namespace}\n"
    assert json.loads(cli.run("task", "get", "-o", "json").stdout)["items"] == []


def test_what_is_not_found(cli: Cli, kubectl: Kubectl, kubeconfig: Path, namespace: str) -> None:
    """A missing Task gives 3 with a way on; a missing namespace gives 2."""
    missing = cli.run("task", "get", "none")
    assert missing.code == 3
    assert missing.stderr == (
        f"error: task 'none' not found in namespace {namespace!r}: see `agentcorps task get -A`\n"
    )
    kubectl.create(objects.task(f"in-{namespace}"))
    elsewhere = Cli(kubeconfig, "default").run("task", "result", f"in-{namespace}")
    assert elsewhere.code == 3
    assert elsewhere.stderr.endswith(
        f"is not in namespace 'default' but in {namespace}: add -n {namespace}\n"
    )
    for arguments in (
        ("task", "get"),
        ("task", "get", "t"),
        ("task", "submit", "--pool", "p", "--input", "{}"),
    ):
        said = Cli(kubeconfig, "no-such-place").run(*arguments)
        assert (said.code, said.stdout) == (2, "")
        assert said.stderr == (
            "error: namespace 'no-such-place' does not exist: name another with -n, or create it"
            " with `kubectl create namespace no-such-place`\n"
        )


def test_what_is_not_allowed(cli: Cli) -> None:
    """A refusal by RBAC gives 6, and --as is what it is refused to."""
    said = cli.run("task", "get", "--as", "somebody")
    assert (said.code, said.stdout) == (6, "")
    assert said.stderr.startswith("error: not allowed: ")
    assert 'User "somebody" cannot list resource "tasks"' in said.stderr
    assert said.stderr.count("\n") == 1


def test_kubeconfig_from_the_environment(kubeconfig: Path) -> None:
    """KUBECONFIG is honoured."""
    said = call([str(PROGRAM), "version"], env={"KUBECONFIG": str(kubeconfig)})
    assert (said.code, said.stderr) == (0, "")


def test_a_reader_that_goes_away(cli: Cli) -> None:
    """Output into `head` ends quietly when head has seen enough."""
    command = " ".join(cli.command("version"))
    said = call(["bash", "-c", f"{command} | head -n 1; echo ${{PIPESTATUS[0]}}"])
    assert said.stdout.splitlines()[1:] in (["0"], ["141"])
    assert said.stderr == ""
