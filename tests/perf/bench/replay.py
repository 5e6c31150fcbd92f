"""A trace on a real control plane: operator, pods of kwok, agents that take their time.

What it measures is what `agentcorps simulate` predicts, so the two can be held against each other.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from agentcorps.core.simulation.plan import Job
from perf.bench.agents import Crowd, Gateway, LoadAgent
from perf.bench.client import Client, Json
from perf.bench.plane import Plane, on_nodes
from perf.bench.traces import MIN_RUNTIME_SECONDS, Load, Trace
from support import objects
from support.operator_process import OperatorProcess
from support.stage import POOLS
from support.watcher import TASKS

PROBE, PROBE_JOB = "probe", Job(0.0, 1.0)
LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 300
ALONE = {
    "AGENTCORPS_LEASE_SECONDS": "60",
    "AGENTCORPS_LEASE_RENEW_SECONDS": "50",
    "AGENTCORPS_LEASE_RETRY_SECONDS": "2",
    "AGENTCORPS_MIN_RUNTIME_SECONDS": str(MIN_RUNTIME_SECONDS),
}
"""Nobody else wants to lead, and the machine may be busy."""


class TimedAgent(LoadAgent):
    """Is ready a while after its pod runs, and works for as long as a Task's input says."""

    start_seconds = 0.0
    worked: Callable[[], None]
    """Called when the work of a Task is done, and its end is to be reported."""

    async def live(self, room: asyncio.Semaphore) -> None:
        """Start, then serve until cancelled."""
        await asyncio.sleep(self.start_seconds)
        await super().live(room)

    async def _turn(self) -> bool:
        self._due = 0.0
        greeted = await super()._turn()
        if self._due:
            await asyncio.sleep(self._due)
            self.worked()
        return greeted

    def _take(self, tasks: list[Json]) -> None:
        super()._take(tasks)
        self._due = sum(task["input"]["seconds"] for task in tasks)


