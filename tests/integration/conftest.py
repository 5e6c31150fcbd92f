"""Fixtures of these tests: the API server, and on demand an operator and agents for its pods.

A module whose operator needs other variables has its own ``operator_environ``.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from support.api_server import cluster, kubeconfig, kubectl, namespace, server
from support.gates import gated_worker
from support.kubectl import Kubectl
from support.kubelet import Kubelet
from support.operator_process import PATIENT, OperatorProcess

__all__ = ["cluster", "kubeconfig", "kubectl", "namespace", "server"]


@pytest.fixture
def operator_environ() -> Mapping[str, str]:
    """Return the variables of the operator: nobody is there to take over."""
    return PATIENT


@pytest.fixture
def operator(
    kubectl: Kubectl, namespace: str, tmp_path: Path, operator_environ: Mapping[str, str]
) -> Iterator[OperatorProcess]:
    """Return an operator that serves the test's namespace, and leads."""
    log = tmp_path / "operator.log"
    with OperatorProcess(kubectl.kubeconfig, namespace, log, environ=operator_environ) as process:
        yield process


@pytest.fixture
def kubelet(operator: OperatorProcess, kubectl: Kubectl, tmp_path: Path) -> Iterator[Kubelet]:
    """Return what runs an agent for each pod."""
    with Kubelet(kubectl, operator.gateway_url, tmp_path, gated_worker) as runner:
        yield runner
