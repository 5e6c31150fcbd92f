"""W5: three pools weighted 1:2:4 over one quota, while their demand flips."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

from perf.bench.client import Client, Json
from perf.bench.fleet import PRODUCTION
from perf.bench.meter import metered
from perf.bench.plane import Plane, on_nodes
from support.contest import FLIPS, LOOK_SECONDS, Contest, Verdict
from support.operator_process import OperatorProcess
from support.pod_counts import PodCounts
from support.poll import until
from support.raw_api import RawApi

START_SECONDS = 180
NAMESPACE = "contest"


async def contest(
    plane: Plane, client: Client, folder: Path, size: int, min_runtime: float
) -> Json:
    """Let demand flip four times; returns the worst of what was seen.

    Flips are so far apart that agents are old enough to be given back: who comes sooner waits for
    the rest of the minimum runtime, by design.

    Args:
        plane: The control plane.
        client: A client of it.
        folder: Gets the operator's log.
        size: Pods that the quota allows.
        min_runtime: The operator's minRuntimeSeconds.
    """
    await plane.namespace(client, NAMESPACE)
    environ = {**PRODUCTION, "AGENTCORPS_MIN_RUNTIME_SECONDS": str(min_runtime)}
    log = folder / "contest.log"
    with (
        OperatorProcess(plane.kubeconfig, NAMESPACE, log, environ=environ) as operator,
        PodCounts(plane.kubeconfig, NAMESPACE) as counts,
    ):
        what = Contest(RawApi(plane.kubeconfig), NAMESPACE, size, counts)
        await asyncio.to_thread(what.quota)
        await asyncio.to_thread(what.pools, **on_nodes({}))
        await _over(what)
        verdicts: list[Verdict] = []
        async with metered(client, plane, operator=[operator.pid]) as cost:
            for flip in FLIPS:
                await asyncio.sleep(min_runtime)
                flipped = await asyncio.to_thread(what.flip, flip)
                await asyncio.sleep(LOOK_SECONDS)
                await _over(what)
                verdicts.append(what.judge(flipped, time.monotonic()))
        return {
            "size": size,
            "distance_percent": 100 * max(one.distance for one in verdicts),
            "slowest": max(one.seconds or START_SECONDS for one in verdicts),
            "jain": min(one.jain for one in verdicts),
            "turns": sum(one.turns for one in verdicts),
            "excess": what.excess,
            "gaps": counts.gaps,
            "flips": [one._asdict() for one in verdicts],
            **cost,
        }


async def _over(what: Contest) -> None:
    """Wait until all have settled; whoever has not by then shows in the figures."""
    with suppress(AssertionError):
        await asyncio.to_thread(until, what.is_over, "shares", seconds=START_SECONDS)
