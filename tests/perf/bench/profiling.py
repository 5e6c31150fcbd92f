"""A flame graph of the operator under W2, drawn by py-spy."""

import asyncio
import os
import sys
from pathlib import Path

from perf.bench import work
from perf.bench.blocks import say
from perf.bench.client import Client
from perf.bench.fleet import serving
from perf.bench.plane import started
from perf.bench.sizes import Sizes

RATE = 200
"""Samples a second."""
_SPY = Path(sys.executable).with_name("py-spy")


async def profile(sizes: Sizes, target: Path, logs: Path) -> float:
    """Draw what the operator does while it works on W2; returns the Tasks a second meanwhile.

    Only who holds the interpreter's lock is drawn: the waits of other threads would fill a third of
    the picture. OpenSSL works without it, and is left out. Sampling costs the operator some of its
    rate.

    Args:
        sizes: How many agents and Tasks.
        target: The SVG, in a folder that exists.
        logs: A folder that exists; gets the logs of what is started.

    Raises:
        RuntimeError: py-spy failed; on most machines it needs root.
    """
    with started(f"bench-{os.getpid()}-1") as plane:
        async with (
            Client.connected(plane.kubeconfig) as client,
            serving(plane, client, "profile", logs) as fleet,
        ):
            await fleet.pool(sizes.agents)
            await fleet.still()
            say(f"profiling {sizes.tasks} tasks on {sizes.agents} agents")
            spy = await asyncio.create_subprocess_exec(
                str(_SPY), "record", "--format", "flamegraph", "--rate", str(RATE), "--gil",
                "--pid", str(fleet.operator.pid), "--output", str(target),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )  # fmt: skip
            measured = await work.burst(fleet, "w2", sizes.tasks)
            if spy.returncode is None:
                # What it has so far is drawn when it is interrupted.
                spy.send_signal(2)
            _, told = await spy.communicate()
    if spy.returncode:
        raise RuntimeError(f"py-spy: {told.decode(errors='replace').strip()}")
    rate: float = measured["rate"]
    return rate
