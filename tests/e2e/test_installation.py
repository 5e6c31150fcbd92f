"""The installed operator itself: its pod, its probes, its Lease."""

import json

from support.kubectl import Kubectl

OPERATOR_POD = "app.kubernetes.io/component=operator"


def test_operator_runs_where_only_restricted_pods_may(system: Kubectl) -> None:
    """The operator is ready in a namespace that enforces the restricted standard."""
    namespace = system.get(f"namespace/{system.namespace}")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    waited = system.run("wait", "--for=condition=Ready", "pod", "-l", OPERATOR_POD, "--timeout=60s")
    assert waited.ok, waited.stderr
    pod = system.get("pods", "-l", OPERATOR_POD)["items"][0]
    context = pod["spec"]["containers"][0]["securityContext"]
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]


def test_operator_logs_json_without_secrets(system: Kubectl) -> None:
    """Each line of the operator's log is JSON, and none holds a token or a private key."""
    text = system.run("logs", "-l", OPERATOR_POD, "--tail=-1").stdout
    assert text
    for line in text.splitlines():
        json.loads(line)
    for secret in ("eyJhbGciOi", "PRIVATE KEY"):
        assert secret not in text


def test_operator_may_only_what_it_needs(system: Kubectl) -> None:
    """The operator's account can list no Secrets, and cannot change Task specs."""
    account = f"--as=system:serviceaccount:{system.namespace}:agentcorps-operator"
    for verb, what in (("list", "secrets"), ("update", "tasks.agentcorps.dev"), ("patch", "pods")):
        answer = system.run("auth", "can-i", verb, what, account, "-A")
        assert answer.stdout.strip() == "no"
