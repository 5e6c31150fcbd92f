"""The API server of these measurements, as fixtures."""

from support.api_server import cluster, kubeconfig, kubectl, namespace, server

__all__ = ["cluster", "kubeconfig", "kubectl", "namespace", "server"]
