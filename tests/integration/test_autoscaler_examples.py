"""The manifests of examples/autoscalers on a real API server, KEDA's with its own CRD."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.kubectl import Kubectl

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples/autoscalers"
KEDA = ROOT / "tests/support/keda"
CRD = "crd/scaledobjects.keda.sh"
STRICT = ("--server-side", "--validate=strict", "-o", "json", "-f")


@pytest.fixture
def keda(kubectl: Kubectl) -> Iterator[Kubectl]:
    """Return kubectl for a namespace of a cluster that knows ScaledObjects while it is used."""
    applied = kubectl.run("apply", "--server-side", "-f", str(KEDA / "scaledobjects.yaml"))
    assert applied.ok, applied.stderr
    established = kubectl.run("wait", "--for=condition=Established", "--timeout=60s", CRD)
    assert established.ok, established.stderr
    yield kubectl
    kubectl.run("delete", CRD)


def applied(kubectl: Kubectl, name: str) -> dict[str, Json]:
    """Apply an example strictly, and return what the API server made of it, by kind."""
    answer = kubectl.run("apply", *STRICT, str(EXAMPLES / name))
    assert answer.ok, answer.stderr
    assert answer.stderr == ""
    return {item["kind"]: item for item in answer.json()["items"]}


def target(autoscaler: Json) -> tuple[str, str]:
    """Return kind and name of what an autoscaler scales."""
    found = autoscaler["spec"]["scaleTargetRef"]
    assert found["apiVersion"] == "agentcorps.dev/v1alpha1"
    return found["kind"], found["name"]


def test_the_hpa_fits_its_schema_and_its_pool(kubectl: Kubectl) -> None:
    """The API server takes the HPA strictly; what it scales is the pool beside it."""
    made = applied(kubectl, "hpa.yaml")
    pool, hpa = made["AgentPool"], made["HorizontalPodAutoscaler"]
    assert target(hpa) == ("AgentPool", pool["metadata"]["name"])
    assert "scaling" not in pool["spec"]


def test_the_scaled_object_fits_the_crd_of_keda(keda: Kubectl) -> None:
    """KEDA's own CRD takes it strictly, and keeps every field; what it scales is the pool."""
    made = applied(keda, "keda.yaml")
    pool, scaled = made["AgentPool"], made["ScaledObject"]
    assert target(scaled) == ("AgentPool", pool["metadata"]["name"])
    assert "scaling" not in pool["spec"]
    written = next(
        document
        for document in yaml.safe_load_all((EXAMPLES / "keda.yaml").read_text())
        if document["kind"] == "ScaledObject"
    )
    assert scaled["spec"] == written["spec"]


def test_a_scaled_object_with_a_typing_error_is_refused(keda: Kubectl) -> None:
    """The check can fail: a field that KEDA does not know is named."""
    text = (EXAMPLES / "keda.yaml").read_text().replace("maxReplicaCount", "maxReplicas")
    answer = keda.run("apply", *STRICT, "-", stdin=text)
    assert not answer.ok
    assert ".spec.maxReplicas: field not declared in schema" in answer.stderr


def test_the_trigger_has_what_the_scaler_of_keda_reads() -> None:
    """A trigger's metadata are mere strings to the CRD: their names are those of the scaler."""
    scaler = yaml.safe_load((KEDA / "prometheus.yaml").read_text())
    readable = {
        one["name"]: one for one in scaler["parameters"] if "metadataVariableReadable" in one
    }
    needed = {
        name for name, one in readable.items() if not one.get("optional") and "default" not in one
    }
    _, scaled = yaml.safe_load_all((EXAMPLES / "keda.yaml").read_text())
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["type"] == scaler["type"]
    assert needed <= trigger["metadata"].keys() <= readable.keys()
