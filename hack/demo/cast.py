"""What stands on the stage before any work is done: the cluster, the operator, a pool of agents."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from demo.kubectl import DemoError, Object, kubectl, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from demo.screen import Screen

OPERATOR = "agentcorps-operator"
OPERATOR_NAMESPACE = "agentcorps-system"
POOL = "readers"
POOL_FILE = Path("examples/agentpool.yaml")
READY_SECONDS = 180.0
LOOK_SECONDS = 0.3


def show_cluster(screen: Screen) -> None:
    """Show which cluster this is.

    Raises:
        DemoError: None answers.
    """
    screen.step("The cluster")
    try:
        nodes = read("nodes")["items"]
    except DemoError as error:
        raise DemoError(f"no cluster answers, `make run` starts one ({error})") from error
    real = [node for node in nodes if node["metadata"].get("labels", {}).get("type") != "kwok"]
    for node in real:
        info = node["status"]["nodeInfo"]
        name = node["metadata"]["name"]
        runtime = info["containerRuntimeVersion"]
        screen.say(f"node {name}: {_ready(node)}, Kubernetes {info['kubeletVersion']}, {runtime}")
    if len(nodes) > len(real):
        screen.say(f"and {len(nodes) - len(real)} simulated nodes")
    screen.say(f"context {kubectl('config', 'current-context').strip()}")


def show_operator(screen: Screen) -> None:
    """Show the installed operator.

    Raises:
        DemoError: It is not installed, or not ready.
    """
    screen.step("The operator")
    where = ("--namespace", OPERATOR_NAMESPACE)
    found = read("deployments", *where, "--field-selector", f"metadata.name={OPERATOR}")["items"]
    if not found:
        raise DemoError("the operator is not installed: run `make install`")
    deployment = found[0]
    ready = deployment["status"].get("readyReplicas", 0)
    if not ready:
        raise DemoError(
            f"the operator is not ready: look at `kubectl logs -n {OPERATOR_NAMESPACE}"
            f" deploy/{OPERATOR}`"
        )
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    leader = read(f"lease/{OPERATOR}", *where)["spec"]["holderIdentity"]
    screen.say(f"{image}: {ready} of {deployment['spec']['replicas']} ready, {leader} leads")
    kinds = kubectl("api-resources", "--api-group=agentcorps.dev", "--no-headers", "-o", "name")
    screen.say(f"serves {', '.join(sorted(kinds.split()))}")


def raise_pool(screen: Screen) -> None:
    """Apply the pool and watch it become ready."""
    screen.step("A pool of agents")
    if not POOL_FILE.is_file():
        raise DemoError(f"{POOL_FILE}: no such file; start the demo from the top of the checkout")
    screen.say(f"$ kubectl apply -f {POOL_FILE}")
    screen.say(kubectl("apply", "-f", str(POOL_FILE)).strip())
    deadline = time.monotonic() + READY_SECONDS
    told = _Told(screen.say)
    while True:
        pool = read(f"agentpool/{POOL}")
        told.tell(_agents_line(pool))
        if _settled(pool):
            break
        if time.monotonic() > deadline:
            raise DemoError(f"the pool is not ready: look at `kubectl describe agentpool/{POOL}`")
        time.sleep(LOOK_SECONDS)
    pods = read("pods", "--selector", f"agentcorps.dev/pool={POOL}")["items"]
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        image = pod["spec"]["containers"][0]["image"]
        node, ip = pod["spec"].get("nodeName", "?"), pod["status"].get("podIP", "?")
        screen.say(f"pod {pod['metadata']['name']}: {image} on {node}, {ip}")


class _Told:
    """Says a line when it differs from the last one."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._last = ""

    def tell(self, line: str) -> None:
        if line != self._last:
            self._last = line
            self._say(line)


def _agents_line(pool: Object) -> str:
    status = pool["status"]
    wanted = pool["spec"]["replicas"]
    line = f"{status.get('readyReplicas', 0)} of {wanted} agents ready"
    stalled = [
        each["message"]
        for each in status.get("conditions", [])
        if each["type"] == "Stalled" and each["status"] == "True"
    ]
    return f"{line}: {stalled[0]}" if stalled else line


def _settled(pool: Object) -> bool:
    status = pool["status"]
    observed = status["observedGeneration"] == pool["metadata"]["generation"]
    return bool(observed and status.get("readyReplicas", 0) >= pool["spec"]["replicas"])


def _ready(node: Object) -> str:
    conditions = node["status"].get("conditions", [])
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return "ready" if ready else "not ready"
