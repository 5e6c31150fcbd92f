"""Pools that scale by metrics: a real Prometheus, a real aggregated API, whatever goes wrong."""

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import pytest
import trustme

from cluster.ports import free_port
from support import objects
from support.bearer_proxy import ENDLESS, GOOD, MOVED, SLOW, BearerProxy
from support.cli import Cli
from support.exporter import METRIC
from support.external_metrics import ExternalMetrics, Series
from support.kubectl import Kubectl
from support.operator_process import PATIENT, OperatorProcess
from support.poll import until
from support.prometheus import HOST, Prometheus

Json = dict[str, Any]

SWIFT: Json = {
    "maxReplicas": 9,
    "panic": {"stableWindowSeconds": 0},
    "behavior": {
        "scaleUp": {"policies": [{"type": "Pods", "value": 9, "periodSeconds": 1}]},
        "scaleDown": {"stabilizationWindowSeconds": 0},
    },
}
SECONDS = 180
"""How long to wait at most: an operator and a Prometheus start on a busy machine."""
NEVER = free_port()
"""A port of this machine that nothing listens on."""
TOKENS = {"good": GOOD, "slow": SLOW, "moved": MOVED, "endless": ENDLESS, "bad": "t0ken-of-nobody"}
HOLDS = "; meanwhile the target does not fall"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Return a Prometheus that scrapes an exporter."""
    with Prometheus(tmp_path_factory.mktemp("prometheus")) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(prometheus: Prometheus) -> Iterator[BearerProxy]:
    """Return what stands before it and wants a token."""
    with BearerProxy(prometheus) as server:
        yield server


@pytest.fixture
def operator_environ(prometheus: Prometheus, proxy: BearerProxy) -> Mapping[str, str]:
    """Return the variables of an operator that may ask them, although they are on this machine."""
    servers = f"{prometheus.address},{proxy.address},https://{HOST}:{NEVER}"
    return {**PATIENT, "AGENTCORPS_PROMETHEUS_SERVERS": servers}


def give_proofs(kubectl: Kubectl, prometheus: Prometheus) -> None:
    """Create a Secret with all tokens, and the authorities: the right one and another."""
    proofs = {"ca.crt": prometheus.ca_pem, "other.crt": trustme.CA().cert_pem.bytes().decode()}
    created = kubectl.send(
        "create",
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "proofs"},
            "stringData": TOKENS,
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca"}, "data": proofs},
    )
    assert created.ok, created.stderr


def asking(
    server: Prometheus | BearerProxy, query: str, token: str = "", ca: str = "ca.crt", **more: Any
) -> Json:
    """Return a policy that asks a server each second."""
    policy: Json = {
        "type": "Prometheus",
        "serverAddress": server.address,
        "query": query,
        "target": {"type": "AverageValue", "averageValue": 10},
        "tls": {"ca": {"configMapKeyRef": {"name": "ca", "key": ca}}},
        "pollingIntervalSeconds": 1,
        **more,
    }
    if token:
        policy["authentication"] = {"secretKeyRef": {"name": "proofs", "key": token}}
    return policy


def create(kubectl: Kubectl, name: str, policy: Json, **scaling: Any) -> None:
    """Create a pool that scales by one metric."""
    spec: Json = {"replicas": 1, "scaling": {**SWIFT, "policies": [policy], **scaling}}
    kubectl.create(objects.pool(name, **spec))


def target(kubectl: Kubectl, name: str) -> int:
    """Return the target of a pool as its status tells it; -1 while it does not."""
    found: int = kubectl.get(f"agentpool/{name}")["status"].get("targetReplicas", -1)
    return found


def reaches(kubectl: Kubectl, name: str, wanted: int) -> None:
    """Wait for a target."""
    until(lambda: target(kubectl, name) == wanted, f"target {wanted} of {name}", seconds=SECONDS)


def hindrance(kubectl: Kubectl, name: str) -> str:
    """Return why a pool's scaling is not active; empty while it is."""
    conditions = kubectl.get(f"agentpool/{name}")["status"].get("conditions", [])
    for one in conditions:
        if one["type"] == "ScalingActive" and one["status"] == "False":
            return f"{one['reason']}: {one['message']}"
    return ""


