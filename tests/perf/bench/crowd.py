"""A thousand agents: what they cost while idle, and how soon work goes on after a restart."""

import asyncio
import time

from perf.bench.client import Json
from perf.bench.fleet import Fleet
from perf.bench.meter import metered
from perf.bench.processes import usage


async def idle(fleet: Fleet, after: float, seconds: float) -> Json:
    """Watch what nothing costs, some seconds after everything has settled."""
    await fleet.still()
    await asyncio.sleep(after)
    await fleet.still()
    async with metered(fleet.client, fleet.plane, **fleet.pids) as cost:
        await asyncio.sleep(seconds)
    percent = 100 * cost["cpu_seconds"]["operator"] / cost["seconds"]
    return {"cpu_percent": percent, **cost}


async def restart(fleet: Fleet, count: int) -> Json:
    """Let Tasks queue up with no operator, start one, and wait until they are all done.

    The time runs from the start of the process until the first agent has a task: it begins with
    Python's imports and holds lists of everything, the Lease, and the agents' reconnection.
    """
    await asyncio.to_thread(fleet.operator.stop)
    await fleet.load.burst("queued", count)
    await fleet.agents.ask("forget")
    began = time.monotonic()
    fleet.operator.launch()
    await fleet.reached("delivered", 1)
    async with metered(fleet.client, fleet.plane, **fleet.pids) as cost:
        found = await fleet.reached("accepted", count)
    delivered = (await fleet.agents.ask("forget"))["delivered"]
    return {
        "tasks": count,
        "seconds_to_binding": min(delivered.values()) - began,
        "rate": len(delivered) / (found["last"] - min(delivered.values())),
        "operator_rss_mib": usage([fleet.operator.pid]).peak_mib,
        **cost,
    }
