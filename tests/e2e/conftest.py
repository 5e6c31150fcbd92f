"""A cluster that the operator is installed in, and namespaces that enforce restricted pods.

`make e2e` prepares both. KUBECONFIG selects the cluster; without it the local one is taken.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from agentcorps import __version__
from support.cli import Cli
from support.crew import Crew
from support.kubectl import Kubectl

ROOT = Path(__file__).parents[2]
OPERATOR_NAMESPACE = "agentcorps-system"
AGENT_IMAGE = f"agentcorps/agent:{__version__}"


def _exports() -> dict[str, str]:
    """Return what `hack/cluster env` sets."""
    command = [sys.executable, str(ROOT / "hack/cluster"), "env"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r"^export (\w+)=([^\s:]+)", lines, re.MULTILINE))


@pytest.fixture(scope="session")
def cluster() -> Kubectl:
    """Return kubectl for the cluster."""
    set_here = {} if "KUBECONFIG" in os.environ else _exports()
    folder = set_here.get("PATH")
    kubeconfig = os.environ.get("KUBECONFIG") or set_here.get("KUBECONFIG", "~/.kube/config")
    binary = f"{folder}/kubectl" if folder else "kubectl"
    kubectl = Kubectl(Path(kubeconfig).expanduser(), binary=binary)
    found = kubectl.run("get", "deployment/agentcorps-operator", "-n", OPERATOR_NAMESPACE)
    if not found.ok:
        pytest.fail(f"no operator to test, run `make e2e`: {found.stderr}", pytrace=False)
    return kubectl


@pytest.fixture(scope="session")
def system(cluster: Kubectl) -> Kubectl:
    """Return kubectl in the operator's namespace."""
    return cluster.within(OPERATOR_NAMESPACE)


@pytest.fixture(scope="module")
def new_namespace(cluster: Kubectl) -> Iterator[Callable[[], str]]:
    """Return a function that makes a namespace; all are deleted after the module's tests."""
    made: list[str] = []

    def make() -> str:
        name = f"e2e-{uuid4().hex[:8]}"
        metadata = {
            "name": name,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        }
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        made.append(name)
        return name

    yield make
    for name in made:
        cluster.run("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="module")
def new_crew(cluster: Kubectl, new_namespace: Callable[[], str]) -> Callable[[], Crew]:
    """Return a function that makes a namespace with the program of the test agent in it."""

    def make() -> Crew:
        crew = Crew(cluster.within(new_namespace()), AGENT_IMAGE)
        crew.prepare()
        return crew

    return make


@pytest.fixture(scope="module")
def crew(new_crew: Callable[[], Crew]) -> Crew:
    """Return the module's own namespace, with the program of the test agent in it."""
    return new_crew()


@pytest.fixture(scope="module")
def pair(crew: Crew) -> Crew:
    """Return the module's namespace with a pool `crew` of two ready agents."""
    crew.pool("crew", 2)
    return crew


@pytest.fixture
def cli(crew: Crew) -> Cli:
    """Return the command line in the module's namespace."""
    return Cli(crew.kubectl.kubeconfig, crew.namespace)
