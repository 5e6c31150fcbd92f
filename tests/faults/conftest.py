"""Fixtures of the fault tests, and the table at the end of their run."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from support.api_server import cluster, kubeconfig, kubectl, namespace, server
from support.fault_table import Row, markdown
from support.kubectl import Kubectl
from support.reference import References
from support.stage import Stage

__all__ = ["cluster", "kubeconfig", "kubectl", "namespace", "server"]

INTRO = """# Faults

What the operator was put through, by `make faults FAULTS_REPORT=docs/reliability/faults.md`, with
a real API server and etcd, real operator processes and real SDK agents. An independent watcher with
a connection and code of its own remembers every state of every Task and Pod, and judges the
invariants: **I1** at most one live binding per Task and at most `slots` per agent · **I2** the end
state, the number of pods and the writes of each kind that the API server did are those of a run of
the same agents and tasks without faults; exactly so for Tasks, Pods, Agents and Secrets, while
statuses of agents and pools, which are put together by the clock, may be as many more as agents
went and came back and as the run took longer, and Events and renewals of the Lease are not counted
· **I3** one immutable terminal state per Task, none lost · **I5** no writes when idle · **I6** a
bad object does not block others · **I7** deletion finishes · **I8** no payload in logs or Events ·
**X** no two executions of a Task at a time, as the agents themselves recorded.

"""
ROWS = pytest.StashKey[list[Row]]()
PASSED = pytest.StashKey[bool]()


@pytest.fixture
def stage(kubectl: Kubectl, namespace: str, tmp_path: Path) -> Iterator[Stage]:
    """Return an empty stage in the test's namespace."""
    with Stage(kubectl, namespace, tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def references(cluster: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> References:
    """Return the runs without faults, made when they are first asked for."""
    return References(cluster, tmp_path_factory.mktemp("references"))


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Iterator[Row]:
    """Return this scenario's row of the table; the marker ``scenario`` names it."""
    marker = request.node.get_closest_marker("scenario")
    made = Row(*marker.args)
    request.config.stash.setdefault(ROWS, []).append(made)
    yield made
    made.passed = request.node.stash.get(PASSED, False)
    staged = (request.node.funcargs or {}).get("stage")  # none when the run was interrupted
    if staged is not None and staged.watcher.gaps:
        made.faults += f" (the watcher had to list anew {staged.watcher.gaps} x)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the row know how its test went."""
    report = yield
    if report.when == "call":
        item.stash[PASSED] = report.passed
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table, and write it where FAULTS_REPORT says."""
    rows = config.stash.get(ROWS, [])
    if not rows:
        return
    table = markdown(rows)
    terminalreporter.section("faults")
    terminalreporter.write(table)
    path = os.environ.get("FAULTS_REPORT")
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(INTRO + table)
