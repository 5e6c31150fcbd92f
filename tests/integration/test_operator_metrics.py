"""The operator's own metrics: who may read them, and that they are true."""

import base64
import ssl
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentcorps.agent import Agent, TaskError
from support import objects
from support.api_server import ROOT
from support.kubectl import Kubectl
from support.live_agent import LiveAgent, pod_token
from support.operator_process import PATIENT, OperatorProcess
from support.poll import until
from support.prometheus import Prometheus
from support.scraped import Scraped

Json = dict[str, Any]
CANARY = "canary-9e17"
SECONDS = 180
READER, STRANGER = "prometheus", "stranger"
ALERTS = ROOT / "helm/agentcorps/alerts.yaml"
DRY = ("--dry-run=server",)
JOB = """
  - job_name: agentcorps
    scheme: https
    honor_labels: true
    tls_config: {{ca_file: {ca}, server_name: localhost}}
    authorization: {{credentials_file: {token}}}
    static_configs: [targets: ["127.0.0.1:{port}"]]
rule_files: ["{rules}"]
"""


@pytest.fixture
def operator(kubectl: Kubectl, namespace: str, tmp_path: Path) -> Iterator[OperatorProcess]:
    """Return an operator that serves the test's namespace, and leads."""
    log = tmp_path / "operator.log"
    with OperatorProcess(kubectl.kubeconfig, namespace, log, environ=PATIENT) as process:
        yield process


def render(kubectl: Kubectl, *options: str) -> dict[str, Json]:
    """Return what the chart makes of the metrics, by kind; the operator's ClusterRole apart."""
    helm = str(Path(kubectl.binary).with_name("helm"))
    command = [helm, "template", "agentcorps", str(ROOT / "helm/agentcorps"), "--namespace=system"]
    done = subprocess.run(
        [*command, "--kube-version=v1.36.0", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    made = [one for one in yaml.safe_load_all(done.stdout) if one]
    others = {"agentcorps-operator", "agentcorps-gateway", "agentcorps-operator-payloads"}
    return {
        one["kind"]: one
        for one in made
        if one["metadata"]["name"] not in others or one["kind"] == "ServiceMonitor"
    }


def give_rights(kubectl: Kubectl, namespace: str) -> None:
    """Create two accounts, and bind the right to read metrics to one of them."""
    api, name = "rbac.authorization.k8s.io/v1", f"metrics-{namespace}"
    accounts = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}
        for account in (READER, STRANGER)
    ]
    role = {"apiVersion": api, "kind": "ClusterRole", "metadata": {"name": name}}
    binding = {
        "apiVersion": api,
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": READER, "namespace": namespace}],
    }
    rules = {"rules": render(kubectl)["ClusterRole"]["rules"]}
    created = kubectl.send("create", *accounts, role | rules, binding)
    assert created.ok, created.stderr


def token_of(kubectl: Kubectl, account: str) -> str:
    """Return a token as a Prometheus finds it in its pod."""
    answer = kubectl.run("create", "token", account)
    assert answer.ok, answer.stderr
    return answer.stdout.strip()


def authority(kubectl: Kubectl) -> str:
    """Return who issued the operator's certificate."""
    secret = kubectl.get("secret/agentcorps-gateway-tls")
    return base64.b64decode(secret["data"]["ca.crt"]).decode()


def scrape(kubectl: Kubectl, operator: OperatorProcess, token: str = "") -> tuple[int, str]:
    """Return status and text of a scrape."""
    url = f"https://localhost:{operator.metrics_port}/metrics"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, headers=headers)
    context = ssl.create_default_context(cadata=authority(kubectl))
    try:
        with urllib.request.urlopen(request, context=context) as answer:  # noqa: S310 - as above
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def quota(kubectl: Kubectl, **hard: str) -> None:
    """Create a ResourceQuota, and wait until it is enforced."""
    document = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}}
    kubectl.create({**document, "spec": {"hard": hard}})
    until(lambda: "used" in kubectl.get("resourcequota/team").get("status", {}), "quota")


def worker() -> Agent:
    """Return an agent that fails as its input says."""
    agent = Agent()

    @agent.task("work")
    async def work(task: Json) -> Json:
        if task.get("fails"):
            raise TaskError(CANARY, reason="Canary9e17", retryable=False)
        return {"echo": CANARY}

    return agent


