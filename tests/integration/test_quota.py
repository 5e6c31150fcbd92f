"""Pools share the ResourceQuota of their namespace, with the real quota controller.

No kubelet runs there: pods are mere objects, and their agents never say hello.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest

from agentcorps.api.meta import LABEL_POOL
from support import objects
from support.cli import Cli
from support.kubectl import Kubectl
from support.operator_process import PATIENT
from support.poll import until

Json = dict[str, Any]
WEIGHTS = {"small": 1, "middle": 2, "large": 4}
SHORT = {"AGENTCORPS_MIN_RUNTIME_SECONDS": "2"}
"""A minute's patience is for clusters; the rules are the same."""

SLOW: Json = {"health": {"startupSeconds": 3600}}
"""No process ever says hello here: agents have time to start for as long as a test may take."""


@pytest.fixture
def operator_environ() -> Mapping[str, str]:
    """Return the variables of an operator that does not wait for long before it takes back."""
    return {**PATIENT, **SHORT}


def quota(kubectl: Kubectl, name: str = "team", **hard: str) -> None:
    """Create or change a ResourceQuota, and wait until it is enforced."""
    spec = {"hard": {key.replace("_", "."): value for key, value in hard.items()}}
    document = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}}
    assert kubectl.send("apply", {**document, "spec": spec}).ok

    def enforced() -> bool:
        status = kubectl.get(f"resourcequota/{name}").get("status", {})
        return bool(status.get("hard") == spec["hard"] and "used" in status)

    until(enforced, "quota")


def pool(kubectl: Kubectl, name: str, replicas: int, **share: int) -> None:
    """Create a pool."""
    template = objects.pod_template(resources={"requests": {"cpu": "100m"}})
    made = objects.pool(name, {"podTemplate": template, **SLOW}, replicas=replicas, quota=share)
    assert kubectl.send("create", made).ok


def pods(kubectl: Kubectl) -> dict[str, int]:
    """Count the pods of each pool."""
    found = kubectl.get("pods")["items"]
    return dict(Counter(one["metadata"].get("labels", {}).get(LABEL_POOL, "") for one in found))


def has(kubectl: Kubectl, wanted: dict[str, int]) -> bool:
    """Tell whether each pool has its number of pods."""
    return pods(kubectl) == wanted


def condition(kubectl: Kubectl, name: str) -> Json:
    """Return the condition QuotaLimited of a pool."""
    found = kubectl.get(f"agentpool/{name}").get("status", {}).get("conditions", [])
    return next((one for one in found if one["type"] == "QuotaLimited"), {})


def shown(cli: Cli) -> list[list[str]]:
    """Return the words of each line of the overview, once it tells the share of the crew."""
    said = cli.run("status")
    assert said.code == 0, said.stderr
    lines = [line.split() for line in said.stdout.splitlines()]
    return lines if ["crew", "5", "3"] in [line[:3] for line in lines] else []


@pytest.mark.usefixtures("operator")
def test_three_pools_share_by_weight_and_follow_demand(kubectl: Kubectl) -> None:
    """1:2:4 under contention; what one does not want the others get, and give back later."""
    quota(kubectl, pods="14", requests_cpu="10")
    for name, weight in WEIGHTS.items():
        pool(kubectl, name, 20, weight=weight)
    shares = {"small": 2, "middle": 4, "large": 8}
    until(partial(has, kubectl, shares), "shares by weight", seconds=120)

    assert kubectl.run("scale", "agentpool/large", "--replicas=2").ok
    lent = {"small": 4, "middle": 8, "large": 2}
    until(partial(has, kubectl, lent), "lending", seconds=120)

    assert kubectl.run("scale", "agentpool/large", "--replicas=20").ok
    until(partial(has, kubectl, shares), "reclaim", seconds=180)
    limited = until(
        lambda: found if (found := condition(kubectl, "large")).get("status") == "True" else None,
        "condition",
    )
    assert "its share is 8 of 20 agents, by pods of ResourceQuota team" in limited["message"]
    refused = kubectl.get("events.events.k8s.io")["items"]
    assert not [one for one in refused if "exceeded quota" in one.get("note", "")]


@pytest.mark.usefixtures("operator")
def test_what_others_use_and_what_a_limit_range_adds_counts(
    kubectl: Kubectl, namespace: str
) -> None:
    """A foreign pod takes from the share; more quota is used at once; status tells it all."""
    requests = {"cpu": "500m"}
    limits = {"spec": {"limits": [{"type": "Container", "defaultRequest": requests}]}}
    document = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "sizes"}}
    assert kubectl.send("create", {**document, **limits}).ok
    quota(kubectl, requests_cpu="2")
    container = {"name": "c", "image": "example.com/other:1"}
    other = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other"}}
    made = kubectl.send("create", {**other, "spec": {"containers": [container]}})
    assert made.ok, made.stderr
    made = kubectl.send("create", objects.pool("crew", SLOW, replicas=5))
    assert made.ok, made.stderr
    until(partial(has, kubectl, {"": 1, "crew": 3}), "three agents beside another pod")
    until(lambda: condition(kubectl, "crew").get("status") == "True", "condition")
    told = until(partial(shown, Cli(kubectl.kubeconfig, namespace)), "the share in the overview")
    assert ["POOL", "TARGET", "SHARE"] in [line[:3] for line in told]
    assert ["team", "requests.cpu", "2", "2"] in told
    quota(kubectl, requests_cpu="10")
    until(partial(has, kubectl, {"": 1, "crew": 5}), "all agents with a larger quota")
    until(lambda: condition(kubectl, "crew").get("status") == "False", "end of the limit")


@pytest.fixture
def sandboxed(cluster: Kubectl, namespace: str) -> Iterator[str]:
    """Return a RuntimeClass whose pods cost 250m and 28Mi more than their containers."""
    overhead = {"podFixed": {"cpu": "250m", "memory": "28Mi"}}
    document = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "handler": "runc"}
    cluster.create({**document, "metadata": {"name": namespace}, "overhead": overhead})
    yield namespace
    assert cluster.run("delete", "runtimeclass", namespace).ok


@pytest.mark.usefixtures("operator")
def test_what_a_runtime_class_and_a_limit_range_add_is_shared_out(
    kubectl: Kubectl, sandboxed: str
) -> None:
    """Half of the CPU and all limits of the pods are added by admission, and count as the rest."""
    limits = {"spec": {"limits": [{"type": "Container", "default": {"memory": "100Mi"}}]}}
    document = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "sizes"}}
    kubectl.create({**document, **limits})
    quota(kubectl, requests_cpu="2", limits_memory="1Gi")
    template = objects.pod_template(resources={"requests": {"cpu": "250m"}})
    template["spec"]["runtimeClassName"] = sandboxed
    kubectl.create(objects.pool("crew", {"podTemplate": template, **SLOW}, replicas=9))
    until(partial(has, kubectl, {"crew": 4}), "as many as the CPU allows")
    quota(kubectl, requests_cpu="10", limits_memory="800Mi")
    until(partial(has, kubectl, {"crew": 6}), "as many as the limits allow")
    said = "its share is 6 of 9 agents, by limits.memory of ResourceQuota team"
    until(lambda: condition(kubectl, "crew").get("message") == said, "what limits it")
    charged = {"requests.cpu": "3", "limits.memory": "768Mi"}
    until(
        lambda: kubectl.get("resourcequota/team")["status"]["used"] == charged,
        "the charge as the API server counts it",
    )
