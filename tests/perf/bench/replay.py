"""A trace on a real control plane: operator, pods of kwok, agents that take their time.

What it measures is what `agentcorps simulate` predicts, so the two can be held against each other.
"""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentcorps.core.simulation.plan import Job
from perf.bench.agents import Crowd, Gateway, LoadAgent
from perf.bench.client import Client, Json
from perf.bench.load import POOL
from perf.bench.plane import Plane, on_nodes
from support import objects
from support.operator_process import OperatorProcess
from support.stage import POOLS
from support.watcher import TASKS

NAMESPACE = "replay"
PROBE, PROBE_JOB = "probe", Job(0.0, 1.0)
LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 300
ALONE = {
    "AGENTCORPS_LEASE_SECONDS": "60",
    "AGENTCORPS_LEASE_RENEW_SECONDS": "50",
    "AGENTCORPS_LEASE_RETRY_SECONDS": "2",
}
"""Nobody else wants to lead, and the machine may be busy."""


class TimedAgent(LoadAgent):
    """Is ready a while after its pod runs, and works for as long as a Task's input says."""

    start_seconds = 0.0

    async def live(self, room: asyncio.Semaphore) -> None:
        """Start, then serve until cancelled."""
        await asyncio.sleep(self.start_seconds)
        await super().live(room)

    async def _turn(self) -> bool:
        self._due = 0.0
        greeted = await super()._turn()
        await asyncio.sleep(self._due)
        return greeted

    def _take(self, tasks: list[Json]) -> None:
        super()._take(tasks)
        self._due = sum(task["input"]["seconds"] for task in tasks)


class Pods(Crowd):
    """The agents of all pods, and since when each pod is there."""

    def __init__(self, client: Client, group: asyncio.TaskGroup, start_seconds: float) -> None:
        super().__init__(client, NAMESPACE, group)
        self.start_seconds = start_seconds
        self.lives: dict[str, list[float]] = {}
        """By UID: when a pod came, and (second) when it was to go."""

    def made(self, pod: str, gateway: Gateway, token: str) -> LoadAgent:
        """Return the agent of a pod."""
        agent = TimedAgent(pod, gateway, token, self.tally)
        agent.start_seconds = self.start_seconds
        return agent

    def seconds(self, until: float) -> float:
        """Return for how long pods existed until then, all together."""
        ends = ((life[0], life[1] if len(life) > 1 else until) for life in self.lives.values())
        return sum(max(0.0, min(end, until) - begin) for begin, end in ends)

    def _observe(self, kind: str, pod: Json) -> None:
        now, meta = time.monotonic(), pod["metadata"]
        life = self.lives.setdefault(meta["uid"], [now])
        if len(life) == 1 and (kind == "DELETED" or "deletionTimestamp" in meta):
            life.append(now)
        super()._observe(kind, pod)


@dataclass(frozen=True)
class Replayed:
    """What was measured.

    Attributes:
        waits: Of each Task of the trace, in seconds.
        agent_seconds: Of all pods, from the first Task's creation to the last one's end.
        start_seconds: What the probe waited: the time that a first agent takes.
        probe_seconds: For how long the pod of the probe's agent existed.
        trace: What there was, the probe included, from the probe on.
    """

    waits: list[float]
    agent_seconds: float
    start_seconds: float
    probe_seconds: float
    trace: list[Job] = field(default_factory=list)


async def replay(
    plane: Plane, client: Client, spec: Json, jobs: list[Job], start_seconds: float, folder: Path
) -> Replayed:
    """Send a probe, wait until its agent is gone again, then send a trace.

    Args:
        plane: With nodes of kwok.
        client: Creates what is needed.
        spec: More fields of the pool's spec: `scaling`.
        jobs: The trace.
        start_seconds: What agents take from the start of their pods.
        folder: Gets the operator's log.
    """
    await plane.namespace(client, NAMESPACE)
    await client.post(POOLS.format(NAMESPACE), _pool(spec))
    log = folder / "operator.log"
    operator = OperatorProcess(plane.kubeconfig, NAMESPACE, log, environ=ALONE)
    try:
        await asyncio.to_thread(operator.start)
        async with asyncio.TaskGroup() as group:
            pods = Pods(client, group, start_seconds)
            following = group.create_task(pods.follow())
            try:
                return await _sent(client, pods, jobs)
            finally:
                following.cancel()
                pods.end()
    finally:
        operator.__exit__(None, None, None)


async def _sent(client: Client, pods: Pods, jobs: list[Job]) -> Replayed:
    began = time.monotonic()
    await _create(client, PROBE, PROBE_JOB)
    await _until(lambda: len(pods.tally.accepted) == 1, "end of the probe")
    await _until(lambda: all(len(life) > 1 for life in pods.lives.values()), "end of its agent")
    probed = pods.seconds(time.monotonic())
    first = time.monotonic() + 1.0
    due: dict[str, float] = {}
    async with asyncio.TaskGroup() as group:
        for number, job in enumerate(jobs):
            name = f"task-{number}"
            due[name] = first + job.at
            await asyncio.sleep(max(0.0, due[name] - time.monotonic()))
            group.create_task(_create(client, name, job))
    await _until(lambda: len(pods.tally.accepted) == 1 + len(jobs), "end of the last Task")
    delivered = pods.tally.delivered
    return Replayed(
        waits=[delivered[name] - at for name, at in due.items()],
        agent_seconds=pods.seconds(pods.tally.last),
        start_seconds=delivered[PROBE] - began,
        probe_seconds=probed,
        trace=[PROBE_JOB, *(Job(first - began + job.at, job.seconds) for job in jobs)],
    )


async def _create(client: Client, name: str, job: Job) -> None:
    spec = {"pool": POOL, "input": {"seconds": job.seconds}}
    task = {**objects.task(name), "spec": spec}
    await client.post(TASKS.format(NAMESPACE), task)


async def _until(done: Any, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {PATIENCE_SECONDS} s")
        await asyncio.sleep(LOOK_SECONDS)


def _pool(spec: Json) -> Json:
    template = objects.pod_template()
    agent = {
        "health": {"heartbeatSeconds": 20},
        "podTemplate": {**template, "spec": on_nodes(template["spec"])},
    }
    pool = objects.pool(POOL, agent, **spec)
    del pool["spec"]["replicas"]
    return pool
