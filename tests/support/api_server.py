"""Fixtures: a real API server with the CRDs, once per run; a namespace of its own for each test.

AGENTCORPS_TEST_KUBECONFIG selects a server that is there already (kubectl is then taken from PATH);
otherwise a control plane is started and ended here.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from support.kubectl import Kubectl

ROOT = Path(__file__).parents[2]
ESTABLISHED = "--for=condition=Established"


@dataclass(frozen=True, slots=True)
class Server:
    """A running API server and the kubectl that fits it."""

    kubeconfig: Path
    kubectl: str = "kubectl"


def cluster_tool(*arguments: str) -> str:
    """Run hack/cluster and return the last line that it prints; its progress shows on stderr."""
    command = [sys.executable, str(ROOT / "hack/cluster"), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip().rpartition("\n")[2]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Return an API server; a started one is ended with the run, even with a failed one."""
    given = os.environ.get("AGENTCORPS_TEST_KUBECONFIG")
    if given:
        yield Server(Path(given))
        return
    name = f"it-{uuid4().hex[:8]}"
    tools = cluster_tool("tools")
    try:
        kubeconfig = cluster_tool("up", "--control-plane-only", "--name", name)
        yield Server(Path(kubeconfig), f"{tools}/kubectl")
    finally:
        cluster_tool("down", "--name", name)


@pytest.fixture(scope="session")
def cluster(server: Server) -> Kubectl:
    """Return kubectl for the cluster, with the CRDs applied and established."""
    kubectl = Kubectl(server.kubeconfig, binary=server.kubectl)
    apply_crds(kubectl)
    return kubectl


def apply_crds(kubectl: Kubectl) -> None:
    """Apply the CRDs as they are in the checkout, and wait until they are served."""
    crds = str(ROOT / "crds")
    applied = kubectl.run("apply", "--server-side", "--force-conflicts", "-f", crds)
    assert applied.ok, applied.stderr
    established = kubectl.run("wait", ESTABLISHED, "--timeout=60s", "-f", crds)
    assert established.ok, established.stderr


@pytest.fixture(scope="session")
def kubeconfig(cluster: Kubectl) -> Path:
    """Return the path of the kubeconfig of a cluster that serves our CRDs."""
    return cluster.kubeconfig


@pytest.fixture
def namespace(cluster: Kubectl) -> Iterator[str]:
    """Return a new namespace, deleted after the test."""
    name = f"test-{uuid4().hex[:8]}"
    created = cluster.run("create", "namespace", name)
    assert created.ok, created.stderr
    yield name
    cluster.run("delete", "namespace", name, "--wait=false")


@pytest.fixture
def kubectl(cluster: Kubectl, namespace: str) -> Kubectl:
    """Return kubectl in the test's own namespace."""
    return cluster.within(namespace)
