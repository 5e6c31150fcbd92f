"""The peers: one Kubernetes Job per task; and bare pods, which show what kwok takes."""

import time
from collections.abc import Callable

from perf.bench.client import Client, Json, each, settled
from perf.bench.meter import metered
from perf.bench.plane import Plane, on_nodes

JOBS = "/apis/batch/v1/namespaces/{}/jobs"
PODS = "/api/v1/namespaces/{}/pods"
_CONTAINER: Json = {"name": "work", "image": "agentcorps/text-agent:0.1.0"}


async def jobs(plane: Plane, client: Client, namespace: str, count: int) -> Json:
    """Create so many Jobs of one pod each, and wait until all are complete."""
    return await _all(plane, client, namespace, JOBS.format(namespace), count, _job, _complete)


async def pods(plane: Plane, client: Client, namespace: str, count: int) -> Json:
    """Create so many pods and wait until all run."""
    return await _all(plane, client, namespace, PODS.format(namespace), count, _pod, _runs)


async def _all(
    plane: Plane,
    client: Client,
    namespace: str,
    path: str,
    count: int,
    body: Callable[[int], Json],
    done: Callable[[Json], bool],
) -> Json:
    await plane.namespace(client, namespace)
    finished: set[str] = set()

    def counted(found: Json) -> bool:
        if done(found):
            finished.add(found["metadata"]["name"])
        return len(finished) == count

    async with metered(client, plane) as cost:
        began = time.monotonic()
        await each(range(count), lambda number: client.post(path, body(number)))
        await settled(client, path, counted)
        took = time.monotonic() - began
    return {"tasks": count, "rate": count / took, **cost}


def _pod(number: int) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"pod-{number}"},
        "spec": on_nodes({"containers": [_CONTAINER]}),
    }


def _job(number: int) -> Json:
    pod = on_nodes({"containers": [_CONTAINER], "restartPolicy": "Never"})
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"job-{number}"},
        "spec": {"template": {"spec": pod}},
    }


def _complete(job: Json) -> bool:
    found = job.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Complete" and one["status"] == "True" for one in found)


def _runs(pod: Json) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Running")
