"""`make perf-idle`: what an operator costs while a thousand agents have nothing to do."""

import asyncio
import base64
import json
import os
import re
import time
from pathlib import Path

import pytest

from agentcorps.adapters.connection import ApiConnection
from support import objects
from support.api import answered, connected
from support.idle_agents import IdleAgents
from support.kubectl import Kubectl
from support.operator_process import OperatorProcess

AGENTS = int(os.environ.get("AGENTCORPS_IDLE_AGENTS", "1000"))
SECONDS = 60
MOST_CPU_PERCENT = 3.0
MOST_RSS_MIB = 300.0
TOKENS_AT_A_TIME = 20
QUIET = re.compile(
    r'apiserver_request_total\{.*resource="(agents|agentpools|tasks|pods|events)".*'
    r'verb="(POST|PUT|PATCH|APPLY|DELETE)"\} (\S+)'
)
"""Mutating requests on what the operator writes; the Lease and token reviews are others."""


@pytest.mark.timeout(1800)
async def test_a_thousand_idle_agents(
    kubectl: Kubectl, namespace: str, kubeconfig: Path, tmp_path: Path
) -> None:
    """No API write but the Lease and token reviews, and CPU and memory within the targets."""
    with OperatorProcess(kubeconfig, namespace, tmp_path / "operator.log") as operator:
        pid = operator.pid
        async with connected(kubeconfig) as api:
            empty = rss_mib(pid)
            kubectl.create(objects.pool("crowd", {"capabilities": ["idle"]}, replicas=AGENTS))
            tokens = await pod_tokens(api, namespace)
            created = rss_mib(pid)
            secret = kubectl.get("secret/agentcorps-gateway-tls")
            authority = base64.b64decode(secret["data"]["ca.crt"]).decode()
            crowd = IdleAgents(operator.gateway_url, authority, tokens)
            polling = asyncio.create_task(crowd.run())
            try:
                await answered(lambda: ready(api, namespace), "ready pool", seconds=600, every=5)
                await asyncio.sleep(SECONDS / 2)
                before, writes = cpu_seconds(pid), mutations(kubectl)
                began = time.monotonic()
                await asyncio.sleep(SECONDS)
                percent = 100 * (cpu_seconds(pid) - before) / (time.monotonic() - began)
                written = mutations(kubectl) - writes
                idle = rss_mib(pid)
            finally:
                polling.cancel()
                await asyncio.gather(polling, return_exceptions=True)
    print(  # noqa: T201 - the table is what this is run for
        "\n| agents | RSS empty / created / idle (MiB) | CPU of a core | API writes |"
        f"\n|---|---|---|---|"
        f"\n| {AGENTS} | {empty:.0f} / {created:.0f} / {idle:.0f} | {percent:.1f} % | {written} |"
        f"\nanswers: {json.dumps(crowd.answers)}; load {os.getloadavg()}"
    )
    assert written == 0
    assert idle < MOST_RSS_MIB
    assert percent < MOST_CPU_PERCENT


async def pod_tokens(api: ApiConnection, namespace: str) -> list[str]:
    """Wait for the pods, and have a token bound to each."""
    path = f"/api/v1/namespaces/{namespace}"

    async def all_pods() -> list[objects.Json] | None:
        found: list[objects.Json] = (await api.request("GET", f"{path}/pods"))["items"]
        return found if len(found) == AGENTS else None

    pods = await answered(all_pods, "pods", seconds=900, every=5)
    room = asyncio.Semaphore(TOKENS_AT_A_TIME)

    async def token(pod: objects.Json) -> str:
        bound = {
            "kind": "Pod",
            "apiVersion": "v1",
            "name": pod["metadata"]["name"],
            "uid": pod["metadata"]["uid"],
        }
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": ["agentcorps.dev"],
                "expirationSeconds": 3600,
                "boundObjectRef": bound,
            },
        }
        async with room:
            made = await api.request("POST", f"{path}/serviceaccounts/default/token", body=body)
        told: str = made["status"]["token"]
        return told

    return list(await asyncio.gather(*map(token, pods or [])))


async def ready(api: ApiConnection, namespace: str) -> bool:
    """Tell whether the pool says that all are ready."""
    path = f"/apis/agentcorps.dev/v1alpha1/namespaces/{namespace}/agentpools/crowd"
    status = (await api.request("GET", path)).get("status", {})
    return bool(status.get("readyReplicas") == AGENTS)


def mutations(kubectl: Kubectl) -> int:
    """Count the writes that the API server has taken."""
    told = kubectl.run("get", "--raw", "/metrics")
    assert told.ok, told.stderr
    lines = map(QUIET.match, told.stdout.splitlines())
    return sum(int(float(found.group(3))) for found in lines if found)


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    line = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert line is not None
    return int(line.group(1)) / 1024


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
