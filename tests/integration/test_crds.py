"""The CRDs on a real API server: defaults, subresources, selection, immutability, texts."""

import json
from pathlib import Path
from typing import Any

import pytest

from agentcorps.api.kinds import KINDS
from agentcorps.api.validation import parse_agent, parse_pool, parse_task
from support import objects
from support.kubectl import Kubectl
from support.poll import until

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
API = "/apis/agentcorps.dev/v1alpha1"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_part_of_a_crd_is_accepted(kind: Any, cluster: Kubectl) -> None:
    """The API server finds the schema structural, the names free and nothing to warn about."""
    found = cluster.get(f"crd/{kind.crd_name}")
    conditions = {entry["type"]: entry["status"] for entry in found["status"]["conditions"]}
    assert conditions["Established"] == conditions["NamesAccepted"] == "True"
    assert "NonStructuralSchema" not in conditions
    assert found["status"]["acceptedNames"]["shortNames"] == [kind.short_name]
    assert kind.plural in cluster.run("api-resources", "--categories=agentcorps").stdout


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_client_side_apply_has_room(kind: Any, cluster: Kubectl) -> None:
    """The plain `kubectl apply -f crds/` works: its annotation stays within the limit."""
    answer = cluster.run("apply", "--dry-run=server", "-f", str(ROOT / f"crds/{kind.plural}.yaml"))
    assert answer.ok, answer.stderr


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_accepted_and_readable(path: Path, kubectl: Kubectl) -> None:
    """Each manifest in examples/ is taken without a warning and parses into its model."""
    created = kubectl.run("create", "-f", str(path), "-o", "json")
    assert created.stderr == ""
    stored = created.json()
    parse = {"Agent": parse_agent, "AgentPool": parse_pool, "Task": parse_task}[stored["kind"]]
    assert parse(stored).metadata.uid == stored["metadata"]["uid"]


def test_a_new_task_is_queued_without_a_write(kubectl: Kubectl) -> None:
    """Phase Queued is there at creation, selectable, and not written by anybody."""
    created = kubectl.create(objects.task())
    assert created["status"] == {"observedGeneration": -1, "phase": "Queued"}
    queued = kubectl.get("tasks", "--field-selector=status.phase=Queued,spec.pool=readers")
    assert [item["metadata"]["name"] for item in queued["items"]] == ["first"]
    stored = queued["items"][0]["metadata"]
    assert stored["resourceVersion"] == created["metadata"]["resourceVersion"]
    assert kubectl.get("tasks", "--field-selector=status.phase=Running")["items"] == []
    assert kubectl.get("tasks", "--field-selector=spec.pool=others")["items"] == []


def test_defaults_of_server_and_models_agree(kubectl: Kubectl) -> None:
    """What the API server fills in is what a model fills in by itself."""
    for document, parse in (
        (objects.agent(), parse_agent),
        (objects.pool(), parse_pool),
        (objects.task(), parse_task),
    ):
        stored = kubectl.create(document)
        assert parse(document).to_api()["spec"] == parse(stored).to_api()["spec"]
    assert kubectl.get("agent/solo")["status"] == {"observedGeneration": -1, "phase": "Pending"}
    assert kubectl.get("agentpool/readers")["status"] == {"observedGeneration": -1}


def test_replicas_default_to_one(kubectl: Kubectl) -> None:
    """A pool without replicas has one, also for /scale, which HPAs read."""
    document = objects.pool()
    del document["spec"]["replicas"]
    kubectl.create(document)
    assert scale_of(kubectl)["spec"]["replicas"] == 1


def scale_of(kubectl: Kubectl) -> Any:
    """Return the scale of the pool `readers`."""
    path = f"{API}/namespaces/{kubectl.namespace}/agentpools/readers/scale"
    return kubectl.run("get", "--raw", path).json()


def test_scale_reads_status_and_writes_replicas(kubectl: Kubectl) -> None:
    """`kubectl scale` sets spec.replicas; /scale shows the status and the selector to an HPA."""
    kubectl.create(objects.pool())
    status = {"replicas": 2, "selector": "agentcorps.dev/pool=readers"}
    written = kubectl.patch("agentpool/readers", {"status": status}, "--subresource=status")
    assert written.ok, written.stderr
    assert kubectl.run("scale", "agentpool/readers", "--replicas=7").ok
    assert kubectl.get("agentpool/readers")["spec"]["replicas"] == 7
    scale = scale_of(kubectl)
    assert scale["status"] == status
    assert scale["spec"]["replicas"] == 7


def test_scale_has_the_bounds_of_the_schema(kubectl: Kubectl) -> None:
    """Scaling beyond the bound is refused as it is in a manifest."""
    kubectl.create(objects.pool())
    answer = kubectl.run("scale", "agentpool/readers", "--replicas=20000")
    assert "should be less than or equal to 10000" in answer.stderr
    assert kubectl.get("agentpool/readers")["spec"]["replicas"] == 0


