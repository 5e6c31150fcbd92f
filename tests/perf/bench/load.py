"""Tasks for the operator: as fast as they can be created, or at times that were chosen before."""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from perf.bench.client import Client, Json, each
from support.watcher import TASKS

POOL = "crowd"
CAPABILITY = "bench"


@dataclass
class Load:
    """Creates Tasks and remembers them.

    Attributes:
        client: The plain client.
        namespace: Where.
        canary: Stands in each input, and so must not show in logs and Events.
        created: UIDs by name.
    """

    client: Client
    namespace: str
    canary: str
    created: dict[str, str] = field(default_factory=dict)

    async def burst(self, prefix: str, count: int) -> float:
        """Create so many at once; returns when it began."""
        began = time.monotonic()
        await each((f"{prefix}-{number}" for number in range(count)), self.create)
        return began

    async def arrive(self, prefix: str, gaps: Sequence[float]) -> dict[str, float]:
        """Create one after each gap, however long the earlier ones take; returns when each is due.

        A Task that is created late because the system is slow was due at its time all the same.
        """
        due: dict[str, float] = {}
        at = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, gap in enumerate(gaps):
                at += gap
                name = f"{prefix}-{number}"
                due[name] = at
                await asyncio.sleep(max(0.0, at - time.monotonic()))
                group.create_task(self.create(name))
        return due

    async def create(self, name: str) -> Json:
        """Create one."""
        body = task(name, self.canary)
        stored = await self.client.post(TASKS.format(self.namespace), body)
        self.created[name] = stored["metadata"]["uid"]
        return stored


def task(name: str, canary: str) -> Json:
    """Return a small Task."""
    return {
        "apiVersion": "agentcorps.dev/v1alpha1",
        "kind": "Task",
        "metadata": {"name": name},
        "spec": {"pool": POOL, "requires": [CAPABILITY], "input": {"secret": canary}},
    }


def poisson(rate: float, seconds: float, seed: int) -> list[float]:
    """Return the gaps between arrivals of a Poisson process.

    Args:
        rate: Arrivals a second, on average.
        seconds: Length of the process.
        seed: The same seed gives the same arrivals.
    """
    return list(_gaps(rate, seconds, random.Random(seed)))  # noqa: S311 - arrivals, no secret


def _gaps(rate: float, seconds: float, dice: random.Random) -> Iterator[float]:
    at = 0.0
    while (at := at + (gap := dice.expovariate(rate))) < seconds:
        yield gap
