"""The floor: what the API server takes for the writes of a task's life, with no operator at all."""

import time

from perf.bench.client import Client, Json, each
from perf.bench.load import task
from perf.bench.meter import metered
from perf.bench.plane import Plane
from support.watcher import TASKS

CANARY = "canary-floor"


async def floor(plane: Plane, client: Client, namespace: str, count: int) -> Json:
    """Create so many Tasks and write the status of each twice, as fast as the client can.

    The writes are those that the operator sends, fields and fence included.
    """
    await plane.namespace(client, namespace)
    path = TASKS.format(namespace)

    async def life(number: int) -> None:
        name = f"floor-{number}"
        stored = await client.post(path, task(name, CANARY))
        for status in (BOUND, FINISHED):
            stored = await client.put(f"{path}/{name}/status", _with(stored, status))

    async with metered(client, plane) as cost:
        began = time.monotonic()
        await each(range(count), life)
        took = time.monotonic() - began
    return {"tasks": count, "rate": count / took, **cost}


def _with(stored: Json, status: Json) -> Json:
    metadata = {name: stored["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
    return {
        "apiVersion": stored["apiVersion"],
        "kind": stored["kind"],
        "metadata": metadata,
        "status": status,
    }


_SINCE = "2026-01-01T00:00:00Z"


def _conditions(reason: str, message: str, **states: str) -> list[Json]:
    return [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": _SINCE,
            "observedGeneration": 1,
        }
        for kind, status in states.items()
    ]


BOUND: Json = {
    "observedGeneration": 1,
    "phase": "Running",
    "reason": "Bound",
    "attempt": 1,
    "failures": 0,
    "agentName": "crowd-123",
    "podUID": "6f1ed002-ab41-4b6f-9e0e-1c2d3e4f5a6b",
    "agentInstance": "0123456789abcdef0123456789abcdef",
    "startedAt": _SINCE,
    "conditions": _conditions(
        "Bound", "agent crowd-123 works on attempt 1", Ready="False", Reconciling="True"
    ),
}
FINISHED: Json = {
    **BOUND,
    "phase": "Succeeded",
    "finishedAt": _SINCE,
    "reason": "Completed",
    "attempts": [
        {
            "attempt": 1,
            "agentName": "crowd-123",
            "startedAt": _SINCE,
            "finishedAt": _SINCE,
            "reason": "Completed",
        }
    ],
    "conditions": _conditions("Completed", "", Ready="True", Succeeded="True"),
    "result": {"echo": {"secret": CANARY}},
    "resultDigest": "sha256:" + 64 * "0",
}
