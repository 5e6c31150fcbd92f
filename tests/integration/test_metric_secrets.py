"""Nobody has the operator send a Secret that they may not read: the policy on a real API server."""

from typing import Any

import pytest

from generate.policies import POOL_SECRETS, pool_secrets_policy
from support import objects
from support.kubectl import Answer, Kubectl
from support.poll import until
from support.rights import AS_USER, USER, grant

Json = dict[str, Any]

CHANGES = {"agentcorps.dev": {"agentpools": ["create", "get", "patch"]}}
TOKEN = {"authentication": {"secretKeyRef": {"name": "prom", "key": "token"}}}
CA_SECRET = {"tls": {"ca": {"secretKeyRef": {"name": "prom", "key": "ca.crt"}}}}
CA_CONFIG_MAP = {"tls": {"ca": {"configMapKeyRef": {"name": "prom", "key": "ca.crt"}}}}
WHY = (
    "whoever creates or changes a pool must be allowed to read what the operator sends to its"
    " metrics servers"
)


def pool(*proofs: Json, server: str = "https://prom") -> Json:
    """Return a pool with one metric for each of some proofs, and one without any."""
    plain = {
        "type": "Prometheus",
        "serverAddress": server,
        "query": "up",
        "target": {"type": "Value", "value": 1},
    }
    policies = [plain, *({**plain, **proof} for proof in proofs)]
    return objects.pool("crew", scaling={"maxReplicas": 1, "policies": policies})


def create(kubectl: Kubectl, document: Json) -> Answer:
    """Ask whether the user may create a pool."""
    return kubectl.send("create", document, options=(AS_USER, "--dry-run=server"))


@pytest.fixture(scope="module")
def policy(cluster: Kubectl) -> None:
    """Install the policy, and wait until the API server enforces it."""
    probe = cluster.within("default")
    grant(probe, CHANGES, name="probe")
    applied = cluster.send(
        "apply", *pool_secrets_policy(), options=("--server-side", "--force-conflicts")
    )
    assert applied.ok, applied.stderr
    until(lambda: "may not get Secret" in create(probe, pool(TOKEN)).stderr, "refusal")


@pytest.fixture
def user(policy: None, kubectl: Kubectl) -> Kubectl:
    """Return kubectl in a namespace in which the user may create and change pools, no more."""
    assert policy is None
    grant(kubectl, CHANGES, name="pools")
    until(lambda: create(kubectl, pool()).ok, "right on pools")
    return kubectl


def words_of(answer: Answer) -> str:
    """Return what the policy said."""
    assert f"ValidatingAdmissionPolicy '{POOL_SECRETS}'" in answer.stderr, answer.stderr
    return answer.stderr.partition("denied request: ")[2].strip()


@pytest.mark.parametrize(
    ("proof", "resource", "kind"),
    [
        (TOKEN, "secrets", "Secret"),
        (CA_SECRET, "secrets", "Secret"),
        (CA_CONFIG_MAP, "configmaps", "ConfigMap"),
    ],
)
def test_only_who_may_read_a_proof_may_have_it_used(
    user: Kubectl, proof: Json, resource: str, kind: str
) -> None:
    """A pool is refused in words that name the missing right, and taken once that is there."""
    assert words_of(create(user, pool(proof))) == (
        f"spec.scaling.policies: {USER} may not get {kind} prom in namespace {user.namespace}:"
        f" {WHY}"
    )
    grant(user, {"": {resource: ["get"]}}, names=("other",))
    assert "may not get" in words_of(create(user, pool(proof)))
    grant(user, {"": {resource: ["get"]}}, names=("prom",))
    until(lambda: create(user, pool(proof)).ok, "pool with the right")


def test_a_token_is_not_sent_elsewhere_by_who_may_not_read_it(user: Kubectl) -> None:
    """To change the address of a policy with a token asks for the right; all else stays free."""
    user.create(pool(TOKEN))
    stolen = pool(TOKEN, server="https://mine.example")["spec"]
    assert "may not get Secret prom" in words_of(user.patch("agp/crew", {"spec": stolen}, AS_USER))
    for harmless in (
        {"metadata": {"labels": {"a": "b"}}},
        {"spec": {"scaling": {"maxReplicas": 2}}},
        {"spec": {"scaling": {"policies": [{"type": "Tasks"}]}}},
    ):
        answer = user.patch("agp/crew", harmless, AS_USER)
        assert answer.ok, answer.stderr
