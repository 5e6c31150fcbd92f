"""`make validate-simulation`: what the simulator predicts, and what a real operator does."""

import os
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from agentcorps.core.simulation.outcome import PoolOutcome
from agentcorps.core.simulation.plan import Job
from agentcorps.core.simulation.run import simulate
from perf.bench.client import Client
from perf.bench.plane import started
from perf.bench.replay import PROBE_JOB, replay
from support.simulations import a_plan, a_pool, fixed

WAVES, WAVE_SECONDS, BUSY_SECONDS = 2, 70.0, 15.0
RATE, SHORTEST, LONGEST = 4.0, 2.0, 6.0
START_SECONDS = 3.0
NEAR = 0.10
SCALING: dict[str, Any] = {
    "maxReplicas": 6,
    "behavior": {"scaleDown": {"stabilizationWindowSeconds": 10}},
    "panic": {"stableWindowSeconds": 5},
}


def waves() -> list[Job]:
    """Return Tasks for sixteen agents, where there are six at most, and then none for a while."""
    random, jobs = fixed(11), []
    for wave in range(WAVES):
        at = wave * WAVE_SECONDS
        while (at := at + random.expovariate(RATE)) < wave * WAVE_SECONDS + BUSY_SECONDS:
            jobs.append(Job(at, random.uniform(SHORTEST, LONGEST)))
    return jobs


def predicted(trace: list[Job], start_seconds: float, stop_seconds: float) -> PoolOutcome:
    """Return what the simulator says of a trace."""
    pool = a_pool(**SCALING)
    return simulate([a_plan(pool, trace, start_seconds, stop_seconds)]).pools[pool.key]


def probe_seconds(start_seconds: float) -> float:
    """Return for how long a simulated agent exists for the probe, were its pod gone at once."""
    later = Job(3600.0, 1.0)
    both = predicted([PROBE_JOB, later], start_seconds, 0.0).agent_seconds
    return both - start_seconds - later.seconds


@pytest.mark.timeout(1200)
async def test_a_prediction_comes_true(tmp_path: Path) -> None:
    """Median wait and agent-hours of a real run are those of a simulation, within ten percent.

    The simulation is told when Tasks were created, and what one Task before all others showed: how
    long an agent takes to start, and to be gone.
    """
    with started(f"it-simulation-{os.getpid()}") as plane:
        async with Client.connected(plane.kubeconfig) as client:
            spec = {"scaling": SCALING}
            real = await replay(plane, client, spec, waves(), START_SECONDS, tmp_path)
    stop_seconds = max(0.0, real.probe_seconds - probe_seconds(real.start_seconds))
    told = predicted(real.trace, real.start_seconds, stop_seconds)
    waits = (median(real.waits), median(told.waits[1:]))
    hours = (real.agent_seconds / 3600, told.agent_seconds / 3600)
    print(  # noqa: T201 - the table is what this is run for
        "\n| | measured | predicted | difference |\n|---|---|---|---|"
        f"\n| median wait (s) | {waits[0]:.2f} | {waits[1]:.2f} | {waits[1] / waits[0] - 1:+.1%} |"
        f"\n| agent-hours | {hours[0]:.4f} | {hours[1]:.4f} | {hours[1] / hours[0] - 1:+.1%} |"
        f"\n{len(real.waits)} Tasks; by the probe an agent starts in {real.start_seconds:.1f} s"
        f" and is gone {stop_seconds:.1f} s after its end"
    )
    assert waits[1] == pytest.approx(waits[0], rel=NEAR)
    assert hours[1] == pytest.approx(hours[0], rel=NEAR)
