"""`agentcorps pool`, `agent`, `status` and `version` on a real API server."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from agentcorps import __version__
from support import objects
from support.cli import Cli
from support.kubectl import Kubectl


@pytest.fixture
def cli(kubeconfig: Path, namespace: str) -> Cli:
    """Return the command line in the test's namespace."""
    return Cli(kubeconfig, namespace)


def test_a_pool_is_created_and_scaled(cli: Cli, kubectl: Kubectl) -> None:
    """A pool from options is stored as said; scaling goes through /scale and shows in its spec."""
    created = cli.run(
        "pool", "create", "readers", "--image", "agentcorps/text-agent:0.1.0", "--replicas", "0",
        "--capability", "read", "--slots", "2", "--env", "A=1", "--cpu", "100m", "--memory", "64Mi",
        "--command", "python -m agent",
    )  # fmt: skip
    assert (created.code, created.stdout) == (0, "agentpool.agentcorps.dev/readers created\n")
    spec = kubectl.get("agentpools/readers")["spec"]
    assert (spec["replicas"], spec["template"]["spec"]["slots"]) == (0, 2)
    scaled = cli.run("pool", "scale", "readers", "--replicas", "3")
    assert (scaled.code, scaled.stdout) == (0, "agentpool.agentcorps.dev/readers scaled\n")
    header, row = cli.run("pool", "get").stdout.splitlines()
    assert dict(zip(header.split(), row.split(), strict=True))["REPLICAS"] == "3"


def test_a_dry_scale_changes_nothing(cli: Cli, kubectl: Kubectl) -> None:
    """--dry-run shows the request to the server and leaves the pool alone."""
    kubectl.create(objects.pool("readers"))
    said = cli.run("pool", "scale", "readers", "--replicas", "3", "--dry-run=server")
    assert said.stdout == "agentpool.agentcorps.dev/readers scaled (server dry run)\n"
    assert kubectl.get("agentpools/readers")["spec"]["replicas"] == 0


REFUSED = {
    "too many replicas": (
        ["pool", "create", "p", "--image", "i", "--replicas", "1000000000"],
        "error: pool 'p': spec.replicas: must be at most 10000\n",
    ),
    "bad quantity": (
        ["pool", "create", "p", "--image", "i", "--memory", "1GBB"],
        'error: the API server refused it: AgentPool.agentcorps.dev "p" is invalid:',
    ),
    "pool name too long": (
        ["pool", "create", "p" * 64, "--image", "i"],
        f'error: the API server refused it: AgentPool.agentcorps.dev "{"p" * 64}" is invalid:',
    ),
    "no such slots": (
        ["agent", "create", "a", "--image", "i", "--slots", "0"],
        "error: agent 'a': spec.slots: must be at least 1\n",
    ),
}


@pytest.mark.parametrize(("arguments", "error"), REFUSED.values(), ids=REFUSED)
def test_bad_pools_and_agents_are_refused(cli: Cli, arguments: list[str], error: str) -> None:
    """What cannot be stored ends with 2 and one line that names the field."""
    said = cli.run(*arguments)
    assert (said.code, said.stdout) == (2, "")
    assert said.stderr.startswith(error)
    assert said.stderr.count("\n") == 1


def test_a_pool_that_is_not_there_cannot_be_scaled(cli: Cli) -> None:
    """Scaling a missing pool gives 3 and the way to see those that exist."""
    said = cli.run("pool", "scale", "none", "--replicas", "1")
    assert said.code == 3
    assert said.stderr.endswith(": see `agentcorps pool get -A`\n")


def test_a_name_that_is_taken(cli: Cli, kubectl: Kubectl) -> None:
    """Creating a pool twice is refused."""
    kubectl.create(objects.pool("readers"))
    said = cli.run("pool", "create", "readers", "--image", "i")
    assert said.code == 2
    assert said.stderr.endswith('"readers" already exists: choose another name\n')


def test_manifests_are_created(cli: Cli, kubectl: Kubectl) -> None:
    """Pools and agents are created from manifests on stdin."""
    pools = yaml.safe_dump_all([objects.pool("one"), objects.pool("two")])
    said = cli.run("pool", "create", "-f", "-", stdin=pools)
    assert said.stdout == (
        "agentpool.agentcorps.dev/one created\nagentpool.agentcorps.dev/two created\n"
    )
    wrong = cli.run("agent", "create", "-f", "-", stdin=pools)
    assert wrong.code == 2
    assert "stdin document 1: must be an agentcorps.dev/v1alpha1 Agent" in wrong.stderr
    assert cli.run("agent", "create", "-f", "-", stdin=yaml.safe_dump(objects.agent("solo"))).ok
    assert kubectl.run("get", "agents", "solo").ok


def test_agents_are_shown(cli: Cli, kubectl: Kubectl) -> None:
    """The table of agents tells phase and slots."""
    assert cli.run("agent", "create", "solo", "--image", "i", "--slots", "4").code == 0
    patch = {"status": {"observedGeneration": 1, "phase": "Busy", "slotsUsed": 3}}
    assert kubectl.patch("agents/solo", patch, "--subresource=status").ok
    header, row = cli.run("agent", "get", "solo").stdout.splitlines()
    assert header.split()[:4] == ["NAME", "POOL", "PHASE", "REASON"]
    assert row.split()[:3] == ["solo", "Busy", "3/4"]
    assert cli.run("agent", "get", "--pool", "readers").stdout == ""


def test_status_shows_operator_pools_and_tasks(cli: Cli, kubectl: Kubectl, namespace: str) -> None:
    """The overview counts what is there, and says who leads by the Lease."""
    kubectl.create(objects.pool("readers", replicas=2))
    kubectl.create(objects.task("t"))
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "agentcorps-operator"},
        "spec": {
            "holderIdentity": "op-1",
            "leaseDurationSeconds": 3600,
            "renewTime": datetime.now(UTC)
            .isoformat(timespec="microseconds")
            .replace("+00:00", "Z"),
        },
    }
    kubectl.create(lease)
    said = cli.run("status", "--operator-namespace", namespace, "-o", "json")
    report = json.loads(said.stdout)
    assert report["operator"]["state"] == "leading"
    assert report["operator"]["leader"] == "op-1"
    assert report["tasks"] == {"Queued": 1}
    [pool] = report["pools"]
    assert (pool["name"], pool["target"], pool["ready"], pool["queued"]) == ("readers", 2, 0, 1)
    table = cli.run("status").stdout
    assert table.startswith("operator   absent: no Lease agentcorps-operator in namespace")
    assert "tasks      1 (1 Queued)\n" in table


def test_version_tells_all_three(cli: Cli) -> None:
    """The versions of the command, of Kubernetes and of the API stand on a line each."""
    ours, kubernetes, api = cli.run("version").stdout.splitlines()
    assert ours == f"agentcorps {__version__}"
    assert kubernetes.startswith("kubernetes v1.")
    assert api == "agentcorps.dev v1alpha1"