class Pods(Crowd):
    """The agents of all pods, and since when each pod is there."""

    def __init__(
        self, client: Client, namespace: str, group: asyncio.TaskGroup, start_seconds: float
    ) -> None:
        super().__init__(client, namespace, group)
        self.start_seconds = start_seconds
        self.last = 0.0
        """When the last work was done."""
        self.lives: dict[str, list[float]] = {}
        """By UID: when a pod came, and (second) when it was to go."""

    def made(self, pod: str, gateway: Gateway, token: str) -> LoadAgent:
        """Return the agent of a pod."""
        agent = TimedAgent(pod, gateway, token, self.tally)
        agent.start_seconds = self.start_seconds
        agent.worked = self._worked
        return agent

    def _worked(self) -> None:
        self.last = time.monotonic()

    def seconds(self, until: float) -> float:
        """Return for how long pods existed until then, all together."""
        ends = ((life[0], life[1] if len(life) > 1 else until) for life in self.lives.values())
        return sum(max(0.0, min(end, until) - begin) for begin, end in ends)

    def most(self) -> int:
        """Return how many pods there were at a time, at most."""
        steps = [(life[0], 1) for life in self.lives.values()]
        steps += [(life[1], -1) for life in self.lives.values() if len(life) > 1]
        return max(accumulate(change for _, change in sorted(steps)))

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
        waits: Of each Task of the trace, in seconds, by pool.
        agent_seconds: Of all pods, from the first Task's creation to the end of the last work.
        most_agents: Pods that there were at a time, at most.
        start_seconds: What the probe waited: the time that a first agent takes.
        probe_seconds: For how long the pod of the probe's agent existed.
        loads: What there was, the probe included, from the probe on.
    """

    waits: Mapping[str, list[float]]
    agent_seconds: float
    most_agents: int
    start_seconds: float
    probe_seconds: float
    loads: Mapping[str, Load]


async def replay(
    plane: Plane,
    client: Client,
    namespace: str,
    trace: Trace,
    start_seconds: float,
    folder: Path,
) -> Replayed:
    """Send a probe to the first pool, wait until its agent is gone again, then send a trace.

    Args:
        plane: With nodes of kwok.
        client: Creates what is needed.
        namespace: A new one.
        trace: What is sent.
        start_seconds: What agents take from the start of their pods.
        folder: Gets the operator's log.
    """
    await plane.namespace(client, namespace)
    if trace.pods is not None:
        await client.post(f"/api/v1/namespaces/{namespace}/resourcequotas", _quota(trace.pods))
    for name, load in trace.loads.items():
        await client.post(POOLS.format(namespace), _pool(name, load))
    log = folder / "operator.log"
    operator = OperatorProcess(plane.kubeconfig, namespace, log, environ=ALONE)
    try:
        await asyncio.to_thread(operator.start)
        async with asyncio.TaskGroup() as group:
            pods = Pods(client, namespace, group, start_seconds)
            following = group.create_task(pods.follow())
            try:
                return await _sent(client, namespace, pods, trace.loads)
            finally:
                following.cancel()
                pods.end()
    finally:
        operator.__exit__(None, None, None)


async def _sent(client: Client, namespace: str, pods: Pods, loads: Mapping[str, Load]) -> Replayed:
    probed = next(iter(loads))
    began = time.monotonic()
    await _create(client, namespace, probed, PROBE, PROBE_JOB)
    await _until(lambda: len(pods.tally.accepted) == 1, "end of the probe")
    await _until(lambda: all(len(life) > 1 for life in pods.lives.values()), "end of its agent")
    probe_seconds = pods.seconds(time.monotonic())
    first = time.monotonic() + 1.0
    due = {name: [first + job.at for job in load.jobs] for name, load in loads.items()}
    async with asyncio.TaskGroup() as group:
        for at, name, number in _in_order(due):
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            job = loads[name].jobs[number]
            group.create_task(_create(client, namespace, name, f"{name}-{number}", job))
    sent = sum(map(len, due.values()))
    await _until(lambda: len(pods.tally.accepted) == 1 + sent, "end of the last Task")
    delivered = pods.tally.delivered
    return Replayed(
        waits={
            name: [delivered[f"{name}-{number}"] - at for number, at in enumerate(times)]
            for name, times in due.items()
        },
        agent_seconds=pods.seconds(pods.last),
        most_agents=pods.most(),
        start_seconds=delivered[PROBE] - began,
        probe_seconds=probe_seconds,
        loads={
            name: replace(
                load,
                jobs=[
                    *([PROBE_JOB] if name == probed else []),
                    *(Job(first - began + job.at, job.seconds) for job in load.jobs),
                ],
            )
            for name, load in loads.items()
        },
    )


def _in_order(due: Mapping[str, list[float]]) -> list[tuple[float, str, int]]:
    return sorted(
        (at, name, number) for name, times in due.items() for number, at in enumerate(times)
    )


async def _create(client: Client, namespace: str, pool: str, name: str, job: Job) -> None:
    spec = {"pool": pool, "input": {"seconds": job.seconds}}
    task = {**objects.task(name), "spec": spec}
    await client.post(TASKS.format(namespace), task)


async def _until(done: Any, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {PATIENCE_SECONDS} s")
        await asyncio.sleep(LOOK_SECONDS)


def _quota(pods: int) -> Json:
    spec = {"hard": {"pods": str(pods)}}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": spec}


def _pool(name: str, load: Load) -> Json:
    template = objects.pod_template()
    agent = {
        "health": {"heartbeatSeconds": 20},
        "podTemplate": {**template, "spec": on_nodes(template["spec"])},
    }
    quota = {"weight": load.weight, "preemption": "Drain" if load.preempts else "Never"}
    pool = objects.pool(name, agent, scaling=load.scaling, quota=quota)
    del pool["spec"]["replicas"]
    return pool