@pytest.mark.parametrize(
    ("status", "kept"),
    [
        ({"result": {"a": None, "b": [None, 1.5]}}, {"a": None, "b": [None, 1.5]}),
        ({"result": "text"}, "text"),
        ({"result": [1, None]}, [1, None]),
    ],
)
def test_results_of_any_form_survive_in_status(
    status: dict[str, Any], kept: Any, kubectl: Kubectl
) -> None:
    """A JSON Patch of the status keeps a result as it is, nulls included."""
    kubectl.create(objects.task())
    value = {"phase": "Succeeded", "observedGeneration": 1, **status}
    change = [{"op": "replace", "path": "/status", "value": value}]
    written = kubectl.patch("task/first", change, "--subresource=status")
    assert written.ok, written.stderr
    stored = kubectl.get("task/first")
    assert stored["status"]["result"] == kept
    assert parse_task(stored).status.result == kept


def test_status_takes_only_known_phases(kubectl: Kubectl) -> None:
    """A phase that the API does not know is refused from the operator too."""
    kubectl.create(objects.task())
    answer = kubectl.patch("task/first", {"status": {"phase": "Done"}}, "--subresource=status")
    assert 'status.phase: Unsupported value: "Done"' in answer.stderr


@pytest.mark.parametrize(
    "field",
    [
        *("pool", "requires", "input", "priority", "affinityKey"),
        *("queueTimeoutSeconds", "timeoutSeconds", "retry"),
    ],
)
def test_removing_and_adding_again_does_not_bypass_immutability(
    field: str, kubectl: Kubectl
) -> None:
    """A Task's field can neither be removed nor brought back with another value."""
    spec: dict[str, Any] = {
        "requires": ["read"],
        "input": {"text": "a"},
        "priority": 1,
        "affinityKey": "session-4",
        "queueTimeoutSeconds": 7,
        "timeoutSeconds": 5,
        "retry": {"limit": 1},
    }
    before = kubectl.create(objects.task(**spec))["spec"]
    answer = kubectl.patch("task/first", [{"op": "remove", "path": f"/spec/{field}"}])
    assert f"spec.{field}: " in answer.stderr
    assert kubectl.get("task/first")["spec"] == before


def test_the_selector_of_a_task_cannot_be_changed(kubectl: Kubectl) -> None:
    """Labels are as fixed as a pool is, and neither takes the other's place."""
    task = objects.task()
    task["spec"] = {"agentSelector": {"matchLabels": {"size": "big"}}}
    kubectl.create(task)
    for change in (
        {"agentSelector": {"matchLabels": {"size": "small"}}},
        {"agentSelector": None, "pool": "readers"},
    ):
        answer = kubectl.patch("task/first", {"spec": change})
        assert "spec.agentSelector: Invalid value: cannot be changed" in answer.stderr


def test_an_absent_field_cannot_be_added_later(kubectl: Kubectl) -> None:
    """A Task without a ttl stays without one."""
    kubectl.create(objects.task())
    answer = kubectl.patch("task/first", {"spec": {"ttlSecondsAfterFinished": 1}})
    assert "spec.ttlSecondsAfterFinished: Invalid value: cannot be changed" in answer.stderr


def test_cancel_can_be_set_and_not_taken_back(kubectl: Kubectl) -> None:
    """Cancelling is the one change of a Task, and removing the field does not undo it."""
    kubectl.create(objects.task())
    assert kubectl.patch("task/first", {"spec": {"cancel": True}}).ok
    off = kubectl.patch("task/first", {"spec": {"cancel": False}})
    removed = kubectl.patch("task/first", [{"op": "remove", "path": "/spec/cancel"}])
    assert "cannot be taken back" in off.stderr
    assert "cannot be taken back" in removed.stderr
    assert kubectl.get("task/first")["spec"]["cancel"] is True


@pytest.mark.parametrize("document", [objects.agent(), objects.pool(), objects.task()])
def test_applying_again_changes_nothing(document: objects.Json, kubectl: Kubectl) -> None:
    """A repeated server-side apply, as GitOps does it, makes no write once a status is stored.

    The very first repetition may write: it stores the defaulted status.
    """
    options = ("--server-side", "-o", "json")
    assert kubectl.send("apply", document, options=options).ok
    resource = f"{document['kind']}/{document['metadata']['name']}"
    status = {"status": {"observedGeneration": 1}}
    written = kubectl.patch(resource, status, "--subresource=status", "-o", "json").json()
    again = kubectl.send("apply", document, options=options).json()
    assert again["metadata"] == written["metadata"]
    assert again["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("resource", "columns"),
    [
        ("agp", "NAME TARGET READY IDLE BUSY QUEUED LIMITED-BY AGE"),
        ("ag", "NAME POOL PHASE SLOTS USED SUCCEEDED FAILED AGE"),
        ("agt", "NAME POOL PHASE REASON AGENT ATTEMPT AGE"),
    ],
)
def test_short_names_show_the_columns_that_matter(
    resource: str, columns: str, kubectl: Kubectl
) -> None:
    """`kubectl get` of each short name shows its own columns."""
    for document in (objects.agent(), objects.pool(), objects.task()):
        kubectl.create(document)
    assert kubectl.run("get", resource).stdout.splitlines()[0].split() == columns.split()