def phases(kubectl: Kubectl, kind: str) -> Counter[str]:
    """Return how many objects of a kind are in which phase."""
    found = kubectl.get(kind)["items"]
    return Counter(one.get("status", {}).get("phase", "Pending") for one in found)


def test_the_chart_brings_what_prometheus_needs(kubectl: Kubectl) -> None:
    """Service and role by default, monitor and alerts on demand, and none of it where it is off."""
    plain = render(kubectl)
    assert not {"ServiceMonitor", "PrometheusRule"} & plain.keys()
    toggles = "metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true"
    account = "metrics.readers[0].name=prometheus,metrics.readers[0].namespace=monitoring"
    made = render(kubectl, "--set", toggles, "--set", account, "--set", "metrics.port=9444")
    binding = made["ClusterRoleBinding"]
    sent = kubectl.within(None).send("create", made["ClusterRole"], binding, options=DRY)
    assert sent.ok, sent.stderr
    assert binding["roleRef"]["name"] == made["ClusterRole"]["metadata"]["name"]
    assert binding["subjects"][0] == {
        "kind": "ServiceAccount",
        "name": "prometheus",
        "namespace": "monitoring",
    }
    (port,) = made["Service"]["spec"]["ports"]
    assert (port["name"], port["port"]) == ("metrics", 9444)
    (endpoint,) = made["ServiceMonitor"]["spec"]["endpoints"]
    assert (endpoint["port"], endpoint["scheme"]) == ("metrics", "https")
    assert endpoint["tlsConfig"]["serverName"] == "agentcorps-metrics.system.svc"
    assert made["PrometheusRule"]["spec"] == yaml.safe_load(ALERTS.read_text())
    off = render(kubectl, "--set", f"{toggles},metrics.enabled=false")
    assert not {"Service", "ServiceMonitor", "PrometheusRule"} & off.keys()


def test_only_who_may_reads_them(
    kubectl: Kubectl, namespace: str, operator: OperatorProcess
) -> None:
    """401 without a token of this cluster, 403 without the right, else all that is known."""
    give_rights(kubectl, namespace)
    for bad in ("", "nonsense", token_of(kubectl, READER)[:-6] + "AAAAAA"):
        status, told = scrape(kubectl, operator, bad)
        assert (status, "agentcorps_leader" in told) == (401, False)
    status, told = scrape(kubectl, operator, token_of(kubectl, STRANGER))
    assert status == 403
    assert "agentcorps-metrics-reader" in told
    status, told = scrape(kubectl, operator, token_of(kubectl, READER))
    assert status == 200
    found = Scraped(told)
    assert found.value("agentcorps_leader") == 1
    asked = found.value("agentcorps_api_requests_total", verb="POST", code="201")
    assert asked is not None
    assert asked > 1


def test_the_numbers_are_the_clusters(
    kubectl: Kubectl, namespace: str, operator: OperatorProcess, tmp_path: Path
) -> None:
    """Tasks, agents, pool and quota as kubectl counts them; no word of a payload anywhere."""
    give_rights(kubectl, namespace)
    quota(kubectl, **{"pods": "2", "requests.cpu": "4"})
    template = objects.pod_template(resources={"requests": {"cpu": "500m"}})
    spec = {"capabilities": ["work"], "podTemplate": template}
    kubectl.create(objects.pool("readers", spec, replicas=3))
    until(lambda: kubectl.run("get", "pod", "readers-0").ok, "pod", seconds=SECONDS)
    bearer = pod_token(kubectl, "readers-0")
    ca = authority(kubectl)
    with LiveAgent(worker(), operator.gateway_url, ca, bearer, tmp_path):
        for number in range(6):
            given = {"fails": number == 0, "text": CANARY}
            kubectl.create(objects.task(f"t{number}", requires=["work"], input=given))
        kubectl.create(objects.task("lost", pool=f"{CANARY}-pool", input={"text": CANARY}))
        ended = {"Succeeded": 5, "Failed": 1, "Queued": 1}
        until(lambda: phases(kubectl, "tasks") == ended, "ends", seconds=SECONDS)
        limits = {"reason": "Quota", "namespace": namespace, "pool": "readers"}
        token = token_of(kubectl, READER)

        def settled() -> Scraped | None:
            found = Scraped(scrape(kubectl, operator, token)[1])
            ready = found.value("agentcorps_pool_ready_replicas", pool="readers")
            limited = found.value("agentcorps_pool_limited", **limits)
            used = found.value("agentcorps_quota_used", resource="pods")
            return found if (ready, limited, used) == (1, 1, 2) else None

        found = until(settled, "a limited pool with one ready agent", seconds=SECONDS)
    judge_tasks(found, namespace)
    judge_quota(found, kubectl.get("resourcequota/team")["status"], namespace)
    assert "canary" not in found.text.lower()
    assert CANARY not in operator.log.read_text()


