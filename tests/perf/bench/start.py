"""W1: from nothing to so many ready agents, and the same of a bare Deployment."""

import time

from perf.bench.client import Client, Json, settled
from perf.bench.fleet import Fleet
from perf.bench.meter import metered
from perf.bench.plane import Plane, on_nodes

DEPLOYMENTS = "/apis/apps/v1/namespaces/{}/deployments"
_LABELS = {"app": "bare"}


async def pool(fleet: Fleet, replicas: int) -> Json:
    """Create a pool and wait until all of its agents have said hello and the pool says so."""
    async with metered(fleet.client, fleet.plane, **fleet.pids) as cost:
        took = await fleet.pool(replicas)
    return {"agents": replicas, **cost, "seconds": took}


async def deployment(plane: Plane, client: Client, namespace: str, replicas: int) -> Json:
    """Create a Deployment and wait until it says that all of its pods are ready."""
    await plane.namespace(client, namespace)
    path = DEPLOYMENTS.format(namespace)

    def ready(found: Json) -> bool:
        return bool(found.get("status", {}).get("readyReplicas", 0) >= replicas)

    async with metered(client, plane) as cost:
        began = time.monotonic()
        await client.post(path, _deployment(replicas))
        await settled(client, path, ready)
        took = time.monotonic() - began
    return {"agents": replicas, **cost, "seconds": took}


def _deployment(replicas: int) -> Json:
    container = {"name": "work", "image": "agentcorps/text-agent:0.1.0"}
    template = {"metadata": {"labels": _LABELS}, "spec": on_nodes({"containers": [container]})}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "bare"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": _LABELS},
            "template": template,
        },
    }