@pytest.mark.timeout(900)  # the first run builds Prometheus
@pytest.mark.usefixtures("operator")
def test_a_pool_follows_a_metric_of_prometheus(
    kubectl: Kubectl, namespace: str, prometheus: Prometheus, proxy: BearerProxy
) -> None:
    """By TLS and a token, up and down and within tolerance; NaN holds, is told, and passes."""
    give_proofs(kubectl, prometheus)
    prometheus.set("mail", 41)
    create(kubectl, "mail", asking(proxy, f'sum({METRIC}{{queue="mail"}})', "good"))
    reaches(kubectl, "mail", 5)
    prometheus.set("mail", 79)
    reaches(kubectl, "mail", 8)
    prometheus.set("mail", "nan")
    until(lambda: hindrance(kubectl, "mail"), "a hindrance", seconds=SECONDS)
    nan = f"policies[0] (Prometheus): the result of the query is nan{HOLDS}"
    assert hindrance(kubectl, "mail") == f"FailedGetMetric: {nan}"
    assert target(kubectl, "mail") == 8
    said = Cli(kubectl.kubeconfig, namespace).run("pool", "why", "mail").stdout
    assert f"hindered: FailedGetMetric: {nan}" in said
    prometheus.set("mail", 83)  # 8.3 agents' worth: within a tenth of 8
    told = "83, 10 per agent: within tolerance"
    until(lambda: told in json.dumps(kubectl.get("agentpool/mail")["status"]), told)
    assert (target(kubectl, "mail"), hindrance(kubectl, "mail")) == (8, "")
    prometheus.set("mail", 0)
    reaches(kubectl, "mail", 0)
    events = kubectl.run("get", "events.events.k8s.io", "-o", "json").json()["items"]
    reasons = {one["reason"] for one in events}
    assert {"ScaledUp", "FailedGetMetric", "GotMetrics", "ScaledDown"} <= reasons


def failures(prometheus: Prometheus, proxy: BearerProxy) -> dict[str, tuple[Json, str]]:
    """Return policies that cannot work, and what is to be said of each."""
    one = f'{METRIC}{{queue="probe"}}'
    nowhere = f"https://{HOST}:{NEVER}"
    return {
        "syntax": (asking(prometheus, "sum("), "Prometheus refuses the query: bad_data: "),
        "nan": (asking(prometheus, f"{one} * NaN"), "the result of the query is nan"),
        "infinite": (asking(prometheus, f"{one} / 0"), "the result of the query is inf"),
        "nothing": (asking(prometheus, f"{one} > 7"), "no series has a value now"),
        "several": (asking(prometheus, f"{one} or up"), "2 series as its result, not one"),
        "range": (asking(prometheus, f"{one}[1m]"), "a matrix as its result"),
        "slow": (asking(proxy, one, "slow", timeoutSeconds=1), "no answer within 1 s"),
        "endless": (asking(proxy, one, "endless"), "more than 262144 bytes"),
        "moved": (asking(proxy, one, "moved"), "redirects (302), which is not followed"),
        "refused": (asking(proxy, one, "bad"), "refuses the operator's token, or wants one (401)"),
        "silent": (asking(proxy, one), "refuses the operator's token, or wants one (401)"),
        "stranger": (asking(prometheus, one, ca="other.crt"), "its certificate is not trusted"),
        "public": (asking(prometheus, one, tls={}), "its certificate is not trusted"),
        "nameless": (
            asking(prometheus, one, tls={"serverName": "prom.example"} | ca("ca.crt")),
            "its certificate is not trusted",
        ),
        "gone": (asking(prometheus, one, serverAddress=nowhere), "cannot connect"),
        "plain": (
            asking(prometheus, one, serverAddress=f"http://{HOST}:{prometheus.port}", tls=None),
            "is not one of the servers that this installation may ask",
        ),
        "tokenless": (asking(proxy, one, "lost"), "Secret proofs has no key lost: add it"),
        "keyless": (asking(prometheus, one, ca="lost"), "ConfigMap ca has no key lost: add it"),
    }


