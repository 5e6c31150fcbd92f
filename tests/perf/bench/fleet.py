"""The system under test: one operator process, a pool of simulated agents, and a witness."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from perf.bench.children import Child
from perf.bench.client import Client, Json, settled
from perf.bench.load import CAPABILITY, POOL, Load
from perf.bench.plane import Plane, on_nodes
from perf.bench.requests import mutations
from support import objects
from support.operator_process import OperatorProcess
from support.stage import POOLS

LOOK_SECONDS = 0.1
STILL_SECONDS = 2.0
PATIENCE_SECONDS = 300
PRODUCTION = {
    "AGENTCORPS_IDENTITY": "bench",
    "AGENTCORPS_LEASE_SECONDS": "15",
    "AGENTCORPS_LEASE_RENEW_SECONDS": "10",
    "AGENTCORPS_LEASE_RETRY_SECONDS": "2",
}
"""What the chart sets; a container that is started again bears its pod's name once more."""


@dataclass(frozen=True)
class Fleet:
    """An operator and its agents in a namespace of their own."""

    plane: Plane
    client: Client
    namespace: str
    operator: OperatorProcess
    agents: Child
    witness: Child
    load: Load
    restarts: list[float] = field(default_factory=list)
    """When it had ended by itself and was started again."""

    @property
    def pids(self) -> dict[str, list[int]]:
        """Groups of processes whose cost is counted."""
        return {
            "operator": [self.operator.pid],
            "agents": [self.agents.pid],
            "witness": [self.witness.pid],
        }

    async def pool(self, replicas: int) -> float:
        """Create a pool and wait until all of its agents are ready; returns the seconds it took."""
        path = POOLS.format(self.namespace)
        began = time.monotonic()
        await self.client.post(path, pool(replicas))

        def ready(found: Json) -> bool:
            return bool(found.get("status", {}).get("readyReplicas", 0) >= replicas)

        await settled(self.client, path, ready)
        return time.monotonic() - began

    async def still(self) -> None:
        """Wait until nobody writes any more what was due after a change."""
        self.keep()
        last = -1
        while (now := mutations(await self.client.metrics()).total()) != last:
            last = now
            await asyncio.sleep(STILL_SECONDS)

    async def reached(self, counter: str, count: float, seconds: float = PATIENCE_SECONDS) -> Json:
        """Wait until a counter of the agents is so high; returns all of their counters.

        After the time it is given up: what is missing then shows as lost.
        """
        deadline = time.monotonic() + seconds
        while True:
            told = await self.agents.ask("report")
            if told[counter] >= count or time.monotonic() > deadline:
                return told
            self.keep()
            await asyncio.sleep(LOOK_SECONDS)

    def keep(self) -> None:
        """Start the operator again if it has ended, as its Deployment would."""
        if not self.operator.running:
            self.restarts.append(time.monotonic())
            self.operator.launch()

    async def judged(self) -> Json:
        """Let the witness judge all Tasks so far, and look for payloads where none may be."""
        created = orjson.dumps(list(self.load.created.values())).decode()
        verdict = await self.witness.ask(created)
        doubles = (await self.agents.ask("report"))["doubles"]
        leaks = await self._leaks()
        return {
            "events": verdict["events"],
            "gaps": verdict["gaps"],
            "lost": len(verdict["endings"]),
            "double_bound": len(verdict["bindings"]) + doubles,
            "leaks": leaks,
            "restarts": len(self.restarts),
            "first_faults": [*verdict["bindings"], *verdict["endings"]][:5],
        }

    async def _leaks(self) -> int:
        """Count the places where an input shows (I8)."""
        events = await self.client.get(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")
        texts = (self.operator.log.read_bytes(), orjson.dumps(events))
        return sum(self.load.canary.encode() in text for text in texts)


@asynccontextmanager
async def serving(
    plane: Plane, client: Client, namespace: str, folder: Path, kubeconfig: Path | None = None
) -> AsyncIterator[Fleet]:
    """Start an operator, its agents' process and a witness, and end them whatever happens.

    Args:
        plane: The control plane.
        client: Creates Tasks.
        namespace: A new one, of this fleet alone.
        folder: Gets the logs.
        kubeconfig: The operator's way to the API server; by default the same as everybody's.
    """
    await plane.namespace(client, namespace)
    operator = OperatorProcess(
        kubeconfig or plane.kubeconfig,
        namespace,
        folder / f"{namespace}-operator.log",
        environ=PRODUCTION,
    )
    where = ("--kubeconfig", str(plane.kubeconfig), "--namespace", namespace)
    log = folder / f"{namespace}-children.log"
    async with AsyncExitStack() as stack:
        stack.callback(operator.__exit__, None, None, None)
        await asyncio.to_thread(operator.start)
        witness = await stack.enter_async_context(Child.running("witness", *where, log=log))
        await witness.told()
        agents = await stack.enter_async_context(Child.running("agents", *where, log=log))
        load = Load(client, namespace, f"canary-{namespace}")
        yield Fleet(plane, client, namespace, operator, agents, witness, load)


def pool(replicas: int) -> Json:
    """Return the pool of simulated agents."""
    template = objects.pod_template()
    spec = {
        "capabilities": [CAPABILITY],
        "podTemplate": {**template, "spec": on_nodes(template["spec"])},
    }
    # A Task that is deleted would count as lost, and its deletion as a write.
    return objects.pool(POOL, spec, replicas=replicas, tasks={"historyLimit": 1_000_000})