def test_a_pool_column_is_read_from_the_label(kubectl: Kubectl) -> None:
    """The POOL column of an Agent shows the pool that made it."""
    document = objects.agent()
    document["metadata"]["labels"] = {"agentcorps.dev/pool": "readers"}
    kubectl.create(document)
    assert kubectl.run("get", "ag").stdout.splitlines()[1].split()[1] == "readers"


def undescribed(schema: dict[str, Any], path: str) -> list[str]:
    """Return the fields of a schema that have no text; a pod template counts as one field."""
    found = [] if schema.get("description") or path.endswith("[]") else [path]
    if path.endswith(".podTemplate"):
        return found
    for name, field in schema.get("properties", {}).items():
        found += undescribed(field, f"{path}.{name}")
    return found + undescribed(schema["items"], f"{path}[]") if "items" in schema else found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_served_api_has_a_text_for_each_field(kind: Any, cluster: Kubectl) -> None:
    """What the API server publishes, and `kubectl explain` shows, has a text for each field."""
    name = f"dev.agentcorps.v1alpha1.{kind.kind}"

    def served() -> dict[str, Any] | None:
        document = cluster.run("get", "--raw", "/openapi/v3/apis/agentcorps.dev/v1alpha1").json()
        found: dict[str, Any] | None = document["components"]["schemas"].get(name)
        return found

    fields = until(served, f"OpenAPI of {kind.kind}")["properties"]
    assert [path for part in ("spec", "status") for path in undescribed(fields[part], part)] == []


def test_explain_shows_the_text(cluster: Kubectl) -> None:
    """`kubectl explain` of a field by its short name tells what it means."""
    answer = until(lambda: cluster.run("explain", "agt.spec.retry.limit").stdout, "explanation")
    assert "With 0 it is executed at most once." in " ".join(answer.split())


def test_an_owner_takes_its_agents_along(kubectl: Kubectl) -> None:
    """A pool that is deleted takes the Agents that it controls with it, without a finalizer."""
    pool = kubectl.create(objects.pool())
    document = objects.agent("readers-0")
    document["metadata"]["ownerReferences"] = [
        {
            "apiVersion": pool["apiVersion"],
            "kind": pool["kind"],
            "name": "readers",
            "uid": pool["metadata"]["uid"],
            "controller": True,
        }
    ]
    agent = parse_agent(kubectl.create(document))
    assert agent.metadata.controller_uid == pool["metadata"]["uid"]
    assert kubectl.run("delete", "agentpool/readers").ok
    until(lambda: not kubectl.run("get", "agent/readers-0").ok, "deletion of the Agent")


def test_pod_templates_keep_what_pods_allow(kubectl: Kubectl) -> None:
    """A rich pod template is stored without a loss: what a Pod takes, an Agent takes."""
    template = json.loads(json.dumps(RICH))
    stored = kubectl.create(objects.agent(podTemplate=template))["spec"]["podTemplate"]
    assert stored == template
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "rich"}, "spec": RICH["spec"]}
    accepted = kubectl.send("create", pod, options=("--dry-run=server",))
    assert accepted.ok or "serviceaccount" in accepted.stderr.lower(), accepted.stderr


RICH: objects.Json = {
    "metadata": {"labels": {"team": "a"}, "annotations": {"note.example.org/x": "free text: ok"}},
    "spec": {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"team": "a"}},
            }
        ],
        "initContainers": [{"name": "fetch", "image": "busybox", "command": ["true"]}],
        "containers": [
            {
                "name": "agent",
                "image": "registry.example.org:5000/team/agent:1.0@sha256:" + "0" * 64,
                "args": ["--text", "with spaces"],
                "env": [
                    {"name": "A", "value": "b"},
                    {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                    {
                        "name": "CPU",
                        "valueFrom": {
                            "resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}
                        },
                    },
                ],
                "ports": [{"containerPort": 8080, "protocol": "TCP", "name": "http"}],
                "resources": {
                    "requests": {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": 1024},
                    "limits": {"cpu": 1, "memory": "1Gi", "ephemeral-storage": "1Gi"},
                },
                "readinessProbe": {"httpGet": {"port": "http", "path": "/"}},
                "livenessProbe": {"tcpSocket": {"port": 8080}},
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 -- in the pod
            }
        ],
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            {"name": "conf", "configMap": {"name": "conf", "optional": True}},
            {
                "name": "data",
                "ephemeral": {
                    "volumeClaimTemplate": {
                        "metadata": {"labels": {"a": "b"}},
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": "1Gi"}},
                        },
                    }
                },
            },
        ],
    },
}