def judge_tasks(found: Scraped, namespace: str) -> None:
    """Compare what is told of the Tasks with what was submitted."""
    crew = {"namespace": namespace, "pool": "readers"}
    assert found.values("agentcorps_tasks") == {
        (namespace, "Succeeded", "readers"): 5,
        (namespace, "Failed", "readers"): 1,
        (namespace, "Queued", "_unknown"): 1,
    }
    assert sum(found.values("agentcorps_agents", **crew).values()) == 2
    assert found.values("agentcorps_tasks_finished_total", **crew) == {
        ("Succeeded", "Completed"): 5,
        ("Failed", "Other"): 1,
    }
    assert found.value("agentcorps_task_run_seconds_count", **crew) == 6
    assert found.value("agentcorps_task_bind_seconds_count") == 6


def judge_quota(found: Scraped, status: Json, namespace: str) -> None:
    """Compare what is told of pool and quota with what the quota's own status says."""
    crew = {"namespace": namespace, "pool": "readers"}
    assert found.value("agentcorps_pool_target_replicas", **crew) == 3
    assert found.value("agentcorps_pool_granted_replicas", **crew) == 2
    assert found.value("agentcorps_pool_share_ratio", **crew) == 1
    assert (status["used"], status["hard"]["pods"]) == ({"pods": "2", "requests.cpu": "1"}, "2")
    for resource, used, hard in (("pods", 2, 2), ("requests.cpu", 1, 4)):
        labels = {"namespace": namespace, "quota": "team", "resource": resource}
        assert found.value("agentcorps_quota_used", **labels) == used
        assert found.value("agentcorps_quota_hard", **labels) == hard


@pytest.mark.timeout(900)  # the first run builds Prometheus
def test_a_real_prometheus_scrapes_it_and_its_alerts_work(
    kubectl: Kubectl, namespace: str, operator: OperatorProcess, tmp_path: Path
) -> None:
    """By TLS and a token; every rule is evaluated, and a pool that its quota limits is told."""
    give_rights(kubectl, namespace)
    quota(kubectl, pods="1")
    kubectl.create(objects.pool("readers", {"capabilities": ["work"]}, replicas=2))
    kubectl.create(objects.task("waits", requires=["work"]))
    ca, token = tmp_path / "ca.crt", tmp_path / "token"
    ca.write_text(authority(kubectl))
    token.write_text(token_of(kubectl, READER))
    job = JOB.format(ca=ca, token=token, port=operator.metrics_port, rules=ALERTS)
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with Prometheus(folder, job) as prometheus:
        until(lambda: prometheus.value("agentcorps_leader") == "1", "scrape", seconds=SECONDS)
        wanted = {"AgentcorpsPoolLimitedByQuota", "AgentcorpsTasksWaiting"}
        pending = until(lambda: told(prometheus, wanted), "alerts", seconds=SECONDS)
    assert {name: one["health"] for name, one in pending.items() if one["health"] != "ok"} == {}
    raised = {name for name, one in pending.items() if one["alerts"]}
    assert raised == wanted
    (alert,) = pending["AgentcorpsPoolLimitedByQuota"]["alerts"]
    assert alert["labels"]["namespace"] == namespace
    assert f"pool {namespace}/readers" in alert["annotations"]["summary"]


def told(prometheus: Prometheus, wanted: set[str]) -> dict[str, Json] | None:
    """Return all rules by name, once those wanted have an alert and each was evaluated."""
    groups = prometheus.data("rules")["groups"]
    found = {rule["name"]: rule for group in groups for rule in group["rules"]}
    raised = {name for name, rule in found.items() if rule["alerts"]}
    evaluated = all(rule["health"] != "unknown" for rule in found.values())
    return found if found and evaluated and wanted <= raised else None
