"""W2, W3 and W6: a burst, arrivals at a rate, and a burst under faults."""

import asyncio
from collections.abc import Awaitable, Callable

from perf.bench.client import Json
from perf.bench.fleet import Fleet
from perf.bench.load import poisson
from perf.bench.meter import metered
from perf.bench.stats import percentile

Trouble = Callable[[Fleet, int], Awaitable[Json]]
_MS = 1000


async def calm(_: Fleet, __: int) -> Json:
    """No faults."""
    return {}


async def burst(fleet: Fleet, prefix: str, count: int, trouble: Trouble = calm) -> Json:
    """Create so many Tasks as fast as it goes, and wait until agents have reported all of them."""
    await fleet.agents.ask("forget")
    async with metered(fleet.client, fleet.plane, **fleet.pids) as cost:
        creating = asyncio.create_task(fleet.load.burst(prefix, count))
        told = await trouble(fleet, count)
        began = await creating
        found = await fleet.reached("accepted", count)
    took = found["last"] - began
    return {
        "tasks": count,
        "rate": found["accepted"] / took,
        "answers": found["answers"],
        **told,
        **cost,
    }


async def arrivals(fleet: Fleet, prefix: str, rate: float, seconds: float, seed: int) -> Json:
    """Let Tasks arrive at random and measure how long each takes to its agent.

    The time runs from when a Task was to be created, so that what waits for a slow system counts.
    """
    await fleet.agents.ask("forget")
    gaps = poisson(rate, seconds, seed)
    async with metered(fleet.client, fleet.plane, **fleet.pids) as cost:
        due = await fleet.load.arrive(prefix, gaps)
        await fleet.reached("accepted", len(due), seconds=60)
    delivered = (await fleet.agents.ask("forget"))["delivered"]
    waits = [_MS * (delivered[name] - at) for name, at in due.items() if name in delivered]
    return {
        "tasks": len(due),
        "wanted_rate": rate,
        "missing": len(due) - len(waits),
        "p50_ms": percentile(waits, 0.50),
        "p90_ms": percentile(waits, 0.90),
        "p99_ms": percentile(waits, 0.99),
        "max_ms": max(waits),
        **cost,
    }