def ca(key: str) -> Json:
    """Return a part of `tls`."""
    return {"ca": {"configMapKeyRef": {"name": "ca", "key": key}}}


@pytest.mark.timeout(900)
def test_each_failure_ends_in_the_fallback_and_a_condition(
    kubectl: Kubectl, operator: OperatorProcess, prometheus: Prometheus, proxy: BearerProxy
) -> None:
    """Whatever a server does wrong, the fallback holds, it is told, and no other pool suffers."""
    give_proofs(kubectl, prometheus)
    cases = failures(prometheus, proxy)
    fallback = {"failureThreshold": 2, "replicas": 1}
    for name, (policy, _) in cases.items():
        written = {field: value for field, value in policy.items() if value is not None}
        create(kubectl, name, written, fallback=fallback)
    create(kubectl, "well", asking(proxy, f'{METRIC}{{queue="probe"}} * 25', "good"))
    reaches(kubectl, "well", 3)
    for name, (_, words) in cases.items():
        reaches(kubectl, name, 1)
        why = hindrance(kubectl, name)
        assert why.startswith("FailedGetMetric: policies[0] (Prometheus): "), (name, why)
        assert words in why, (name, why)
        assert why.endswith("; fallback (static, 1)"), (name, why)
    assert hindrance(kubectl, "well") == ""
    shown = kubectl.run("get", "agp,events", "-o", "yaml").stdout + operator.log.read_text()
    assert not [token for token in TOKENS.values() if token in shown]


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("operator")
def test_a_pool_follows_external_metrics(kubectl: Kubectl) -> None:
    """Series are chosen by label and summed; errors, silence and no series hold or fall back."""
    policy = {
        "type": "External",
        "metric": {"name": "depth", "selector": {"matchLabels": {"queue": "mail"}}},
        "target": {"type": "Value", "value": "1500m"},
        "pollingIntervalSeconds": 1,
        "timeoutSeconds": 1,
    }
    series = (
        Series("4", {"queue": "mail"}),
        Series("500m", {"queue": "mail", "to": "b"}),
        Series("99", {"queue": "post"}),
    )
    fallback = {"failureThreshold": 1, "replicas": 7, "behavior": "currentReplicasIfHigher"}
    with ExternalMetrics(kubectl) as metrics:
        metrics.put("depth", *series)
        create(kubectl, "held", policy)
        create(kubectl, "fallen", policy, fallback=fallback)
        reaches(kubectl, "held", 3)
        reaches(kubectl, "fallen", 3)
        metrics.failure = HTTPStatus.INTERNAL_SERVER_ERROR
        reaches(kubectl, "fallen", 7)
        until(lambda: "500" in hindrance(kubectl, "held"), "a hindrance")
        assert target(kubectl, "held") == 3
        metrics.failure = None
        metrics.silent.set()
        silence = f"FailedGetMetric: policies[0] (External): no answer within 1 s{HOLDS}"
        until(lambda: hindrance(kubectl, "held") == silence, silence)
        metrics.silent.clear()
        metrics.put("depth", series[-1])
        none = "metric depth has no series that the selector matches"
        until(lambda: none in hindrance(kubectl, "held"), none)
        assert (target(kubectl, "held"), target(kubectl, "fallen")) == (3, 7)
        metrics.put("depth", Series("0", {"queue": "mail"}))
        reaches(kubectl, "held", 0)
        reaches(kubectl, "fallen", 0)
    until(lambda: "knows no metric" in hindrance(kubectl, "held"), "no API", seconds=SECONDS)
