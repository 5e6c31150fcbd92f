"""What a span of the benchmark cost: time, CPU, memory, writes."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from perf.bench.client import Client, Json
from perf.bench.plane import Plane
from perf.bench.processes import forget_peaks, runs, spent, usage
from perf.bench.requests import mutations, writes_between


@asynccontextmanager
async def metered(client: Client, plane: Plane, **others: list[int]) -> AsyncIterator[Json]:
    """Yield a mapping that has, after the span, what it cost.

    Args:
        client: Reads the API server's metrics.
        plane: Whose CPU and memory to count.
        others: More groups of processes by name, such as ``operator``.
    """
    groups = {**plane.pids, "client": [os.getpid()], **others}
    cost: Json = {"load_average": os.getloadavg()[0]}
    forget_peaks({pid for pids in groups.values() for pid in pids})
    writes = mutations(await client.metrics())
    before = {name: usage(pids) for name, pids in groups.items()}
    began = time.monotonic()
    yield cost
    cost["seconds"] = time.monotonic() - began
    # What a process that was killed has used, nobody knows any more.
    after = {name: usage(pids) for name, pids in groups.items() if all(map(runs, pids))}
    made = writes_between(writes, mutations(await client.metrics()))
    cost["cpu_seconds"] = spent(before, after)
    cost["peak_rss_mib"] = {name: one.peak_mib for name, one in after.items()}
    cost["rss_mib"] = {name: one.rss_mib for name, one in after.items()}
    cost["writes"] = {
        "on_tasks": made.on_tasks,
        "elsewhere": made.elsewhere,
        "by_kind": made.by_kind,
    }
