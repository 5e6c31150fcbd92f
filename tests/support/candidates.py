"""Processes that want to lead, for tests of the elector on a clock that is turned by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from agentcorps.adapters.connection import ApiConnection
from agentcorps.adapters.lease import LeaseElector, LeaseTimes
from agentcorps.core.records import Now
from agentcorps.ports import Clock
from support.api import HandClock, running

TIMES = LeaseTimes(duration=15.0, renew_deadline=10.0, retry_period=2.0)
# Half of the deadline bounds a call in real time, so a silent server costs the tests half a second.
HASTY = LeaseTimes(duration=15.0, renew_deadline=1.0, retry_period=0.4)


@dataclass(frozen=True)
class Delayed:
    """The same clock, half a year behind on the wall: another machine."""

    clock: Clock

    def now(self) -> Now:
        """Return the same monotonic time and a wrong wall time."""
        now = self.clock.now()
        return Now(now.monotonic, now.wall - 15_000_000)


@dataclass
class Candidate:
    """A process that wants to lead."""

    elector: LeaseElector
    lost: list[str] = field(default_factory=list)

    async def acquire(self) -> None:
        """Wait until it leads."""
        await asyncio.wait_for(self.elector.acquire(), 60)

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator["asyncio.Task[None]"]:
        """Let it try in the background."""
        task = asyncio.create_task(self.elector.acquire())
        async with running(task):
            yield task

    @asynccontextmanager
    async def renewing(self) -> AsyncIterator["asyncio.Task[None]"]:
        """Let it renew in the background."""
        task = asyncio.create_task(self.elector.run(lambda: self.lost.append("lost")))
        async with running(task):
            yield task


def candidate(
    api: ApiConnection,
    namespace: str,
    name: str,
    clock: HandClock,
    times: LeaseTimes = TIMES,
    told: Clock | None = None,
) -> Candidate:
    """Return a candidate by name."""
    elector = LeaseElector(
        api,
        namespace=namespace,
        identity=name,
        clock=told or clock,
        times=times,
        sleep=clock.sleep,
    )
    return Candidate(elector)


def path(namespace: str) -> str:
    """Return the Lease's path."""
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/agentcorps-operator"


async def lease(api: ApiConnection, namespace: str) -> dict[str, Any]:
    """Return the Lease's spec."""
    stored: dict[str, Any] = await api.request("GET", path(namespace))
    return dict(stored["spec"], version=stored["metadata"]["resourceVersion"])
